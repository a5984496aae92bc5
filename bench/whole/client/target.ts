/**
 * The server that every client peer is measured against, in a process of its own. It answers each request head with
 * the same few bytes and looks at nothing but the blank line, so that it costs less than any client and is never what
 * is being measured. It is not an HTTP server: no bodies, no pipelining, no limits.
 */

import { createServer } from "node:net";
import { answerParent } from "../../support/child.ts";
import { answerBody } from "../work.ts";

const response = Buffer.from(
  "HTTP/1.1 200 OK\r\n" +
    "Content-Type: application/json\r\n" +
    "Date: Sun, 01 Nov 2026 12:00:00 GMT\r\n" +
    `Content-Length: ${answerBody.length}\r\n\r\n${answerBody}`,
);

let accepted = 0;
const server = createServer({ noDelay: true }, (socket) => {
  accepted += 1;
  socket.on("data", (chunk) => {
    // A head may come in two pieces; only the one that ends in a line feed after a carriage return ends the head.
    if (chunk.at(-1) === 10 && chunk.at(-3) === 10) socket.write(response);
  });
  socket.on("error", () => socket.destroy());
});

void answerParent({
  listen: async () => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject).listen(0, "127.0.0.1", 1024, resolve);
    await promise;
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("The target has no port");
    return { port: address.port };
  },
  usage: () => {
    const { user, system } = process.cpuUsage();
    return { cpuUs: user + system, accepted };
  },
});

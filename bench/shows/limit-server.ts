/**
 * A server with a limit of connections, by sluice or by node:http, whose handler takes its time: `wait`, `reject` or
 * `node`, the limit, and how long a request takes.
 */

import { createServer as createPlainServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "sluice/server";
import { answerParent } from "../support/child.ts";

const [kind = "", maxConns = "10", workMs = "20"] = process.argv.slice(2);
let inFlight = 0;
let peak = 0;
let served = 0;

function handle(_req: IncomingMessage, res: ServerResponse): void {
  inFlight += 1;
  peak = Math.max(peak, inFlight);
  setTimeout(() => {
    inFlight -= 1;
    served += 1;
    res.end("ok");
  }, Number(workMs));
}

function openServer(): ReturnType<typeof createPlainServer> {
  if (kind === "wait" || kind === "reject") return createServer({ maxConns: Number(maxConns), overflow: kind }, handle);
  const server = createPlainServer(handle);
  server.maxConnections = Number(maxConns);
  return server;
}

const server = openServer();
void answerParent({
  listen: async () => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject).listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, resolve);
    await promise;
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("The server has no port");
    return { port: address.port };
  },
  report: () => ({ peak, served }),
});

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type AddressInfo } from "node:net";
import { test } from "node:test";
import { createServer } from "./server.ts";

test("the request that is maxRequestsPerConn is answered with Connection: close, and none before", async (t) => {
  const server = createServer({ maxRequestsPerConn: 2 }, (_req, res) => res.end("ok"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1").setEncoding("latin1");
  const said: unknown[] = [];
  const ended = once(socket, "end");
  for (let i = 0; i < 2; i += 1) {
    socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // oxlint-disable-next-line no-await-in-loop -- one request after the other
    const [answer] = await once(socket, "data");
    said.push(/^Connection: (.*)\r$/m.exec(String(answer))?.[1]);
  }
  assert.deepEqual(said, ["keep-alive", "close"]);
  await ended;
  socket.destroy();
});

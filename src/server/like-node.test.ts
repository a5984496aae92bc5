import assert from "node:assert/strict";
import { once } from "node:events";
import { IncomingMessage, ServerResponse } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { test } from "node:test";
import { createServer } from "./server.ts";

test("what a handler sets with res.setTimeout ends with its request", async (t) => {
  const server = createServer({}, (req, res) => {
    if (req.url === "/short") res.setTimeout(60, () => undefined);
    setTimeout(() => res.end("ok"), req.url === "/short" ? 0 : 150);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1").setEncoding("latin1");
  t.after(() => {
    socket.destroy();
    server.closeAllConnections();
    server.close();
  });
  const ask = async (path: string): Promise<unknown> => {
    socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    return await Promise.race([once(socket, "data").then(([data]) => String(data).slice(0, 12)), once(socket, "end")]);
  };
  assert.equal(await ask("/short"), "HTTP/1.1 200");
  assert.equal(await ask("/longer"), "HTTP/1.1 200");
});

test("requests and responses have the names of Node's classes", async (t) => {
  const { promise: names, resolve } = Promise.withResolvers<readonly string[]>();
  const server = createServer({}, (req, res) => {
    resolve([req.constructor.name, res.constructor.name]);
    res.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  assert.deepEqual(await names, [IncomingMessage.name, ServerResponse.name]);
});

/** Clients that take what a limit should not give: by leaving, by pipelining, by asking for what there is not. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type AddressInfo, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { Registry } from "../core/instruments.ts";
import { until } from "../../test/support/loopback.ts";
import type { ServerOptions } from "./server-options.ts";
import { createServer, type Handler } from "./server.ts";

async function start(t: TestContext, options: ServerOptions, handler: Handler) {
  const server = createServer({ registry: new Registry(), ...options }, handler);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const clients: Socket[] = [];
  t.after(() => {
    for (const client of clients) client.destroy();
    server.closeAllConnections();
    server.close();
  });
  // It listens on TCP.
  const { port } = server.address() as AddressInfo;
  const open = async (): Promise<Socket> => {
    const client = connect(port, "127.0.0.1").on("error", () => undefined);
    clients.push(client);
    await once(client, "connect");
    return client;
  };
  return { server, open };
}

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

test("clients that leave do not let more handlers in than the limit allows", async (t) => {
  let running = 0;
  const { server, open } = await start(t, { concurrency: { limit: 2, queue: 0 } }, () => {
    running += 1;
  });
  for (let turn = 0; turn < 6; turn += 1) {
    const client = await open();
    client.write(get);
    const { requests } = server.stats();
    await until(() => server.stats().inFlight > 0 || server.stats().requests > requests);
    client.resetAndDestroy();
    await until(() => server.stats().connections.active === 0);
  }
  assert.equal(running, 2);
  assert.equal(server.stats().shed.concurrency, 4);
});

test("a handler that ends its answer after its client has left gives its place back at once", async (t) => {
  const answers: (() => void)[] = [];
  const { server, open } = await start(t, { concurrency: { limit: 1, queue: 0 } }, (_req, res) => {
    answers.push(() => res.end());
  });
  const first = await open();
  first.write(get);
  await until(() => answers.length === 1);
  first.resetAndDestroy();
  await until(() => server.stats().connections.active === 0);
  answers[0]?.();
  const second = await open();
  second.write(get);
  await until(() => answers.length === 2);
  assert.equal(answers.length, 2);
});

test("a connection with many pipelined requests is not read on, and all are answered in the end", async (t) => {
  let answered = 0;
  let most = 0;
  const { promise: begun, resolve: onBegun } = Promise.withResolvers<() => void>();
  const { server, open } = await start(t, {}, (_req, res) => {
    most = Math.max(most, server.stats().deferred);
    answered += 1;
    if (answered === 1) onBegun(() => res.end("x"));
    else res.end("x");
  });
  const client = await open();
  let received = "";
  client.setEncoding("latin1").on("data", (chunk: string) => (received += chunk));
  const total = 4_000;
  const large = `GET / HTTP/1.1\r\nHost: a\r\nX-Padding: ${"p".repeat(1_000)}\r\n\r\n`;
  client.write(large.repeat(total));
  const finish = await begun;
  await until(() => server.stats().deferred >= 32);
  finish();
  const countAnswers = (): number => received.split("HTTP/1.1 200").length - 1;
  for (let turn = 0; turn < 20 && countAnswers() < total; turn += 1) await until(() => countAnswers() === total);
  assert.equal(answered, total);
  // Two reads of 64 KiB at most, whatever was sent.
  assert.ok(most < 200, `${most} requests waited`);
  assert.equal(server.stats().deferred, 0);
});

test("an expectation that nobody knows is told 417, and the connection serves the next request", async (t) => {
  const { server, open } = await start(t, { readHeaderTimeout: 200 }, (_req, res) => res.end("served"));
  const client = await open();
  let received = "";
  client.setEncoding("latin1").on("data", (chunk: string) => (received += chunk));
  client.write("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n");
  await until(() => received.includes("417"));
  assert.equal(server.stats().connections.idle, 1);
  await new Promise((resolve) => setTimeout(resolve, 300));
  client.write(get);
  await until(() => received.includes("served"));
  assert.match(received, /served/);
});

/** What a client can do to the whole process, or to the accounts of a server, with a few packets. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { connect, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../test/support/loopback.ts";
import type { ServerOptions } from "./server-options.ts";
import { createServer, type Handler } from "./server.ts";

async function start(t: TestContext, options: ServerOptions, handler: Handler) {
  const server = createServer({ drain: { grace: 1 }, ...options }, handler);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  // It listens on TCP.
  return { server, port: (server.address() as AddressInfo).port };
}

function send(t: TestContext, to: number | string, text: string): { socket: Socket; read: () => string } {
  const socket = typeof to === "string" ? connect(to) : connect(to, "127.0.0.1");
  let got = "";
  socket.on("error", () => undefined).on("data", (chunk) => (got += String(chunk)));
  socket.write(text);
  t.after(() => socket.destroy());
  return { socket, read: () => got };
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
const upgrade = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
const tunnel = "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n";

test("a client that resets its connection when its tunnel or upgrade is refused does not end the process", async (t) => {
  const { server, port } = await start(t, {}, (_req, res) => res.end());
  server.on("upgrade", () => assert.fail("it was malformed"));
  const withBody = upgrade.replace("Host: a", "Host: a\r\nContent-Length: 4");
  for (const refused of [tunnel, upgrade.replace("Host: a", "Host: "), withBody]) {
    for (let round = 0; round < 5; round += 1) {
      const { socket } = send(t, port, refused);
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await once(socket, "data");
      socket.resetAndDestroy();
    }
  }
  await until(() => server.stats().closed.refused === 15);
});

test("a connection over a Unix socket can be cut", { skip: process.platform === "win32" }, async (t) => {
  const path = join(tmpdir(), `sluice-cut-${process.pid}.sock`);
  await rm(path, { force: true });
  const server = createServer({ writeTimeout: 50 }, (_req, res) => res.write("begun"));
  server.listen(path);
  await once(server, "listening");
  t.after(() => server.close());
  const { socket } = send(t, path, get("/"));
  await once(socket, "close");
  await until(() => server.stats().inFlight === 0);
  assert.equal(server.stats().timeouts.write, 1);
});

for (const [name, last] of Object.entries({ upgrade, tunnel })) {
  test(`what comes behind an unanswered request and leaves HTTP (${name}) does not get between its answer`, async (t) => {
    const { server, port } = await start(t, {}, (req, res) => {
      setTimeout(() => res.end(`answer to ${req.url}`), 50);
    });
    let taken = 0;
    for (const event of ["upgrade", "connect"]) {
      server.on(event, (_req: unknown, socket: Socket) => {
        taken += 1;
        socket.on("error", () => undefined).end("HTTP/1.1 101 Switching Protocols\r\n\r\n");
      });
    }
    const { socket, read } = send(t, port, get("/a") + get("/b") + last);
    await once(socket, "close");
    assert.match(read(), /^HTTP\/1\.1 200 OK\r\n(?:.*\r\n)+\r\nanswer to \/a$/);
    assert.equal(taken, 0);
    await until(() => server.stats().connections.active === 0);
    const { inFlight, deferred, connections } = server.stats();
    assert.deepEqual({ inFlight, deferred, connections }, { inFlight: 0, deferred: 0, connections: none });
  });
}

const none = { new: 0, active: 0, idle: 0, upgraded: 0 };

const route = (): string => {
  throw new Error("no such target");
};

test("a route function that throws at a target does not keep its connection busy for ever", async (t) => {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException").once("uncaughtException", resolve);
  t.after(() => {
    for (const listener of listeners) process.on("uncaughtException", listener);
  });
  const { server, port } = await start(t, { route }, (_req, res) => res.end());
  const { socket } = send(t, port, get("//"));
  assert.match(String(await promise), /no such target/);
  await until(() => server.stats().connections.idle === 1);
  assert.equal(server.stats().inFlight, 0);
  socket.destroy();
});

test("a header that begins while a long request runs does not get the idle timeout", async (t) => {
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const { server, port } = await start(t, { readHeaderTimeout: 100, idleTimeout: "1m" }, async (_req, res) => {
    await ended;
    res.end();
  });
  const { socket, read } = send(t, port, get("/"));
  await until(() => server.stats().inFlight === 1);
  socket.write("GET /next HTTP/1.1\r\nHo");
  // Node looks once a second, and tells once.
  await sleep(2_300);
  end();
  await once(socket, "close");
  assert.match(read(), /^HTTP\/1\.1 200 OK[^]*HTTP\/1\.1 408 /);
  assert.equal(server.stats().timeouts.read_header, 1);
});

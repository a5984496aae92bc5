import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createPlainServer, get, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { connect, type AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { OptionError } from "../core/errors.ts";
import { Registry } from "../core/instruments.ts";
import { serverCertificate } from "../../test/support/certificates.ts";
import { controller } from "./controller.ts";
import { NotGuardedError } from "./errors.ts";
import { guard } from "./guard.ts";
import { createServer } from "./server.ts";
import type { GuardableServer } from "./take-over.ts";

async function listen(t: TestContext, server: GuardableServer): Promise<number> {
  t.after(() => {
    if ("closeAllConnections" in server) server.closeAllConnections();
    server.close();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // It listens on TCP.
  return (server.address() as AddressInfo).port;
}

async function read(port: number, path = "/"): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return `${response.status} ${await response.text()}`;
}

test("a server that listens already is not guarded: connections it has accepted would have no limits", async (t) => {
  const server = createPlainServer();
  await listen(t, server);
  assert.throws(() => guard(server), OptionError);
  server.close();
});

test("a misspelt option is an error that names the nearest real one", () => {
  assert.throws(() => createServer({ readHeadersTimeout: "1s" } as object), /did you mean readHeaderTimeout\?/);
  assert.throws(() => createServer({ trustedProxies: ["10.0.0.0/33"] }), OptionError);
  assert.throws(() => createServer({ retryAfter: "10ms" }), OptionError);
  assert.throws(() => createServer({ handlerTimeout: 0 }), /Infinity/);
});

test("createServer gives a server of node:http; guard gives the same to one that exists", async (t) => {
  const made = createServer({}, (_req, res) => res.end("made"));
  const found = createPlainServer((_req, res) => res.end("found"));
  const guarded = guard(found);
  assert.ok(made instanceof createPlainServer().constructor);
  assert.equal(await read(await listen(t, made)), "200 made");
  assert.equal(await read(await listen(t, found)), "200 found");
  assert.equal(guarded.stats().requests, 1);
  await Promise.all([made.drain(), guarded.drain()]);
  assert.equal(guarded.draining, true);
  assert.equal(made.draining, true);
});

test("levels, totals and connState follow a connection from accept to close", async (t) => {
  const { promise: asked, resolve: onAsked } = Promise.withResolvers<() => void>();
  const server = createServer({}, (_req, res) => onAsked(() => res.end("done")));
  const states: string[] = [];
  server.on("connState", (_socket, state) => states.push(String(state)));
  const port = await listen(t, server);
  const client = connect(port, "127.0.0.1");
  await once(server, "connection");
  assert.deepEqual(server.stats().connections, { new: 1, active: 0, idle: 0, upgraded: 0 });
  client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const answer = await asked;
  assert.deepEqual(server.stats().connections, { new: 0, active: 1, idle: 0, upgraded: 0 });
  assert.equal(server.stats().inFlight, 1);
  answer();
  await once(client, "data");
  assert.deepEqual(server.stats().connections, { new: 0, active: 0, idle: 1, upgraded: 0 });
  client.end();
  await once(client, "close");
  await server.drain();
  const { connections, inFlight, accepted, requests, closed } = server.stats();
  assert.deepEqual(connections, { new: 0, active: 0, idle: 0, upgraded: 0 });
  assert.deepEqual([inFlight, accepted, requests, closed.client], [0, 1, 1, 1]);
  assert.deepEqual(states, ["active", "idle", "closed"]);
});

test("the metrics of a server are those of observe, and equal its stats", async (t) => {
  const registry = new Registry();
  const server = createServer({ registry, name: "shop", route: () => "/things/:id" }, (req, res) => {
    res.statusCode = req.url === "/bad" ? 500 : 200;
    res.end();
  });
  const port = await listen(t, server);
  await read(port, "/things/1");
  await read(port, "/bad");
  const families = new Map([...registry.collect()].map((family) => [family.name, family]));
  const sample = (name: string, ...labels: string[]): number | undefined => {
    const family = families.get(name);
    assert.ok(family !== undefined, `there is no ${name}`);
    const found = family.samples.find((one) => labels.every((label, index) => one.labels[index] === label));
    return found === undefined ? undefined : "value" in found ? found.value : found.count;
  };
  assert.equal(sample("http_server_requests_total", "shop", "/things/:id", "GET", "200", ""), 1);
  assert.equal(sample("http_server_requests_total", "shop", "/things/:id", "GET", "500", "500"), 1);
  assert.equal(sample("http_server_request_duration_seconds", "shop", "/things/:id", "GET", "200", ""), 1);
  assert.equal(sample("http_server_connections_active", "shop", "idle"), server.stats().connections.idle);
  assert.equal(sample("http_server_connections_total", "shop"), server.stats().accepted);
  assert.equal(sample("http_server_connections_limit", "shop", "total"), 10_000);
  assert.equal(sample("http_server_timeouts_total", "shop", "read_header"), 0);
  assert.equal(sample("http_server_draining", "shop"), 0);
  await server.drain();
  assert.equal([...registry.collect()].find(({ name }) => name === "http_server_draining")?.samples.length, 0);
});

test("close() of a guarded server is a drain: a request in flight is answered, with Connection: close", async (t) => {
  const { promise: asked, resolve: onAsked } = Promise.withResolvers<() => void>();
  const server = createServer({}, (_req, res) => onAsked(() => res.end("whole")));
  const port = await listen(t, server);
  const answer = fetch(`http://127.0.0.1:${port}/`);
  const finish = await asked;
  const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
  assert.equal(server.draining, true);
  finish();
  const response = await answer;
  assert.equal(response.headers.get("connection"), "close");
  assert.equal(await response.text(), "whole");
  await closed;
});

test("listen takes what Node's takes, and has a backlog of its own unless one is given", async (t) => {
  const forms: readonly ((server: Server, done: () => void) => void)[] = [
    (server, done) => server.listen(0, done),
    (server, done) => server.listen(0, "127.0.0.1", done),
    (server, done) => server.listen(0, "127.0.0.1", 10, done),
    (server, done) => server.listen({ port: 0, host: "127.0.0.1" }, done),
    (server, done) => server.listen(done),
  ];
  for (const [index, form] of forms.entries()) {
    await t.test(`form ${index}`, async () => {
      const server = createServer({}, (_req, res) => res.end("here"));
      await new Promise<void>((resolve) => form(server, resolve));
      const { port } = server.address() as AddressInfo;
      const body = await new Promise<string>((resolve, reject) => {
        get({ port, host: "127.0.0.1" }, (res) => res.setEncoding("utf8").on("data", resolve)).on("error", reject);
      });
      assert.equal(body, "here");
      await server.drain();
    });
  }
});

test("a request that is emitted by hand reaches its handler, though there is nothing to guard", () => {
  const server = createServer({}, (_req, res) => void (res as unknown as { seen: boolean }).seen);
  const seen: unknown[] = [];
  server.on("request", (req) => seen.push(req));
  server.emit("request", { url: "/" }, {});
  assert.equal(seen.length, 1);
});

test("controller() of a response that no guard knows says so", () => {
  assert.throws(() => controller({} as never), NotGuardedError);
});

test("a TLS handshake that never ends is cut after tlsHandshakeTimeout", async (t) => {
  const server = createTlsServer(serverCertificate);
  const guarded = guard(server, { tlsHandshakeTimeout: 200 });
  const port = await listen(t, server);
  const startedAt = performance.now();
  const client = connect(port, "127.0.0.1").on("error", () => undefined);
  await new Promise((resolve) => client.on("close", resolve));
  assert.ok(performance.now() - startedAt >= 200);
  assert.equal(guarded.stats().timeouts.tls, 1);
  await guarded.drain();
});

test("CONNECT that nobody serves is answered with 405", async (t) => {
  const server = createServer({}, (_req, res) => res.end());
  const port = await listen(t, server);
  const client = connect(port, "127.0.0.1");
  client.write("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n");
  const [answer] = await once(client, "data");
  assert.match(String(answer), /^HTTP\/1\.1 405 /);
  client.destroy();
  await server.drain();
});

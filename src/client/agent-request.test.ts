import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { once } from "node:events";
import http, { type ClientRequest, type IncomingMessage } from "node:http";
import { createServer as createTcpServer, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { Transport } from "sluice/client";
import { createContext } from "sluice/core";
import { assertNothingLeft, listen, until } from "../../test/support/loopback.ts";
import { echo, failure, send, serve } from "../../test/support/node-http.ts";
import { assertQuiet } from "../../test/support/transport-checks.ts";

test("a request destroyed in the queue leaves it at once, with Node's error and without a socket", async () => {
  await using served = await serve((_request, response) => setTimeout(() => response.end("late"), 100));
  await using transport = new Transport({ maxConnsPerHost: 1 });
  const agent = transport.agent();
  const first = send(http.request(served.url, { agent }));
  const controller = new AbortController();
  const second = http.request(served.url, { agent, signal: controller.signal });
  const third = http.request(served.url, { agent });
  await until(() => transport.stats().inUse === 1);
  assert.equal(transport.stats().waiting, 2);
  const errors = Promise.all([failure(second), failure(third)]);
  const startedAt = performance.now();
  controller.abort();
  third.destroy();
  assert.equal(transport.stats().waiting, 0);
  const [aborted, hungUp] = await errors;
  assert.equal(performance.now() - startedAt < 50, true);
  assert.equal(aborted?.name, "AbortError");
  assert.equal(hungUp?.code, "ECONNRESET");
  assert.equal((await first).body, "late");
  assert.equal(served.accepted(), 1);
  await assertQuiet(transport);
});

test("a request destroyed in each turn of its life leaves the books at zero", async () => {
  await using served = await serve((_request, response) => {
    response.write("some");
    setTimeout(() => response.end("more"), 5);
  });
  await using transport = new Transport({ maxConnsPerHost: 2 });
  const agent = transport.agent();
  const moments: ((request: ClientRequest) => void)[] = [
    (request) => request.destroy(),
    (request) => queueMicrotask(() => request.destroy()),
    (request) => process.nextTick(() => request.destroy()),
    (request) => setImmediate(() => request.destroy()),
    (request) => setTimeout(() => request.destroy(), 2),
    (request) => request.on("socket", () => request.destroy()),
    (request) => request.on("finish", () => request.destroy()),
    (request) => request.on("response", () => request.destroy()),
    (request) => request.on("response", (response) => response.once("data", () => response.destroy())),
    (request) => request.on("response", (response) => response.resume().on("end", () => request.destroy())),
  ];
  for (let round = 0; round < 5; round += 1) {
    const closed = moments.map((destroyAt) => {
      const request = http.get(served.url, { agent });
      request.on("error", () => {});
      destroyAt(request);
      return new Promise((resolve) => request.on("close", resolve));
    });
    // oxlint-disable-next-line no-await-in-loop -- the rounds meet warm and cold pools
    await Promise.all(closed);
  }
  await assertQuiet(transport);
  assert.equal(transport.stats().inFlight, 0);
  assert.deepEqual(await send(http.request(served.url, { agent })), { status: 200, body: "somemore" });
  await transport.close();
  await served[Symbol.asyncDispose]();
  await assertNothingLeft();
});

test("what the system says of a dial reaches the request unchanged, and so do the limits of the pool", async () => {
  const gone = await listen(createTcpServer());
  await gone[Symbol.asyncDispose]();
  await using served = await serve(() => {});
  await using transport = new Transport({ maxConnsPerHost: 1, maxWaitersPerHost: 1, poolTimeout: 60 });
  const agent = transport.agent();
  assert.equal((await failure(http.get({ port: gone.port, host: "127.0.0.1", agent }))).code, "ECONNREFUSED");
  const stuck = http.get(served.url, { agent });
  await until(() => transport.stats().inUse === 1);
  const waits = failure(http.get(served.url, { agent }));
  assert.equal((await failure(http.get(served.url, { agent }))).code, "ERR_POOL_FULL");
  assert.equal((await waits).code, "ERR_POOL_TIMEOUT");
  stuck.destroy();
  await failure(stuck);
  await assertQuiet(transport);
});

test("a connection that either side wants closed is closed after the answer, and counted so", async () => {
  await using served = await serve((request, response) => {
    if (request.url === "/close") response.setHeader("connection", "close");
    echo(request, response);
  });
  await using transport = new Transport();
  const agent = transport.agent();
  assert.equal((await send(http.request(`${served.url}/close`, { agent }))).status, 200);
  const single = http.request(served.url, { agent, headers: { connection: "close" } });
  assert.equal((await send(single)).status, 200);
  await until(() => transport.stats().closed.server_close === 2);
  const { closed, idle } = transport.stats();
  assert.equal(idle, 0);
  assert.equal(closed.server_close, 2);
  await assertQuiet(transport);
});

test("a server that never answers, stops in a body or stops reading an upload is given up in time", async () => {
  await using served = await serve((request, response) => {
    if (request.url === "/body") response.write("some");
    if (request.url === "/upload") request.pause();
    else request.resume();
  });
  await using transport = new Transport({ responseHeaderTimeout: 60, bodyTimeout: 80 });
  const agent = transport.agent();
  const silent = http.get(`${served.url}/silent`, { agent });
  assert.equal((await failure(silent)).code, "ERR_RESPONSE_HEADER_TIMEOUT");

  const stalled = http.get(`${served.url}/body`, { agent });
  stalled.on("error", () => {});
  const [response]: IncomingMessage[] = await once(stalled, "response");
  assert.ok(response);
  await assert.rejects(text(response), { code: "ERR_BODY_TIMEOUT" });

  const upload = http.request(`${served.url}/upload`, { agent, method: "POST" });
  upload.write(Buffer.alloc(16_000_000));
  assert.equal((await failure(upload)).code, "ERR_REQUEST_BODY_TIMEOUT");
  await assertQuiet(transport);
  assert.deepEqual(transport.stats().timeouts, { response_header: 1, body: 1, request: 1 });
});

test("a reader who is slow is not a body that stands still, and one who never reads is counted", async () => {
  await using served = await serve((_request, response) => response.end(Buffer.alloc(2_000_000)));
  const leaks: string[] = [];
  await using transport = new Transport({ bodyTimeout: 40, leakAfter: 30, onLeak: ({ path }) => leaks.push(path) });
  const request = http.get(`${served.url}/slow`, { agent: transport.agent() });
  const [response]: IncomingMessage[] = await once(request, "response");
  assert.ok(response);
  await until(() => transport.stats().unreadBodies === 1);
  assert.deepEqual(leaks, ["/slow"]);
  assert.equal((await text(response)).length, 2_000_000);
  await assertQuiet(transport);
});

test("an answer that nobody listens for is read away and its connection kept", async () => {
  await using served = await serve((_request, response) => response.end(Buffer.alloc(200_000)));
  await using transport = new Transport();
  const request = http.get(served.url, { agent: transport.agent() });
  await once(request, "close");
  await until(() => transport.stats().idle === 1);
  assert.equal(transport.stats().idle, 1);
  assert.equal(request.reusedSocket, false);
});

test("an answer before the end of the upload frees the connection when the upload has ended", async () => {
  await using served = await serve((request, response) => {
    response.end("early");
    request.resume();
  });
  await using transport = new Transport();
  const agent = transport.agent();
  const request = http.request(served.url, { agent, method: "POST" });
  request.write("first");
  const [response]: IncomingMessage[] = await once(request, "response");
  assert.ok(response);
  assert.equal(await text(response), "early");
  assert.equal(transport.stats().inUse, 1);
  request.end("last");
  await once(request, "close");
  await until(() => transport.stats().idle === 1);
  assert.equal((await send(http.request(served.url, { agent }))).body, "early");
  assert.equal(served.accepted(), 1);
});

test("an upgraded connection is its owner's, and in none of the counts but one", async () => {
  const server = http.createServer();
  server.on("upgrade", (_request, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
    socket.pipe(socket);
  });
  await using served = await serve(echo, server);
  await using transport = new Transport();
  const headers = { connection: "upgrade", upgrade: "echo" };
  const request = http.get(served.url, { agent: transport.agent(), headers });
  const [, socket] = await once(request, "upgrade");
  assert.equal(transport.stats().upgraded, 1);
  await assertQuiet(transport);
  socket.write("hello");
  const [chunk] = await once(socket, "data");
  assert.equal(String(chunk), "hello");
  socket.destroy();
  await until(() => transport.stats().upgraded === 0);
  assert.equal(transport.stats().upgraded, 0);
});

test("a queued request goes on in the async context of its caller", async () => {
  await using served = await serve((_request, response) => setTimeout(() => response.end("ok"), 10));
  await using transport = new Transport({ maxConnsPerHost: 1 });
  const agent = transport.agent();
  const storage = new AsyncLocalStorage<number>();
  const seen = await Promise.all(
    [1, 2, 3].map((id) =>
      storage.run(id, async () => {
        const { promise, resolve } = Promise.withResolvers<(number | undefined)[]>();
        const places: (number | undefined)[] = [];
        http.get(served.url, { agent }, (response) => {
          places.push(storage.getStore());
          response.resume().on("end", () => {
            places.push(storage.getStore());
            resolve(places);
          });
        });
        return promise;
      }),
    ),
  );
  assert.deepEqual(seen, [
    [1, 1],
    [2, 2],
    [3, 3],
  ]);
});

test("the end of a context ends its requests, whether they wait or run", async () => {
  await using served = await serve(() => {});
  await using transport = new Transport({ maxConnsPerHost: 1 });
  const agent = transport.agent();
  const owner = createContext();
  const [running, queued] = owner.run(() => [http.get(served.url, { agent }), http.get(served.url, { agent })]);
  assert.ok(running && queued);
  const errors = Promise.all([failure(running), failure(queued)]);
  await until(() => transport.stats().inUse === 1);
  owner.cancel(new Error("the client has left"));
  for (const error of await errors) assert.match(error.message, /the client has left/);
  await assertQuiet(transport);
});

test("a request's own timeout holds while it has a connection, and not for the next one", async () => {
  await using served = await serve((request, response) => {
    if (request.url === "/") response.end("ok");
  });
  await using transport = new Transport();
  const agent = transport.agent();
  await send(http.request(served.url, { agent, timeout: 40 }));
  await sleep(80);
  assert.equal(transport.stats().idle, 1);
  const request = http.get(`${served.url}/silent`, { agent, timeout: 40 });
  await once(request, "timeout");
  request.destroy();
  await failure(request);
  assert.equal(served.accepted(), 1);
});

test("requests leave no listeners on their socket", async () => {
  await using served = await serve(echo);
  await using transport = new Transport();
  const agent = transport.agent();
  const counts: number[] = [];
  for (let index = 0; index < 5; index += 1) {
    const request = http.request(served.url, { agent });
    const socketOf = once(request, "socket");
    // oxlint-disable-next-line no-await-in-loop -- one after another is the point
    await send(request);
    // oxlint-disable-next-line no-await-in-loop -- one after another is the point
    const [socket]: Socket[] = await socketOf;
    assert.ok(socket);
    // oxlint-disable-next-line no-await-in-loop -- the watch of an idle socket begins after this turn
    await sleep(2);
    counts.push(socket.eventNames().reduce((sum, name) => sum + socket.listenerCount(name), 0));
  }
  assert.equal(new Set(counts).size, 1, `listeners after each request: ${counts.join(", ")}`);
});

test("aborting the transport ends a request of node:http with Node's own error", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  await using served = await serve(() => resolve());
  const transport = new Transport();
  const request = http.get(served.url, { agent: transport.agent() });
  const error = failure(request);
  await promise;
  await transport.abort();
  assert.equal((await error).code, "ECONNRESET");
  await assertQuiet(transport);
});

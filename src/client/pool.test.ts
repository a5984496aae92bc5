/** Who gets which connection of one origin: the behaviours that Go's transport_test.go names, on real sockets. */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assertNothingLeft, blackhole, until } from "../../test/support/loopback.ts";
import { answer, holdingServer, rawServer, type RawServer } from "../../test/support/raw-server.ts";
import { ask, failure, send, type Sent } from "../../test/support/send.ts";
import { assertQuiet, LagMeter, levels, openTransport, uncounted } from "../../test/support/transport-checks.ts";
import { PoolFullError, PoolTimeoutError } from "./errors.ts";

/** What each connection carried. */
function pathsByConnection(server: RawServer): string[][] {
  const paths: string[][] = [];
  for (const { path, connection } of server.requests) (paths[connection - 1] ??= []).push(path);
  return paths;
}

afterEach(assertNothingLeft);

test("twenty requests one after the other use one connection", async () => {
  await using server = await rawServer((socket) => answer(socket));
  await using transport = openTransport();

  for (let n = 0; n < 20; n += 1) assert.equal((await ask(transport, { origin: server.origin })).body, "ok");

  const { opened, reused, idle, waitCount } = transport.stats();
  assert.deepEqual({ opened, reused, idle, waitCount }, { opened: 1, reused: 19, idle: 1, waitCount: 1 });
  assert.equal(server.accepted, 1);
});

test("a request made in the callback that ends the one before uses its connection", async () => {
  await using server = await rawServer((socket) => answer(socket));
  await using transport = openTransport();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let left = 10;
  const next = (): void => {
    transport.dispatch(
      { origin: server.origin, path: "/", method: "GET" },
      {
        onRequestStart() {},
        onResponseStart() {},
        onResponseData() {},
        onResponseEnd: () => (--left === 0 ? resolve() : next()),
        onResponseError: (_controller, error) => reject(error),
      },
    );
  };

  next();
  await promise;

  assert.equal(server.accepted, 1);
});

test("an answer without a body leaves its connection for reuse", async () => {
  await using server = await rawServer((socket, { method }) => {
    socket.write(
      method === "HEAD" ? "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n" : "HTTP/1.1 204 No Content\r\n\r\n",
    );
  });
  await using transport = openTransport();

  for (const method of ["GET", "HEAD", "DELETE", "HEAD", "GET"])
    await ask(transport, { origin: server.origin, method });

  assert.equal(server.accepted, 1);
});

test("the newest idle connection is lent first", async () => {
  await using server = await holdingServer();
  const { held, release } = server;
  await using transport = openTransport();
  const burst = [1, 2, 3].map(() => ask(transport, { origin: server.origin }));
  await until(() => held.length === 3);
  const [oldest, , newest] = [...held];
  for (const socket of held.splice(0)) {
    answer(socket);
    await until(
      () => transport.stats().idle + held.length > 0 && transport.stats().idle === 3 - transport.stats().inUse,
    );
  }
  await Promise.all(burst);

  const again = send(transport, { origin: server.origin });
  await until(() => held.length === 1);

  assert.equal(held[0], newest);
  assert.notEqual(held[0], oldest);
  release();
  await again.answer;
});

test("a waiter takes the connection that falls idle before its own dial is done, and the dial is kept for the next", async () => {
  await using server = await holdingServer();
  const { held, release } = server;
  let open: (() => void) | undefined;
  let lookups = 0;
  await using transport = openTransport({
    lookup: (_hostname, _options, callback) => {
      lookups += 1;
      const found = (): void => callback(null, [{ address: "127.0.0.1", family: 4 }]);
      if (lookups === 1) found();
      else open = found;
    },
  });
  const origin = `http://shop.test:${server.port}`;
  const first = ask(transport, { origin });
  await until(() => held.length === 1);
  const second = ask(transport, { origin });
  await until(() => transport.stats().connecting === 1);

  release();
  await first;
  await until(() => held.length === 1);

  assert.deepEqual(levels(transport), { inUse: 1, connecting: 1, waiting: 0, inFlight: 1, unreadBodies: 0 });
  open?.();
  await until(() => transport.stats().idle === 1);
  assert.equal(transport.stats().opened, 2);
  const third = ask(transport, { origin });
  await until(() => held.length === 2);
  assert.equal(server.accepted, 2, "the dial was not used");
  release();
  await Promise.all([second, third]);
});

test("a waiter takes its dial when that comes first", async () => {
  await using server = await holdingServer();
  const { held, release } = server;
  await using transport = openTransport();
  const first = ask(transport, { origin: server.origin });
  await until(() => held.length === 1);

  const second = ask(transport, { origin: server.origin });
  await until(() => held.length === 2);

  assert.equal(server.accepted, 2);
  release();
  await Promise.all([first, second]);
  assert.equal(transport.stats().idle, 2);
});

test("a request given up while dialling leaves its connection to the next", async () => {
  await using server = await rawServer((socket) => answer(socket));
  await using transport = openTransport();
  const given = send(transport, { origin: server.origin });
  const reason = given.abort();

  assert.equal(await failure(given.answer), reason);
  assert.equal(transport.stats().connecting, 1);
  await until(() => transport.stats().idle === 1);
  await ask(transport, { origin: server.origin });

  assert.equal(server.accepted, 1);
});

test("no more than maxConnsPerHost connections are open, those being dialled among them", async () => {
  await using server = await holdingServer();
  const { held, release } = server;
  await using transport = openTransport({ maxConnsPerHost: 3 });
  let most = 0;
  const look = (): void => {
    const { idle, inUse, connecting } = transport.stats();
    most = Math.max(most, idle + inUse + connecting, server.connections.size);
  };

  const all = Array.from({ length: 20 }, () => ask(transport, { origin: server.origin }));
  look();
  assert.equal(transport.stats().connecting, 3);
  while (server.requests.length < 20 || held.length > 0) {
    await until(() => held.length > 0);
    look();
    release(1);
  }
  await Promise.all(all);

  assert.equal(most, 3);
  assert.equal(server.accepted, 3);
});

test("a place freed by a server that closes goes to the next waiter", async () => {
  await using server = await rawServer((socket) => {
    answer(socket, "ok", "connection: close");
    socket.end();
  });
  await using transport = openTransport({ maxConnsPerHost: 2 });

  await Promise.all(Array.from({ length: 9 }, () => ask(transport, { origin: server.origin })));

  await assertQuiet(transport);
  assert.deepEqual({ opened: transport.stats().opened, accepted: server.accepted }, { opened: 9, accepted: 9 });
});

test("ten thousand waiters are served in their order, and half of them can leave at once", async () => {
  let served = 0;
  await using server = await rawServer((socket) => {
    served += 1;
    answer(socket);
  });
  await using transport = openTransport({ maxConnsPerHost: 1, maxWaitersPerHost: Infinity, poolTimeout: Infinity });
  const order: number[] = [];
  const sent: Sent[] = [];
  const reason = new Error("given up");
  for (let n = 0; n < 10_000; n += 1) {
    const one = send(transport, { origin: server.origin, path: `/${n}` });
    void one.answer.then(
      () => order.push(n),
      () => {},
    );
    sent.push(one);
  }
  assert.equal(transport.stats().waiting, 10_000);

  // The best of five, because the machine may have something else to do meanwhile.
  let bestMs = Infinity;
  for (let part = 0; part < 5; part += 1) {
    const from = performance.now();
    for (let n = 1; n < 2_000; n += 2) sent[part * 2_000 + n]?.controller?.abort(reason);
    bestMs = Math.min(bestMs, performance.now() - from);
  }
  assert.equal(transport.stats().waiting, 5_000);
  assert.ok(bestMs * 5 < 100, `5000 cancels take ${bestMs * 5} ms`);
  // The rest would only take time: the order of a few hundred shows the same.
  await until(() => served >= 500);
  for (let n = 9_998; n >= 0; n -= 2) sent[n]?.controller?.abort(reason);
  await assertQuiet(transport);

  const paths = server.requests.map(({ path }) => Number(path.slice(1)));
  assert.deepEqual(
    paths,
    paths.toSorted((a, b) => a - b),
  );
  assert.ok(paths.every((n) => n % 2 === 0) && order.length >= 499);
});

test("one more than maxWaitersPerHost is refused at once, with a snapshot", async () => {
  await using server = await holdingServer();
  const { held, release } = server;
  await using transport = openTransport({ maxConnsPerHost: 1, maxWaitersPerHost: 2 });
  const served = [1, 2].map(() => ask(transport, { origin: server.origin }));
  await until(() => held.length === 1);
  served.push(ask(transport, { origin: server.origin }));

  const error = await failure(ask(transport, { origin: server.origin }));

  assert.ok(error instanceof PoolFullError);
  assert.deepEqual(error.pool, { origin: server.origin, limit: 1, inUse: 1, idle: 0, connecting: 0, waiting: 2 });
  for (let n = 0; n < 3; n += 1) {
    await until(() => held.length === 1);
    release();
  }
  await Promise.all(served);
});

test("maxWaitersPerHost 0 still serves whoever need not wait", async () => {
  await using server = await rawServer((socket) => answer(socket));
  await using transport = openTransport({ maxConnsPerHost: 1, maxWaitersPerHost: 0 });
  await transport.prewarm(server.origin, 1);

  for (let n = 0; n < 3; n += 1) await ask(transport, { origin: server.origin });

  assert.equal(
    (await failure(Promise.all([1, 2].map(() => ask(transport, { origin: server.origin }))))).code,
    "ERR_POOL_FULL",
  );
  await assertQuiet(transport);
});

test("maxWaitersPerHost counts nobody whose own dial is under way", async () => {
  await using server = await holdingServer();
  const { held, release } = server;
  await using transport = openTransport({ maxConnsPerHost: 3, maxWaitersPerHost: 0 });
  const served = [1, 2, 3].map(() => ask(transport, { origin: server.origin }));

  const error = await failure(ask(transport, { origin: server.origin }));

  assert.ok(error instanceof PoolFullError);
  assert.deepEqual(error.pool, { origin: server.origin, limit: 3, inUse: 0, idle: 0, connecting: 3, waiting: 3 });
  await until(() => held.length === 3);
  release();
  await Promise.all(served);
  await assertQuiet(transport);
});

test("a waiter fails with ERR_POOL_TIMEOUT after poolTimeout and says how the pool looked", async () => {
  await using server = await holdingServer();
  const { held, release } = server;
  await using transport = openTransport({ maxConnsPerHost: 1, poolTimeout: 60 });
  using lag = new LagMeter();
  const first = ask(transport, { origin: server.origin });
  await until(() => held.length === 1);
  const from = performance.now();

  const error = await failure(ask(transport, { origin: server.origin }));

  const tookMs = performance.now() - from;
  assert.ok(error instanceof PoolTimeoutError);
  assert.deepEqual(error.pool, { origin: server.origin, limit: 1, inUse: 1, idle: 0, connecting: 0, waiting: 1 });
  assert.ok(tookMs >= 60 && tookMs < 60 + 20 + lag.totalMs + 20, `${tookMs} ms, lag ${lag.totalMs} ms`);
  assert.equal(transport.stats().timeouts.queue, 1);
  release();
  await first;
});

test("poolTimeout also bounds the wait for a dial", async () => {
  await using hole = await blackhole();
  await using transport = openTransport({ poolTimeout: 50, dialTimeout: 400 });

  const error = await failure(ask(transport, { origin: `http://127.0.0.1:${hole.port}` }));

  assert.equal(error.code, "ERR_POOL_TIMEOUT");
  await transport.abort();
});

test("without keepAlive each request has its own connection and says so, whatever the server says", async () => {
  await using server = await rawServer((socket, { connection }) =>
    answer(socket, "ok", ...(connection === 1 ? [] : ["connection: close"])),
  );
  await using transport = openTransport({ keepAlive: false });

  for (let n = 0; n < 3; n += 1) await ask(transport, { origin: server.origin });

  await assertQuiet(transport);
  assert.equal(server.accepted, 3);
  assert.ok(server.requests.every(({ headers }) => headers.get("connection") === "close"));
  assert.equal(transport.stats().closed.single_use, 3);
});

test("prewarm opens connections that requests then use, and closes none to make room", async () => {
  await using server = await holdingServer();
  const { held, release } = server;
  await using transport = openTransport({ maxConnsPerHost: 3 });

  assert.equal(await transport.prewarm(server.origin, 2), 2);
  assert.equal(await transport.prewarm(server.origin, 2), 0, "they are there already");
  assert.equal(await transport.prewarm(server.origin, 10), 1, "only as far as maxConnsPerHost");
  assert.deepEqual({ idle: transport.stats().idle, uncounted: uncounted(transport) }, { idle: 3, uncounted: 3 });

  const all = [1, 2, 3].map(() => ask(transport, { origin: server.origin }));
  await until(() => held.length === 3);
  assert.equal(server.accepted, 3);
  release();
  await Promise.all(all);
});

test("a dial that fails fails one waiter, and the others dial on", async () => {
  await using server = await rawServer((socket) => answer(socket));
  let lookups = 0;
  await using transport = openTransport({
    maxConnsPerHost: 1,
    // Nobody listens on the second address.
    lookup: (_hostname, _options, callback) =>
      callback(null, [{ address: ++lookups > 2 ? "127.0.0.1" : "127.0.0.2", family: 4 }]),
  });
  const origin = `http://shop.test:${server.port}`;

  const outcomes = await Promise.allSettled([1, 2, 3, 4].map(() => ask(transport, { origin })));

  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ["rejected", "rejected", "fulfilled", "fulfilled"],
  );
  await assertQuiet(transport);
  assert.match(transport.stats().origins[0]?.lastError?.message ?? "", /ECONNREFUSED/);
});

test("pauses between requests do not lose connections", async () => {
  await using server = await rawServer((socket) => answer(socket));
  await using transport = openTransport();

  for (let n = 0; n < 5; n += 1) {
    await ask(transport, { origin: server.origin });
    await sleep(n * 5);
  }

  assert.equal(server.accepted, 1);
});

test("each request of a burst over two connections is sent once", async () => {
  await using server = await rawServer((socket) => answer(socket));
  await using transport = openTransport({ maxConnsPerHost: 2 });

  await Promise.all(Array.from({ length: 10 }, (_, n) => ask(transport, { origin: server.origin, path: `/${n}` })));

  const paths = pathsByConnection(server);
  assert.equal(paths.length, 2);
  assert.deepEqual(
    paths.flat().toSorted(),
    Array.from({ length: 10 }, (_, n) => `/${n}`),
  );
});

/** A transport as a whole: its end, its books, what it hands away, and what it knows of the caller's context. */

import assert from "node:assert/strict";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { afterEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assertNothingLeft, blackhole, until } from "../../test/support/loopback.ts";
import { answer, holdingServer, rawServer } from "../../test/support/raw-server.ts";
import { ask, failure, send } from "../../test/support/send.ts";
import { assertQuiet, levels, openTransport, uncounted } from "../../test/support/transport-checks.ts";
import { context, createContext, traceparentKey } from "../core/context.ts";
import { Registry } from "../core/instruments.ts";
import { Transport } from "./transport.ts";

afterEach(assertNothingLeft);

test("close waits for the requests under way, those that wait for a connection among them", async () => {
  await using server = await rawServer((socket) => void setTimeout(() => answer(socket, "ok", "connection: close"), 5));
  const transport = openTransport({ maxConnsPerHost: 1 });
  const all = [1, 2, 3].map(() => ask(transport, { origin: server.origin }));
  let ended = 0;
  for (const one of all) void one.finally(() => (ended += 1)).catch(() => {});

  await transport.close();

  assert.equal(ended, 3);
  assert.deepEqual(
    (await Promise.all(all)).map(({ body }) => body),
    ["ok", "ok", "ok"],
  );
  assert.equal(uncounted(transport), 0);
});

test("after close a request fails with ERR_TRANSPORT_CLOSED, and idle connections are gone", async () => {
  await using server = await rawServer((socket) => answer(socket));
  const transport = openTransport();
  await ask(transport, { origin: server.origin });

  const closing = transport.close();
  const refused = await failure(ask(transport, { origin: server.origin }));
  await closing;

  assert.equal(refused.code, "ERR_TRANSPORT_CLOSED");
  assert.deepEqual(
    { ...levels(transport), idle: transport.stats().idle },
    {
      inUse: 0,
      connecting: 0,
      waiting: 0,
      inFlight: 0,
      unreadBodies: 0,
      idle: 0,
    },
  );
  await assert.rejects(transport.prewarm(server.origin, 1), { code: "ERR_TRANSPORT_CLOSED" });
  await transport.close();
});

test("abort ends all requests with its reason: in the queue, dialling, waiting, reading, paused", async () => {
  await using hole = await blackhole();
  await using server = await rawServer((socket, { path }) => {
    if (path === "/length") socket.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsome");
    if (path === "/until-end") socket.write("HTTP/1.1 200 OK\r\n\r\nsome");
  });
  const transport = openTransport({ maxConnsPerHost: 4 });
  const { origin } = server;
  const sent = [
    send(transport, { origin: `http://127.0.0.1:${hole.port}` }),
    send(transport, { origin, path: "/length" }),
    send(transport, { origin, path: "/until-end" }),
    send(transport, { origin, path: "/length", pauses: true }),
    send(transport, { origin, path: "/never" }),
    send(transport, { origin, path: "/queued" }),
  ];
  await Promise.all(sent.slice(1, 4).map(({ header }) => header));
  const reason = new Error("enough");

  await transport.abort(reason);

  assert.deepEqual(
    sent.map(({ ended, error }) => [ended, error]),
    sent.map(() => [1, reason]),
  );
  await assertQuiet(transport);
});

test("abort ends what close waits for", async () => {
  await using server = await holdingServer();
  const transport = openTransport();
  const one = ask(transport, { origin: server.origin });
  await until(() => server.held.length === 1);
  const closed = transport.close();

  await transport.abort();
  await closed;

  assert.equal((await failure(one)).code, "ERR_TRANSPORT_CLOSED");
});

test("destroy takes undici's arguments, and close a callback", async () => {
  const reason = new Error("enough");
  await using server = await holdingServer();
  const first = openTransport();
  const one = ask(first, { origin: server.origin });
  await until(() => server.held.length === 1);
  await new Promise<void>((resolve) => first.destroy(reason, resolve));
  assert.equal(await failure(one), reason);

  const second = openTransport();
  await new Promise<void>((resolve) => second.close(resolve));
  await new Promise<void>((resolve) => second.destroy(resolve));
});

test("stats are a snapshot that later requests do not change, and right at each step", async () => {
  await using server = await holdingServer();
  await using transport = openTransport({ maxConnsPerHost: 1, name: "orders" });
  const { origin } = server;
  const seen = () => {
    const { idle, inUse, connecting, waiting, inFlight, opened, reused, waitCount } = transport.stats();
    return { idle, inUse, connecting, waiting, inFlight, opened, reused, waitCount };
  };
  const none = { idle: 0, inUse: 0, connecting: 0, waiting: 0, inFlight: 0, opened: 0, reused: 0, waitCount: 0 };
  assert.deepEqual(seen(), none);
  const first = ask(transport, { origin });
  const atStart = transport.stats();
  assert.deepEqual(seen(), { ...none, connecting: 1, waiting: 1, waitCount: 1 });
  const second = ask(transport, { origin });
  await until(() => server.held.length === 1);
  assert.deepEqual(seen(), { ...none, inUse: 1, inFlight: 1, waiting: 1, opened: 1, waitCount: 2 });
  await sleep(5);
  const { oldestWait, waitDuration } = transport.stats();
  assert.ok(oldestWait >= 5 && waitDuration > 0);
  server.release();
  await first;
  await until(() => server.held.length === 1);
  assert.deepEqual(seen(), { ...none, inUse: 1, inFlight: 1, opened: 1, reused: 1, waitCount: 2 });
  server.release();
  await second;
  assert.deepEqual(seen(), { ...none, idle: 1, opened: 1, reused: 1, waitCount: 2 });

  assert.equal(atStart.connecting, 1);
  const [origin0] = atStart.origins;
  for (const part of [atStart, atStart.origins, atStart.limits, origin0, origin0?.closed, origin0?.limits]) {
    assert.ok(part !== undefined && Object.isFrozen(part));
  }
  assert.deepEqual([atStart.name, atStart.origins[0]?.limits.maxConnsPerHost], ["orders", 1]);
});

test("the instruments and the stats tell the same", async () => {
  const registry = new Registry();
  await using server = await rawServer((socket, { path }) => {
    if (path === "/close") answer(socket, "ok", "connection: close");
    else if (path === "/slow") setTimeout(() => answer(socket), 400);
    else answer(socket);
  });
  await using transport = openTransport({ registry, name: "orders", maxConnsPerHost: 2, responseHeaderTimeout: 150 });
  const { origin } = server;
  for (const path of ["/", "/", "/close", "/slow", "/"]) await ask(transport, { origin, path }).catch(() => {});
  await Promise.all([1, 2, 3].map(() => ask(transport, { origin })));
  await assertQuiet(transport);

  const sum = (name: string, labels: Record<string, string> = {}): number => {
    const family = [...registry.collect()].find((one) => one.name === name);
    assert.ok(family, `${name} is not registered`);
    const wanted = Object.entries({ pool: "orders", ...labels });
    let total = 0;
    for (const sample of family.samples) {
      const fits = wanted.every(([label, value]) => sample.labels[family.labelNames.indexOf(label)] === value);
      if (fits) total += "value" in sample ? sample.value : sample.count;
    }
    return total;
  };
  const { idle, inUse, waiting, opened, reused, closed, timeouts, waitCount } = transport.stats();
  assert.deepEqual(
    {
      opened: sum("http_client_connections_opened_total"),
      reused: sum("http_client_connection_acquired_total", { reused: "true" }),
      idle: sum("http_client_open_connections", { http_connection_state: "idle" }),
      inUse: sum("http_client_open_connections", { http_connection_state: "active" }),
      waiting: sum("http_client_pending_requests"),
      serverClose: sum("http_client_connections_closed_total", { reason: "server_close" }),
      error: sum("http_client_connections_closed_total", { reason: "error" }),
      timeouts: sum("http_client_timeouts_total", { phase: "response_header" }),
      waitCount: sum("http_client_request_time_in_queue_seconds"),
      active: sum("http_client_active_requests"),
    },
    {
      opened,
      reused,
      idle,
      inUse,
      waiting,
      serverClose: closed.server_close,
      error: closed.error,
      timeouts: timeouts.response_header,
      waitCount,
      active: 0,
    },
  );
  assert.equal(sum("http_client_requests_total"), 8);
  assert.equal(sum("http_client_requests_total", { error_type: "ERR_RESPONSE_HEADER_TIMEOUT" }), 1);
  assert.equal(sum("http_client_request_duration_seconds", { http_response_status_code: "200" }), 7);
});

/** Talks over an upgraded socket, and ends it. */
async function echo(socket: Duplex): Promise<string> {
  socket.write("ping");
  const [chunk] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  return String(chunk);
}

interface SocketTarget {
  readonly origin: string;
  readonly path: string;
  readonly protocol: string;
}

async function openSocket(transport: Transport, kind: "upgrade" | "connect", target: SocketTarget): Promise<Duplex> {
  if (kind === "connect") return (await transport.connect(target)).socket;
  // The types of undici's overloads run together here.
  return (await (transport.upgrade(target) as Promise<{ socket: Duplex }>)).socket;
}

for (const kind of ["upgrade", "connect"] as const) {
  test(`${kind} hands the socket away: it counts against no limit, and its place is free`, async () => {
    await using server = await rawServer((socket, { method, headers }) => {
      if (method !== "CONNECT" && !headers.has("upgrade")) return answer(socket);
      socket.removeAllListeners("data");
      socket.on("data", (chunk) => socket.write(chunk));
      const status = kind === "upgrade" ? "101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo" : "200 OK";
      return void socket.write(`HTTP/1.1 ${status}\r\n\r\n`);
    });
    await using transport = openTransport({ maxConnsPerHost: 1, maxConns: 1 });
    const { origin } = server;
    await ask(transport, { origin });

    const target = { origin, path: kind === "upgrade" ? "/" : "shop.test:80", protocol: "echo" };
    const socket = await openSocket(transport, kind, target);
    const { upgraded, inUse, idle, inFlight } = transport.stats();
    assert.deepEqual({ upgraded, inUse, idle, inFlight }, { upgraded: 1, inUse: 0, idle: 0, inFlight: 0 });
    assert.equal((await ask(transport, { origin })).body, "ok");
    assert.equal(await echo(socket), "ping");
    await until(() => transport.stats().upgraded === 0);

    await assertQuiet(transport);
    assert.deepEqual(
      { upgraded: transport.stats().upgraded, closed: transport.stats().closed.upgraded },
      {
        upgraded: 0,
        closed: 1,
      },
    );
  });
}

test("an upgrade that is refused is an answer, and its connection is not kept", async () => {
  await using server = await rawServer((socket) =>
    socket.write("HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\n"),
  );
  await using transport = openTransport();

  const sent = send(transport, { origin: server.origin, upgrade: "echo" });

  assert.equal((await sent.answer).status, 426);
  await assertQuiet(transport);
});

test("the end of a request's context ends the request, with the context's cause", async () => {
  await using server = await holdingServer();
  await using transport = openTransport();
  const { origin } = server;

  using soon = createContext({ timeout: 20 });
  const late = await failure(soon.run(() => ask(transport, { origin })));
  assert.equal(late.code, "ERR_DEADLINE_EXCEEDED");
  const cancelled = createContext();
  const one = cancelled.run(() => ask(transport, { origin }));
  const cause = new Error("the caller has gone");
  cancelled.cancel(cause);
  assert.equal(await failure(one), cause);
  assert.equal(await failure(cancelled.run(() => ask(transport, { origin }))), cause);

  await assertQuiet(transport);
  using live = createContext({ timeout: 5_000 });
  const answered = live.run(() => ask(transport, { origin }));
  await until(() => server.held.length > 0 && server.held.at(-1)?.destroyed === false);
  answer(server.held.at(-1)!);
  assert.equal((await answered).body, "ok");
});

test("traceparent goes to every server, the time left only to those that are listed", async () => {
  await using ours = await rawServer((socket) => answer(socket));
  await using theirs = await rawServer((socket) => answer(socket));
  await using transport = openTransport({ propagate: { deadlineTo: [ours.origin] } });
  const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  using scope = createContext({ timeout: "5s" });

  await scope.withValue(traceparentKey, trace).run(async () => {
    await ask(transport, { origin: ours.origin });
    await ask(transport, { origin: theirs.origin });
    await ask(transport, { origin: theirs.origin, headers: { Traceparent: "own" } });
  });
  await ask(transport, { origin: ours.origin });

  const [first, last] = ours.requests.map(({ headers }) => headers);
  const [other, own] = theirs.requests.map(({ headers }) => headers);
  assert.deepEqual(
    [first, other, own, last].map((headers) => headers?.get("traceparent")),
    [trace, trace, "own", undefined],
  );
  const left = Number(first?.get("x-request-timeout-ms"));
  assert.ok(left > 4_000 && left <= 5_000, `${left} ms were told`);
  assert.deepEqual(
    [other, own, last].map((headers) => headers?.has("x-request-timeout-ms")),
    [false, false, false],
  );
  assert.equal(context().deadline, Infinity);
});

test("what a transport keeps, sockets and timers, holds no request's context", async () => {
  const { setFlagsFromString } = await import("node:v8");
  const { runInNewContext } = await import("node:vm");
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  await using server = await rawServer((socket) => answer(socket));
  await using transport = openTransport({ maxConnLifetime: "1h" });
  const refs: WeakRef<object>[] = [];
  const { AsyncLocalStorage } = await import("node:async_hooks");
  const storage = new AsyncLocalStorage<object>();

  // The first makes the connection, the others use it.
  for (let n = 0; n < 3; n += 1) {
    await (async () => {
      const store = { large: Buffer.alloc(1_000) };
      refs.push(new WeakRef(store));
      await storage.run(store, () => ask(transport, { origin: server.origin, headers: { x: String(n) } }));
    })();
  }
  for (let turn = 0; turn < 20 && refs.some((ref) => ref.deref() !== undefined); turn += 1) {
    await sleep(5);
    collect();
  }

  assert.equal(transport.stats().idle, 1);
  assert.deepEqual(
    refs.map((ref) => ref.deref() !== undefined),
    [false, false, false],
  );
});

test("upstream gets all requests instead of the network", async () => {
  await using transport = new Transport({
    registry: new Registry(),
    upstream: {
      dispatch: (_options, handler) => {
        handler.onResponseError?.(null as never, new Error("mocked"));
        return true;
      },
    },
  });

  assert.equal((await failure(ask(transport, { origin: "http://shop.test" }))).message, "mocked");
});

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { createServer, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { Socket } from "node:net";
import { afterEach, test } from "node:test";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { ca, serverCertificate } from "../../test/support/certificates.ts";
import { GatedServer, request, WireClient } from "../../test/support/gated-server.ts";
import { assertNothingLeft, until } from "../../test/support/loopback.ts";
import { DeadlineWheel } from "../core/deadline-wheel.ts";
import { resolveOptions } from "../core/options.ts";
import { AcceptGate, type AcceptHandler } from "./accept.ts";
import { serverOptions, type ServerOptions } from "./server-options.ts";

afterEach(assertNothingLeft);

/** A gate with the defaults that `options` leave. */
function openGate(options: ServerOptions): (handler: AcceptHandler) => AcceptGate {
  const limits = resolveOptions("Server", serverOptions, options);
  return (handler) => new AcceptGate(limits, new DeadlineWheel(), handler);
}

test("a connection above the limit waits, unheard, until another one closes", async () => {
  await using guard = await GatedServer.holding(openGate({ maxConns: 1 }));
  using first = WireClient.to(guard.port, request);
  await until(() => guard.handling.length === 1);
  using second = WireClient.to(guard.port, request);
  await until(() => guard.gate.held === 1);
  assert.equal(guard.handling.length, 1);

  first.socket.destroy();
  await until(() => guard.handling.length === 2);
  guard.handling[1]?.end("ok");
  await until(() => second.answers === 1);

  assert.deepEqual([second.answers, guard.gate.held, guard.gate.admitted], [1, 0, 1]);
  assert.ok((guard.heldMs[1] ?? 0) > 0, "it was not said how long it had waited");
});

test("held connections are admitted in the order in which they came", async () => {
  await using guard = await GatedServer.holding(openGate({ maxConns: 1 }));
  using first = WireClient.to(guard.port, request);
  await until(() => guard.handling.length === 1);
  const clients: WireClient[] = [];
  for (let index = 0; index < 5; index += 1) {
    clients.push(WireClient.to(guard.port, `GET /${index} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`));
    await until(() => guard.gate.held === index + 1);
  }

  first.socket.destroy();
  const served: (string | undefined)[] = [];
  for (let index = 0; index < 5; index += 1) {
    await until(() => guard.handling.length === index + 2);
    served.push(guard.handling[index + 1]?.req.url);
    guard.handling[index + 1]?.end();
  }
  assert.deepEqual(served, ["/0", "/1", "/2", "/3", "/4"]);
  await until(() => clients.every((client) => client.ended));
});

test("what a held client has sent is read later, whole and in order, and so is what comes behind it", async () => {
  const bodies: string[] = [];
  const server = createServer((req, res) => {
    let body = "";
    req.setEncoding("latin1").on("data", (chunk: string) => (body += chunk));
    req.on("end", () => {
      bodies.push(body);
      res.end(String(body.length));
    });
  });
  await using guard = await new GatedServer(server, openGate({ maxConns: 1 })).listen();
  using first = WireClient.to(guard.port, request);
  await until(() => first.answers === 1);
  guard.idle.clear();
  const body = Array.from({ length: 40_000 }, (_, index) => `${index},`).join("");
  using second = WireClient.to(guard.port, `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`);
  await until(() => guard.gate.held === 1);
  for (let at = 0; at < 5_000; at += 500) {
    second.socket.write(body.slice(at, at + 500));
    await nextTurn();
  }

  first.socket.destroy();
  second.socket.write(body.slice(5_000) + request);
  await until(() => second.answers === 2);

  assert.deepEqual(
    bodies.map((text) => text.length),
    [0, body.length, 0],
  );
  assert.equal(bodies[1], body);
});

for (const size of [0, 1, 30, 16_384, 16_385, 100_000, 1_000_000]) {
  test(`a held client that has sent ${size} bytes of a body before it is admitted is served`, async () => {
    let length = 0;
    const server = createServer((req, res) => {
      req.on("data", (chunk: Buffer) => (length += chunk.length)).on("end", () => res.end("ok"));
    });
    await using guard = await new GatedServer(server, openGate({ maxConns: 1 })).listen();
    using first = WireClient.to(guard.port);
    await until(() => guard.gate.admitted === 1);
    using second = WireClient.to(guard.port, `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
    second.socket.write("x".repeat(size));
    await until(() => guard.gate.held === 1);
    // Until it has all come, or the kernel's buffers are full.
    let written = -1;
    while (written !== second.socket.writableLength) {
      written = second.socket.writableLength;
      await sleep(20);
    }

    first.socket.destroy();
    await until(() => second.answers === 1);
    assert.deepEqual([second.answers, length], [1, size]);
  });
}

for (const [how, leave] of [
  ["closes its half", (socket: Socket) => socket.end()],
  ["closes", (socket: Socket) => socket.destroy()],
  ["resets", (socket: Socket) => socket.resetAndDestroy()],
] as const) {
  test(`a held client that ${how} leaves its place in the line to the next one`, async () => {
    await using guard = await GatedServer.holding(openGate({ maxConns: 1, maxPending: 2 }));
    using first = WireClient.to(guard.port, request);
    await until(() => guard.handling.length === 1);
    using second = WireClient.to(guard.port, request);
    await until(() => guard.gate.held === 1);
    using third = WireClient.to(guard.port, request);
    await until(() => guard.gate.held === 2);

    leave(second.socket);
    await until(() => guard.gate.held === 1);
    assert.deepEqual([guard.gate.held, guard.gate.gone], [1, 1]);
    using fourth = WireClient.to(guard.port, request);
    await until(() => guard.gate.held === 2);
    first.socket.destroy();
    await until(() => guard.handling.length === 2);
    guard.handling[1]?.end("ok");
    await until(() => third.answers === 1);

    assert.deepEqual([second.answers, third.answers, fourth.answers, guard.dropped], [0, 1, 0, 0]);
  });
}

test("a client that leaves before it has sent anything is noticed", async () => {
  await using guard = await GatedServer.holding(openGate({ maxConns: 1 }));
  using _first = WireClient.to(guard.port, request);
  await until(() => guard.handling.length === 1);
  using second = WireClient.to(guard.port);
  await until(() => guard.gate.held === 1);
  second.socket.end();
  await until(() => guard.gate.held === 0);
  assert.equal(guard.gate.gone, 1);
  await until(() => second.ended);
  assert.equal(second.error, undefined);
});

test("no more connections are asked to make room than are held", async () => {
  await using guard = await GatedServer.holding(openGate({ maxConns: 10 }));
  const clients = Array.from({ length: 10 }, () => WireClient.to(guard.port, request));
  await until(() => guard.handling.length === 10);
  const late = Array.from({ length: 3 }, () => WireClient.to(guard.port, request));
  await until(() => guard.gate.held === 3);

  // All fall idle in one turn, before the first close can have been told.
  for (const res of guard.handling) res.end("ok");
  await until(() => guard.handling.length === 13);
  for (const res of guard.handling) res.end("ok");
  await until(() => [...clients, ...late].every((client) => client.answers === 1));

  assert.equal(clients.filter(({ ended }) => ended).length, 3);
  for (const client of [...clients, ...late]) client[Symbol.dispose]();
});

for (const overflow of ["wait", "reject"] as const) {
  test(`at the limit the connection that is idle for longest makes room, with ${overflow}`, async () => {
    await using guard = await GatedServer.holding(openGate({ maxConns: 2, overflow }));
    const idle: WireClient[] = [];
    for (let index = 0; index < 2; index += 1) {
      idle.push(WireClient.to(guard.port, request));
      await until(() => guard.handling.length === index + 1);
      guard.handling[index]?.end("ok");
      await until(() => guard.idle.size === index + 1);
    }
    using client = WireClient.to(guard.port, request);
    await until(() => guard.handling.length === 3);
    guard.handling[2]?.end("ok");
    await until(() => client.answers === 1);

    assert.deepEqual([client.answers, guard.refused, idle.map(({ ended }) => ended)], [1, [], [true, false]]);
    for (const one of idle) one[Symbol.dispose]();
  });
}

test("closing closes what is held", async () => {
  await using guard = await GatedServer.holding(openGate({ maxConns: 1 }));
  using _first = WireClient.to(guard.port, request);
  await until(() => guard.handling.length === 1);
  using second = WireClient.to(guard.port, request);
  await until(() => guard.gate.held === 1);
  guard.gate.close();
  await until(() => second.ended);
  assert.deepEqual([second.text, second.error, guard.gate.held, guard.gate.armed], ["", undefined, 0, false]);
});

test("each of those held asks for room in its turn", async () => {
  await using guard = await GatedServer.holding(openGate({ maxConns: 2 }));
  const clients: WireClient[] = [];
  for (let index = 0; index < 4; index += 1) {
    clients.push(WireClient.to(guard.port, request));
    await until(() => guard.gate.admitted + guard.gate.held === index + 1);
  }
  await until(() => guard.handling.length === 2);
  guard.handling[0]?.end("ok");
  await until(() => guard.handling.length === 3);
  guard.handling[1]?.end("ok");
  await until(() => guard.handling.length === 4);
  assert.deepEqual(
    clients.map(({ ended }) => ended),
    [true, true, false, false],
  );
  for (const client of clients) client[Symbol.dispose]();
});

test("a held socket takes a bounded piece of memory, however much its client sends", async () => {
  await using guard = await GatedServer.holding(openGate({ maxConns: 1 }));
  using _first = WireClient.to(guard.port, request);
  await until(() => guard.handling.length === 1);
  const before = process.memoryUsage().arrayBuffers;
  const body = Buffer.alloc(1_000_000);
  const clients = Array.from({ length: 50 }, () => WireClient.to(guard.port));
  for (const { socket } of clients) socket.write(body);
  await until(() => guard.gate.held === 50);
  let bytes = -1;
  // Until nothing more moves.
  while (bytes !== process.memoryUsage().arrayBuffers) {
    bytes = process.memoryUsage().arrayBuffers;
    await sleep(50);
  }

  // 16 KiB of ours, and behind them a stream of 64 KiB that may take one read of 64 KiB more; the body itself once.
  const most = 50 * (16 + 64 + 64) * 1_024 + body.length;
  assert.ok(bytes - before < most, `${(bytes - before) / 50} bytes each`);
  for (const client of clients) client[Symbol.dispose]();
});

test("a connection is admitted in its own async scope, not in that of the request that made room", async () => {
  const store = new AsyncLocalStorage<string>();
  const seen: (string | undefined)[] = [];
  const server = createServer((req, res) => {
    seen.push(store.getStore());
    store.run("of a request", () => guard.upgrade(req.socket));
    res.end("ok");
  });
  await using guard = await new GatedServer(server, openGate({ maxConns: 1 })).listen();
  using first = WireClient.to(guard.port);
  await until(() => guard.gate.admitted === 1);
  using second = WireClient.to(guard.port, request);
  await until(() => guard.gate.held === 1);
  first.socket.write(request);
  await until(() => second.answers === 1);
  assert.deepEqual(seen, [undefined, undefined]);
});

test("a thousand held sockets whose connections close at once do not deepen the stack", async () => {
  await using guard = await GatedServer.holding(openGate({ maxConns: 1, maxPending: 1_000 }));
  using first = WireClient.to(guard.port, request);
  await until(() => guard.handling.length === 1);
  const others = Array.from({ length: 1_000 }, () => WireClient.to(guard.port, request));
  await until(() => guard.gate.held === 1_000);
  let depth = 0;
  let deepest = 0;
  const { gate } = guard;
  // Whoever is admitted has closed already when the gate's call comes back.
  guard.onAdmit = (socket) => {
    depth += 1;
    deepest = Math.max(deepest, depth);
    socket.destroy();
    gate.leave("admitted", socket);
    depth -= 1;
  };
  first.socket.destroy();
  await until(() => gate.held === 0);
  assert.deepEqual([gate.held, gate.admitted, deepest], [0, 0, 1]);
  for (const client of others) client[Symbol.dispose]();
});

test("a handler that throws for one held socket does not stop the others", async (t) => {
  await using guard = await GatedServer.holding(openGate({ maxConns: 2 }));
  using first = WireClient.to(guard.port, request);
  using second = WireClient.to(guard.port, request);
  await until(() => guard.handling.length === 2);
  using third = WireClient.to(guard.port, request);
  await until(() => guard.gate.held === 1);
  using fourth = WireClient.to(guard.port, request);
  await until(() => guard.gate.held === 2);
  const thrown: unknown[] = [];
  const onThrown = (error: unknown): void => void thrown.push(error);
  process.setUncaughtExceptionCaptureCallback(onThrown);
  t.after(() => process.setUncaughtExceptionCaptureCallback(null));
  const admit = guard.onAdmit.bind(guard);
  const failure = new Error("not this one");
  guard.onAdmit = (socket, heldMs) => {
    guard.onAdmit = admit;
    admit(socket, heldMs);
    throw failure;
  };

  first.socket.destroy();
  second.socket.destroy();
  await until(() => guard.handling.length === 4 && thrown.length === 1);
  assert.deepEqual([guard.handling.length, thrown, third.text, fourth.text], [4, [failure], "", ""]);
});

test("over TLS, held sockets begin their handshake when they are admitted", async () => {
  const server = createHttpsServer(serverCertificate, (_req, res) => res.end("ok")) as unknown as Server;
  await using guard = await new GatedServer(server, openGate({ maxConns: 1 })).listen();
  using first = WireClient.to(guard.port);
  await until(() => guard.gate.admitted === 1);
  const clients = Array.from({ length: 3 }, () => {
    const socket = connectTls({ port: guard.port, host: "127.0.0.1", ca, servername: "localhost" });
    return new WireClient(socket, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  });
  await until(() => guard.gate.held === 3);
  // The client's hello has come and was read; one of the clients gives up.
  await sleep(30);
  clients[1]?.socket.destroy();
  await until(() => guard.gate.held === 2);
  first.socket.destroy();
  await until(() => clients[0]?.ended === true && clients[2]?.ended === true);

  assert.deepEqual(
    clients.map(({ answers }) => answers),
    [1, 0, 1],
  );
  assert.deepEqual(
    clients.map(({ error }) => error),
    [undefined, undefined, undefined],
  );
  for (const client of clients) client[Symbol.dispose]();
});

test("over TLS, an address is the same when its connection has closed", async () => {
  const server = createHttpsServer(serverCertificate, (_req, res) => res.end("ok")) as unknown as Server;
  await using guard = await new GatedServer(server, openGate({ maxConnsPerIp: 3 })).listen();
  const open = (): WireClient => {
    const socket = connectTls({ port: guard.port, host: "127.0.0.1", ca, servername: "localhost" });
    return new WireClient(socket, request);
  };
  for (let round = 0; round < 3; round += 1) {
    const clients = [open(), open(), open()];
    await until(() => clients.every(({ answers }) => answers === 1));
    assert.equal(guard.gate.perAddress.countOf("127.0.0.1"), 3);
    clients[0]?.socket.destroy();
    clients[1]?.socket.end();
    clients[2]?.socket.destroySoon();
    await until(() => guard.gate.perAddress.size === 0);
    assert.equal(guard.gate.perAddress.size, 0);
  }
});

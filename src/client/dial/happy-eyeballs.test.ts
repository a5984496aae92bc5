import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import { createServer, Socket, type NetConnectOpts } from "node:net";
import { afterEach, test } from "node:test";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { assertNothingLeft, blackhole, listen, until } from "../../../test/support/loopback.ts";
import { connectFirst, ignoreError, interleave, type Candidate } from "./happy-eyeballs.ts";

function candidate(port: number, address: string = "127.0.0.1"): Candidate {
  return { name: `${address}:${port}`, address, options: { host: address, port } };
}

/** A port on which nobody listens. */
async function closedPort(): Promise<number> {
  await using server = await listen(createServer());
  return server.port;
}

function unused(): AbortSignal {
  return new AbortController().signal;
}

afterEach(assertNothingLeft);

test("addresses are tried in turn by family, beginning with the family that the lookup put first", () => {
  const found = ["::1", "::2", "::3", "10.0.0.1"].map((address) => ({
    address,
    family: address.includes(":") ? 6 : 4,
  }));
  assert.deepEqual(
    interleave(found).map(({ address }) => address),
    ["::1", "10.0.0.1", "::2", "::3"],
  );
  assert.deepEqual(
    interleave(found.toReversed()).map(({ address }) => address),
    ["10.0.0.1", "::3", "::2", "::1"],
  );
});

test("an address that never answers costs one attempt delay, and its socket is destroyed", async () => {
  await using silent = await blackhole();
  await using server = await listen(createServer());
  const startedAt = performance.now();

  const race = [candidate(silent.port), candidate(server.port)];
  const { socket, candidate: winner } = await connectFirst(race, unused());

  const tookMs = performance.now() - startedAt;
  assert.equal(winner.name, `127.0.0.1:${server.port}`);
  assert.ok(tookMs >= 249 && tookMs < 1_000, `took ${tookMs} ms`);
  socket.destroy();
});

test("a slow first attempt still wins when it connects before the second one", async () => {
  const sockets: Socket[] = [];
  const connect = (_options: NetConnectOpts): Socket => {
    const socket = new Socket();
    sockets.push(socket);
    return socket;
  };

  const race = connectFirst([candidate(1), candidate(2)], unused(), { attemptDelayMs: 10, connect });
  await until(() => sockets.length === 2);
  sockets[0]?.emit("connect");
  const { socket } = await race;

  assert.equal(socket, sockets[0]);
  assert.deepEqual(
    sockets.map(({ destroyed }) => destroyed),
    [false, true],
  );
  socket.destroy();
});

test("a refused address lets the next one start at once", async () => {
  await using server = await listen(createServer());
  const race = [candidate(await closedPort()), candidate(server.port)];

  const startedAt = performance.now();
  const { socket } = await connectFirst(race, unused(), { attemptDelayMs: 10_000 });

  assert.ok(performance.now() - startedAt < 1_000);
  socket.destroy();
});

test("the failure of an older attempt does not hurry the next one", async () => {
  const sockets: Socket[] = [];
  const connect = (): Socket => {
    const socket = new Socket();
    sockets.push(socket);
    return socket;
  };
  const aborter = new AbortController();
  const race = connectFirst(
    [1, 2, 3].map((port) => candidate(port)),
    aborter.signal,
    { attemptDelayMs: 60, connect },
  );
  await until(() => sockets.length === 2);

  sockets[0]?.emit("error", new Error("refused"));
  assert.equal(sockets.length, 2);
  aborter.abort(new Error("enough"));

  await assert.rejects(race, /enough/);
});

test("one address that fails gives the system's own error", async () => {
  const port = await closedPort();
  const failing = connectFirst([candidate(port)], unused());
  await assert.rejects(failing, { code: "ECONNREFUSED", syscall: "connect", address: "127.0.0.1", port });
});

test("several failures name every address, and the code is the one that tells of the server", async () => {
  const codes = ["ECONNREFUSED", "ENETUNREACH"];
  const connect = (): Socket => {
    const code = codes.shift();
    const socket = new Socket();
    process.nextTick(() => socket.emit("error", Object.assign(new Error(code), { code })));
    return socket;
  };
  await assert.rejects(connectFirst([candidate(1), candidate(1, "::1")], unused(), { connect }), (error) => {
    assert.ok(error instanceof AggregateError && "code" in error);
    assert.equal(error.code, "ECONNREFUSED");
    assert.match(error.message, /127\.0\.0\.1:1 ECONNREFUSED, ::1:1 ENETUNREACH/);
    assert.equal(error.errors.length, 2);
    return true;
  });
});

test("an address that net.connect refuses outright counts as a failed attempt", async () => {
  await using server = await listen(createServer());
  const { socket, candidate: winner } = await connectFirst([candidate(-1), candidate(server.port)], unused());
  assert.equal(winner.name, `127.0.0.1:${server.port}`);
  socket.destroy();
});

test("an abort ends the race in the same turn and leaves neither listener nor socket", async () => {
  await using silent = await blackhole();
  const aborter = new AbortController();
  const race = connectFirst([candidate(silent.port), candidate(silent.port)], aborter.signal, { attemptDelayMs: 10 });
  await sleep(30);

  const reason = new Error("client gone");
  aborter.abort(reason);

  assert.equal(await Promise.race([race.catch((error: unknown) => error), nextTurn("later")]), reason);
  assert.deepEqual(getEventListeners(aborter.signal, "abort"), []);
});

test("the winner keeps one listener of the race, the one that ignores errors, and what the server has sent", async () => {
  await using server = await listen(createServer((peer) => peer.write("hello")));
  const { socket } = await connectFirst([candidate(server.port)], unused());
  await sleep(20);

  assert.deepEqual(socket.listeners("error"), [ignoreError]);
  assert.equal(socket.listenerCount("connect"), 0);
  assert.equal(socket.readableFlowing, null);
  const [data]: Buffer[] = await once(socket, "data");
  assert.equal(String(data), "hello");
  socket.destroy();
});

/** What happens to a request that meets a connection which the server has closed: sent again only where that is safe. */

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { afterEach, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { assertNothingLeft, until } from "../../test/support/loopback.ts";
import { answer, rawServer, type RawServer } from "../../test/support/raw-server.ts";
import { ask, failure, type SendOptions } from "../../test/support/send.ts";
import { assertQuiet, openTransport } from "../../test/support/transport-checks.ts";

afterEach(assertNothingLeft);

type End = (socket: Socket) => void;

const fin: End = (socket) => socket.end();
const reset: End = (socket) => socket.resetAndDestroy();

/** A server that answers the first request of each connection, and ends the connection on the second. */
function closesOnSecond(end: End): Promise<RawServer> {
  return rawServer((socket, { turn }) => (turn === 1 ? answer(socket) : end(socket)));
}

const body = "some text";

const replayed: readonly [name: string, options: Partial<SendOptions> & { readonly body?: string | Buffer }][] = [
  ["GET", { method: "GET" }],
  ["HEAD", { method: "HEAD" }],
  ["OPTIONS", { method: "OPTIONS" }],
  ["TRACE", { method: "TRACE" }],
  ["DELETE", { method: "DELETE" }],
  ["PUT with a text", { method: "PUT", body }],
  ["PUT with bytes", { method: "PUT", body: Buffer.from(body) }],
  ["PUT with a large text", { method: "PUT", body: body.repeat(50_000) }],
  ["POST with an Idempotency-Key", { method: "POST", body, headers: { "Idempotency-Key": "7" } }],
  ["POST with an X-Idempotency-Key", { method: "POST", body, headers: ["x-idempotency-key", "7"] }],
  ["POST that is said to be idempotent", { method: "POST", body, idempotent: true }],
];

for (const [name, options] of replayed) {
  for (const [how, end] of [
    ["closed", fin],
    ["reset", reset],
  ] as const) {
    test(`${name} is sent again when the reused connection is ${how}, and has its whole body`, async () => {
      await using server = await closesOnSecond(end);
      await using transport = openTransport();
      await ask(transport, { origin: server.origin });

      const { status } = await ask(transport, { origin: server.origin, path: "/again", ...options });

      assert.equal(status, 200);
      const seen = server.requests.filter(({ path }) => path === "/again");
      assert.deepEqual(
        seen.map(({ connection, body: got }) => [connection, got]),
        [1, 2].map((connection) => [connection, String(options.body ?? "")]),
      );
      const { replays, closed } = transport.stats();
      assert.deepEqual({ replays, stale: closed.stale }, { replays: 1, stale: 1 });
      await assertQuiet(transport);
    });
  }
}

const sentOnce: readonly [name: string, options: () => Partial<SendOptions>][] = [
  ["POST", () => ({ method: "POST", body })],
  ["PATCH", () => ({ method: "PATCH", body })],
  ["a GET that is said not to be idempotent", () => ({ method: "GET", idempotent: false })],
  ["PUT with a stream", () => ({ method: "PUT", body: Readable.from([Buffer.from(body)]) })],
  ["PUT with a generator", () => ({ method: "PUT", body: [Buffer.from(body)].values() })],
];

for (const [name, options] of sentOnce) {
  for (const [how, end] of [
    ["closed", fin],
    ["reset", reset],
  ] as const) {
    test(`${name} is never sent twice when the reused connection is ${how}`, async () => {
      await using server = await closesOnSecond(end);
      await using transport = openTransport();
      await ask(transport, { origin: server.origin });

      const error = await failure(ask(transport, { origin: server.origin, path: "/once", ...options() }));

      assert.match(error.code ?? "", /^(?:UND_ERR_SOCKET|ECONNRESET|EPIPE)$/);
      assert.equal(server.requests.filter(({ path }) => path === "/once").length, 1);
      await assertQuiet(transport);
      assert.equal(transport.stats().replays, 0);
    });
  }
}

for (const [how, end] of [
  ["closed", fin],
  ["reset", reset],
] as const) {
  test(`a POST with a stream is sent when its connection is ${how} before anything was written`, async () => {
    await using server = await rawServer((socket) => answer(socket));
    await using transport = openTransport();
    await ask(transport, { origin: server.origin });

    // The end is in the kernel, and this thread has not looked yet. It looks before it writes, but not if the request is
    // made while it still handles what it saw at the last look.
    await nextTurn();
    for (const socket of server.connections) end(socket);
    const { status } = await ask(transport, {
      origin: server.origin,
      method: "POST",
      body: Readable.from([Buffer.from(body)]),
    });

    assert.equal(status, 200);
    assert.deepEqual(
      server.requests.map((request) => [request.method, request.connection, request.body]),
      [
        ["GET", 1, ""],
        ["POST", 2, body],
      ],
    );
    await assertQuiet(transport);
  });
}

test("the second try dials, though other idle connections are there", async () => {
  await using server = await closesOnSecond(fin);
  await using transport = openTransport();
  await Promise.all([1, 2, 3, 4].map(() => ask(transport, { origin: server.origin })));
  assert.equal(transport.stats().idle, 4);

  await ask(transport, { origin: server.origin, path: "/again" });

  assert.deepEqual(
    server.requests.filter(({ path }) => path === "/again").map(({ turn }) => turn),
    [2, 1],
  );
  await assertQuiet(transport);
});

test("at maxConnsPerHost the second try waits for a place and takes what comes", async () => {
  await using server = await closesOnSecond(fin);
  await using transport = openTransport({ maxConnsPerHost: 2, maxWaitersPerHost: 10 });

  const answers = await Promise.all(Array.from({ length: 10 }, () => ask(transport, { origin: server.origin })));

  assert.ok(answers.every(({ status }) => status === 200));
  await assertQuiet(transport);
});

test("a request is sent again at most as often as replay.attempts says", async () => {
  await using server = await rawServer((socket, { path }) => (path === "/warm" ? answer(socket) : socket.end()));
  for (const attempts of [0, 2]) {
    await using transport = openTransport({ maxConnsPerHost: 1, replay: { attempts } });
    const before = server.requests.length;
    await ask(transport, { origin: server.origin, path: "/warm" });

    const error = await failure(ask(transport, { origin: server.origin, path: "/cold" }));

    assert.equal(error.code, "UND_ERR_SOCKET");
    const tries = server.requests.length - before - 1;
    // The second connection is a new one, and a new one that is closed is no stale one.
    assert.equal(tries, Math.min(attempts, 1) + 1);
    await assertQuiet(transport);
  }
});

/** With the code of the error, or its name where undici gives it no code. */
const notStale: readonly [name: string, answerWith: End, code: RegExp][] = [
  ["a first byte of an answer", (socket) => socket.end("H"), /^UND_ERR_SOCKET$/],
  ["half a header", (socket) => socket.end("HTTP/1.1 200 OK\r\nx: "), /^UND_ERR_SOCKET$/],
  ["half a body", (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"), /^UND_ERR_SOCKET$/],
  ["garbage", (socket) => socket.write("\0\0\0\0garbage\r\n\r\n"), /^HTTPParserError$/],
];

for (const [name, answerWith, code] of notStale) {
  test(`a GET is not sent again after ${name}`, async () => {
    await using server = await closesOnSecond(answerWith);
    await using transport = openTransport();
    await ask(transport, { origin: server.origin });

    const error = await failure(ask(transport, { origin: server.origin, path: "/once" }));

    assert.match(error.code ?? error.name, code);
    assert.equal(server.requests.length, 2);
    await assertQuiet(transport);
  });
}

test("headers that can be read only once are there in the second try", async () => {
  const keys: (string | undefined)[] = [];
  await using server = await rawServer((socket, { turn, headers }) => {
    keys.push(headers.get("x-key"));
    return turn === 1 ? answer(socket) : socket.end();
  });
  await using transport = openTransport();
  await ask(transport, { origin: server.origin });

  await ask(transport, { origin: server.origin, headers: new Map([["x-key", "7"]]).entries() });

  assert.deepEqual(keys, [undefined, "7", "7"]);
});

test("a GET is not sent again when a new connection is closed on it", async () => {
  await using server = await rawServer((socket) => socket.destroy());
  await using transport = openTransport();

  assert.equal((await failure(ask(transport, { origin: server.origin }))).code, "UND_ERR_SOCKET");

  assert.equal(server.requests.length, 1);
  await assertQuiet(transport);
});

test("a timeout is not repaired by sending again", async () => {
  await using server = await closesOnSecond(() => {});
  await using transport = openTransport({ responseHeaderTimeout: 100 });
  await ask(transport, { origin: server.origin });

  assert.equal((await failure(ask(transport, { origin: server.origin }))).code, "ERR_RESPONSE_HEADER_TIMEOUT");

  assert.equal(server.requests.length, 2);
  await assertQuiet(transport);
});

test("a server that closes idle connections one by one costs no request", async () => {
  await using server = await rawServer((socket) => answer(socket));
  await using transport = openTransport();
  for (let n = 0; n < 20; n += 1) {
    await ask(transport, { origin: server.origin });
    await nextTurn();
    for (const socket of server.connections) (n % 2 === 0 ? fin : reset)(socket);
    if (n % 3 === 0) await until(() => transport.stats().idle === 0);
  }

  await until(() => transport.stats().idle === 0);
  await assertQuiet(transport);
  assert.equal(server.requests.length, 20);
  const { opened, closed } = transport.stats();
  assert.equal(closed.stale + closed.server_close, opened);
});

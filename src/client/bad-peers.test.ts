/** Servers that break off, send what nobody asked for, or speak HTTP badly: a clear error, and nothing left behind. */

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { afterEach, test } from "node:test";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { Registry } from "sluice/core";
import { assertNothingLeft, until } from "../../test/support/loopback.ts";
import { answer, rawServer } from "../../test/support/raw-server.ts";
import { ask, failure, send } from "../../test/support/send.ts";
import { assertQuiet, openTransport, socketCount, uncounted } from "../../test/support/transport-checks.ts";

afterEach(assertNothingLeft);

const ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/** What a server sends instead of a proper answer, and the error that the caller gets. */
const broken: readonly {
  readonly name: string;
  readonly send: (socket: Socket) => void;
  /** The code, or the name of an error that undici gives no code. */
  readonly code: string;
  readonly method?: string;
}[] = [
  {
    name: "garbage instead of a status line",
    send: (socket) => socket.write("SSH-2.0-x\r\n\r\n"),
    code: "HTTPParserError",
  },
  { name: "an end before anything else", send: (socket) => socket.end(), code: "UND_ERR_SOCKET" },
  { name: "a reset before anything else", send: (socket) => socket.resetAndDestroy(), code: "ECONNRESET" },
  { name: "an end in the status line", send: (socket) => socket.end("HTTP/1.1 20"), code: "UND_ERR_SOCKET" },
  { name: "an end in the header", send: (socket) => socket.end("HTTP/1.1 200 OK\r\nx: 1\r\n"), code: "UND_ERR_SOCKET" },
  {
    name: "an end in a body of known length",
    send: (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"),
    code: "UND_ERR_SOCKET",
  },
  {
    name: "an end in a chunk",
    send: (socket) => socket.end("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab"),
    code: "UND_ERR_SOCKET",
  },
  {
    name: "an end between chunks, with connection: close",
    send: (socket) =>
      socket.end("HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n"),
    code: "HTTPParserError",
  },
  {
    name: "a reset in the body",
    send: (socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc");
      setTimeout(() => socket.resetAndDestroy(), 5);
    },
    code: "ECONNRESET",
  },
  {
    name: "a chunk size that is none",
    send: (socket) => socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
    code: "HTTPParserError",
  },
  {
    name: "both content-length and transfer-encoding",
    send: (socket) =>
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    code: "UND_ERR_RES_CONTENT_LENGTH_MISMATCH",
  },
  {
    name: "two content-lengths",
    send: (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok"),
    code: "UND_ERR_RES_CONTENT_LENGTH_MISMATCH",
  },
  {
    name: "a content-length that is none",
    send: (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2x\r\n\r\nok"),
    code: "UND_ERR_RES_CONTENT_LENGTH_MISMATCH",
  },
  {
    name: "100 Continue that nobody asked for",
    send: (socket) => socket.write(`HTTP/1.1 100 Continue\r\n\r\n${ok}`),
    code: "UND_ERR_SOCKET",
  },
  {
    name: "101 Switching Protocols that nobody asked for",
    send: (socket) => socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"),
    code: "UND_ERR_SOCKET",
  },
  {
    name: "a header above maxResponseHeaderBytes",
    send: (socket) => socket.write(`HTTP/1.1 200 OK\r\nx: ${"y".repeat(20_000)}\r\n\r\n`),
    code: "UND_ERR_HEADERS_OVERFLOW",
  },
  {
    name: "a header without an end",
    send: (socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      const more = setInterval(() => socket.write(`x: ${"y".repeat(500)}\r\n`), 0);
      socket.on("close", () => clearInterval(more));
    },
    code: "UND_ERR_HEADERS_OVERFLOW",
  },
  {
    name: "interim answers without an end",
    send: (socket) => {
      const more = setInterval(() => socket.write("HTTP/1.1 102 Processing\r\n\r\n".repeat(300)), 0);
      socket.on("close", () => clearInterval(more));
    },
    code: "ERR_TOO_MANY_INTERIM_RESPONSES",
  },
];

for (const { name, send: sendBroken, code } of broken) {
  test(`${name} fails the request with ${code}, not the next one`, async () => {
    await using server = await rawServer((socket, { path }) => (path === "/" ? sendBroken(socket) : answer(socket)));
    await using transport = openTransport({ replay: { attempts: 0 } });
    const before = socketCount();

    const error = await failure(ask(transport, { origin: server.origin }));

    assert.equal(("code" in error && error.code) || error.name, code);
    await assertQuiet(transport);
    await until(() => socketCount() === before && server.connections.size === 0);
    assert.deepEqual(
      { sockets: socketCount(), serverSide: server.connections.size },
      { sockets: before, serverSide: 0 },
    );
    assert.equal((await ask(transport, { origin: server.origin, path: "/again" })).body, "ok");
    assert.equal(server.requests.length, 2);
  });
}

/** Answers after which the connection must not be used again, though each is a good one. */
const lastAnswers: readonly {
  readonly name: string;
  readonly head: string;
  readonly end?: boolean;
  readonly method?: string;
}[] = [
  { name: "Connection: close", head: "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok" },
  {
    name: "Connection: Close in a list",
    head: "HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 2\r\n\r\nok",
  },
  { name: "HTTP/1.0", head: "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok" },
  { name: "a body until the end of the connection", head: "HTTP/1.1 200 OK\r\n\r\nok", end: true },
  { name: "204 with a content-length", head: "HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nok" },
  { name: "304 with chunks", head: "HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" },
  { name: "a HEAD with a body", head: "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", method: "HEAD" },
  { name: "two answers in one packet", head: `${ok}${ok}` },
];

for (const { name, head, end = false, method = "GET" } of lastAnswers) {
  test(`after ${name} the next request has another connection, and is not counted as replayed`, async () => {
    await using server = await rawServer((socket) => (end ? socket.end(head) : socket.write(head)));
    await using transport = openTransport({ replay: { attempts: 0 }, maxConnsPerHost: 1 });

    // Together, so that one is waiting when the other's answer ends.
    const answers = await Promise.all([1, 2, 3].map(() => ask(transport, { origin: server.origin, method })));

    assert.ok(answers.every(({ body, status }) => body === (status === 200 && method === "GET" ? "ok" : "")));
    await assertQuiet(transport);
    assert.equal(server.accepted, 3);
    assert.ok(server.requests.every(({ turn }) => turn === 1));
    // The last one counts as idle for the turn in which its socket is closing.
    await until(() => transport.stats().idle === 0);
    assert.equal(transport.stats().replays, 0);
  });
}

test("HTTP/1.0 with keep-alive leaves its connection for reuse", async () => {
  await using server = await rawServer((socket) =>
    socket.write(ok.replace("1.1 200 OK", "1.0 200 OK\r\nconnection: keep-alive")),
  );
  await using transport = openTransport();

  for (let n = 0; n < 3; n += 1) assert.equal((await ask(transport, { origin: server.origin })).body, "ok");

  assert.equal(server.accepted, 1);
});

for (const bytes of ["x", ok, "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n"]) {
  const shown = JSON.stringify(bytes.slice(0, 20));
  test(`${shown} on an idle connection ends it, and the next request gets its own answer`, async () => {
    await using server = await rawServer((socket, { path }) => answer(socket, path));
    await using transport = openTransport({ replay: { attempts: 0 } });
    await ask(transport, { origin: server.origin });

    for (const socket of server.connections) socket.write(bytes);
    await until(() => transport.stats().idle === 0);

    assert.equal((await ask(transport, { origin: server.origin, path: "/mine" })).body, "/mine");
    assert.deepEqual(
      { accepted: server.accepted, closed: transport.stats().closed.server_close },
      { accepted: 2, closed: 1 },
    );
  });

  test(`${shown} on a prewarmed connection ends it`, async () => {
    await using server = await rawServer((socket, { path }) => answer(socket, path));
    await using transport = openTransport({ replay: { attempts: 0 } });
    await transport.prewarm(server.origin, 1);

    for (const socket of server.connections) socket.write(bytes);
    await until(() => transport.stats().idle === 0);

    assert.equal((await ask(transport, { origin: server.origin, path: "/mine" })).body, "/mine");
    assert.equal(server.accepted, 2);
  });

  for (const prewarmed of [true, false]) {
    // The bytes are in the kernel, and this thread has not looked yet (GHSA-35p6-xmwp-9g52).
    test(`${shown} that comes with the request on ${prewarmed ? "an unused" : "a used"} idle connection is not its answer`, async () => {
      await using server = await rawServer((socket, { path }) => answer(socket, path));
      await using transport = openTransport();
      if (prewarmed) await transport.prewarm(server.origin, 1);
      else await ask(transport, { origin: server.origin });
      await until(() => transport.stats().idle === 1 && server.connections.size === 1);
      await nextTurn();

      for (const socket of server.connections) socket.write(bytes);
      const { body } = await ask(transport, { origin: server.origin, path: "/mine" });

      assert.equal(body, "/mine");
      assert.equal(server.accepted, 2);
      assert.ok(server.requests.every(({ connection, path }) => (path === "/mine") === (connection === 2)));
      await assertQuiet(transport);
    });
  }
}

test("an early answer to an upload ends the connection, and the rest of the body is not sent", async () => {
  await using server = await rawServer(() => {}, { onHead: (socket) => answer(socket, "no") });
  await using transport = openTransport();
  let given = 0;
  const body = (async function* () {
    for (; given < 1_000; given += 1) {
      yield Buffer.alloc(100);
      await sleep(1);
    }
  })();

  const { body: text } = await ask(transport, { origin: server.origin, method: "POST", body });

  assert.equal(text, "no");
  await assertQuiet(transport);
  const after = given;
  await sleep(20);
  assert.ok(given - after <= 2, "the body is still being read");
  assert.deepEqual({ idle: transport.stats().idle, uncounted: uncounted(transport) }, { idle: 0, uncounted: 0 });
});

test("a server that closes in mid-upload fails the request, and an upload is not sent twice", async () => {
  await using server = await rawServer(() => {}, { onHead: (socket) => void setTimeout(() => socket.destroy(), 5) });
  await using transport = openTransport();
  const body = (async function* () {
    for (let n = 0; n < 1_000; n += 1) {
      yield Buffer.alloc(1_000);
      await sleep(1);
    }
  })();

  const error = await failure(ask(transport, { origin: server.origin, method: "PUT", body }));

  assert.match(String("code" in error && error.code), /^(?:UND_ERR_SOCKET|ECONNRESET|EPIPE)$/);
  await assertQuiet(transport);
  assert.equal(server.accepted, 1);
});

test("trailing bytes after a whole answer end the connection", async () => {
  await using server = await rawServer((socket) => {
    answer(socket);
    setTimeout(() => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"), 5);
  });
  await using transport = openTransport();
  await ask(transport, { origin: server.origin });

  await until(() => transport.stats().idle === 0);

  await assertQuiet(transport);
  assert.equal(transport.stats().closed.server_close, 1);
});

test("a paused reader of a broken body is told of its end", async () => {
  await using server = await rawServer((socket) => {
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n${"x".repeat(1_000)}`);
    setTimeout(() => socket.destroy(), 10);
  });
  await using transport = openTransport();
  const sent = send(transport, { origin: server.origin, pauses: true });
  await sent.header;
  await sleep(30);
  sent.controller?.resume();

  const error = await failure(sent.answer);

  assert.equal(error.code, "UND_ERR_SOCKET");
  await assertQuiet(transport);
});

test("an answer that lay on an idle connection does not become that of a request with Expect", async () => {
  const idle: Socket[] = [];
  await using server = await rawServer((socket) => answer(socket, "its own"), {
    onConnection: (socket) => idle.push(socket),
  });
  await using transport = openTransport();
  await transport.prewarm(server.origin, 2);
  // One of the two has been used since: the request tries it first, and only then the one that was not.
  await ask(transport, { origin: server.origin });
  for (const socket of idle) answer(socket, "somebody else's");

  const { body } = await ask(transport, {
    origin: server.origin,
    method: "POST",
    headers: { expect: "100-continue" },
    body: "x",
  });

  assert.equal(body, "its own");
  await assertQuiet(transport);
});

test("a server that makes up statuses leaves other origins their series in the metrics", async () => {
  let status = 199;
  await using odd = await rawServer((socket) => socket.write(`HTTP/1.1 ${++status} X\r\ncontent-length: 0\r\n\r\n`));
  await using plain = await rawServer((socket) => answer(socket));
  const registry = new Registry();
  await using transport = openTransport({ registry });

  // oxlint-disable-next-line no-await-in-loop -- one connection is enough
  for (let turn = 0; turn < 250; turn += 1) await ask(transport, { origin: odd.origin });
  await ask(transport, { origin: plain.origin });

  const requests = registry.collect().find(({ name }) => name === "http_client_requests_total");
  const ports = requests?.samples.map(({ labels }) => labels[2]) ?? [];
  assert.equal(ports.filter((port) => port === String(plain.port)).length, 1);
  assert.ok(ports.length <= 40, `${ports.length} series`);
});

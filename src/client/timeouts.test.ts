/** Each phase of a request has its own limit: what it covers, what extends it, and what does not. */

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { PassThrough } from "node:stream";
import { afterEach, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assertNothingLeft, until } from "../../test/support/loopback.ts";
import { answer, rawServer } from "../../test/support/raw-server.ts";
import { ask, failure, send } from "../../test/support/send.ts";
import { assertQuiet, LagMeter, levels, openTransport } from "../../test/support/transport-checks.ts";

afterEach(assertNothingLeft);

// The first request of a process loads what sends it, which takes longer than some of the limits here.
before(async () => {
  await using server = await rawServer((socket) => answer(socket));
  await using transport = openTransport();
  await ask(transport, { origin: server.origin });
});

/** Fails unless `promise` rejects when `limitMs` is over: never before, and a tick, the loop's lag and 30 ms later. */
async function failsAfter(limitMs: number, promise: Promise<unknown>): Promise<Error & { readonly code?: string }> {
  using lag = new LagMeter();
  const from = performance.now();
  const error = await failure(promise);
  const tookMs = performance.now() - from;
  assert.ok(tookMs >= limitMs, `${error.name} after ${tookMs} ms is before ${limitMs} ms`);
  assert.ok(tookMs <= limitMs + 10 + lag.totalMs + 30, `${error.name} after ${tookMs} ms, lag ${lag.totalMs} ms`);
  return error;
}

function trickle(socket: Socket, bytes: string, everyMs: number): void {
  const timer = setInterval(() => socket.write(bytes), everyMs);
  socket.once("close", () => clearInterval(timer));
}

test("no header within responseHeaderTimeout is ERR_RESPONSE_HEADER_TIMEOUT, and the connection is closed", async () => {
  await using server = await rawServer(() => {});
  await using transport = openTransport({ responseHeaderTimeout: 60 });

  const error = await failsAfter(60, ask(transport, { origin: server.origin }));

  const { name, code, phase, sent, cause } = error as Error & Record<string, unknown>;
  assert.deepEqual(
    { name, code, phase, sent, cause: (cause as { code: string }).code },
    {
      name: "ResponseHeaderTimeoutError",
      code: "ERR_RESPONSE_HEADER_TIMEOUT",
      phase: "response_header",
      sent: true,
      cause: "UND_ERR_HEADERS_TIMEOUT",
    },
  );
  await assertQuiet(transport);
  const { timeouts, closed, idle } = transport.stats();
  assert.deepEqual({ timeouts, error: closed.error, idle }, { timeouts: { response_header: 1 }, error: 1, idle: 0 });
  await until(() => server.connections.size === 0);
  assert.equal(server.connections.size, 0);
});

test("neither interim answers nor a header that trickles extend responseHeaderTimeout", async () => {
  await using server = await rawServer((socket, { path }) => {
    if (path === "/interim") return trickle(socket, "HTTP/1.1 102 Processing\r\n\r\n", 10);
    socket.write("HTTP/1.1 200 OK\r\n");
    return trickle(socket, "x: y\r\n", 10);
  });
  await using transport = openTransport({ responseHeaderTimeout: 80 });

  for (const path of ["/interim", "/trickle"]) {
    const error = await failsAfter(80, ask(transport, { origin: server.origin, path }));
    assert.equal(error.code, "ERR_RESPONSE_HEADER_TIMEOUT");
  }
  await assertQuiet(transport);
});

test("a body that stands still for bodyTimeout is ERR_BODY_TIMEOUT; one that moves has no limit", async () => {
  await using server = await rawServer((socket, { path }) => {
    socket.write("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n");
    if (path === "/moves") for (let n = 0; n < 20; n += 1) setTimeout(() => socket.write("x"), n * 10);
    else socket.write("some");
  });
  await using transport = openTransport({ bodyTimeout: 150, responseHeaderTimeout: 100 });

  assert.equal((await ask(transport, { origin: server.origin, path: "/moves" })).body, "x".repeat(20));
  const sent = send(transport, { origin: server.origin });
  await sent.header;
  const error = await failsAfter(149, sent.answer);

  const { code, phase, cause } = error as Error & Record<string, unknown>;
  assert.deepEqual(
    { code, phase, cause: (cause as { code: string }).code },
    {
      code: "ERR_BODY_TIMEOUT",
      phase: "body",
      cause: "UND_ERR_BODY_TIMEOUT",
    },
  );
  await assertQuiet(transport);
});

test("a body without a declared length that stands still is ended by its timeout, not completed", async () => {
  await using server = await rawServer((socket) => socket.write("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\npart"));
  await using transport = openTransport({ bodyTimeout: 40 });

  const error = await failsAfter(40, ask(transport, { origin: server.origin }));

  assert.equal(error.code, "ERR_BODY_TIMEOUT");
  await assertQuiet(transport);
});

test("a source that stalls in mid-upload is ERR_REQUEST_BODY_TIMEOUT", async () => {
  await using server = await rawServer(() => {});
  await using transport = openTransport({ bodyTimeout: 60 });
  const body = new PassThrough();
  body.on("error", () => {});
  body.write("some");

  const error = await failsAfter(60, ask(transport, { origin: server.origin, method: "POST", body }));

  const { name, code, phase, sent } = error as Error & Record<string, unknown>;
  assert.deepEqual(
    { name, code, phase, sent },
    { name: "RequestBodyTimeoutError", code: "ERR_REQUEST_BODY_TIMEOUT", phase: "request", sent: true },
  );
  assert.equal(body.destroyed, true);
  await assertQuiet(transport);
});

test("a server that stops reading a streamed upload is ERR_REQUEST_BODY_TIMEOUT", async () => {
  await using server = await rawServer(() => {}, { onConnection: (socket) => void setImmediate(() => socket.pause()) });
  await using transport = openTransport({ bodyTimeout: 100 });
  const body = (function* () {
    for (let n = 0; n < 1_000; n += 1) yield Buffer.alloc(65_536);
  })();

  const error = await failure(ask(transport, { origin: server.origin, method: "POST", body }));

  assert.equal(error.code, "ERR_REQUEST_BODY_TIMEOUT");
  await assertQuiet(transport);
});

test("a server that stops reading an upload given in one piece is ERR_REQUEST_BODY_TIMEOUT", async () => {
  await using server = await rawServer(() => {}, { onConnection: (socket) => void setImmediate(() => socket.pause()) });
  await using transport = openTransport({ bodyTimeout: 100, responseHeaderTimeout: 60 });

  const error = await failsAfter(
    100,
    ask(transport, { origin: server.origin, method: "POST", body: Buffer.alloc(32_000_000) }),
  );

  assert.equal(error.code, "ERR_REQUEST_BODY_TIMEOUT");
  await assertQuiet(transport);
});

/** A server that reads in small steps, with a pause after each, and answers `thenMs` after the last byte. */
function slowReader(bytesPerStep: number, pauseMs: number): (socket: Socket) => void {
  return (socket) => {
    let sinceStep = 0;
    socket.on("data", (chunk: Buffer) => {
      sinceStep += chunk.length;
      if (sinceStep < bytesPerStep) return;
      sinceStep = 0;
      socket.pause();
      setTimeout(() => socket.resume(), pauseMs);
    });
  };
}

test("an upload in one piece may take longer than any timeout while it moves, and the answer's time counts from its end", async () => {
  let readAt = 0;
  await using server = await rawServer(
    (socket) => {
      readAt = performance.now();
      setTimeout(() => answer(socket), 70);
    },
    { onConnection: slowReader(1_000_000, 7) },
  );
  await using transport = openTransport({ bodyTimeout: 400, responseHeaderTimeout: 300 });
  const from = performance.now();

  const { status } = await ask(transport, { origin: server.origin, method: "POST", body: Buffer.alloc(64_000_000) });

  assert.equal(status, 200);
  assert.ok(readAt - from > 300, `the upload took only ${readAt - from} ms`);
});

test("a request's own headersTimeout and bodyTimeout go first, and 0 means none", async () => {
  await using server = await rawServer((socket, { path }) => {
    if (path === "/header") setTimeout(() => answer(socket), 160);
    if (!path.endsWith("body")) return;
    socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no");
    if (path === "/body") setTimeout(() => socket.write("k"), 160);
  });
  await using transport = openTransport({ responseHeaderTimeout: 100, bodyTimeout: 100 });
  const { origin } = server;

  const [header, body] = await Promise.all([
    ask(transport, { origin, path: "/header", headersTimeout: 0 }),
    ask(transport, { origin, path: "/body", bodyTimeout: 500 }),
  ]);
  assert.deepEqual([header.body, body.body], ["ok", "ok"]);

  const shorter = await failsAfter(15, ask(transport, { origin, path: "/none", headersTimeout: 15 }));
  assert.equal(shorter.code, "ERR_RESPONSE_HEADER_TIMEOUT");
  assert.match(shorter.message, /15 ms/);
  assert.equal(
    (await failsAfter(15, ask(transport, { origin, path: "/half-body", bodyTimeout: 15 }))).code,
    "ERR_BODY_TIMEOUT",
  );
});

test("a reader who has paused is not timed, and counts as an unread body until he reads on", async () => {
  await using server = await rawServer((socket) => socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsome`));
  const leaks: string[] = [];
  await using transport = openTransport({ bodyTimeout: 30, leakAfter: 50, onLeak: ({ path }) => leaks.push(path) });
  const sent = send(transport, { origin: server.origin, path: "/left", pauses: true });
  await sent.header;

  await sleep(20);
  assert.equal(levels(transport)["unreadBodies"], 0);
  await until(() => levels(transport)["unreadBodies"] === 1);
  await sleep(20);

  assert.deepEqual({ ended: sent.ended, leaks }, { ended: 0, leaks: ["/left"] });
  sent.controller?.resume();
  assert.equal(levels(transport)["unreadBodies"], 0);
  assert.equal((await failsAfter(30, sent.answer)).code, "ERR_BODY_TIMEOUT");
  await assertQuiet(transport);
});

test("a reader who pauses before there is anything to read gets nothing until he reads on", async () => {
  await using server = await rawServer((socket) => answer(socket));
  await using transport = openTransport({ bodyTimeout: 30 });
  const sent = send(transport, { origin: server.origin });
  sent.controller?.pause();
  await sent.header;
  await sleep(50);

  assert.deepEqual({ received: sent.received, ended: sent.ended }, { received: 0, ended: 0 });
  sent.controller?.resume();

  assert.equal((await sent.answer).body, "ok");
});

test("a leak names the place where its request was made", async () => {
  await using server = await rawServer((socket) => socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsome`));
  const { promise, resolve } = Promise.withResolvers<{ stack: string | undefined; unreadMs: number }>();
  await using transport = openTransport({ leakAfter: 20, onLeak: resolve });

  const sent = send(transport, { origin: server.origin, pauses: true });
  const { stack, unreadMs } = await promise;

  assert.match(stack ?? "", /timeouts\.test\.ts/);
  assert.ok(unreadMs >= 20);
  sent.abort();
  await assertQuiet(transport);
});

test("an answer that is in the kernel when the event loop was blocked past the timeout is an answer", async () => {
  await using server = await rawServer((socket, { path }) => {
    if (path === "/header") return answer(socket);
    socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no");
    setImmediate(() => socket.write("k"));
  });
  await using transport = openTransport({ responseHeaderTimeout: 100, bodyTimeout: 100 });
  await ask(transport, { origin: server.origin, path: "/header" });

  for (const path of ["/header", "/body"]) {
    const sent = send(transport, { origin: server.origin, path });
    await until(() => server.requests.at(-1)?.path === path);
    const until300 = performance.now() + 300;
    while (performance.now() < until300) continue;
    assert.equal((await sent.answer).body, "ok");
  }
});

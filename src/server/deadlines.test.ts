/** Each limit on time by itself: when it is met, what the client sees of it, and what it does not cover. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, before, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { setTimeout as sleep } from "node:timers/promises";
import { Registry } from "../core/instruments.ts";
import { serverCertificate } from "../../test/support/certificates.ts";
import { assertNothingLeft, listen, until, type LoopbackServer } from "../../test/support/loopback.ts";
import { SlowClient, type Peer } from "../../test/support/slow-clients.ts";
import { LagMeter } from "../../test/support/transport-checks.ts";
import { controller } from "./controller.ts";
import type { Guarded } from "./guard.ts";
import { createServer, type Handler } from "./server.ts";
import type { ServerOptions } from "./server-options.ts";

interface Opened extends AsyncDisposable {
  readonly server: Guarded;
  readonly peer: Peer;
  readonly listening: LoopbackServer;
}

async function open(options: ServerOptions, handler: Handler, secure = false): Promise<Opened> {
  const limits = { registry: new Registry(), ...options };
  const server = secure ? createServer({ ...limits, tls: serverCertificate }, handler) : createServer(limits, handler);
  const listening = await listen(server);
  return {
    server,
    peer: { port: listening.port, secure },
    listening,
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const post = (length: number): string => `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`;
/** More than the buffers between the two sides hold. */
const big = Buffer.alloc(2 ** 24);
const ok: Handler = (_req, res) => res.end("ok");
const never: Handler = () => {};
const answerBig: Handler = (_req, res) => res.end(big);
const readFirst: Handler = (req, res) => req.on("data", () => {}).on("end", () => res.end("ok"));

/** Fails unless `limitMs` was over, and was so for no longer than 100 ms and the loop's lag. */
function assertMet(limitMs: number, from: number, at: number, lag: LagMeter): void {
  const tookMs = at - from;
  assert.ok(tookMs >= limitMs - 1, `after ${tookMs} ms is before ${limitMs} ms`);
  assert.ok(tookMs <= limitMs + 100 + lag.totalMs, `after ${tookMs} ms of ${limitMs} ms, lag ${lag.totalMs} ms`);
}

afterEach(assertNothingLeft);

// The first connection of a process loads what serves it, which takes longer than some of the limits here.
before(async () => {
  for (const secure of [false, true]) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await using opened = await open({}, ok, secure);
    // oxlint-disable-next-line no-await-in-loop -- as above
    await using client = await SlowClient.open(opened.peer);
    client.write(get);
    // oxlint-disable-next-line no-await-in-loop -- as above
    await until(() => client.isComplete);
  }
});

for (const secure of [false, true]) {
  const name = secure ? "https" : "http";

  test(`${name}: who connects and says nothing is closed after readHeaderTimeout without a word`, async () => {
    using lag = new LagMeter();
    await using opened = await open({ readHeaderTimeout: 150 }, ok, secure);
    await using client = await SlowClient.open(opened.peer);
    const from = performance.now();

    assertMet(150, from - 10, await client.gone, lag);
    assert.deepEqual([client.text, client.ended, client.error], ["", true, undefined]);
    assert.equal(opened.server.stats().timeouts.read_header, 1);
  });

  test(`${name}: a first header that trickles in is 408 at readHeaderTimeout from accept`, async () => {
    using lag = new LagMeter();
    await using opened = await open({ readHeaderTimeout: 200 }, ok, secure);
    await using client = await SlowClient.open(opened.peer);
    const from = performance.now();
    await sleep(100);
    client.trickle(get, 20);

    assertMet(200, from - 10, await client.gone, lag);
    assert.deepEqual([client.status, client.isComplete, client.error], [408, true, undefined]);
    assert.match(client.text, /\r\nConnection: close\r\n/);
  });

  test(`${name}: a later header has readHeaderTimeout from its first byte, not what is left of idleTimeout`, async () => {
    using lag = new LagMeter();
    await using opened = await open({ readHeaderTimeout: 200, idleTimeout: 300 }, ok, secure);
    await using client = await SlowClient.open(opened.peer);
    client.write(get);
    await until(() => client.isComplete);
    await sleep(200);
    const from = performance.now();
    client.trickle(get, 20);

    assertMet(200, from, await client.gone, lag);
    assert.match(client.text, /ok.*HTTP\/1\.1 408 /s);
    const { read_header, idle } = opened.server.stats().timeouts;
    assert.deepEqual([read_header, idle], [1, 0]);
  });

  test(`${name}: an idle connection is closed after idleTimeout without a word`, async () => {
    using lag = new LagMeter();
    await using opened = await open({ idleTimeout: 150, readHeaderTimeout: 2_000 }, ok, secure);
    await using client = await SlowClient.open(opened.peer);
    for (let turn = 0; turn < 3; turn += 1) {
      client.write(get);
      // oxlint-disable-next-line no-await-in-loop -- one request after the other
      await sleep(60);
    }
    const from = performance.now() - 60;

    assertMet(150, from, await client.gone, lag);
    assert.equal(client.text.split("HTTP/1.1 200").length - 1, 3);
    assert.deepEqual([client.ended, client.error], [true, undefined]);
  });

  test(`${name}: a body that is not complete at readTimeout is 408, though it never stood still`, async () => {
    using lag = new LagMeter();
    await using opened = await open({ readTimeout: 200, minRequestRate: { bytesPerSecond: 1 } }, readFirst, secure);
    await using client = await SlowClient.open(opened.peer);
    const from = performance.now();
    client.write(post(1_000));
    client.trickle("x".repeat(1_000), 10);

    assertMet(200, from, await client.gone, lag);
    assert.deepEqual([client.status, client.isComplete], [408, true]);
    assert.equal(opened.server.stats().timeouts.read, 1);
  });

  test(`${name}: a body below minRequestRate is 408 after the grace; one above it is read to its end`, async () => {
    using lag = new LagMeter();
    const minRequestRate = { bytesPerSecond: 200, grace: 250 };
    await using opened = await open({ minRequestRate }, readFirst, secure);
    await using fast = await SlowClient.open(opened.peer);
    await using slow = await SlowClient.open(opened.peer);
    const from = performance.now();
    fast.write(post(300));
    // 1,000 bytes in a second, on a machine that is not too busy.
    fast.trickle("x".repeat(300), 1);
    slow.write(post(300));
    slow.trickle("x".repeat(300), 50);

    assertMet(250, from, await slow.gone, lag);
    assert.deepEqual([slow.status, slow.isComplete], [408, true]);
    await until(() => fast.isComplete);
    assert.equal(fast.status, 200);
    assert.equal(opened.server.stats().timeouts.read_rate, 1);
  });

  test(`${name}: no answer at handlerTimeout is 503, and the connection serves the next request`, async () => {
    using lag = new LagMeter();
    const causes: unknown[] = [];
    await using opened = await open(
      { handlerTimeout: 150 },
      (req, res) => {
        const { context } = controller(res);
        if (req.url === "/next") res.end("next");
        else context.onDone((cause) => causes.push(cause));
      },
      secure,
    );
    await using client = await SlowClient.open(opened.peer);
    const from = performance.now();
    client.write(get);
    await until(() => client.isComplete);

    assertMet(150, from, performance.now(), lag);
    assert.equal(client.status, 503);
    assert.match(client.text, /\r\nRetry-After: 1\r\n/);
    assert.equal(Reflect.get(Object(causes[0]), "code"), "ERR_DEADLINE_EXCEEDED");
    client.write(get.replace("/", "/next"));
    await until(() => client.text.endsWith("next"));
    assert.ok(client.text.endsWith("next"), "the connection does not serve any more");
  });

  test(`${name}: an answer that is not out at writeTimeout is cut, and looks cut to the client`, async () => {
    using lag = new LagMeter();
    await using opened = await open({ writeTimeout: 200 }, answerBig, secure);
    await using client = await SlowClient.open(opened.peer, { reads: false });
    const from = performance.now();
    client.write(get);
    await until(() => opened.listening.connections.size === 0);

    assertMet(200, from, performance.now(), lag);
    client.readOn();
    await client.gone;
    assert.equal(client.error, "ECONNRESET");
    assert.equal(client.isComplete, false);
    assert.equal(opened.server.stats().timeouts.write, 1);
  });

  test(`${name}: who reads nothing of an answer is cut after the grace of minResponseRate`, async () => {
    using lag = new LagMeter();
    const minResponseRate = { bytesPerSecond: 240, grace: 300 };
    await using opened = await open({ minResponseRate }, answerBig, secure);
    await using client = await SlowClient.open(opened.peer, { reads: false });
    const from = performance.now();
    client.write(get);
    await until(() => opened.listening.connections.size === 0);

    const tookMs = performance.now() - from;
    // The kernel is asked before, and on a busy machine takes its time; a grace later it is not waited for any more.
    assert.ok(tookMs >= 299 && tookMs < 700 + lag.totalMs, `after ${tookMs} ms of 300 ms, lag ${lag.totalMs} ms`);
    client.readOn();
    await client.gone;
    assert.deepEqual([client.error, client.isComplete], ["ECONNRESET", false]);
    assert.equal(opened.server.stats().timeouts.write_rate, 1);
  });
}

test("a TLS handshake that does not begin, or stops halfway, is cut at tlsHandshakeTimeout", async () => {
  using lag = new LagMeter();
  await using opened = await open({ tlsHandshakeTimeout: 150 }, ok, true);
  await using silent = await SlowClient.open({ port: opened.peer.port });
  await using half = await SlowClient.open({ port: opened.peer.port });
  const from = performance.now() - 10;
  half.socket.write(Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252]));

  for (const client of [silent, half]) {
    // oxlint-disable-next-line no-await-in-loop -- both wait at once anyway
    assertMet(150, from, await client.gone, lag);
  }
  assert.equal(opened.server.stats().timeouts.tls, 2);
});

test("http2: who sends half a header, or nothing at all, is closed at readHeaderTimeout", async () => {
  const limits = { registry: new Registry(), readHeaderTimeout: 200, tls: serverCertificate, http2: true } as const;
  await using listening = await listen(createServer(limits, ok));
  // RFC 9113: preface, SETTINGS, and a HEADERS frame without END_HEADERS, which a CONTINUATION has to follow.
  const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
  for (const sent of [preface, `${preface}\0\0\x03\x01\0\0\0\0\x01\x82\x87\x84`]) {
    using lag = new LagMeter();
    const socket = connectTls({ port: listening.port, rejectUnauthorized: false, ALPNProtocols: ["h2"] });
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await once(socket, "secureConnect");
    const from = performance.now() - 10;
    // oxlint-disable-next-line no-await-in-loop -- as above
    await using client = new SlowClient(socket);
    client.write(sent);

    // oxlint-disable-next-line no-await-in-loop -- as above
    assertMet(200, from, await client.gone, lag);
    assert.deepEqual([client.ended, client.error], [true, undefined]);
  }
});

test("after a slow handshake, the header has the whole of readHeaderTimeout", async () => {
  using lag = new LagMeter();
  await using opened = await open({ tlsHandshakeTimeout: 2_000, readHeaderTimeout: 200 }, ok, true);
  const raw = connect(opened.peer.port, "127.0.0.1");
  await once(raw, "connect");
  await sleep(250);
  const socket = connectTls({ socket: raw, rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const from = performance.now() - 10;
  await using client = new SlowClient(socket);

  assertMet(200, from, await client.gone, lag);
});

test("a header whose beginning came with the request before is seen by Node's own check, within a second and a half", async () => {
  await using opened = await open({ readHeaderTimeout: 200, idleTimeout: 10_000 }, ok);
  await using client = await SlowClient.open(opened.peer);
  const from = performance.now();
  client.write(`${get}GET / HTTP/1.1\r\nHo`);

  const tookMs = (await client.gone) - from;

  assert.ok(tookMs >= 200 && tookMs <= 1_700, `${tookMs} ms`);
  assert.match(client.text, /ok.*HTTP\/1\.1 408 /s);
  const { timeouts, badRequests } = opened.server.stats();
  assert.deepEqual([timeouts.read_header, badRequests], [1, 0]);
});

test("a header that follows a request before its answer is not held against it while the handler works", async () => {
  await using opened = await open({ readHeaderTimeout: 200 }, (req, res) => {
    if (req.url === "/second") res.end("second");
    else setTimeout(() => res.end("first"), 1_500);
  });
  await using client = await SlowClient.open(opened.peer);
  client.write(`${get}GET /second HTTP/1.1\r\nHo`);
  await sleep(1_200);
  client.write("st: a\r\n\r\n");

  await until(() => client.text.endsWith("second"));

  assert.match(client.text, /\r\n\r\nfirstHTTP\/1\.1 200 .*\r\n\r\nsecond$/s);
});

test("handlerTimeout does nothing once the header is sent, however long the body takes", async () => {
  const done: unknown[] = [];
  await using opened = await open({ handlerTimeout: 100 }, (_req, res) => {
    controller(res).context.onDone((cause) => done.push(cause));
    res.write("first ");
    setTimeout(() => res.end("last"), 300);
  });
  await using client = await SlowClient.open(opened.peer);
  client.write(get);

  await until(() => client.isComplete);

  assert.match(client.text, /first .*last/s);
  assert.deepEqual([done, opened.server.stats().timeouts.handler], [[], 0]);
});

test("a body that stalls below an answer that has begun is cut: its client must not take the half for the whole", async () => {
  using lag = new LagMeter();
  const minRequestRate = { bytesPerSecond: 240, grace: 200 };
  await using opened = await open({ minRequestRate }, (req, res) => void req.pipe(res));
  await using client = await SlowClient.open(opened.peer);
  const from = performance.now();
  client.write(post(1_000) + "some");

  assertMet(200, from, await client.gone, lag);
  assert.deepEqual([client.status, client.isComplete, client.error], [200, false, "ECONNRESET"]);
});

test("an upload that the handler does not read is not the client's fault, and has no rate", async () => {
  const minRequestRate = { bytesPerSecond: 1_000_000, grace: 100 };
  await using opened = await open({ minRequestRate }, (req, res) => void setTimeout(() => readFirst(req, res), 500));
  await using client = await SlowClient.open(opened.peer);
  client.write(post(1_000_000) + "x".repeat(1_000_000));

  await until(() => client.isComplete);

  assert.equal(client.status, 200);
});

test("setReadDeadline, setWriteDeadline and extend move the limits of one request, and of no other", async () => {
  using lag = new LagMeter();
  await using opened = await open({ readTimeout: 150, writeTimeout: 1_000 }, (req, res) => {
    const control = controller(res);
    if (req.url === "/read") control.setReadDeadline(450);
    if (req.url === "/extend") control.extend(300);
    if (req.url === "/write") control.setWriteDeadline(300);
    if (req.url === "/write") res.end(big);
    else req.resume();
  });
  await using plain = await SlowClient.open(opened.peer);
  await using read = await SlowClient.open(opened.peer);
  await using extended = await SlowClient.open(opened.peer);
  await using written = await SlowClient.open(opened.peer, { reads: false });
  const from = performance.now();
  plain.write(post(9));
  read.write(post(9).replace("/", "/read"));
  extended.write(post(9).replace("/", "/extend"));
  written.write(get.replace("/", "/write"));

  assertMet(150, from, await plain.gone, lag);
  await until(() => opened.server.stats().timeouts.write === 1);
  assertMet(300, from, performance.now(), lag);
  assertMet(450, from, await read.gone, lag);
  assertMet(450, from, await extended.gone, lag);
  assert.deepEqual([plain.status, read.status, extended.status], [408, 408, 408]);
});

test("stream() takes all limits but the rate away", async () => {
  const limits = { handlerTimeout: 100, writeTimeout: 200, minResponseRate: { bytesPerSecond: 240, grace: 200 } };
  await using opened = await open(limits, (req, res) => {
    controller(res).stream();
    if (req.url === "/stuck") res.write(big);
    else setTimeout(() => res.end("late"), 600);
  });
  await using quiet = await SlowClient.open(opened.peer);
  await using stuck = await SlowClient.open(opened.peer, { reads: false });
  quiet.write(get);
  stuck.write(get.replace("/", "/stuck"));

  await until(() => quiet.isComplete);

  assert.match(quiet.text, /late/);
  const { write, write_rate, handler } = opened.server.stats().timeouts;
  assert.deepEqual([write, write_rate, handler], [0, 1, 0]);
});

test("a handler that never answers a client that has left is told so", async () => {
  const causes: unknown[] = [];
  await using opened = await open({}, (_req, res) => {
    controller(res).context.onDone((cause) => causes.push(Reflect.get(Object(cause), "code")));
    never(_req, res);
  });
  await using client = await SlowClient.open(opened.peer);
  client.write(get);
  await until(() => opened.server.stats().inFlight === 1);
  client.socket.destroy();

  await until(() => opened.server.stats().inFlight === 0);

  assert.deepEqual(causes, ["ERR_CLIENT_GONE"]);
});

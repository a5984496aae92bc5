/** What happens to each kind of connection while the server goes away, and that it comes to an end. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, request, type Server } from "node:http";
import { connect } from "node:net";
import { afterEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { context } from "../core/context.ts";
import { Registry } from "../core/instruments.ts";
import { serverCertificate } from "../../test/support/certificates.ts";
import { assertNothingLeft, listen, until } from "../../test/support/loopback.ts";
import { SlowClient } from "../../test/support/slow-clients.ts";
import { LagMeter } from "../../test/support/transport-checks.ts";
import { wireClient } from "../../test/support/wire-client.ts";
import type { Guarded } from "./guard.ts";
import { createServer, type Handler } from "./server.ts";
import type { ServerOptions } from "./server-options.ts";

const get = (path = "/"): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
const post = (length: number): string => `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`;
const big = Buffer.alloc(2 ** 24);

/** Not disposed of by closing it: that is what is tested. */
async function open(options: ServerOptions, handler: Handler): Promise<{ server: Server & Guarded; port: number }> {
  const server = createServer({ registry: new Registry(), ...options }, handler);
  const { port } = await listen(server);
  return { server, port };
}

const slowly =
  (ms: number): Handler =>
  (req, res) =>
    void setTimeout(() => res.end(req.url), ms);

afterEach(assertNothingLeft);

test("what is in flight is answered, and told that it was the last", async () => {
  const { server, port } = await open({}, slowly(100));
  await using client = await wireClient(port);
  client.write(get("/last"));
  await until(() => server.stats().inFlight === 1);

  const drained = server.drain();
  const answer = await client.answer();
  await client.close();
  const report = await drained;

  assert.deepEqual([answer?.body, answer?.headers.get("connection")], ["/last", "close"]);
  assert.deepEqual([report.cut, server.stats().state, server.listening], [0, "drained", false]);
  assert.ok(report.tookMs < 1_000, `${report.tookMs} ms`);
});

test("idle connections are ended politely, and new ones find nobody", async () => {
  const { server, port } = await open({}, slowly(0));
  await using client = await wireClient(port);
  client.write(get());
  await client.answer();

  const drained = server.drain();
  await client.end();
  assert.deepEqual([client.ended, client.error], [true, undefined]);
  await client.close();
  await drained;

  const [error] = await once(connect(port, "127.0.0.1"), "error");
  assert.equal(Reflect.get(Object(error), "code"), "ECONNREFUSED");
  assert.equal(server.stats().closed.drain, 1);
});

test("while it settles it accepts and answers as before, and sends those away who were there", async () => {
  const { server, port } = await open({ drain: { settle: 200 } }, slowly(0));
  await using kept = await wireClient(port);
  kept.write(get("/before"));
  assert.equal((await kept.answer())?.headers.get("connection"), "keep-alive");

  const drained = server.drain();
  assert.deepEqual([server.draining, server.listening], [true, true]);
  kept.write(get("/kept"));
  await using late = await wireClient(port);
  late.write(get("/new"));
  const answers = [await kept.answer(), await late.answer()];
  await Promise.all([kept.close(), late.close()]);
  const { tookMs, cut } = await drained;

  assert.deepEqual(
    answers.map((answer) => [answer?.body, answer?.headers.get("connection")]),
    [
      ["/kept", "close"],
      ["/new", "keep-alive"],
    ],
  );
  assert.ok(tookMs >= 199, `${tookMs} ms`);
  assert.equal(cut, 0);
});

test("at the end of the grace contexts are done, last words are heard, and whoever has none is cut", async () => {
  const causes: unknown[] = [];
  const { server, port } = await open({ drain: { grace: 150 } }, (req, res) => {
    context().onDone((cause) => {
      causes.push(Reflect.get(Object(cause), "code"));
      if (req.url === "/obeys") res.writeHead(503).end("bye");
    });
  });
  await using obeys = await wireClient(port);
  await using silent = await wireClient(port);
  obeys.write(get("/obeys"));
  silent.write(get("/silent"));
  await until(() => server.stats().inFlight === 2);

  const drained = server.drain();
  const answer = await obeys.answer();
  await obeys.close();
  await silent.end();
  const { cut, cutUpgraded, tookMs } = await drained;

  assert.deepEqual([answer?.status, answer?.body, silent.error], [503, "bye", "ECONNRESET"]);
  assert.deepEqual([cut, cutUpgraded, causes], [1, 0, ["ERR_SHUTTING_DOWN", "ERR_SHUTTING_DOWN"]]);
  assert.ok(tookMs >= 399 && tookMs < 1_500, `${tookMs} ms`);
});

test("every limit on time holds while it drains, so that no client can hold it up", async () => {
  using lag = new LagMeter();
  const rate = { bytesPerSecond: 240, grace: 250 };
  const { server, port } = await open(
    {
      readHeaderTimeout: 250,
      minRequestRate: rate,
      handlerTimeout: 250,
      writeTimeout: 400,
      minResponseRate: { bytesPerSecond: 0 },
    },
    (req, res) => {
      if (req.url === "/big") res.end(big);
      else req.resume();
    },
  );
  const clients = await Promise.all(
    ["", "GET / HT", post(10), get("/never"), get("/big")].map(async (text) => {
      const client = await SlowClient.open({ port }, { reads: !text.includes("/big") });
      client.write(text);
      return client;
    }),
  );
  await until(() => server.stats().connections.active === 4);

  const { cut, tookMs } = await server.drain();

  assert.equal(cut, 0, "something had to wait for the end of the grace");
  // Those that were answered are waited for until they close, and these do at once.
  assert.ok(tookMs < 600 + lag.totalMs, `${tookMs} ms, lag ${lag.totalMs} ms`);
  const { read_header, read_rate, handler, write } = server.stats().timeouts;
  assert.deepEqual([read_header, read_rate + handler, write], [2, 2, 1]);
  assert.deepEqual(
    clients.slice(0, 4).map(({ status }) => status),
    [0, 408, clients[2]?.status, 503],
  );
  for (const client of clients) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await client[Symbol.asyncDispose]();
  }
});

test("a TLS handshake that does not end does not hold up a drain for longer than its limit", async () => {
  const server = createServer({ registry: new Registry(), tlsHandshakeTimeout: 200, tls: serverCertificate });
  const { port } = await listen(server);
  await using client = await SlowClient.open({ port });
  await until(() => server.stats().connections.new === 1);

  const { cut, tookMs } = await server.drain();

  assert.equal(cut, 0);
  assert.ok(tookMs < 1_000, `${tookMs} ms`);
  assert.equal(server.stats().timeouts.tls, 1);
  assert.ok(client.socket.writable || client.goneAt !== undefined);
});

test("a request that was here before the drain began is answered, though nobody had looked at it yet", async () => {
  const { server, port } = await open({}, slowly(0));
  await using client = await wireClient(port);
  client.write(get("/first"));
  await client.answer();
  client.write(get("/second"));
  // It reaches the kernel's buffer of the server's socket while this thread does nothing but wait.
  await new Promise<void>((resolve) => {
    client.socket.write("", () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
      resolve();
    });
  });

  const drained = server.drain();
  const answer = await client.answer();
  await client.close();
  await drained;

  assert.deepEqual([answer?.body, answer?.headers.get("connection")], ["/second", "close"]);
});

test("what was pipelined behind the last answer is not served, and its client is not reset", async () => {
  const seen: (string | undefined)[] = [];
  const { server, port } = await open({}, (req, res) => {
    seen.push(req.url);
    setTimeout(() => res.end(req.url), 50);
  });
  await using client = await wireClient(port);
  client.write(get("/1") + get("/2") + get("/3"));
  await until(() => server.stats().deferred === 2);

  const drained = server.drain();
  const answer = await client.answer();
  await client.end();
  await client.close();
  await drained;

  assert.deepEqual([answer?.body, answer?.headers.get("connection"), seen], ["/1", "close", ["/1"]]);
  assert.deepEqual([client.ended, client.error, server.stats().deferred], [true, undefined, 0]);
});

test("upgraded connections are told by their context, cut at the end of the grace, and counted apart", async () => {
  const causes: unknown[] = [];
  const { server, port } = await open({ drain: { grace: 100 } }, slowly(0));
  server.on("upgrade", (_req, socket) => {
    context().onDone((cause) => causes.push(Reflect.get(Object(cause), "code")));
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  });
  await using client = await SlowClient.open({ port });
  client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  await until(() => server.stats().connections.upgraded === 1);

  const { cut, cutUpgraded } = await server.drain();
  await client.gone;

  assert.deepEqual([cut, cutUpgraded, causes], [1, 1, ["ERR_SHUTTING_DOWN"]]);
});

test("close() is a drain, calls back when it is over, and a second drain is the same one", async () => {
  const { server, port } = await open({}, slowly(50));
  await using client = await wireClient(port);
  client.write(get());
  await until(() => server.stats().inFlight === 1);
  let told = 0;
  server.onDrain(() => (told += 1));

  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const first = server.drain();
  const second = server.drain();
  assert.equal((await client.answer())?.status, 200);
  await client.close();
  await closed;

  assert.equal(await first, await second);
  assert.deepEqual([told, server.stats().state], [1, "drained"]);
});

test("a server that never listened, or has no connection, is drained at once", async () => {
  const unused = createServer({ registry: new Registry() });
  const { server } = await open({}, slowly(0));

  assert.equal((await unused.drain()).cut, 0);
  assert.ok((await server.drain()).tookMs < 500);
});

test("no request of keep-alive clients fails while the server drains behind its settle time", async () => {
  const { server, port } = await open({ drain: { settle: 300 } }, slowly(1));
  const outcomes: (number | string)[] = [];
  const stop = new AbortController();
  const send = (agent: Agent): Promise<boolean> =>
    new Promise((resolve) => {
      const sent = request({ port, host: "127.0.0.1", agent }, (res) => {
        res.resume().on("end", () => {
          outcomes.push(res.statusCode ?? 0);
          resolve(res.headers.connection !== "close");
        });
      });
      sent.on("error", (error: NodeJS.ErrnoException) => {
        outcomes.push(error.code ?? error.message);
        resolve(false);
      });
      sent.end();
    });
  const lane = async (): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    // A client that is told to go away stays away, as one behind a balancer does.
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    while (!stop.signal.aborted && (await send(agent))) await sleep(2);
  };
  const lanes = Promise.all(Array.from({ length: 8 }, lane));
  await sleep(100);
  await server.drain();
  stop.abort();
  await lanes;

  assert.ok(outcomes.length > 20, `${outcomes.length} requests`);
  assert.deepEqual(new Set(outcomes), new Set([200]));
});

test("no client whose connection was complete is reset when the listener is closed", async () => {
  const { server, port } = await open({}, slowly(0));
  const outcomes = new Map<string, number>();
  const stop = new AbortController();
  /** A new connection for each request, as from a proxy whose connections are closed after each answer. */
  const lane = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const socket = connect(port, "127.0.0.1");
      let outcome = "";
      socket.on("error", (error: NodeJS.ErrnoException) => (outcome = error.code ?? error.message));
      socket.on("connect", () =>
        socket.write("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"),
      );
      socket.on("data", (data: Buffer) => (outcome += data.toString("latin1").slice(9, 12)));
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await new Promise((resolve) => socket.on("close", resolve));
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      if (outcome === "ECONNREFUSED") return;
    }
  };
  const lanes = Promise.all(Array.from({ length: 30 }, lane));
  await until(() => (outcomes.get("200") ?? 0) > 100);

  await server.drain();
  stop.abort();
  await lanes;

  assert.deepEqual([...outcomes.keys()].toSorted(), ["200", "ECONNREFUSED"]);
});

test("a connection that was idle when the listener was closed may still bring a request, which is its last", async () => {
  const { server, port } = await open({}, slowly(0));
  await using client = await wireClient(port);
  client.write(get("/before"));
  await client.answer();

  const drained = server.drain();
  await until(() => !server.listening);
  client.write(get("/after"));
  const answer = await client.answer();
  await client.close();
  const { cut } = await drained;

  assert.deepEqual([answer?.body, answer?.headers.get("connection"), cut], ["/after", "close", 0]);
});

test("idle connections are closed at the end of the grace, if that comes first", async () => {
  const { server, port } = await open({ drain: { grace: 60 } }, slowly(0));
  await using client = await wireClient(port);
  client.write(get());
  await client.answer();

  const drained = server.drain();
  await client.end();
  await client.close();
  const { tookMs } = await drained;

  assert.ok(tookMs < 450, `${tookMs} ms`);
});

test("an upgrade is taken while the drain settles, since requests still come here", async () => {
  const { server, port } = await open({ drain: { settle: 200, grace: 100 } }, slowly(0));
  server.on("upgrade", (_req, socket) => {
    socket.end("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  });

  const drained = server.drain();
  await using client = await SlowClient.open({ port });
  client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  await drained;
  await client.gone;

  assert.equal(client.status, 101);
});

test("at the end of the grace a connection that is still held is closed, and its request never served", async () => {
  const served: (string | undefined)[] = [];
  const { server, port } = await open({ maxConns: 1, drain: { grace: 100 } }, (req) => void served.push(req.url));
  await using first = await wireClient(port);
  first.write(get("/never"));
  await until(() => served.length === 1);
  await using held = await wireClient(port);
  held.write(get("/held"));
  await until(() => server.stats().pending === 1);

  await server.drain();
  await held.end();

  assert.deepEqual(served, ["/never"]);
  assert.deepEqual([held.answers, held.rest, server.stats().pending], [[], "", 0]);
});

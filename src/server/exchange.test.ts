/** One request after the other on a connection: pipelined ones, uploads that are answered early, clients that half-close. */

import assert from "node:assert/strict";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { afterEach, test } from "node:test";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { Registry } from "../core/instruments.ts";
import { assertNothingLeft, listen, until, type LoopbackServer } from "../../test/support/loopback.ts";
import { wireClient } from "../../test/support/wire-client.ts";
import { controller } from "./controller.ts";
import type { Guarded } from "./guard.ts";
import { createServer, type Handler } from "./server.ts";
import type { ServerOptions } from "./server-options.ts";

interface Opened extends AsyncDisposable {
  readonly server: Server & Guarded;
  readonly port: number;
  readonly listening: LoopbackServer;
}

async function open(options: ServerOptions, handler: Handler): Promise<Opened> {
  const server = createServer({ registry: new Registry(), ...options }, handler);
  const listening = await listen(server);
  return { server, port: listening.port, listening, [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose]() };
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
const post = (path: string, length: number, ...lines: readonly string[]): string =>
  ["POST " + path + " HTTP/1.1", "Host: a", `Content-Length: ${length}`, ...lines, "", ""].join("\r\n");

afterEach(assertNothingLeft);

test("2,000 requests in one go are handled one at a time, and answered in their order", async () => {
  let running = 0;
  let most = 0;
  await using opened = await open({}, async (req, res) => {
    running += 1;
    most = Math.max(most, running);
    if (Number(req.url?.slice(1)) % 3 === 0) await turn();
    running -= 1;
    res.end(req.url);
  });
  await using client = await wireClient(opened.port);
  const paths = Array.from({ length: 2_000 }, (_, index) => `/${index}`);

  client.write(paths.map(get).join(""));
  const bodies: (string | undefined)[] = [];
  // oxlint-disable-next-line no-await-in-loop -- one answer after the other
  while (bodies.length < paths.length) bodies.push((await client.answer())?.body);

  assert.deepEqual(bodies, paths);
  assert.equal(most, 1);
  const { inFlight, deferred, connections } = opened.server.stats();
  assert.deepEqual([inFlight, deferred, connections.idle], [0, 0, 1]);
});

test("pipelined requests with bodies get each its own", async () => {
  await using opened = await open({}, (req, res) => void req.pipe(res));
  await using client = await wireClient(opened.port);

  client.write(`${post("/1", 3)}one${get("/2")}${post("/3", 5)}three`);

  assert.equal((await client.answer())?.body, "one");
  assert.equal((await client.answer())?.body, "");
  assert.equal((await client.answer())?.body, "three");
});

test("pipelined requests whose client leaves are given up, and those that waited never reach a handler", async () => {
  const seen: (string | undefined)[] = [];
  await using opened = await open({}, (req) => void seen.push(req.url));
  await using client = await wireClient(opened.port);
  client.write(get("/1") + get("/2") + get("/3"));
  await until(() => opened.server.stats().deferred === 2);

  client.socket.destroy();
  await until(() => opened.listening.connections.size === 0);

  assert.deepEqual(seen, ["/1"]);
  const { inFlight, deferred } = opened.server.stats();
  assert.deepEqual([inFlight, deferred], [0, 0]);
});

test("a pipelined request whose turn comes has its own time, not what the one before left of it", async () => {
  await using opened = await open({ handlerTimeout: 300 }, (_req, res) => void setTimeout(() => res.end("ok"), 200));
  await using client = await wireClient(opened.port);

  client.write(get("/1") + get("/2") + get("/3"));

  for (const path of ["/1", "/2", "/3"]) {
    // oxlint-disable-next-line no-await-in-loop -- one answer after the other
    assert.equal((await client.answer())?.status, 200, path);
  }
});

test("an upload that is answered early, with little left, is drained, and its connection serves the next request", async () => {
  await using opened = await open({}, (req, res) => res.end(req.url));
  await using client = await wireClient(opened.port);
  client.write(post("/early", 200_000) + "x".repeat(50_000));

  const first = await client.answer();
  client.write("x".repeat(150_000) + get("/next"));
  const second = await client.answer();

  assert.deepEqual([first?.body, first?.headers.get("connection"), second?.body], ["/early", "keep-alive", "/next"]);
});

test("the answer to a large upload that nobody reads arrives whole while the client is still sending", async () => {
  const handlers: Record<string, Handler> = {
    early: (_req, res) => res.writeHead(401).end("who are you?"),
    never: (_req, res) => void setTimeout(() => res.end("too late"), 1_000),
  };
  const tooLarge = { maxBodyBytes: 1_000 };
  for (const [options, handler, length, expected] of [
    [{}, handlers["early"], "Content-Length: 9000000", 401],
    [{}, handlers["early"], "Transfer-Encoding: chunked", 401],
    [tooLarge, handlers["never"], "Content-Length: 9000000", 413],
    [tooLarge, handlers["never"], "Transfer-Encoding: chunked", 413],
  ] as const) {
    assert.ok(handler);
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await using opened = await open(options, handler);
    // oxlint-disable-next-line no-await-in-loop -- as above
    await using client = await wireClient(opened.port);
    client.write(`POST / HTTP/1.1\r\nHost: a\r\n${length}\r\n\r\n`);
    const body = length.startsWith("Content") ? "x".repeat(65_536) : `10000\r\n${"x".repeat(65_536)}\r\n`;
    for (let sent = 0; sent < 130 && client.socket.writable; sent += 1) {
      client.write(body);
      // oxlint-disable-next-line no-await-in-loop -- as fast as the other side takes it
      await turn();
    }

    // oxlint-disable-next-line no-await-in-loop -- as above
    const answer = await client.answer();
    // oxlint-disable-next-line no-await-in-loop -- as above
    await client.end();

    assert.equal(answer?.status, expected, length);
    assert.deepEqual([client.ended, client.error], [true, undefined], `${expected} ${length}`);
  }
});

test("a client whose upload stalls after its answer is not waited for longer than 2 s", async () => {
  await using opened = await open({}, (_req, res) => res.end("early"));
  await using client = await wireClient(opened.port);
  client.write(post("/", 1_000) + "some");
  assert.equal((await client.answer())?.body, "early");
  const from = performance.now();

  await client.end();

  const tookMs = performance.now() - from;
  assert.ok(tookMs > 1_900 && tookMs < 2_500, `${tookMs} ms`);
  assert.deepEqual([client.ended, client.error], [true, undefined]);
});

test("a client that expects 100 is told to go on when a handler takes the request, and at once that it may not", async () => {
  await using opened = await open({ maxBodyBytes: 10 }, (req, res) => void req.pipe(res));
  await using client = await wireClient(opened.port);

  client.write(post("/", 5, "Expect: 100-continue"));
  await until(() => client.answers.length > 0);
  assert.equal(client.answers[0]?.status, 100);
  client.write("hello");
  assert.equal((await client.answer())?.body, "hello");

  client.write(post("/", 11, "Expect: 100-continue"));
  const refused = await client.answer();
  assert.deepEqual([refused?.status, client.answers.length], [413, 0]);
});

test("a client that expects 100 and then sends nothing is 408 like any other", async () => {
  const minRequestRate = { bytesPerSecond: 240, grace: 150 };
  await using opened = await open({ minRequestRate }, (req, res) => void req.pipe(res));
  await using client = await wireClient(opened.port);
  client.write(post("/", 5, "Expect: 100-continue"));

  assert.equal((await client.answer())?.status, 408);
  await client.end();
  assert.equal(opened.server.stats().timeouts.read_rate, 1);
});

test("whoever listens to checkContinue decides, in the context of the request", async () => {
  const server = createServer({ registry: new Registry() });
  const done: boolean[] = [];
  server.on("checkContinue", (req: IncomingMessage, res: ServerResponse) => {
    done.push(controller(res).context.done);
    if (req.url === "/no") res.writeHead(417, { "content-length": 0 }).end();
    else {
      res.writeContinue();
      req.pipe(res);
    }
  });
  await using listening = await listen(server);
  await using client = await wireClient(listening.port);

  client.write(post("/yes", 2, "Expect: 100-continue") + "ok");
  assert.equal((await client.answer())?.body, "ok");
  client.write(post("/no", 2, "Expect: 100-continue"));
  assert.equal((await client.answer())?.status, 417);
  assert.deepEqual(done, [false, false]);
});

test("a client that ends its side after the request leaves nothing behind", async () => {
  await using opened = await open({}, (_req, res) => void setTimeout(() => res.end("ok"), 30));
  await using client = await wireClient(opened.port);
  client.socket.end(get("/"));

  await client.end();
  await until(() => opened.listening.connections.size === 0);

  const { inFlight, connections } = opened.server.stats();
  assert.deepEqual([inFlight, connections.active, connections.idle], [0, 0, 0]);
});

test("the books are right after every way in which a request can end", async () => {
  await using opened = await open({ handlerTimeout: 100, maxBodyBytes: 100 }, (req, res) => {
    if (req.url === "/throwaway") res.destroy();
    else if (req.url !== "/never") res.end("ok");
  });
  const requests = [get("/"), get("/never"), get("/throwaway"), post("/", 5), post("/", 101), post("/", 5) + "hello"];
  for (const request of requests) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await using client = await wireClient(opened.port);
    client.write(request);
    // oxlint-disable-next-line no-await-in-loop -- as above
    await client.answer();
  }
  await sleep(50);

  await until(() => opened.listening.connections.size === 0);

  const { requests: counted, inFlight, deferred, connections, accepted, closed } = opened.server.stats();
  assert.deepEqual([counted, inFlight, deferred, accepted], [requests.length, 0, 0, requests.length]);
  assert.deepEqual(connections, { new: 0, active: 0, idle: 0, upgraded: 0 });
  assert.equal(
    Object.values(closed).reduce((sum, count) => sum + count, 0),
    requests.length,
  );
});

for (const [what, tail] of [
  ["a request", get("/behind")],
  ["nonsense", "nonsense\r\n\r\n"],
  ["an upgrade", get("/behind").replace("Host", "Connection: upgrade\r\nUpgrade: websocket\r\nHost")],
] as const) {
  test(`${what} that comes in one piece with the end of an upload that was given up is not heard`, async () => {
    const served: (string | undefined)[] = [];
    await using opened = await open({}, (req, res) => {
      served.push(req.url);
      res.end("early");
    });
    opened.server.on("upgrade", (req: IncomingMessage) => served.push(req.url));
    await using client = await wireClient(opened.port);
    client.write("POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert.equal((await client.answer())?.body, "early");

    // With the last byte of the chunk it is more than is read on after an answer.
    client.write(`40001\r\n${"x".repeat(0x40001)}\r\n0\r\n\r\n${tail}`);
    await client.end();

    await until(() => opened.server.stats().closed.answered === 1);
    assert.deepEqual(served, ["/upload"]);
    assert.deepEqual([client.answers, client.rest, client.error], [[], "", undefined]);
    const { badRequests, requests, rejected } = opened.server.stats();
    assert.deepEqual([badRequests, requests, rejected.upgraded], [0, 1, 0]);
  });
}

test("more than 256 KB of an upload of unknown length are not read on after its answer", async () => {
  await using opened = await open({}, (_req, res) => void res.end("early"));
  await using client = await wireClient(opened.port);
  client.write("POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  assert.equal((await client.answer())?.body, "early");
  const from = performance.now();

  client.write(`40000\r\n${"x".repeat(0x40000)}\r\n`);
  await sleep(50);
  assert.equal(client.ended, false);
  client.write("1\r\nx\r\n");
  await client.end();

  assert.equal(client.error, undefined);
  assert.ok(performance.now() - from < 1_500, "it was the time that ended it");
});

/** What a real browser makes of our streams: its own `EventSource` and `WebSocket`. */

import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { after, before, test, type TestContext } from "node:test";
import { chromium, type Browser, type Page } from "playwright-core";
import { webSockets } from "sluice/adapters/ws";
import { Registry } from "sluice/core";
import { createServer, type Guarded } from "sluice/server";
import { SseChannel, Streams, type SseOptions, type StreamsOptions } from "sluice/streams";
import { serverCertificate } from "./support/certificates.ts";
import { findProgram, requirement } from "./support/require.ts";

/** One for all tests: it takes a second to start. */
let browser: Browser | undefined;

before(async () => {
  const executablePath = findProgram(process.env["PATH"] ?? "", ["chromium", "chromium-browser", "google-chrome"]);
  if (executablePath === undefined) return;
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
});
after(() => browser?.close());

async function openPage(t: TestContext): Promise<Page | undefined> {
  if (requirement(t, "chromium") === undefined || browser === undefined) return undefined;
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  t.after(() => context.close());
  return context.newPage();
}

interface Setup {
  readonly port?: number;
  readonly http2?: boolean;
  readonly sse?: SseOptions;
  readonly group?: StreamsOptions;
  readonly channel?: SseChannel;
}

/** A server with a page at `/` and an event stream at `/events`. */
async function serve({ port = 0, http2 = false, sse = {}, group = {}, channel = new SseChannel() }: Setup = {}) {
  const streams = new Streams({ registry: new Registry(), drain: { retry: "500ms" }, ...group });
  const handle = (req: IncomingMessage, res: ServerResponse): void => {
    if (req.url === "/events") streams.sse(req, res, { channel, retry: "100ms", ...sse });
    else res.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>page</title>");
  };
  const limits = { registry: new Registry(), drain: { grace: "2s" } } as const;
  const server = http2
    ? createServer({ ...limits, tls: serverCertificate, http2: true }, handle)
    : createServer(limits, handle);
  await once(server.listen(port, "127.0.0.1"), "listening");
  const address = server.address();
  const at = typeof address === "object" && address !== null ? address.port : 0;
  return {
    server,
    streams,
    channel,
    port: at,
    breakAll() {
      if ("closeAllConnections" in server) server.closeAllConnections();
    },
    origin: `${http2 ? "https" : "http"}://127.0.0.1:${at}`,
    async [Symbol.asyncDispose]() {
      await (server as Guarded).drain();
    },
  };
}

/** What the page keeps of its stream. */
interface Seen {
  readonly data: string[];
  readonly gaps: string[];
  errors: number;
  opens: number;
}

/** Opens the page, and a stream in it. */
async function listenIn(page: Page, origin: string): Promise<void> {
  await page.goto(`${origin}/`);
  await page.evaluate(() => {
    const seen: Seen = { data: [], gaps: [], errors: 0, opens: 0 };
    const source = new EventSource("/events");
    source.addEventListener("open", () => (seen.opens += 1));
    source.addEventListener("error", () => (seen.errors += 1));
    source.addEventListener("message", ({ data }) => seen.data.push(String(data)));
    // The types of Node know a message by its name alone.
    source.addEventListener("gap", (event) => seen.gaps.push(String(Reflect.get(event, "data"))));
    Object.assign(globalThis, { seen, source });
  });
}

function look(page: Page): Promise<Seen> {
  return page.evaluate(() => (globalThis as unknown as { seen: Seen }).seen);
}

async function waitFor(page: Page, count: number): Promise<Seen> {
  await page.waitForFunction((least) => (globalThis as unknown as { seen: Seen }).seen.data.length >= least, count, {
    timeout: 15_000,
  });
  return look(page);
}

const numbers = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, at) => String(from + at));

for (const http2 of [false, true]) {
  test(`EventSource gets all events in order (${http2 ? "HTTP/2" : "HTTP/1"})`, async (t) => {
    const page = await openPage(t);
    if (page === undefined) return;
    await using made = await serve({ http2 });
    await listenIn(page, made.origin);
    await page.waitForFunction(() => (globalThis as unknown as { seen: Seen }).seen.opens === 1);

    for (let number = 0; number < 2_000; number += 1) made.channel.send({ data: number });
    const seen = await waitFor(page, 2_000);

    assert.deepEqual(seen.data, numbers(0, 2_000));
  });
}

test("EventSource whose connections break resumes each time, without a gap and without a repeat", async (t) => {
  const page = await openPage(t);
  if (page === undefined) return;
  await using made = await serve();
  await listenIn(page, made.origin);
  await page.waitForFunction(() => (globalThis as unknown as { seen: Seen }).seen.opens === 1);

  // Broken at once, before the first event, and in the middle of many.
  for (let round = 0; round < 5; round += 1) {
    made.breakAll();
    for (let number = 0; number < 20; number += 1) made.channel.send({ data: round * 20 + number });
    await waitFor(page, round * 20 + 20);
  }
  const seen = await look(page);

  assert.deepEqual(seen.data, numbers(0, 100));
  assert.deepEqual(seen.gaps, []);
  assert.ok(seen.opens >= 5 && seen.errors >= 5, `${seen.opens} connections`);
  assert.ok(made.streams.stats().replayed >= 80);
});

test("EventSource comes to the next server after a drain, and misses nothing", async (t) => {
  const page = await openPage(t);
  if (page === undefined) return;
  const channel = new SseChannel();
  const first = await serve({ channel });
  await listenIn(page, first.origin);
  await page.waitForFunction(() => (globalThis as unknown as { seen: Seen }).seen.opens === 1);
  for (let number = 0; number < 10; number += 1) channel.send({ data: number });
  await waitFor(page, 10);

  const { cut } = await first.server.drain();
  for (let number = 10; number < 20; number += 1) channel.send({ data: number });
  await using _second = await serve({ channel, port: first.port });
  const seen = await waitFor(page, 20);

  assert.equal(cut, 0);
  assert.deepEqual(seen.data, numbers(0, 20));
  assert.deepEqual(seen.gaps, []);
});

test("EventSource that is refused comes again by itself, and gives up for good at a 503", async (t) => {
  const page = await openPage(t);
  if (page === undefined) return;
  await using full = await serve({ group: { maxStreams: 0, refusal: "status" } });
  await using draining = await serve();
  await draining.streams.drain();

  await listenIn(page, full.origin);
  await page.waitForFunction(() => (globalThis as unknown as { source: EventSource }).source.readyState === 2);
  await listenIn(page, draining.origin);
  await page.waitForFunction(() => (globalThis as unknown as { seen: Seen }).seen.opens >= 3);

  assert.equal(full.streams.stats().rejected.limit, 1);
  assert.ok(draining.streams.stats().rejected.draining >= 3);
});

test("WebSocket reads why it was closed: 1001 at a drain, 1013 when there is no room", async (t) => {
  const page = await openPage(t);
  if (page === undefined) return;
  await using made = await serve();
  const sockets = webSockets(made.server, { path: "/socket", maxConns: 1, registry: new Registry() }, (connection) => {
    connection.socket.on("message", (data: Buffer) => connection.send(`echo ${String(data)}`));
  });
  await page.goto(`${made.origin}/`);
  const open = (): Promise<void> =>
    page.evaluate(async (url) => {
      const socket = new WebSocket(url);
      const messages: string[] = [];
      const codes: number[] = [];
      socket.addEventListener("message", ({ data }) => messages.push(String(data)));
      const opened = Promise.withResolvers<void>();
      socket.addEventListener("open", () => opened.resolve());
      socket.addEventListener("close", ({ code }) => codes.push(code));
      const all = (globalThis as unknown as { all?: unknown[] }).all ?? [];
      all.push({ messages, codes, socket });
      Object.assign(globalThis, { all });
      await opened.promise;
    }, `ws://127.0.0.1:${made.port}/socket`);
  type Kept = { readonly messages: string[]; readonly codes: number[]; readonly socket: WebSocket };
  const kept = (index: number): Promise<Pick<Kept, "messages" | "codes">> =>
    page.evaluate((at) => {
      const { messages, codes } = (globalThis as unknown as { all: Kept[] }).all[at] ?? { messages: [], codes: [] };
      return { messages, codes };
    }, index);

  await open();
  await page.evaluate(() => (globalThis as unknown as { all: Kept[] }).all[0]?.socket.send("hello"));
  await page.waitForFunction(() => (globalThis as unknown as { all: Kept[] }).all[0]?.messages.length === 1);
  await open();
  await page.waitForFunction(() => (globalThis as unknown as { all: Kept[] }).all[1]?.codes.length === 1);
  const second = await kept(1);
  await made.server.drain();
  await page.waitForFunction(() => (globalThis as unknown as { all: Kept[] }).all[0]?.codes.length === 1);
  const first = await kept(0);

  assert.deepEqual(first, { messages: ["echo hello"], codes: [1_001] });
  assert.deepEqual(second, { messages: [], codes: [1_013] });
  assert.equal(sockets.stats().rejected.limit, 1);
});

/**
 * The limits of a server whose event loop stands still for 300 ms of every second: they are met as soon as the loop
 * turns again, and nobody is cut who was in time but whom nobody could hear.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { ServerOptions } from "sluice/server";
import { blockedMs, everyMs, type BlockedServerData, type BlockedServerMessage } from "./support/blocked-server.ts";
import { SlowClient, type Peer, type SlowClientOptions } from "./support/slow-clients.ts";
import { until } from "./support/loopback.ts";
import { LagMeter } from "./support/transport-checks.ts";

const get = (path = "/"): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
const post = (length: number, path = "/"): string =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`;

type Reply<Key extends string> = Extract<BlockedServerMessage, Readonly<Record<Key, unknown>>>;

/** The thread, and what it has said. */
class BlockedServer implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #secure: boolean;
  readonly #waiting = new Map<string, PromiseWithResolvers<BlockedServerMessage>>();
  port = 0;
  /** The longest standstill so far. */
  longestMs = blockedMs;

  constructor(limits: ServerOptions, secure: boolean) {
    const data: BlockedServerData = { limits, secure };
    this.#secure = secure;
    this.#worker = new Worker(new URL("support/blocked-server.ts", import.meta.url), { workerData: data });
    this.#worker.on("message", (message: BlockedServerMessage) => {
      if ("tookMs" in message) this.longestMs = Math.max(this.longestMs, message.tookMs);
      for (const key of Object.keys(message)) {
        this.#waiting.get(key)?.resolve(message);
        this.#waiting.delete(key);
      }
    });
  }

  static async start(limits: ServerOptions, secure = false): Promise<BlockedServer> {
    const server = new BlockedServer(limits, secure);
    server.port = (await server.hear("port")).port;
    return server;
  }

  get peer(): Peer {
    return { port: this.port, secure: this.#secure };
  }

  /** The next message of a kind. */
  async hear<Key extends "port" | "blocked" | "timeouts" | "drained">(key: Key): Promise<Reply<Key>> {
    const waiting = this.#waiting.get(key) ?? Promise.withResolvers<BlockedServerMessage>();
    this.#waiting.set(key, waiting);
    // It is resolved with messages that have the key.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return (await waiting.promise) as Reply<Key>;
  }

  #ask(verb: "stats" | "drain"): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that is of windows, this is a thread
    this.#worker.postMessage(verb);
  }

  async timeouts(): Promise<Readonly<Record<string, number>>> {
    const answer = this.hear("timeouts");
    this.#ask("stats");
    return (await answer).timeouts;
  }

  async drain(): Promise<Reply<"drained">["drained"]> {
    const answer = this.hear("drained");
    this.#ask("drain");
    return (await answer).drained;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }
}

const limitMs = 500;
const rate = { bytesPerSecond: 240, grace: limitMs };

interface Offender {
  readonly name: string;
  readonly kind: string;
  readonly limits: ServerOptions;
  readonly sends: string;
  readonly client?: SlowClientOptions;
  /** Connects without the handshake. */
  readonly raw?: boolean;
}

const offenders: readonly Offender[] = [
  { name: "says nothing", kind: "read_header", limits: { readHeaderTimeout: limitMs }, sends: "" },
  { name: "sends half a header", kind: "read_header", limits: { readHeaderTimeout: limitMs }, sends: "GET / HT" },
  { name: "sends half a body", kind: "read", limits: { readTimeout: limitMs }, sends: `${post(10)}half` },
  { name: "sends a body too slowly", kind: "read_rate", limits: { minRequestRate: rate }, sends: `${post(10)}half` },
  { name: "is not answered", kind: "handler", limits: { handlerTimeout: limitMs }, sends: get("/never") },
  { name: "stays idle", kind: "idle", limits: { idleTimeout: limitMs }, sends: get() },
  { name: "does not shake hands", kind: "tls", limits: { tlsHandshakeTimeout: limitMs }, sends: "", raw: true },
];

async function assertMet({ name, kind, limits, sends, raw = false }: Offender, secure: boolean): Promise<void> {
  await using server = await BlockedServer.start(limits, secure);
  using lag = new LagMeter();
  await using client = await SlowClient.open(raw ? { port: server.port } : server.peer);
  const from = performance.now();
  client.write(sends);

  await (kind === "handler" ? until(() => client.isComplete) : client.gone);

  // The limit may begin at the end of a standstill, and run out in another.
  const tookMs = performance.now() - from;
  const mostMs = limitMs + 2 * server.longestMs + 100 + lag.totalMs;
  assert.ok(tookMs >= limitMs - 20 && tookMs <= mostMs, `who ${name}: ${tookMs} ms, at most ${mostMs} ms`);
  // Without a handshake there is nobody to whom a reset could hide an answer.
  if (!raw) assert.notEqual(client.error, "ECONNRESET", `who ${name}`);
  assert.equal((await server.timeouts())[kind], 1, `who ${name}`);
}

for (const secure of [false, true]) {
  test(`${secure ? "https" : "http"}: each limit is met when the loop turns again`, async () => {
    const those = offenders.filter(({ raw = false }) => secure || !raw);
    await Promise.all(those.map((offender) => assertMet(offender, secure)));
  });
}

test("who does not read is cut when the loop turns again, by writeTimeout or by rate", async () => {
  for (const [kind, limits] of [
    ["write", { writeTimeout: limitMs }],
    ["write_rate", { minResponseRate: rate }],
  ] as const) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await using server = await BlockedServer.start(limits);
    using lag = new LagMeter();
    // oxlint-disable-next-line no-await-in-loop -- as above
    await using client = await SlowClient.open(server.peer, { reads: false });
    const from = performance.now();
    client.write(get("/big"));
    // Twice the grace: how long the kernel is waited for, where a rate is in question.
    const mostMs = 2 * limitMs + 2 * blockedMs + 200;

    // oxlint-disable-next-line no-await-in-loop -- as above
    while ((await server.timeouts())[kind] === 0 && performance.now() - from < mostMs + lag.totalMs) await sleep(20);

    // oxlint-disable-next-line no-await-in-loop -- as above
    assert.equal((await server.timeouts())[kind], 1, `${kind}: not within ${performance.now() - from} ms`);
    client.readOn();
    // oxlint-disable-next-line no-await-in-loop -- as above
    await client.gone;
    assert.deepEqual([client.isComplete, client.error], [false, "ECONNRESET"]);
  }
});

test("what reached the machine in time is served, though the loop could not see it before the limit was over", async () => {
  const limits: ServerOptions = {
    readHeaderTimeout: shortMs,
    readTimeout: shortMs,
    idleTimeout: shortMs,
    minRequestRate: { bytesPerSecond: 240, grace: shortMs },
  };
  const cases = [
    ["a header", "GET / HTTP/1.1\r\nHo", "st: a\r\n\r\n"],
    ["a body", `${post(10)}half`, " whole"],
    ["a request on an idle connection", get(), get()],
    ["a first request", "", get()],
  ] as const;
  for (const secure of [false, true]) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await using server = await BlockedServer.start(limits, secure);
    // oxlint-disable-next-line no-await-in-loop -- as above
    await Promise.all(cases.map(([name, before, inTime]) => assertServed(server, name, { before, inTime })));
  }
});

async function assertServed(
  server: BlockedServer,
  name: string,
  sends: { readonly before: string; readonly inTime: string },
): Promise<void> {
  await using client = await sendInTime(server, sends);
  const answers = sends.before === get() ? 2 : 1;
  const count = (): number => client.text.split("HTTP/1.1 200").length - 1;
  await until(() => count() === answers);
  assert.equal(count(), answers, `${name}: ${client.text} ${client.error}`);
}

const shortMs = 200;

/**
 * A client that has sent `before` shortly before a standstill, and `inTime` shortly after it began. This thread may be
 * late for that, and tries again then.
 */
async function sendInTime(
  server: BlockedServer,
  { before, inTime }: { readonly before: string; readonly inTime: string },
): Promise<SlowClient> {
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- one standstill after the other
    const last = await server.hear("blocked");
    // oxlint-disable-next-line no-await-in-loop -- as above
    await sleep(last.blocked + everyMs - 60 - Date.now());
    const next = server.hear("blocked");
    // oxlint-disable-next-line no-await-in-loop -- as above
    const client = await SlowClient.open(server.peer);
    const from = Date.now();
    client.write(before);
    // oxlint-disable-next-line no-await-in-loop -- as above
    const { blocked } = await next;
    // oxlint-disable-next-line no-await-in-loop -- as above
    await sleep(40);
    const at = Date.now();
    client.write(inTime);
    if (from < blocked - 20 && at - from < shortMs - 50 && at < blocked + blockedMs - 50) return client;
    // oxlint-disable-next-line no-await-in-loop -- as above
    await client[Symbol.asyncDispose]();
  }
}

test("a drain of such a server ends, with what was in flight answered and what never ends cut", async () => {
  using lag = new LagMeter();
  const grace = 700;
  await using server = await BlockedServer.start({ drain: { settle: 100, grace } });
  await using answered = await SlowClient.open(server.peer);
  await using stuck = await SlowClient.open(server.peer);
  stuck.write(get("/never"));
  answered.write(post(4));
  await server.hear("blocked");

  const draining = server.drain();
  answered.write("body");
  await until(() => answered.isComplete);
  const { tookMs, cut } = await draining;

  assert.deepEqual([answered.status, cut], [200, 1]);
  // To settle, the grace, and a quarter of a second for last words: each may end in a standstill, and the closing too.
  const mostMs = 100 + grace + 250 + 4 * server.longestMs + 100 + lag.totalMs;
  assert.ok(tookMs >= 100 + grace - 1 && tookMs <= mostMs, `${tookMs} ms, at most ${mostMs} ms`);
  await stuck.gone;
  assert.equal(stuck.error, "ECONNRESET");
});

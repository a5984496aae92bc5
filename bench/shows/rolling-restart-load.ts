/**
 * The load of the rolling restart: requests at a constant rate whatever becomes of them (an open loop), over
 * connections that are kept open, and event streams that are opened again as soon as they end.
 *
 * It is made with `node:http`, which never sends a request twice: what an instance or a proxy loses is seen.
 */

import { createHash } from "node:crypto";
import { Agent, request } from "node:http";
import type { ClientRequest, IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../support/random.ts";

/** What is asked for: an answer, a small body sent at once, a large one sent in pieces, an event stream. */
export const kinds = ["GET", "POST", "slow POST", "stream"] as const;
export type Kind = (typeof kinds)[number];

export interface LoadSize {
  /** Requests in a second, on average: the moments are random. */
  readonly gets: number;
  readonly posts: number;
  readonly slowPosts: number;
  /** Event streams that are open at any time. */
  readonly streams: number;
}

export interface Failure {
  readonly kind: Kind;
  readonly reason: string;
  /** On the monotonic clock. */
  readonly sentAt: number;
  readonly failedAt: number;
}

export interface Tally {
  sent: number;
  done: number;
  slowestMs: number;
}

const patienceMs = 15_000;
const tickMs = 2;
const slowPieces = 10;
const slowPieceMs = 80;
const smallBody = Buffer.alloc(8_192, "small ");
const largePiece = Buffer.alloc(32_768, "large ");
const smallDigest = digestOf(smallBody);
const largeDigest = digestOf(Buffer.concat(Array.from({ length: slowPieces }, () => largePiece)));

function digestOf(body: Buffer): string {
  return createHash("sha1").update(body).digest("hex");
}

/** Invariant: what was sent is done, failed, or in `#underWay`. */
export class Load {
  readonly tallies: Readonly<Record<Kind, Tally>> = {
    GET: { sent: 0, done: 0, slowestMs: 0 },
    POST: { sent: 0, done: 0, slowestMs: 0 },
    "slow POST": { sent: 0, done: 0, slowestMs: 0 },
    stream: { sent: 0, done: 0, slowestMs: 0 },
  };
  readonly failures: Failure[] = [];
  readonly #origin: string;
  readonly #random: Random;
  readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: 1_000 });
  readonly #underWay = new Set<Promise<void>>();
  readonly #open = new Set<ClientRequest>();
  readonly #seen = new Map<string, number>();
  readonly #ticking: NodeJS.Timeout;
  #stopped = false;

  constructor(origin: string, size: LoadSize, random: Random) {
    this.#origin = origin;
    this.#random = random;
    const rates = [
      { kind: "GET", rate: size.gets },
      { kind: "POST", rate: size.posts },
      { kind: "slow POST", rate: size.slowPosts },
    ] as const;
    const now = performance.now();
    const arrivals = rates.map(({ kind, rate }) => ({ kind, rate, nextAt: now + this.#pause(rate) }));
    this.#ticking = setInterval(() => {
      for (const arrival of arrivals) {
        while (arrival.nextAt <= performance.now()) {
          arrival.nextAt += this.#pause(arrival.rate);
          this.#track(this.#do(arrival.kind));
        }
      }
    }, tickMs);
    for (let stream = 0; stream < size.streams; stream += 1) this.#track(this.#keepStreaming());
  }

  /** Answers that came from one start of one instance, by its name. */
  answersOf(instance: string): number {
    return this.#seen.get(instance) ?? 0;
  }

  /** Sends nothing more, waits for what is under way, and leaves the streams. */
  async stop(): Promise<void> {
    clearInterval(this.#ticking);
    this.#stopped = true;
    for (const stream of this.#open) stream.destroy();
    await Promise.all(this.#underWay);
    this.#agent.destroy();
  }

  /** Exponential: as many users who know nothing of each other. */
  #pause(rate: number): number {
    return (-Math.log(1 - this.#random.next()) / rate) * 1000;
  }

  #track(work: Promise<void>): void {
    this.#underWay.add(work);
    void work.finally(() => this.#underWay.delete(work));
  }

  async #keepStreaming(): Promise<void> {
    while (!this.#stopped) {
      const failed = this.failures.length;
      // oxlint-disable-next-line no-await-in-loop
      await this.#do("stream");
      // What fails at once would be tried a thousand times in a second.
      // oxlint-disable-next-line no-await-in-loop
      if (this.failures.length > failed) await sleep(50);
    }
  }

  async #do(kind: Kind): Promise<void> {
    const tally = this.tallies[kind];
    const sentAt = performance.now();
    tally.sent += 1;
    const reason = await this.#outcomeOf(kind, tally.sent);
    if (kind === "stream" && this.#stopped) {
      tally.sent -= 1;
      return;
    }
    const endedAt = performance.now();
    if (reason === undefined) tally.done += 1;
    else this.failures.push({ kind, reason, sentAt, failedAt: endedAt });
    if (kind !== "stream") tally.slowestMs = Math.max(tally.slowestMs, endedAt - sentAt);
  }

  /** Why it failed; `undefined` if it was served whole. */
  async #outcomeOf(kind: Kind, id: number): Promise<string | undefined> {
    const paths = { GET: `/items/${id}`, POST: `/uploads/small-${id}`, "slow POST": `/uploads/slow-${id}`, stream: "/events" }; // prettier-ignore
    const method = kind === "GET" || kind === "stream" ? "GET" : "POST";
    const sending = request(this.#origin + paths[kind], { method, agent: this.#agent });
    if (kind === "stream") this.#open.add(sending);
    const answering = this.#read(sending, kind);
    const rest = kind === "slow POST" ? sendSlowly(sending) : undefined;
    if (kind === "POST") sending.end(smallBody);
    else if (kind !== "slow POST") sending.end();
    try {
      const { status, body } = await answering;
      if (status !== 200) return `status ${status}`;
      return checkBody(kind, paths[kind], body);
    } catch (error) {
      sending.destroy();
      if (!(error instanceof Error)) return String(error);
      return "code" in error ? String(error.code) : error.message;
    } finally {
      this.#open.delete(sending);
      await rest;
    }
  }

  #read(sending: ClientRequest, kind: Kind): Promise<{ readonly status: number | undefined; readonly body: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number | undefined; body: string }>();
    const late = setTimeout(() => reject(new Error("no answer")), patienceMs);
    sending.on("error", reject);
    sending.on("response", (answer: IncomingMessage) => {
      clearTimeout(late);
      const instance = String(answer.headers["x-instance"] ?? "none");
      this.#seen.set(instance, this.answersOf(instance) + 1);
      let body = "";
      answer.setEncoding("latin1");
      // Of a stream only the end is looked at.
      answer.on("data", (text: string) => (body = kind === "stream" ? (body + text).slice(-64) : body + text));
      answer.on("error", () => reject(new Error("cut")));
      answer.on("end", () => resolve({ status: answer.statusCode, body }));
    });
    return promise.finally(() => clearTimeout(late));
  }
}

/** A few hundred kilobytes in nearly a second, as from a telephone. Stops when there is no use in it any more. */
async function sendSlowly(sending: ClientRequest): Promise<void> {
  sending.setHeader("content-length", slowPieces * largePiece.length);
  for (let piece = 0; piece < slowPieces && !sending.destroyed; piece += 1) {
    sending.write(largePiece);
    // oxlint-disable-next-line no-await-in-loop
    await sleep(slowPieceMs);
  }
  if (!sending.destroyed) sending.end();
}

function checkBody(kind: Kind, path: string, body: string): string | undefined {
  const isWhole: Readonly<Record<Kind, boolean>> = {
    GET: body.startsWith(path) && body.endsWith("\n"),
    POST: body === smallDigest,
    "slow POST": body === largeDigest,
    stream: body.endsWith("event: end\ndata:\n\n"),
  };
  if (isWhole[kind]) return undefined;
  return kind === "stream" ? "no closing event" : "wrong answer";
}

/**
 * Whether a body comes in, or goes out, as fast as it must.
 *
 * A stretch of time ends well as soon as the bytes of a whole grace have passed in it, and badly when the grace is over
 * first: an average since the beginning would let a client that was fast once be as slow as it likes. Only waiting for
 * the client counts. While the handler does not read, or nothing is left to send, stretches begin anew.
 *
 * Nobody counts bytes as they pass. It looks at the totals: soon after the start, which is when a client that reads
 * nothing has filled the buffers between; a few times in each grace while there is movement; else at its end. What the
 * client has read is not seen before the kernel knows: see `send-queues.ts`. It says so in steps of a segment or of a
 * sixteenth of the client's buffer, whichever is more; a client that takes longer than the grace for one is cut.
 */

import type { IncomingMessage } from "node:http";
import type { Carrier } from "./exchange.ts";
import type { SendQueues } from "./send-queues.ts";
import type { ResolvedDataRate } from "./server-options.ts";

interface Rates {
  readonly minRequestRate: ResolvedDataRate;
  readonly minResponseRate: ResolvedDataRate;
}

/** In shares of the grace. The first one is late enough that nearly every request has ended by then. */
const firstLook = 1 / 32;
const movingLook = 1 / 8;
const quietLook = 1 / 4;
/**
 * When the kernel is asked about a client that seems to stand still, twice: what it knows of early in a stretch, and of
 * late. It takes a while to tell, 30 ms of 10,000 connections, so the second time comes before the end.
 */
const earlySample = 1 / 8;
const lateSample = 7 / 8;
/** How soon it asks again for what is being found out: the next wake-up of the wheel. */
const soonMs = 1;

/** When a new watch first has to look, from the start of what it watches. */
export function firstLookMs({ bytesPerSecond, grace }: ResolvedDataRate): number {
  return bytesPerSecond > 0 ? grace * firstLook : Infinity;
}

/** How it looks at the end of a stretch. `unsure` asks to look again soon. */
type Verdict = "fine" | "slow" | "unsure";

/** Invariant: since `#since`, when the total was `#bytes`, fewer bytes have passed than must in a grace. */
class Stretch {
  nextAt: number;
  readonly #rate: ResolvedDataRate;
  #since: number;
  #bytes: number;
  #isFirst = true;

  constructor(rate: ResolvedDataRate, since: number, bytes: number) {
    this.#rate = rate;
    this.#since = since;
    this.#bytes = bytes;
    this.nextAt = since + firstLookMs(rate);
  }

  get isWatched(): boolean {
    return this.#rate.bytesPerSecond > 0;
  }

  get endsAt(): number {
    return this.#since + this.#rate.grace;
  }

  /** A point in it, by the share of the grace that is over. */
  pointAt(share: number): number {
    return this.#since + share * this.#rate.grace;
  }

  /** Bytes that must pass in so much time. */
  bytesIn(ms: number): number {
    return (this.#rate.bytesPerSecond * ms) / 1_000;
  }

  hasPassed(bytes: number): boolean {
    return bytes - this.#bytes >= this.bytesIn(this.#rate.grace);
  }

  lookAgain(at: number, lookIn: number): void {
    this.nextAt = Math.min(at + lookIn * this.#rate.grace, this.endsAt);
  }

  begin(at: number, bytes: number, lookIn: number): void {
    // What has gone out before the very first look has filled the buffers on the way: nobody has read it yet.
    if (!this.#isFirst || at > this.pointAt(2 * firstLook)) this.#since = at;
    this.#isFirst = false;
    this.#bytes = bytes;
    this.nextAt = at + lookIn * this.#rate.grace;
  }
}

/** What the other side had acknowledged at some moment. Only differences mean something. */
interface Sample {
  readonly at: number;
  readonly ackedBytes: number;
}

export class RateWatch {
  readonly #read: Stretch;
  readonly #write: Stretch;
  readonly #sendQueues: SendQueues;
  /** Taken early in a stretch of writing in which nothing moves. */
  #sample: Sample | undefined;

  constructor(rates: Rates, sendQueues: SendQueues, start: { readonly at: number; readonly readBytes: number }) {
    this.#sendQueues = sendQueues;
    this.#read = new Stretch(rates.minRequestRate, start.at, start.readBytes);
    this.#write = new Stretch(rates.minResponseRate, start.at, 0);
  }

  /** When to look next; `reads` says whether a body is still coming. */
  nextAt(reads: boolean): number {
    return Math.min(this.#write.nextAt, reads ? this.#read.nextAt : Infinity);
  }

  /** What is too slow, if anything. `req` is the request while its body is still coming. */
  look(at: number, carrier: Carrier, req: IncomingMessage | undefined): "read_rate" | "write_rate" | undefined {
    if (req !== undefined && this.#isReadingSlow(at, carrier, req)) return "read_rate";
    return this.#isWritingSlow(at, carrier) ? "write_rate" : undefined;
  }

  #isReadingSlow(at: number, { readBytes }: Carrier, req: IncomingMessage): boolean {
    const stretch = this.#read;
    if (!stretch.isWatched) return false;
    if (isHeldBack(req) || stretch.hasPassed(readBytes)) {
      stretch.begin(at, readBytes, movingLook);
      return false;
    }
    // Often enough not to miss that the handler holds it back in between.
    stretch.lookAgain(at, movingLook);
    return at >= stretch.endsAt;
  }

  #isWritingSlow(at: number, carrier: Carrier): boolean {
    const stretch = this.#write;
    if (!stretch.isWatched) return false;
    const { sentBytes } = carrier;
    const waits = carrier.unsentBytes > 0;
    if (!waits || stretch.hasPassed(sentBytes)) {
      this.#sample = undefined;
      stretch.begin(at, sentBytes, waits ? movingLook : quietLook);
      return false;
    }
    const verdict = at < stretch.endsAt ? this.#watchQueue(at, carrier) : this.#judge(at, carrier);
    if (verdict === "unsure") stretch.nextAt = at + soonMs;
    return verdict === "slow";
  }

  /** Nothing has moved yet, as far as can be seen from here: what the kernel knows now is what the end is compared with. */
  #watchQueue(at: number, carrier: Carrier): Verdict {
    const stretch = this.#write;
    const sampleAt = stretch.pointAt(earlySample);
    const askAt = stretch.pointAt(lateSample);
    stretch.nextAt = at < askAt ? askAt : stretch.endsAt;
    if (!this.#sendQueues.isReadable || carrier.descriptor < 0) return "fine";
    if (at >= askAt) this.#take(askAt, carrier);
    if (this.#sample !== undefined) return "fine";
    if (at < sampleAt) {
      stretch.nextAt = sampleAt;
      return "fine";
    }
    const sample = this.#take(sampleAt, carrier);
    if (sample === "later") return "unsure";
    this.#sample = sample;
    return "fine";
  }

  #judge(at: number, carrier: Carrier): Verdict {
    const stretch = this.#write;
    const first = this.#sample;
    const last = this.#take(stretch.pointAt(lateSample), carrier);
    // Every wait has an end.
    if (last === "later") return at < stretch.pointAt(2) ? "unsure" : "slow";
    if (last === undefined) return "slow";
    const ackedBytes = first === undefined ? Infinity : last.ackedBytes - first.ackedBytes;
    if (ackedBytes < stretch.bytesIn(last.at - (first?.at ?? 0))) return "slow";
    this.#sample = last;
    stretch.begin(at, carrier.sentBytes, 1);
    return "fine";
  }

  #take(since: number, { descriptor, sentBytes }: Carrier): Sample | "later" | undefined {
    if (descriptor < 0) return undefined;
    const queue = this.#sendQueues.look(descriptor, since);
    if (queue === undefined || queue === "later") return queue;
    return { at: queue.takenAt, ackedBytes: sentBytes - queue.unackedBytes };
  }
}

/** Whether it is the handler that does not read on. */
function isHeldBack(req: IncomingMessage): boolean {
  return req.readableLength >= req.readableHighWaterMark;
}

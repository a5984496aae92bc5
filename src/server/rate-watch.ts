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
import type { SendQueue, SendQueues } from "./send-queues.ts";
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
 * When the kernel is asked about a client that seems to stand still: early in a stretch and late, so that what it says
 * can be compared; and how soon again, while it has not answered yet.
 */
const earlySample = 1 / 8;
const lateSample = 7 / 8;
const nextTry = 1 / 16;
/** How far two answers must be apart to prove that a client does not move. */
const leastApart = 3 / 8;

/** When a new watch first has to look, from the start of what it watches. */
export function firstLookMs({ bytesPerSecond, grace }: ResolvedDataRate): number {
  return bytesPerSecond > 0 ? grace * firstLook : Infinity;
}

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

  get since(): number {
    return this.#since;
  }

  get grace(): number {
    return this.#rate.grace;
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

/** What the other side had acknowledged when the kernel told. What goes out meanwhile may have gone before or after. */
interface Sample {
  readonly toldAt: number;
  readonly leastAckedBytes: number;
  readonly mostAckedBytes: number;
}

/** Where a watch begins: the time, and the totals by then. */
interface WatchStart {
  readonly at: number;
  readonly readBytes: number;
  readonly wireBytes: number;
}

export class RateWatch {
  readonly #read: Stretch;
  readonly #write: Stretch;
  readonly #sendQueues: SendQueues;
  /** Taken early in a stretch of writing in which nothing seems to move. */
  #first: Sample | undefined;
  /** What the connection had sent at the beginning of the stretch, and when some of it was last of this exchange. */
  #wireAtBegin: number;
  #wireAtMove: number;
  #isConnectionMoving = false;

  constructor(rates: Rates, sendQueues: SendQueues, start: WatchStart) {
    this.#sendQueues = sendQueues;
    this.#wireAtBegin = start.wireBytes;
    this.#wireAtMove = start.wireBytes;
    this.#read = new Stretch(rates.minRequestRate, start.at, start.readBytes);
    this.#write = new Stretch(rates.minResponseRate, start.at, 0);
  }

  /** Of an answer that was found too slow: whether the connection moves all the same, with the answers of others. */
  get isConnectionMoving(): boolean {
    return this.#isConnectionMoving;
  }

  /** When to look next: at a body that is still coming (`reads`), at the answer (`writes`). */
  nextAt(reads: boolean, writes: boolean): number {
    return Math.min(writes ? this.#write.nextAt : Infinity, reads ? this.#read.nextAt : Infinity);
  }

  /** Whether the answer is. */
  isWritingSlow(at: number, carrier: Carrier): boolean {
    const isSlow = this.#isWritingSlow(at, carrier);
    if (isSlow && carrier.wireBytes > this.#wireAtBegin) this.#isConnectionMoving = true;
    return isSlow;
  }

  /** Whether the body of a request is too slow, which is still coming. */
  isReadingSlow(at: number, { readBytes }: Carrier, req: IncomingMessage): boolean {
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
      this.#first = undefined;
      this.#wireAtBegin = carrier.wireBytes;
      this.#wireAtMove = carrier.wireBytes;
      stretch.begin(at, sentBytes, waits ? movingLook : quietLook);
      return false;
    }
    const asksKernel = this.#sendQueues.isReadable && carrier.descriptor >= 0;
    if (at >= stretch.endsAt) return !asksKernel || this.#hasStoodStill(at, carrier);
    stretch.nextAt = asksKernel ? this.#askEarlyAndLate(at, carrier) : stretch.endsAt;
    return false;
  }

  /** Nothing has moved yet, as far as can be seen from here. Returns when to look again. */
  #askEarlyAndLate(at: number, carrier: Carrier): number {
    const stretch = this.#write;
    const earlyAt = stretch.pointAt(earlySample);
    if (at < earlyAt) return earlyAt;
    const lateAt = stretch.pointAt(lateSample);
    const queue = this.#first === undefined ? this.#sendQueues.look(carrier.descriptor) : undefined;
    if (queue !== undefined && queue.askedAt >= stretch.since) {
      this.#first = this.#sampleOf(queue, carrier);
    }
    if (this.#first !== undefined && at < lateAt) return lateAt;
    this.#sendQueues.refresh(stretch.grace);
    const nextAt = this.#first === undefined ? at + nextTry * stretch.grace : stretch.endsAt;
    return Math.min(nextAt, stretch.endsAt);
  }

  /** At the end of a stretch: whether the kernel has not seen it move either. */
  #hasStoodStill(at: number, carrier: Carrier): boolean {
    const stretch = this.#write;
    const first = this.#first;
    const last = this.#sendQueues.look(carrier.descriptor);
    const apartMs = first === undefined || last === undefined ? 0 : last.askedAt - first.toldAt;
    if (first !== undefined && last !== undefined && apartMs >= leastApart * stretch.grace) {
      // What has arrived since may all have been of others: only as long as some of this exchange is on its way, it counts.
      const isOnItsWay = first.mostAckedBytes < this.#wireAtMove + carrier.bytesBefore;
      const ackedBytes = carrier.wireBytes - last.unackedBytes - first.leastAckedBytes;
      this.#isConnectionMoving = ackedBytes >= Math.max(stretch.bytesIn(apartMs), 1);
      if (!isOnItsWay || !this.#isConnectionMoving) return true;
      this.#first = this.#sampleOf(last, carrier);
      this.#wireAtBegin = carrier.wireBytes;
      stretch.begin(at, carrier.sentBytes, lateSample);
      return false;
    }
    // Every wait has an end.
    if (at >= stretch.pointAt(2)) return true;
    if (first === undefined && last !== undefined && last.askedAt >= stretch.since) {
      this.#first = this.#sampleOf(last, carrier);
    }
    this.#sendQueues.refresh(stretch.grace);
    stretch.nextAt = at + nextTry * stretch.grace;
    return false;
  }

  #sampleOf({ toldAt, unackedBytes }: SendQueue, { wireBytes }: Carrier): Sample {
    return {
      toldAt,
      leastAckedBytes: this.#wireAtBegin - unackedBytes,
      mostAckedBytes: wireBytes - unackedBytes,
    };
  }
}

/** Whether it is the handler that does not read on. */
function isHeldBack(req: IncomingMessage): boolean {
  return req.readableLength >= req.readableHighWaterMark;
}

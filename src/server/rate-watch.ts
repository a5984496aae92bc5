/**
 * Whether a body comes in, or goes out, as fast as it must.
 *
 * It looks once in each grace, at the bytes of that stretch: an average since the beginning would let a client that was
 * fast once be as slow as it likes. Only waiting for the client counts. A stretch in which the handler did not read, or
 * at whose end nothing is left to send, is nobody's fault.
 */

import type { IncomingMessage } from "node:http";
import type { Carrier } from "./exchange.ts";
import type { ResolvedDataRate } from "./server-options.ts";

interface Rates {
  readonly minRequestRate: ResolvedDataRate;
  readonly minResponseRate: ResolvedDataRate;
}

/** The bytes that had passed one way at the last look, and when that was. */
class Stretch {
  readonly #rate: ResolvedDataRate;
  #since: number;
  #bytes: number;

  constructor(rate: ResolvedDataRate, since: number, bytes: number) {
    this.#rate = rate;
    this.#since = since;
    this.#bytes = bytes;
  }

  get nextAt(): number {
    return this.#rate.bytesPerSecond > 0 ? this.#since + this.#rate.grace : Infinity;
  }

  /** Whether a stretch has ended that was too slow. Begins a new one if it has. */
  endsTooSlow(at: number, bytes: number): boolean {
    if (at < this.nextAt) return false;
    const isSlow = bytes - this.#bytes < (this.#rate.bytesPerSecond * (at - this.#since)) / 1_000;
    this.#since = at;
    this.#bytes = bytes;
    return isSlow;
  }
}

export class RateWatch {
  readonly #read: Stretch;
  readonly #write: Stretch;

  constructor(rates: Rates, since: number, readBytes: number) {
    this.#read = new Stretch(rates.minRequestRate, since, readBytes);
    this.#write = new Stretch(rates.minResponseRate, since, 0);
  }

  /** When to look next; `reads` says whether a body is still coming. */
  nextAt(reads: boolean): number {
    return Math.min(this.#write.nextAt, reads ? this.#read.nextAt : Infinity);
  }

  /** What is too slow, if anything. `req` is the request while its body is still coming. */
  look(at: number, carrier: Carrier, req: IncomingMessage | undefined): "read_rate" | "write_rate" | undefined {
    if (req !== undefined && this.#read.endsTooSlow(at, carrier.readBytes) && !isHeldBack(req)) return "read_rate";
    if (this.#write.endsTooSlow(at, carrier.sentBytes) && carrier.unsentBytes > 0) return "write_rate";
    return undefined;
  }
}

/** Whether it is the handler that does not read on. */
function isHeldBack(req: IncomingMessage): boolean {
  return req.readableLength >= req.readableHighWaterMark;
}

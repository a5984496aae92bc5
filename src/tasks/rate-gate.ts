/** A token bucket: so many at once after a pause, and then so many in a time. */

import { now } from "../core/clock.ts";
import type { ResolvedRateLimit } from "./queue-options.ts";

/** Invariant: between 0 and `limit` tokens; they grow by `limit` in `per`. */
export class RateGate {
  readonly #limit: number;
  readonly #perMs: number;
  #tokens: number;
  #filledAt = now();

  constructor({ limit, per }: ResolvedRateLimit) {
    this.#limit = limit;
    this.#perMs = per;
    this.#tokens = limit;
  }

  /** Takes one, if there is one. */
  tryTake(): boolean {
    this.#fill();
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Milliseconds until it is worth asking again: until a tenth of the bucket is full. 0 if there is a token. */
  get waitMs(): number {
    this.#fill();
    if (this.#tokens >= 1) return 0;
    const wanted = Math.ceil(this.#limit / 10);
    return Math.ceil(((wanted - this.#tokens) * this.#perMs) / this.#limit);
  }

  #fill(): void {
    const at = now();
    this.#tokens = Math.min(this.#limit, this.#tokens + ((at - this.#filledAt) * this.#limit) / this.#perMs);
    this.#filledAt = at;
  }
}

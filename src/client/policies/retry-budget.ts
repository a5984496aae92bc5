/**
 * How many extra tries a client may make, measured against the requests that it makes anyway.
 *
 * When a server fails, a fixed number of attempts multiplies its load at the worst moment. A budget bounds the whole
 * instead: each request puts a share of a try in, each retry takes one out, and what is older than the window counts
 * no more, so that a day of good traffic cannot pay for a storm. The shape and the figures (20 % of the requests, and
 * 10 a second for clients with little traffic, over 10 s) are those of Finagle's RetryBudget. Retries, hedges and
 * stale replays all draw on one of these. There is no timer: time is looked at when the budget is used.
 */

const slotCount = 10;
/** A deposit reads the clock once in this many calls; a clock reading costs more than the rest of the call. */
const depositsPerReading = 16;

export interface RetryBudgetOptions {
  /** Tries allowed for each request of the window, for example 0.2. */
  readonly ratio: number;
  /** Tries allowed for each second of the window, whatever the traffic. */
  readonly minPerSecond: number;
  /** Length of the window in milliseconds. */
  readonly ttl: number;
}

/**
 * Says whether one more try is allowed.
 *
 * Invariant: `#deposited` and `#withdrawn` are the sums over the slots, and slot `#tick % slotCount` is the newest.
 * `#advance` is the only place that lets a slot go out of the window. Whole numbers are kept and the ratio is applied
 * when the balance is read, so that no rounding error builds up.
 */
export class RetryBudget {
  readonly #ratio: number;
  readonly #reserve: number;
  readonly #slotMs: number;
  readonly #now: () => number;
  readonly #deposits: Float64Array = new Float64Array(slotCount);
  readonly #withdrawals: Float64Array = new Float64Array(slotCount);
  #deposited = 0;
  #withdrawn = 0;
  #sinceReading = 0;
  #tick: number;
  #head: number;

  constructor(options: RetryBudgetOptions, now: () => number = () => performance.now()) {
    this.#ratio = options.ratio;
    this.#reserve = (options.minPerSecond * options.ttl) / 1_000;
    this.#slotMs = options.ttl / slotCount;
    this.#now = now;
    this.#tick = Math.floor(now() / this.#slotMs);
    this.#head = this.#tick % slotCount;
  }

  /** Tries that may be made now. */
  get balance(): number {
    this.#advance();
    return this.#reserve + this.#ratio * this.#deposited - this.#withdrawn;
  }

  /** Counts a request. Call it once for each, not for its retries. Allocates nothing. */
  deposit(): void {
    // A deposit made before the next reading lands in an older slot, so it can only expire too early.
    if (++this.#sinceReading === depositsPerReading) this.#advance();
    this.#deposits[this.#head]! += 1;
    this.#deposited += 1;
  }

  /** Takes one try if there is one. `false` means: do not try again. */
  tryWithdraw(): boolean {
    if (this.balance < 1) return false;
    this.#withdrawals[this.#head]! += 1;
    this.#withdrawn += 1;
    return true;
  }

  #advance(): void {
    this.#sinceReading = 0;
    const tick = Math.floor(this.#now() / this.#slotMs);
    const passed = Math.min(tick - this.#tick, slotCount);
    for (let step = 1; step <= passed; step++) {
      const slot = (this.#tick + step) % slotCount;
      this.#deposited -= this.#deposits[slot]!;
      this.#withdrawn -= this.#withdrawals[slot]!;
      this.#deposits[slot] = 0;
      this.#withdrawals[slot] = 0;
    }
    if (passed <= 0) return;
    this.#tick = tick;
    this.#head = tick % slotCount;
  }
}

/**
 * At most so many at a time, and a bounded queue for the others.
 *
 * A queue without a bound only moves an overload from the CPU into the memory, so the length of the queue is part of
 * the semaphore. It does not time its waiters out: pass a signal.
 */

import { SluiceError } from "./errors.ts";
import { append, isLinked, RingNode, unlink } from "./ring.ts";

/** A permit that gives itself back when its scope ends, however it ends. */
export interface Permit extends Disposable {
  /** Gives the permit back now. A second call does nothing. */
  release(): void;
}

/** All permits are out and the queue is full. Whatever was to be done was not begun. */
export class SemaphoreFullError extends SluiceError {
  readonly code = "ERR_SEMAPHORE_FULL";

  constructor(limit: number, maxWaiting: number) {
    super(
      `All ${limit} permits are in use and ${maxWaiting} already wait. ` +
        "Shed this work, or raise the limit if what is behind it can take more.",
    );
  }
}

class Waiter extends RingNode {
  readonly #resolve: (permit: Permit) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #abandon: () => void;

  constructor(
    resolve: (permit: Permit) => void,
    reject: (reason: unknown) => void,
    signal: AbortSignal | undefined,
    onLeave: () => void,
  ) {
    super();
    this.#resolve = resolve;
    this.#reject = reject;
    this.#signal = signal;
    this.#abandon = () => {
      unlink(this);
      onLeave();
      this.#reject(signal?.reason);
    };
    signal?.addEventListener("abort", this.#abandon, { once: true });
  }

  grant(permit: Permit): void {
    unlink(this);
    this.#signal?.removeEventListener("abort", this.#abandon);
    this.#resolve(permit);
  }
}

/**
 * Hands out at most `limit` permits at a time, first come, first served.
 *
 * Invariant: `waiting > 0` implies `inUse >= limit`; above it only after the limit was lowered. `waiting` never
 * exceeds `maxWaiting`. `#settle` is the only place that grants a waiter.
 */
export class Semaphore {
  readonly #maxWaiting: number;
  readonly #waiters = new RingNode();
  #limit: number;
  #inUse = 0;
  #waiting = 0;

  /** `limit` and `maxWaiting`: whole numbers from 0 up, or `Infinity`. Without `maxWaiting` the queue is unlimited. */
  constructor(limit: number, options: { readonly maxWaiting?: number } = {}) {
    this.#limit = checkCount("limit", limit);
    this.#maxWaiting = checkCount("maxWaiting", options.maxWaiting ?? Infinity);
  }

  get inUse(): number {
    return this.#inUse;
  }

  get waiting(): number {
    return this.#waiting;
  }

  get maxWaiting(): number {
    return this.#maxWaiting;
  }

  get limit(): number {
    return this.#limit;
  }

  /** A higher limit lets waiters in at once; a lower one takes effect as permits come back. */
  set limit(limit: number) {
    this.#limit = checkCount("limit", limit);
    this.#settle();
  }

  /** A permit now, or `undefined`. */
  tryAcquire(): Permit | undefined {
    if (this.#inUse >= this.#limit) return undefined;
    this.#inUse += 1;
    return this.#permit();
  }

  /**
   * Resolves once a permit is free. Rejects with `signal.reason` if aborted first.
   *
   * @throws SemaphoreFullError if `maxWaiting` wait already.
   */
  async acquire(signal?: AbortSignal): Promise<Permit> {
    signal?.throwIfAborted();
    const permit = this.tryAcquire();
    if (permit !== undefined) return permit;
    if (this.#waiting >= this.#maxWaiting) throw new SemaphoreFullError(this.#limit, this.#maxWaiting);
    const { promise, resolve, reject } = Promise.withResolvers<Permit>();
    append(this.#waiters, new Waiter(resolve, reject, signal, this.#onLeave));
    this.#waiting += 1;
    return promise;
  }

  readonly #onLeave = (): void => {
    this.#waiting -= 1;
  };

  #settle(): void {
    while (this.#inUse < this.#limit && isLinked(this.#waiters)) {
      const first = this.#waiters.ringNext;
      if (!(first instanceof Waiter)) return;
      this.#inUse += 1;
      this.#waiting -= 1;
      first.grant(this.#permit());
    }
  }

  #permit(): Permit {
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      this.#inUse -= 1;
      this.#settle();
    };
    return { release, [Symbol.dispose]: release };
  }
}

function checkCount(name: string, value: number): number {
  if (value >= 0 && (Number.isInteger(value) || value === Infinity)) return value;
  throw new RangeError(`${name} must be a whole number from 0 up, or Infinity; got ${value}`);
}

/**
 * Who waits for a connection of one origin, first come, first served.
 *
 * A linked list, because a waiter may leave from anywhere (its caller gave up, its time is over) and ten thousand of
 * them leaving at once must not cost ten thousand searches. The links live in the waiter itself: waiting allocates
 * nothing.
 */

import { WheelTimer } from "../core/deadline-wheel.ts";
import type { Connection } from "./connection.ts";
import type { ExitGuard } from "./exit-guard.ts";

/** Somebody who wants a connection. It is its own deadline while it waits. */
export abstract class Waiter extends WheelTimer {
  /** Takes only a connection that was dialled now: its last one turned out to be stale. */
  fresh = false;
  /** Takes only a bare socket: node:http parses on it, not undici. */
  bare = false;
  /** Monotonic milliseconds; meaningful while `queued`. */
  waitingSince = 0;
  queued = false;
  before: Waiter | undefined;
  after: Waiter | undefined;

  /** The connection is the waiter's now, until it is released. */
  abstract onConnection(conn: Connection): void;

  /** There will be none. The waiter has left the queue. */
  abstract onRefused(error: Error): void;
}

/** Invariant: a waiter is linked exactly while its `queued` is true; `size` counts the linked ones, and so does the guard. */
export class WaitQueue {
  readonly #exitGuard: ExitGuard;
  #first: Waiter | undefined;
  #last: Waiter | undefined;
  #size = 0;

  constructor(exitGuard: ExitGuard) {
    this.#exitGuard = exitGuard;
  }

  get size(): number {
    return this.#size;
  }

  get first(): Waiter | undefined {
    return this.#first;
  }

  push(waiter: Waiter): void {
    waiter.before = this.#last;
    waiter.after = undefined;
    if (this.#last === undefined) this.#first = waiter;
    else this.#last.after = waiter;
    this.#last = waiter;
    this.#added(waiter);
  }

  /** For one that has waited before and lost what it got. */
  unshift(waiter: Waiter): void {
    waiter.before = undefined;
    waiter.after = this.#first;
    if (this.#first === undefined) this.#last = waiter;
    else this.#first.before = waiter;
    this.#first = waiter;
    this.#added(waiter);
  }

  remove(waiter: Waiter): void {
    if (waiter.before === undefined) this.#first = waiter.after;
    else waiter.before.after = waiter.after;
    if (waiter.after === undefined) this.#last = waiter.before;
    else waiter.after.before = waiter.before;
    waiter.before = undefined;
    waiter.after = undefined;
    waiter.queued = false;
    this.#size -= 1;
    this.#exitGuard.leave();
  }

  #added(waiter: Waiter): void {
    waiter.queued = true;
    this.#size += 1;
    this.#exitGuard.enter();
  }
}

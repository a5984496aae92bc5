/**
 * The limits that hold over all origins of a transport: `maxConns` and `maxIdleConns`.
 *
 * Both are Go's: when there are too many idle connections the one that has been idle longest is closed, whichever
 * origin it belongs to. A pool that may not dial because `maxConns` is reached closes another origin's idle
 * connection to make room, and stands in line when there is none. The request that has waited for longest is served
 * first, whenever a connection closes or becomes free, even if that one's own origin has later requests for it;
 * node:http's Agent stops at the first host with a free socket instead, and lets the others starve (node#31942).
 */

import type { Connection } from "./connection.ts";
import { ExitGuard } from "./exit-guard.ts";
import type { Pool } from "./pool.ts";

/**
 * Invariant: `open` counts dials in progress, active and idle connections; a pool is in `#starved` only while
 * `open` is at `maxConns` and the pool wants to dial. The idle list runs from the oldest to the newest.
 */
export class SharedLimits {
  readonly maxConns: number;
  readonly maxIdleConns: number;
  /** Holds the process while somebody waits, in whichever pool. */
  readonly exitGuard: ExitGuard = new ExitGuard();
  #open = 0;
  #idle = 0;
  #oldest: Connection | undefined;
  #newest: Connection | undefined;
  readonly #starved = new Set<Pool>();
  #onEmpty: (() => void)[] = [];

  constructor(maxConns: number, maxIdleConns: number) {
    this.maxConns = maxConns;
    this.maxIdleConns = maxIdleConns;
  }

  get open(): number {
    return this.#open;
  }

  get idle(): number {
    return this.#idle;
  }

  /** Whether a pool waits for room, so that a connection that falls idle elsewhere should be closed instead. */
  get starving(): boolean {
    return this.#starved.size > 0;
  }

  /** Whether one connection more may be open now. */
  get hasRoom(): boolean {
    return this.#open < this.maxConns;
  }

  /** Since when the first in line has waited for room, in monotonic milliseconds; `Infinity` without a line. */
  get starvingSince(): number {
    return this.#firstInLine()?.waitingSince ?? Infinity;
  }

  /** Takes the right to open one connection; without room, closes the oldest idle one and puts the pool in line. */
  tryOpen(pool: Pool): boolean {
    if (this.hasRoom) {
      this.#open += 1;
      this.#starved.delete(pool);
      return true;
    }
    this.#starved.add(pool);
    this.#oldest?.pool.closeIdle(this.#oldest, "max_idle");
    return false;
  }

  /** Gives the right back: a connection has closed, or a dial has failed. */
  closed(): void {
    this.#open -= 1;
    if (this.#open === 0) for (const resolve of this.#onEmpty.splice(0)) resolve();
    // The first in line may have what it needs by now; then the room is for the one behind it.
    while (this.hasRoom) {
      const next = this.#firstInLine();
      if (next === undefined) return;
      this.#starved.delete(next);
      next.dialForWaiters();
    }
  }

  /** Resolves when no connection is open or on its way. */
  whenEmpty(): Promise<void> {
    if (this.#open === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onEmpty.push(resolve));
  }

  /** A pool that no longer wants to dial leaves the line. */
  forget(pool: Pool): void {
    this.#starved.delete(pool);
  }

  /** Appends the connection as the newest idle one, and closes the oldest when there are now too many. */
  addIdle(conn: Connection): void {
    conn.olderIdle = this.#newest;
    if (this.#newest === undefined) this.#oldest = conn;
    else this.#newest.newerIdle = conn;
    this.#newest = conn;
    this.#idle += 1;
    if (this.#idle > this.maxIdleConns) this.#oldest?.pool.closeIdle(this.#oldest, "max_idle");
  }

  removeIdle(conn: Connection): void {
    if (conn.olderIdle === undefined) this.#oldest = conn.newerIdle;
    else conn.olderIdle.newerIdle = conn.newerIdle;
    if (conn.newerIdle === undefined) this.#newest = conn.olderIdle;
    else conn.newerIdle.olderIdle = conn.olderIdle;
    conn.olderIdle = undefined;
    conn.newerIdle = undefined;
    this.#idle -= 1;
  }

  /** The pool whose request has waited for longest. They are few: this looks at all of them. */
  #firstInLine(): Pool | undefined {
    let first: Pool | undefined;
    for (const pool of this.#starved) {
      if (first === undefined || pool.waitingSince < first.waitingSince) first = pool;
    }
    return first;
  }
}

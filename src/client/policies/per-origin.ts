/**
 * One thing for each origin, for as many origins as are worth remembering.
 *
 * A crawler visits millions of origins once; what is kept for each must not add up. Beyond the bound the origin that
 * was used least recently is forgotten, and starts anew if it comes back.
 */

import type { Dispatcher } from "undici";

/** Invariant: at most `max` entries, in the order of their last use. */
export class PerOrigin<Value> {
  readonly #make: (origin: string) => Value;
  readonly #max: number;
  readonly #values: Map<string, Value> = new Map();
  /** Most requests go where the last one went. */
  #lastOrigin = "";
  #last: Value | undefined;

  constructor(make: (origin: string) => Value, max = 1_000) {
    this.#make = make;
    this.#max = max;
  }

  get size(): number {
    return this.#values.size;
  }

  /** What is remembered, the least recently used first. */
  entries(): Iterable<[origin: string, value: Value]> {
    return this.#values.entries();
  }

  get(origin: string): Value {
    if (this.#last !== undefined && origin === this.#lastOrigin) return this.#last;
    const value = this.#values.get(origin) ?? this.#make(origin);
    this.#values.delete(origin);
    this.#values.set(origin, value);
    if (this.#values.size > this.#max) {
      const [oldest] = this.#values.keys();
      if (oldest !== undefined) this.#values.delete(oldest);
    }
    this.#lastOrigin = origin;
    this.#last = value;
    return value;
  }
}

/** The origin of a request as one string: a `URL` and its text must not count as two. */
export function originOf(opts: Dispatcher.DispatchOptions): string {
  const { origin } = opts;
  return typeof origin === "string" ? origin : (origin?.origin ?? "");
}

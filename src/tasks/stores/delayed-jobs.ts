/** What becomes ready later: a binary heap by the time at which it does. */

interface Timed {
  /** On the monotonic clock. */
  readonly readyAtMs: number;
}

/** Invariant: no item is due before the one at `(index - 1) >> 1`. */
export class DelayedJobs<Item extends Timed> {
  readonly #items: Item[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** When the first is due; `Infinity` if there is none. */
  get nextMs(): number {
    return this.#items[0]?.readyAtMs ?? Infinity;
  }

  push(item: Item): void {
    const items = this.#items;
    let index = items.length;
    for (;;) {
      const above = (index - 1) >> 1;
      const parent = items[above];
      if (parent === undefined || parent.readyAtMs <= item.readyAtMs) break;
      items[index] = parent;
      index = above;
    }
    items[index] = item;
  }

  /** The first one, if it is due by `nowMs`. */
  take(nowMs: number): Item | undefined {
    const items = this.#items;
    const [first] = items;
    if (first === undefined || first.readyAtMs > nowMs) return undefined;
    const last = items.pop();
    if (last !== undefined && items.length > 0) this.#sink(last);
    return first;
  }

  /** Puts `item` in the place of the first one, and from there to where it belongs. */
  #sink(item: Item): void {
    const items = this.#items;
    let index = 0;
    for (;;) {
      const left = items[2 * index + 1];
      const right = items[2 * index + 2];
      const takesRight = left !== undefined && right !== undefined && right.readyAtMs < left.readyAtMs;
      const child = takesRight ? right : left;
      if (child === undefined || child.readyAtMs >= item.readyAtMs) break;
      items[index] = child;
      index = 2 * index + (takesRight ? 2 : 1);
    }
    items[index] = item;
  }
}

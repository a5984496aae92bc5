/** Time that passes only when told to: hours of it in a moment, and the same in every run. */

import type { Clock } from "sluice/core";

interface Wakeup {
  readonly at: number;
  /** Of two for the same time, the one planned earlier comes first. */
  readonly planned: number;
  readonly wake: () => void;
}

/** Invariant: `#heap` is a binary heap, the next wake-up first. One that was called off stays in it and does nothing. */
export class FakeClock implements Clock {
  ms: number;
  readonly #heap: Wakeup[] = [];
  readonly #off = new Set<Wakeup>();
  #planned = 0;

  constructor(ms = 5_000) {
    this.ms = ms;
  }

  now = (): number => this.ms;

  wakeAfter(delayMs: number, wake: () => void): () => void {
    const wakeup = { at: this.ms + delayMs, planned: this.#planned++, wake };
    this.#push(wakeup);
    return () => void this.#off.add(wakeup);
  }

  wakeAfterPoll(wake: () => void): () => void {
    return this.wakeAfter(0, wake);
  }

  /** Lets time pass, waking whoever wants to be woken on the way. */
  pass(ms: number): void {
    const until = this.ms + ms;
    for (let next = this.#heap[0]; next !== undefined && next.at <= until; next = this.#heap[0]) {
      this.#pop();
      if (this.#off.delete(next)) continue;
      this.ms = Math.max(this.ms, next.at);
      next.wake();
    }
    this.ms = until;
  }

  #push(wakeup: Wakeup): void {
    const heap = this.#heap;
    let at = heap.push(wakeup) - 1;
    while (at > 0 && isBefore(wakeup, heap[(at - 1) >> 1]!)) {
      heap[at] = heap[(at - 1) >> 1]!;
      at = (at - 1) >> 1;
    }
    heap[at] = wakeup;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Wakeup, b: Wakeup): boolean {
  return a.at < b.at || (a.at === b.at && a.planned < b.planned);
}

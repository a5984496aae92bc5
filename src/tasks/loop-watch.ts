/**
 * Whether the event loop stands still while tasks run.
 *
 * A task that computes for a second stops everybody, and no deadline can stop it. It can be measured, though: while
 * tasks run, a tick is due every few milliseconds, and whoever looks at the clock sees by how much it is late. What
 * held the loop need not be the task that is blamed, since requests run on the same loop: a hold says that the loop
 * stood still _while_ the task ran.
 */

import { now } from "../core/clock.ts";
import { outside } from "../core/outside.ts";

const tickMs = 20;

/** Invariant: while anything runs, `#dueAt` is when the next tick should come; `Infinity` if none is planned. */
export class LoopWatch {
  readonly #isBusy: () => boolean;
  readonly #onLate: (lateMs: number) => void;
  #dueAt = Infinity;
  #timer: NodeJS.Timeout | undefined;

  /** It ticks as long as `isBusy`. `onLate` hears by how much each tick came too late. */
  constructor(isBusy: () => boolean, onLate: (lateMs: number) => void) {
    this.#isBusy = isBusy;
    this.#onLate = onLate;
  }

  /** Something begins to run, at this time. */
  begin(at: number): void {
    if (this.#timer !== undefined) return;
    this.#dueAt = at + tickMs;
    this.#timer = outside(() => setInterval(this.#tick, tickMs).unref());
  }

  /** For how long the loop has stood still, as far as can be told at this time; 0 or less if it has not. */
  lateAt(at: number): number {
    return at - this.#dueAt;
  }

  /** What it was late by until now is accounted for. */
  excuse(at: number): void {
    this.#dueAt = at + tickMs;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#dueAt = Infinity;
  }

  readonly #tick = (): void => {
    const at = now();
    const lateMs = at - this.#dueAt;
    this.#dueAt = at + tickMs;
    this.#onLate(lateMs);
    if (!this.#isBusy()) this.stop();
  };
}

/**
 * Monotonic time, and the two ways of core to be called later.
 *
 * All deadlines are points on this clock: it never jumps, unlike the wall clock. What is scheduled here keeps no
 * process alive and pins no request in memory. Tests hand their own `Clock` to what they test.
 */

import { performance } from "node:perf_hooks";
import { outside } from "./outside.ts";

/** Time as a part of core sees it. */
export interface Clock {
  /** Milliseconds since an arbitrary moment, never decreasing. */
  now(): number;
  /** Calls `wake` once after `delayMs`. The function returned calls it off. */
  wakeAfter(delayMs: number, wake: () => void): () => void;
  /** Calls `wake` once the I/O that is ready now has been handled. The function returned calls it off. */
  wakeAfterPoll(wake: () => void): () => void;
}

/** Milliseconds on the monotonic clock of this process. */
export function now(): number {
  return performance.now();
}

let turn = NaN;
const settled = Promise.resolve();

/**
 * The time at which it was first asked for in this turn: until the stack is empty, the clock is read once.
 *
 * A look at the clock costs up to 0.2 us where the kernel has to be asked, and what one packet brings (a response's
 * header, its body, its end) has come at one time.
 */
export function turnNow(): number {
  if (Number.isNaN(turn)) {
    turn = performance.now();
    // Ahead of whatever the turn goes on to cause: a continuation of the caller's sees a new time.
    void settled.then(forgetTurn);
  }
  return turn;
}

function forgetTurn(): void {
  turn = NaN;
}

/** The process's own time. */
export const systemClock: Clock = {
  now,
  wakeAfter(delayMs, wake) {
    const timeout = outside(() => setTimeout(wake, delayMs).unref());
    return () => clearTimeout(timeout);
  },
  wakeAfterPoll(wake) {
    // Not unref'ed: Node's loop would then wait for something else to happen first. It holds a process for one turn.
    const immediate = outside(() => setImmediate(wake));
    return () => clearImmediate(immediate);
  },
};

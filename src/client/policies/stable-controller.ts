/**
 * The one controller that a caller holds while several attempts come and go beneath it.
 *
 * Each attempt of undici has a controller of its own. A caller who paused the first one would wait for ever for the
 * second, and an abort between two attempts would reach nobody. So the caller gets this one, once, before the first
 * attempt, and it passes on what it is told to whichever attempt counts.
 */

import type { Dispatcher } from "undici";

type Raw = Dispatcher.DispatchController["rawHeaders"];

/** Invariant: once `aborted` is true it stays so, and `onAbort` was called exactly once. */
export class StableController implements Dispatcher.DispatchController {
  readonly #onAbort: (reason: Error) => void;
  #target: Dispatcher.DispatchController | null = null;
  #paused = false;
  #aborted = false;
  #reason: Error | null = null;

  constructor(onAbort: (reason: Error) => void) {
    this.#onAbort = onAbort;
  }

  get paused(): boolean {
    return this.#paused;
  }

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): Error | null {
    return this.#reason;
  }

  // `undefined` would be an answer of another type than undici's own controller gives before the headers.
  get rawHeaders(): NonNullable<Raw> | null {
    return this.#target?.rawHeaders ?? null;
  }

  get rawTrailers(): NonNullable<Raw> | null {
    return this.#target?.rawTrailers ?? null;
  }

  /** Follows another attempt from now on, or none for now; a pause that was asked for holds there too. */
  follow(target: Dispatcher.DispatchController | null): void {
    this.#target = target;
    if (this.#paused) target?.pause();
  }

  pause(): void {
    this.#paused = true;
    this.#target?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#target?.resume();
  }

  abort(reason: Error): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    this.#onAbort(reason);
  }
}

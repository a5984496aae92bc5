/**
 * The three states of whatever takes work: serving, draining, drained.
 *
 * Whatever is drained stops in the same way: it refuses new work, lets the present work end, and is done. Only the order
 * of states lives here; what draining means is the owner's.
 */

import { throwLater } from "./outside.ts";

/** `draining` refuses new work while the present work ends. There is no way back. */
export type LifecycleState = "serving" | "draining" | "drained";

/**
 * Invariant: the state only moves forward, `drain`'s work runs once, and the state is `drained` exactly when the
 * promise of `drain` is settled, also if the work failed.
 */
export class Lifecycle {
  #state: LifecycleState = "serving";
  #drained: Promise<void> | undefined;
  readonly #listeners = new Set<() => void>();

  get state(): LifecycleState {
    return this.#state;
  }

  /** Tells the listeners, runs `work`, and resolves or rejects as it does. A later call gets the first one's promise. */
  drain(work: () => Promise<void> | void): Promise<void> {
    this.#drained ??= this.#drain(work);
    return this.#drained;
  }

  /** Calls `fn` once when draining begins; on a fresh microtask if it has begun. */
  onDrain(fn: () => void): Disposable {
    // An own function for each call: the same `fn` given twice is two registrations.
    const listener = (): void => {
      if (!this.#listeners.delete(listener)) return;
      try {
        fn();
      } catch (error) {
        throwLater(error);
      }
    };
    this.#listeners.add(listener);
    if (this.#state !== "serving") queueMicrotask(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async #drain(work: () => Promise<void> | void): Promise<void> {
    this.#state = "draining";
    for (const listener of this.#listeners) listener();
    try {
      await work();
    } finally {
      this.#state = "drained";
    }
  }
}

/**
 * Keeps the process alive while somebody waits in a queue.
 *
 * Idle connections and deadlines must not keep it alive, so their sockets and timers are unreferenced; and a connection
 * whose body nobody reads does not either, since Node stops to read it. A program that waits for such a connection
 * would end in the middle of its `await`, without the timeout that says why. One timer that never comes due is enough
 * to hold it.
 */

import { outside } from "../core/context.ts";

/** The longest timer that Node takes. It does nothing when it comes, and it comes again. */
const never = 2 ** 31 - 1;

/** Invariant: the timer holds the process exactly while `#waiting > 0`; there is none before the first wait. */
export class ExitGuard {
  #waiting = 0;
  #timer: NodeJS.Timeout | undefined;

  enter(): void {
    this.#waiting += 1;
    if (this.#waiting > 1) return;
    this.#timer ??= outside(() => setInterval(() => {}, never));
    this.#timer.ref();
  }

  leave(): void {
    this.#waiting -= 1;
    if (this.#waiting === 0) this.#timer?.unref();
  }

  /** Nobody waits, and nobody will. */
  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

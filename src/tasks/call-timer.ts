/** A deadline that calls a function: for what seldom happens, since it takes a closure. */

import { WheelTimer } from "../core/deadline-wheel.ts";

export class CallTimer extends WheelTimer {
  readonly #call: () => void;

  constructor(call: () => void) {
    super();
    this.#call = call;
  }

  onDeadline(): void {
    this.#call();
  }
}

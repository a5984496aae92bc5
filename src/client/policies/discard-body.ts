/**
 * Reads a response that nobody wants to its end, if that end is near.
 *
 * A short body that is read through leaves the connection fit for the next request; a long or slow one costs more
 * than a new connection, so beyond 64 KiB or one second it is cut off.
 */

import type { Dispatcher } from "undici";
import { errors } from "../undici.ts";
import { outside } from "../../core/context.ts";

const maxBytes = 65_536;
const maxMs = 1_000;

/** Invariant: the timer runs until `end` was called, by whichever comes first. */
export class BodyDiscard {
  readonly #controller: Dispatcher.DispatchController;
  readonly #timer: NodeJS.Timeout;
  #bytes = 0;

  constructor(controller: Dispatcher.DispatchController) {
    this.#controller = controller;
    this.#timer = outside(() => setTimeout(() => this.#cut(), maxMs).unref());
    if (controller.paused) controller.resume();
  }

  onData(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > maxBytes) this.#cut();
  }

  /** The response is over, well or badly. */
  end(): void {
    clearTimeout(this.#timer);
  }

  #cut(): void {
    this.end();
    this.#controller.abort(new errors.RequestAbortedError("The body of an answer that is not used was too long"));
  }
}

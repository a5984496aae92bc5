/** Why a context is done, when it was ended by us and not by a reason that somebody gave. */

import { SluiceError } from "./errors.ts";

/** The ways in which a context ends. */
export type ContextCode = "ERR_CLIENT_GONE" | "ERR_DEADLINE_EXCEEDED" | "ERR_CANCELLED" | "ERR_SHUTTING_DOWN";

const meanings: Readonly<Record<ContextCode, string>> = {
  ERR_CLIENT_GONE: "The client left before its answer was complete; nobody waits for this work any more.",
  ERR_DEADLINE_EXCEEDED: "The deadline passed. Give the work more time, or make it do less.",
  ERR_CANCELLED: "The work was cancelled, or the scope that it belonged to has ended. What must outlive it: detach().",
  ERR_SHUTTING_DOWN: "The process is shutting down. Try again elsewhere.",
};

/** The cause of a done {@link Context} and the reason of its signal. */
export class ContextError extends SluiceError {
  readonly code: ContextCode;

  constructor(code: ContextCode, message: string = meanings[code]) {
    super(message);
    this.code = code;
  }
}

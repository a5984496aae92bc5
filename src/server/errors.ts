/** What can go wrong with the server itself. What goes wrong with a request is an answer; only who reads it meets an error. */

import { SluiceError } from "../core/errors.ts";

/** Something that only a guarded server can do was asked of another one. */
export class NotGuardedError extends SluiceError {
  readonly code = "ERR_NOT_GUARDED";
}

/**
 * A body that ends in the middle, since the request was answered with `statusCode` meanwhile: it grew too large, or came
 * too slowly. Frameworks know that property.
 */
export class RequestRefusedError extends SluiceError {
  readonly code = "ERR_REQUEST_REFUSED";
  readonly statusCode: number;

  constructor(statusCode: number, message: string) {
    // Its stack would be that of a timer. Node has it formatted for each stream that ends with an error, which costs
    // more than all else that is done about a slow body.
    const { stackTraceLimit } = Error;
    Reflect.set(Error, "stackTraceLimit", 0);
    super(message);
    Reflect.set(Error, "stackTraceLimit", stackTraceLimit);
    this.statusCode = statusCode;
  }
}

/** `listen()` of a server that drains, or has drained: a server goes away once. */
export class DrainedError extends SluiceError {
  readonly code = "ERR_SERVER_DRAINED";
}

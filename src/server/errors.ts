/** What can go wrong with the server itself; what goes wrong with a request is an answer, not an error. */

import { SluiceError } from "../core/errors.ts";

/** Something that only a guarded server can do was asked of another one. */
export class NotGuardedError extends SluiceError {
  readonly code = "ERR_NOT_GUARDED";
}

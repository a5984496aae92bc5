/** What can go wrong with tasks, queues and their stores. What a task itself throws is reported, never rethrown. */

import { SluiceError } from "../core/errors.ts";

/** The engine behind a store did not answer in time, or is not there. Nothing is known to be lost; the call can be made again. */
export class StoreUnavailableError extends SluiceError {
  readonly code = "ERR_STORE_UNAVAILABLE";
  readonly store: string;

  constructor(store: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.store = store;
  }
}

/** The store has no room: its disk or its limit is reached. What it had taken before is not affected. */
export class StoreFullError extends SluiceError {
  readonly code = "ERR_STORE_FULL";
  readonly store: string;

  constructor(store: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.store = store;
  }
}

/** The error of a request that the concurrency limit of its origin has kept back. */

import { ClientError } from "../errors.ts";

/**
 * As many requests as the `concurrency` option allows are in flight to the origin, and this one could not or did not
 * want to wait any longer. It was never sent, so it is safe to repeat.
 */
export class ConcurrencyLimitError extends ClientError {
  readonly code = "ERR_CONCURRENCY_LIMIT";
  readonly phase = "queue";
  readonly sent = false;
  readonly origin: string;
  readonly limit: number;
  readonly waiting: number;

  /** `waitedMs` is 0 when there was no room to wait. */
  constructor(origin: string, gate: { readonly limit: number; readonly waiting: number }, waitedMs: number) {
    const when = waitedMs > 0 ? `No place became free within ${waitedMs} ms` : "There is no room to wait either";
    super(
      `${gate.limit} requests to ${origin}, which is its limit, are in flight. ${when} (${gate.waiting} waiting). ` +
        "Shed load earlier, or look why the origin answers slowly before you raise the limit.",
    );
    this.origin = origin;
    this.limit = gate.limit;
    this.waiting = gate.waiting;
  }
}

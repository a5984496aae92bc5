/** What undici's errors say, and what they leave out. */

const refusals: ReadonlySet<unknown> = new Set([
  "UND_ERR_INVALID_ARG",
  "UND_ERR_NOT_SUPPORTED",
  "UND_ERR_REQ_CONTENT_LENGTH_MISMATCH",
]);

/** Whether undici refused to send the request at all, if it has written nothing of it. */
export function isRefusedByUndici(error: Error): boolean {
  return "code" in error && refusals.has(error.code);
}

/** The low-cardinality name of a failure: its code where it has one, else its class. */
export function errorType(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}

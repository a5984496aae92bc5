/** What undici's errors say, and what they leave out. */

/** Whether undici refused to send the request at all. */
export function isRefusedByUndici(error: Error): boolean {
  return "code" in error && (error.code === "UND_ERR_INVALID_ARG" || error.code === "UND_ERR_NOT_SUPPORTED");
}

/** The low-cardinality name of a failure: its code where it has one, else its class. */
export function errorType(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}

/** What undici's errors say, and what they leave out. */

import { errors } from "./undici.ts";

/** Whether undici refused to send the request at all. */
export function isRefusedByUndici(error: Error): boolean {
  return "code" in error && (error.code === "UND_ERR_INVALID_ARG" || error.code === "UND_ERR_NOT_SUPPORTED");
}

/**
 * Gives the error of undici's parser a code, since callers match on codes. undici looks one up in a table of names by
 * its number, and finds none.
 */
export function nameParserError(error: Error): void {
  if (error instanceof errors.HTTPParserError) error.code ??= "UND_ERR_HTTP_PARSER";
}

/** The low-cardinality name of a failure: its code where it has one, else its class. */
export function errorType(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}

/**
 * Reads `Retry-After` (RFC 9110 section 10.2.3): a number of seconds, or one of the three forms of an HTTP date.
 *
 * A date is compared with the `Date` of the same answer, so that it is the server's clock on both sides, and not
 * the difference between two machines, that says how long to wait.
 */

import type { Dispatcher } from "undici";

type Headers = Parameters<NonNullable<Dispatcher.DispatchHandler["onResponseStart"]>>[2];

/** Section 5.6.7: the preferred form, and the two obsolete ones that a recipient has to accept. */
const datePattern =
  /^(?:[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [\d:]{8} GMT|[A-Z][a-z]{5,8}, \d\d-[A-Z][a-z]{2}-\d\d [\d:]{8} GMT|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \d{4})$/;

function parseHttpDate(text: string | readonly string[] | undefined): number {
  if (typeof text !== "string" || !datePattern.test(text)) return NaN;
  // The asctime form names no zone and would be read as local time; it means GMT as well.
  return Date.parse(text.endsWith("GMT") ? text : `${text} GMT`);
}

/** Milliseconds to wait, at least 0, or `undefined` when the header is absent or unreadable. */
export function parseRetryAfter(headers: Headers, wallClock: () => number = Date.now): number | undefined {
  const given = headers["retry-after"];
  if (typeof given !== "string") return undefined;
  if (/^\d{1,10}$/.test(given)) return Number(given) * 1_000;
  const until = parseHttpDate(given);
  if (Number.isNaN(until)) return undefined;
  const servedAt = parseHttpDate(headers["date"]);
  return Math.max(0, until - (Number.isNaN(servedAt) ? wallClock() : servedAt));
}

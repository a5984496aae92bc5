/**
 * When a request that met a stale connection may be sent again without asking anybody.
 *
 * The rule is Go's `shouldRetryRequest`: the connection was reused, so the server may have closed it while the
 * request was on its way, and not a byte of an answer has come. If nothing was written the server cannot have seen
 * it. If something was, it is sent again only when doing it twice does no harm (RFC 9110, 9.2.2, or the caller's
 * `Idempotency-Key`) and the body can be read a second time. This is not a retry: the user's policy for failures of
 * the server is another option and another counter.
 */

import type { Dispatcher } from "undici";
import { isConnectionGone } from "./connection.ts";
import { findHeader } from "./request-headers.ts";
import { SlicedBody } from "./sliced-body.ts";

/** What is known of an attempt when it has failed. */
export interface FailedAttempt {
  readonly options: Dispatcher.DispatchOptions;
  readonly error: Error;
  /** The connection had been idle, or had served before. */
  readonly reused: boolean;
  /** The request may have reached the socket. */
  readonly written: boolean;
  /** A byte of the answer has come. */
  readonly answered: boolean;
}

const idempotentMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"]);

/** What a closed connection looks like, from undici and from the kernel. Timeouts and garbage are none of these. */
const closedCodes: ReadonlySet<string> = new Set(["UND_ERR_SOCKET", "ECONNRESET", "EPIPE", "ECONNABORTED"]);

/** Whether the attempt failed for being sent over a stale connection, and may be repeated. */
export function mayReplay(attempt: FailedAttempt): boolean {
  // undici gave it back unsent, or the server has refused the stream: it was not processed.
  if (isConnectionGone(attempt.error)) return !attempt.answered;
  if (attempt.answered || !attempt.reused || !isClosed(attempt.error)) return false;
  if (!attempt.written) return true;
  return isIdempotent(attempt.options) && isRepeatable(attempt.options.body);
}

/** Whether doing the request twice has the effect of doing it once, as far as the caller has told. */
export function isIdempotent(options: Dispatcher.DispatchOptions): boolean {
  const { idempotent, method, headers } = options as { idempotent?: boolean } & Dispatcher.DispatchOptions;
  if (idempotent !== undefined) return idempotent;
  if (idempotentMethods.has(method)) return true;
  return (findHeader(headers, "idempotency-key") ?? findHeader(headers, "x-idempotency-key")) !== undefined;
}

/** Whether a body can be read from its start again. A stream cannot. */
export function isRepeatable(body: unknown): boolean {
  if (body === undefined || body === null || typeof body === "string") return true;
  return body instanceof SlicedBody || ArrayBuffer.isView(body) || body instanceof ArrayBuffer || body instanceof Blob;
}

function isClosed(error: Error): boolean {
  return "code" in error && closedCodes.has(String(error.code));
}

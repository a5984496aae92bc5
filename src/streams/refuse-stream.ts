/** How a stream that is not taken is answered, and the header that all event streams have. */

import type { ServerResponse } from "node:http";
import { encodeRetry } from "./sse-encoder.ts";

/**
 * No cache keeps it, no proxy gathers it (nginx, `X-Accel-Buffering`), nobody compresses it: `compression` and proxies
 * leave what says `no-transform`.
 */
export const streamHeaders: Readonly<Record<string, string>> = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
};

/**
 * An event stream that ends at once, and says when to come again. A browser takes any status but 200 for the end of
 * everything, and does not come again by itself (WHATWG HTML, 9.2.3: "fail the connection").
 */
export function refuseToRetry(res: ServerResponse, retryMs: number): void {
  if (!res.headersSent) res.writeHead(200, { ...streamHeaders, ...closing(res) });
  res.end(encodeRetry(retryMs));
}

/** For clients that know what 503 means. */
export function refuseByStatus(res: ServerResponse): void {
  if (!res.headersSent) {
    res.writeHead(503, { "content-type": "text/plain; charset=utf-8", "retry-after": "10", ...closing(res) });
  }
  res.end("Too many streams. Try again soon.\n");
}

/** Of HTTP/1: whoever comes again should come by another connection, which may lead elsewhere. */
function closing({ req }: ServerResponse): Readonly<Record<string, string>> {
  return req.httpVersionMajor === 1 ? { connection: "close" } : {};
}

/** `sse`: the answer to a request that becomes an event stream. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { SseOptions } from "./sse-options.ts";
import type { SseStream } from "./sse-stream.ts";
import { Streams } from "./streams.ts";

let shared: Streams | undefined;

/** The group of all streams that are given no other. Made when first asked for. */
export function defaultStreams(): Streams {
  shared ??= new Streams();
  return shared;
}

/**
 * Answers a request with an event stream, on any server of `node:http` or `node:http2`: see {@link SseOptions}. Under a
 * framework it takes what Node made: `reply.raw` of Fastify after `reply.hijack()`, `ctx.res` of Koa after
 * `ctx.respond = false`, `c.env.outgoing` of Hono.
 *
 * One that is refused, or whose client has left, is returned `closed`; nothing has to be done about it.
 */
export function sse(req: IncomingMessage, res: ServerResponse, options?: SseOptions): SseStream {
  return (options?.streams ?? defaultStreams()).sse(req, res, options);
}

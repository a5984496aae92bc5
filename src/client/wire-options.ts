/**
 * What undici is given for a request: the caller's own options, or a copy where something has to differ.
 *
 * The common request is passed on untouched. A copy is made to silence undici's timers where the caller set them
 * (ours keep them to the tick), to keep the connection of a HEAD (undici closes it for fear of servers that send a
 * body; our connections are watched for that), for a large body, and for a forward proxy.
 */

import type { Dispatcher } from "undici";
import { background, traceparentKey, type Context } from "../core/context.ts";
import { withHeaders } from "./request-headers.ts";
import { sliceBody } from "./sliced-body.ts";
import { errors } from "./undici.ts";

type DispatchOptions = Dispatcher.DispatchOptions;

/** How requests to one origin differ from what their callers wrote. */
export interface Route {
  readonly origin: string;
  /** The same, as undici's clients are given it. */
  readonly url: URL;
  /** The name asked for in the TLS handshake, when a request wanted another than the origin's. */
  readonly servername: string | undefined;
  /** Whether HTTP/2 is offered. */
  readonly http2: boolean;
  /** Set when requests go to an HTTP proxy in absolute form, with the value of `Proxy-Authorization` if it wants one. */
  readonly forward: { readonly authorization: string | undefined } | undefined;
  readonly keepAlive: boolean;
  /** Whether `traceparent` is sent on. */
  readonly trace: boolean;
  /** Whether the time left is told, because this origin is one of ours. */
  readonly deadline: boolean;
}

/** The options to send. `context` is the caller's. */
export function wireOptions(options: DispatchOptions, route: Route, context: Context): DispatchOptions {
  const sliced = sliceBody(options);
  const told = addedHeaders(options, route, context);
  const added = sliced === undefined ? told : { ...told, "content-length": String(sliced.byteLength) };
  const { method, reset, headersTimeout, bodyTimeout } = options;
  const closes = route.keepAlive ? reset : true;
  const keepsHead = closes === undefined && method === "HEAD" ? false : closes;
  if (
    added === undefined &&
    keepsHead === reset &&
    headersTimeout == null &&
    bodyTimeout == null &&
    route.forward === undefined
  ) {
    return options;
  }
  return {
    ...options,
    headersTimeout: 0,
    bodyTimeout: 0,
    ...(keepsHead !== undefined && { reset: keepsHead }),
    ...(added !== undefined && { headers: withHeaders(options.headers, added) }),
    // undici takes iterables, though its types leave them out.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
    ...(sliced !== undefined && { body: sliced as unknown as Buffer }),
    ...(route.forward !== undefined && method !== "CONNECT" && { path: absolutePath(route.origin, options.path) }),
  };
}

/** Headers that the route asks for; the caller's own go first. */
export function addedHeaders(
  options: Pick<DispatchOptions, "method">,
  route: Route,
  context: Context,
): Record<string, string> | undefined {
  if (context === background && route.forward === undefined) return undefined;
  const added: Record<string, string> = {};
  const traceparent = route.trace ? context.value(traceparentKey) : undefined;
  if (traceparent !== undefined) added["traceparent"] = traceparent;
  if (route.deadline && context.deadline !== Infinity) {
    added["x-request-timeout-ms"] = String(Math.floor(context.remaining()));
  }
  const authorization = route.forward?.authorization;
  if (authorization !== undefined && options.method !== "CONNECT") added["proxy-authorization"] = authorization;
  return Object.keys(added).length === 0 ? undefined : added;
}

/**
 * The target of a request in the form that a forward proxy wants (RFC 9112, 3.2.2; without a path for `*`, 3.2.4).
 *
 * @throws {errors.InvalidArgumentError} it names another origin: the proxy would go there, with what is meant for this one
 */
export function absolutePath(origin: string, path: string): string {
  if (path.startsWith("/")) return `${origin}${path}`;
  if (path === "*") return origin;
  if (path.startsWith(`${origin}/`)) return path;
  throw new errors.InvalidArgumentError(`Invalid path: ${JSON.stringify(path)} is no path on ${origin}`);
}

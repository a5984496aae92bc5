/** `createServer`: one of Node's own servers, guarded from the start. */

import type { IncomingMessage, Server as HttpServer, ServerResponse } from "node:http";
import type { Http2SecureServer } from "node:http2";
import type { Server as HttpsServer } from "node:https";
import type { TlsOptions } from "node:tls";
import { OptionError } from "../core/errors.ts";
import { http, http2, https } from "./builtins.ts";
import { guard, type Guarded } from "./guard.ts";
import type { ServerOptions } from "./server-options.ts";

/** A handler as `http.createServer` takes it. */
export type Handler = (req: IncomingMessage, res: ServerResponse) => unknown;

/** What kind of server, besides its limits. */
export interface ServerKind {
  /** Certificate, key and whatever else `node:tls` takes: makes it a server of HTTPS. */
  readonly tls?: TlsOptions;
  /** HTTP/2 for whoever offers it in the handshake, HTTP/1.1 for the others. Needs `tls`. */
  readonly http2?: boolean;
}

/** Makes a server that is guarded: see {@link ServerOptions}. It is one of `node:http`, `node:https` or `node:http2`. */
export function createServer(options?: ServerOptions, handler?: Handler): HttpServer & Guarded;
export function createServer(
  options: ServerOptions & { readonly tls: TlsOptions; readonly http2: true },
  handler?: Handler,
): Http2SecureServer & Guarded;
export function createServer(
  options: ServerOptions & { readonly tls: TlsOptions; readonly http2?: false },
  handler?: Handler,
): HttpsServer & Guarded;
export function createServer(
  options: ServerOptions & ServerKind = {},
  handler?: Handler,
): (HttpServer | HttpsServer | Http2SecureServer) & Guarded {
  if (typeof options === "function")
    throw new OptionError("createServer", "takes its options first, then the handler.");
  const { tls, http2: wantsHttp2, ...limits } = options;
  if (wantsHttp2 === true && tls === undefined) {
    throw new OptionError("Server.http2", "needs tls: browsers and fetch speak HTTP/2 over TLS alone.");
  }
  const server = make(tls, wantsHttp2 === true);
  const guarded = guard(server, limits);
  if (handler !== undefined) server.on("request", handler);
  // Once, with its getter: to redefine a property puts the server into a slow mode of V8, and each request reads it.
  const withDraining = Object.defineProperty(server, "draining", {
    get: () => guarded.draining,
    configurable: true,
    enumerable: true,
  });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the line above
  return Object.assign(withDraining as typeof server & { readonly draining: boolean }, {
    drain: () => guarded.drain(),
    onDrain: (fn: () => void) => guarded.onDrain(fn),
    stats: () => guarded.stats(),
  });
}

function make(tls: TlsOptions | undefined, wantsHttp2: boolean): HttpServer | HttpsServer | Http2SecureServer {
  if (tls === undefined) return http.createServer();
  return wantsHttp2 ? http2().createSecureServer({ ...tls, allowHTTP1: true }) : https().createServer(tls);
}

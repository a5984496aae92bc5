/** One request on its way to a reply: what is read of it, and what it is called in the metrics. */

import type { IncomingMessage, ServerResponse } from "node:http";

export interface Visit {
  readonly method: string;
  /** Without the `/api` of the JSON twins. */
  readonly path: string;
  readonly asJson: boolean;
  readonly query: URLSearchParams;
  readonly isLocal: boolean;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

export function readVisit(request: IncomingMessage, response: ServerResponse): Visit {
  const [path = "/", search = ""] = (request.url ?? "/").split("?", 2);
  const asJson = path.startsWith("/api/");
  return {
    method: request.method === "HEAD" ? "GET" : (request.method ?? "GET"),
    path: asJson ? path.slice("/api".length) : path,
    asJson,
    query: new URLSearchParams(search),
    isLocal: isFromHere(request),
    request,
    response,
  };
}

const fixedPaths: ReadonlySet<string> = new Set([
  "/",
  "/healthz",
  "/readyz",
  "/shop.css",
  "/live.js",
  "/icon.svg",
  "/orders",
  "/api/products",
  "/api/orders",
]);

const patterns: readonly [RegExp, string][] = [
  [/^\/products\/[^/]+$/, "/products/:id"],
  [/^\/orders\/[^/]+\/events$/, "/orders/:id/events"],
  [/^\/orders\/[^/]+$/, "/orders/:id"],
  [/^\/debug\/[^/]+$/, "/debug/:page"],
];

/** What the metrics call the address: never the path itself, which anybody can invent. */
export function patternOf({ path, asJson }: Pick<Visit, "path" | "asJson">): string {
  const before = asJson ? "/api" : "";
  if (fixedPaths.has(before + path)) return before + path;
  const found = patterns.find(([pattern]) => pattern.test(path));
  return found ? before + found[1] : "none";
}

/** A browser says where a request comes from: another site's page may not order here in the name of its visitor. */
export function isFromOtherSite({ headers }: IncomingMessage): boolean {
  const site = headers["sec-fetch-site"];
  return site !== undefined && site !== "same-origin" && site !== "none";
}

/** Both ends on this machine, and asked for by its name: a foreign page that rebinds its DNS name to us is refused. */
function isFromHere(request: IncomingMessage): boolean {
  const address = request.socket.remoteAddress ?? "";
  const name = (request.headers.host ?? "").replace(/:\d+$/, "");
  return /^(::1|(::ffff:)?127\.\d+\.\d+\.\d+)$/.test(address) && ["localhost", "127.0.0.1", "[::1]"].includes(name);
}

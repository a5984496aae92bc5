/** What the shop can answer, as values: built by the routes in `shop.ts`, written to the wire by `send`. */

import type { ServerResponse } from "node:http";
import { renderNotice } from "./pages.ts";

export interface Reply {
  readonly status: number;
  readonly type: "html" | "json" | "css" | "svg" | "text";
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const contentTypes: Readonly<Record<Reply["type"], string>> = {
  html: "text/html; charset=utf-8",
  json: "application/json; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
  text: "text/plain; charset=utf-8",
};

/** Pages bring their own style and pictures; whatever else gets into one must not load or run anything. */
const contentSecurityPolicy =
  "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export function html(status: number, body: string): Reply {
  return { status, type: "html", body };
}

export function json(status: number, value: unknown): Reply {
  return { status, type: "json", body: `${JSON.stringify(value, nameInfinity, 2)}\n` };
}

/** `Infinity` is a level here ("no limit"), and JSON has no word for it. */
function nameInfinity(_key: string, value: unknown): unknown {
  return value === Infinity ? "Infinity" : value;
}

export function file(type: "css" | "svg", body: string): Reply {
  return { status: 200, type, body };
}

export function refuse(status: 404 | 405 | 500, text: string, asJson: boolean): Reply {
  const title = { 404: "Not on our shelves", 405: "Looking only", 500: "Our mistake" }[status];
  const reply = asJson ? json(status, { error: { status, message: text } }) : html(status, renderNotice(title, text));
  return status === 405 ? { ...reply, headers: { allow: "GET, HEAD" } } : reply;
}

export function send(response: ServerResponse, { status, type, body, headers }: Reply): void {
  response
    .writeHead(status, {
      "content-type": contentTypes[type],
      "content-length": Buffer.byteLength(body),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "content-security-policy": contentSecurityPolicy,
      ...headers,
    })
    .end(body);
}

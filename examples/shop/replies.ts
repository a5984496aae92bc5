/** What the shop can answer, as values: built by the routes in `shop.ts`, written to the wire by `send`. */

import type { ServerResponse } from "node:http";
import { renderNotice } from "./pages.ts";

export interface Reply {
  readonly status: number;
  readonly type: "html" | "json" | "css" | "js" | "svg" | "text";
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const contentTypes: Readonly<Record<Reply["type"], string>> = {
  html: "text/html; charset=utf-8",
  json: "application/json; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
  text: "text/plain; charset=utf-8",
};

/** Pages have the shop's own style, script and streams; whatever else gets into one must not load or run anything. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "style-src 'self'",
  "script-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join("; ");

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

export function file(type: "css" | "js" | "svg", body: string): Reply {
  return { status: 200, type, body };
}

const titles = {
  400: "We could not read that",
  403: "Not from here",
  404: "Not on our shelves",
  405: "Not like this",
  415: "We could not read that",
  500: "Our mistake",
} as const;

/** `allow` goes with a 405: what can be done here. */
export function refuse(status: keyof typeof titles, text: string, asJson: boolean, allow = "GET, HEAD"): Reply {
  const body = { error: { status, message: text } };
  const reply = asJson ? json(status, body) : html(status, renderNotice(titles[status], text));
  return status === 405 ? { ...reply, headers: { allow } } : reply;
}

export function send(response: ServerResponse, { status, type, body, headers }: Reply): void {
  response
    .writeHead(status, {
      "content-type": contentTypes[type],
      "content-length": Buffer.byteLength(body),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "content-security-policy": contentSecurityPolicy,
      "referrer-policy": "same-origin", // the address of an order is its key
      ...headers,
    })
    .end(body);
}

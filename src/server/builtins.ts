/**
 * `node:http` without what an `import` of it adds: an `import` of a built-in reads all of its exports, and those of
 * `node:http` include the lazy `WebSocket`, which loads Node's whole bundled undici (30 ms, measured on Node 26.10).
 */

import type * as Http from "node:http";
import type * as Http2 from "node:http2";
import type * as Https from "node:https";

export const http: typeof Http = process.getBuiltinModule("node:http");

export function https(): typeof Https {
  return process.getBuiltinModule("node:https");
}

export function http2(): typeof Http2 {
  return process.getBuiltinModule("node:http2");
}

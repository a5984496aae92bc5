/**
 * Built-in modules that cost time to load, without what an `import` of them adds.
 *
 * An `import` of a built-in reads all of its exports, and those of `node:http` include the lazy `WebSocket`, which
 * loads Node's whole bundled undici: 30 ms and several megabytes that nobody asked for (measured on Node 26.10).
 * TLS and decompression are loaded by the first connection and the first body that need them.
 */

import type * as Http from "node:http";
import type * as Tls from "node:tls";
import type * as Zlib from "node:zlib";

export const http: typeof Http = process.getBuiltinModule("node:http");

export function tls(): typeof Tls {
  return process.getBuiltinModule("node:tls");
}

export function zlib(): typeof Zlib {
  return process.getBuiltinModule("node:zlib");
}

/**
 * `node:http`, without what an `import` of it drags along.
 *
 * Importing a built-in module reads all of its exports, and those of `node:http` include the lazy `WebSocket`, which
 * loads Node's whole bundled undici: 30 ms and several megabytes that nobody asked for (measured on Node 26.10).
 */

import type * as Http from "node:http";

export const http: typeof Http = process.getBuiltinModule("node:http");

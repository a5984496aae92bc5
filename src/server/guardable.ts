/** What may be guarded, and for how long: a server of Node's that speaks HTTP, until it goes away. */

import { OptionError } from "../core/errors.ts";
import { DrainedError } from "./errors.ts";

/** Those of `net` have no `setTimeout`, and an app of Express has no `close`. */
const methods = ["emit", "listen", "close", "address", "setTimeout"];

/** @throws OptionError for what is no server, which would fail much later or never be guarded. */
export function beGuardable(server: unknown): void {
  const isServer =
    typeof server === "object" &&
    server !== null &&
    methods.every((method) => typeof Reflect.get(server, method) === "function");
  if (isServer) return;
  throw new OptionError(
    "guard",
    "must be given a server of node:http, node:https or node:http2: write guard(http.createServer(app), options).",
  );
}

/**
 * A drained server stays so: its contexts, limits and the promise of its drain are over. Node's own would listen again,
 * and answer each request with `Connection: close`.
 *
 * @throws DrainedError from then on, in `listen()`.
 */
export function refuseListening(server: object): void {
  Reflect.set(server, "listen", () => {
    throw new DrainedError(
      "listen() was called after drain() or close(), which end a guarded server for good. Make a new server.",
    );
  });
}

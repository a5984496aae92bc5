/**
 * undici, in the pieces that the client is made of, and its `Client` only when a transport has been made.
 *
 * `import "undici"` loads its fetch, web sockets, caches and mocks as well, which takes most of 100 ms, and puts an
 * `Agent` of its own in place as the process's global dispatcher. These files are not part of undici's documented
 * interface; its version is pinned for that, and a test holds each piece against the one that the index exports.
 * docs/decisions/0003-undici-in-pieces.md weighs it.
 */

import type * as Undici from "undici";
import apiMethods from "undici/lib/api/index.js";
import coreErrors from "undici/lib/core/errors.js";
import coreUtil from "undici/lib/core/util.js";
import BaseDispatcher from "undici/lib/dispatcher/dispatcher.js";
import LegacyWrapper from "undici/lib/dispatcher/dispatcher1-wrapper.js";

/** What `Transport` extends. The index puts the methods of {@link api} on it. */
export const Dispatcher: typeof Undici.Dispatcher = BaseDispatcher;

/** Gives handlers of undici 7 and older what they expect. */
export const Dispatcher1Wrapper: typeof Undici.Dispatcher1Wrapper = LegacyWrapper;

export const errors: typeof Undici.errors = coreErrors;

export const parseHeaders: typeof Undici.util.parseHeaders = coreUtil.parseHeaders;

/** `request`, `stream`, `pipeline`, `connect` and `upgrade` over any dispatcher. */
export const api: Pick<Undici.Dispatcher, "connect" | "pipeline" | "request" | "stream" | "upgrade"> = apiMethods;

let client: typeof Undici.Client | undefined;

/** Starts to load what a connection needs, which takes tens of milliseconds, and resolves when it is there. */
export async function loadClient(): Promise<void> {
  client ??= (await import("undici/lib/dispatcher/client.js")).default;
}

/** undici's connection. Whoever asks has waited for {@link loadClient}. */
export function getClient(): typeof Undici.Client {
  if (client === undefined) throw new Error("unreachable: the pool dials nothing before undici's Client is loaded");
  return client;
}

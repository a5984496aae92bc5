/**
 * A way out of the async scope of the request that happens to be running.
 *
 * A timer, socket or promise made inside a request remembers that request's AsyncLocalStorage values for as long as it
 * lives; a pooled connection would pin its first request for ever. What outlives a request is therefore made here.
 */

import { AsyncLocalStorage } from "node:async_hooks";

/** Calls `fn` in the async scope in which this module was loaded, and returns what it returns. */
export const outside: <R>(fn: () => R) => R = AsyncLocalStorage.snapshot();

/** Throws `error` as an uncaught exception on a fresh turn, so that one bad callback does not stop its neighbours. */
export function throwLater(error: unknown): void {
  queueMicrotask(() => {
    // oxlint-disable-next-line typescript/only-throw-error -- what a callback threw is passed on unchanged
    throw error;
  });
}

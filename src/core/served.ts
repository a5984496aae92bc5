/**
 * What a server offers to whoever answers one of its requests with something that lasts.
 *
 * Event streams and WebSockets have to know when their server goes away, and are no usual answers to its deadlines. They
 * live in another part than the server, and neither knows the other: this is where they meet. On a server that nobody
 * guards there is nothing here, and the streams do without.
 */

import type { Context } from "./context.ts";
import type { Lifecycle } from "./lifecycle.ts";

/** A request-answer of a guarded server, as the answer's writer sees it. */
export interface Served {
  /** Of the request. */
  readonly context: Context | undefined;
  /** Of the server. */
  readonly lifecycle: Lifecycle;
  /**
   * From here on this answer has its own rules: no deadline of the server's, no slowest rate, no place of the limit on
   * concurrency. Whoever calls it bounds what waits for a client, and how long.
   */
  takeOver(): void;
}

/** Where a response keeps the request-answer that it belongs to. */
export const servedBy: unique symbol = Symbol("sluice.served");

/** What the guarded server of this response offers; `undefined` if the response is not one of a guarded server. */
export function servedOf(response: object): Served | undefined {
  // Only a guard sets that key.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return Reflect.get(response, servedBy) as Served | undefined;
}

const lifecycles = new WeakMap<object, Lifecycle>();

/** Of a guarded server; `undefined` for another one. */
export function lifecycleOf(server: object): Lifecycle | undefined {
  return lifecycles.get(server);
}

/** For whoever guards a server. */
export function setLifecycle(server: object, lifecycle: Lifecycle): void {
  lifecycles.set(server, lifecycle);
}

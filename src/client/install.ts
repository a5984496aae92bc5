/**
 * Puts a dispatcher, and a fetch over it, in the places of this process where code that nobody edits looks for them.
 *
 * undici keeps its global dispatcher on `globalThis` under two registered symbols, one for each form of handler: `.2`
 * is read by undici 8 and by the built-in fetch of Node 26, `.1` by that of Node 24. They are written here and not
 * with `setGlobalDispatcher`, which cannot put back what was there before: it makes a new wrapper for `.1` each time.
 *
 * Undoing is exact in any order. Each place knows who has taken it and what each found there; whoever leaves from the
 * middle hands what he found to the one who came after him. A value that somebody else has put there is not touched.
 */

import { createRequire } from "node:module";
import type { Dispatcher } from "undici";
import { Dispatcher1Wrapper } from "./undici.ts";

type Fetch = typeof globalThis.fetch;

/** One who has taken a place: what he put there, and what he found; `undefined` when there was nothing. */
interface Tenant {
  readonly value: unknown;
  found: PropertyDescriptor | undefined;
}

/**
 * One property of `globalThis`.
 *
 * Invariant: `#tenants` are those who have taken the place and not left it, in the order in which they came.
 */
class GlobalPlace {
  readonly #key: string | symbol;
  readonly #tenants: Tenant[] = [];

  constructor(key: string | symbol) {
    this.#key = key;
  }

  /** @throws {TypeError} `globalThis` is frozen, or the property is */
  take(value: unknown): Tenant {
    const found = Object.getOwnPropertyDescriptor(globalThis, this.#key);
    const { enumerable = false, configurable = true } = found ?? {};
    Object.defineProperty(globalThis, this.#key, { value, enumerable, configurable, writable: true });
    const tenant: Tenant = { value, found };
    this.#tenants.push(tenant);
    return tenant;
  }

  leave(tenant: Tenant): void {
    const index = this.#tenants.indexOf(tenant);
    if (index === -1) return;
    this.#tenants.splice(index, 1);
    const later = this.#tenants.slice(index);
    const heir = later.find(({ found }) => found?.value === tenant.value);
    if (heir !== undefined) {
      heir.found = tenant.found;
      return;
    }
    // What stands there may be the same value, put there again by a later one.
    const isOurs = Object.getOwnPropertyDescriptor(globalThis, this.#key)?.value === tenant.value;
    if (!isOurs || later.some(({ value }) => value === tenant.value)) return;
    if (tenant.found === undefined) Reflect.deleteProperty(globalThis, this.#key);
    else Object.defineProperty(globalThis, this.#key, tenant.found);
  }
}

// One for all transports of the process, because they share what is global.
const current = new GlobalPlace(Symbol.for("undici.globalDispatcher.2"));
const legacy = new GlobalPlace(Symbol.for("undici.globalDispatcher.1"));
const fetchPlace = new GlobalPlace("fetch");

/**
 * Makes `dispatcher` the global one and `fetch`, if given, the global fetch, until the result is disposed of.
 *
 * @throws {TypeError} `globalThis` is frozen; nothing has been changed then
 */
export function installGlobals(dispatcher: Dispatcher, fetch: Fetch | undefined): Disposable {
  // undici puts a dispatcher there when it is loaded and finds none. Found empty and left empty again, the places would
  // stay so for whatever was loaded in between, and its requests would have no dispatcher at all.
  createRequire(import.meta.url)("undici/lib/global.js");
  using undo = new DisposableStack();
  const take = (place: GlobalPlace, value: unknown): void => {
    undo.adopt(place.take(value), (tenant) => place.leave(tenant));
  };
  take(current, dispatcher);
  take(legacy, new Dispatcher1Wrapper(dispatcher));
  if (fetch !== undefined) take(fetchPlace, fetch);
  return undo.move();
}

/**
 * Reads the headers of a request in whichever shape the caller gave them.
 *
 * undici takes a flat array, an object, or anything that iterates over pairs (a `Map`, `Headers`, the entries that
 * its fetch passes). This only looks; it neither copies nor checks, which is left to whoever writes them to a socket.
 */

import type { Dispatcher } from "undici";

type GivenHeaders = Dispatcher.DispatchOptions["headers"];

/** What undici takes as the value of one header, before it is checked. */
export type HeaderValue = string | number | readonly string[] | null | undefined;

function isIterable(headers: object): headers is Iterable<[string, HeaderValue]> {
  return Symbol.iterator in headers;
}

/** Every header as a pair, in the order given. */
export function* eachHeader(headers: GivenHeaders): Generator<[string, HeaderValue]> {
  if (headers == null) return;
  if (Array.isArray(headers)) {
    // A flat list of names and values; undici refuses one of odd length.
    for (let i = 0; i < headers.length; i += 2) yield [String(headers[i]), headers[i + 1]];
  } else if (isIterable(headers)) yield* headers;
  else yield* Object.entries(headers);
}

/** The first value of the header of that lower-case name. */
export function findHeader(headers: GivenHeaders, name: string): string | undefined {
  for (const [key, value] of eachHeader(headers)) {
    if (value == null || key.length !== name.length || key.toLowerCase() !== name) continue;
    return String(Array.isArray(value) ? value[0] : value);
  }
  return undefined;
}

/** A copy of `headers` as a flat list, without those of the lower-case name `left`. */
function flatten(headers: GivenHeaders, left?: string): string[] {
  const flat: string[] = [];
  for (const [name, value] of eachHeader(headers)) {
    if (value === undefined || name.toLowerCase() === left) continue;
    for (const one of Array.isArray(value) ? value : [value]) flat.push(name, String(one ?? ""));
  }
  return flat;
}

/**
 * The options, with a copy of headers that can be read only once, such as a generator: the pool looks for a name in
 * them, a replay sends them again.
 */
export function withRepeatableHeaders(options: Dispatcher.DispatchOptions): Dispatcher.DispatchOptions {
  return isIterator(options.headers) ? { ...options, headers: new Set(options.headers) } : options;
}

function isIterator(headers: GivenHeaders): headers is IterableIterator<[string, string]> {
  return headers != null && "next" in headers && typeof headers["next"] === "function";
}

/** The options with the header of that lower-case name left out. */
export function withoutHeader(options: Dispatcher.DispatchOptions, name: string): Dispatcher.DispatchOptions {
  return { ...options, headers: flatten(options.headers, name) };
}

/** A copy of `headers` as a flat list, with those of `added` put in that the caller has not set. */
export function withHeaders(headers: GivenHeaders, added: Readonly<Record<string, string>>): string[] {
  const flat = flatten(headers);
  for (const [name, value] of Object.entries(added)) {
    if (findHeader(headers, name) === undefined) flat.push(name, value);
  }
  return flat;
}

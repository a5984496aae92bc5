/**
 * The header list of one request, and what fetch adds to it.
 *
 * Order, spelling and values are those of Node's own fetch, so that a server sees the same bytes: the user's headers
 * as written, then `accept`, `accept-language`, `sec-fetch-mode`, `user-agent`, the cache pair and `accept-encoding`.
 * Only forms that are certainly valid are read here; whatever is not goes to the global `Request`, which either
 * accepts it or raises the exact error.
 */

import type { OriginTraits } from "./target.ts";

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// A value that needs neither trimming nor refusing: visible bytes, with blanks and tabs inside only.
const plainValue = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/;

const bodyHeaders = new Set([
  "content-encoding",
  "content-language",
  "content-length",
  "content-location",
  "content-type",
]);
const crossOriginSecrets = new Set(["authorization", "cookie", "host", "proxy-authorization"]);
const conditional = ["if-modified-since", "if-none-match", "if-unmodified-since", "if-match", "if-range"];

/** Invariant: `#names[i]` is the lower-case form of the name at `#flat[2 * i]`, and occurs once. */
export class RequestHeaders {
  #flat: string[] = [];
  #names: string[] = [];

  get size(): number {
    return this.#names.length;
  }

  has(name: string): boolean {
    return this.#names.includes(name);
  }

  /** Adds a valid header. A name that is there already gets the value behind a comma, a cookie behind a semicolon. */
  append(name: string, value: string): void {
    const lower = name.toLowerCase();
    const place = this.#names.indexOf(lower);
    if (place === -1) {
      this.#names.push(lower);
      this.#flat.push(name, value);
    } else {
      this.#flat[2 * place + 1] += (lower === "cookie" ? "; " : ", ") + value;
    }
  }

  /** What a redirect that turns the request into a GET must not carry on. */
  withoutBodyHeaders(): RequestHeaders {
    return this.#without(bodyHeaders);
  }

  /** What must not reach another origin. */
  withoutSecrets(): RequestHeaders {
    return this.#without(crossOriginSecrets);
  }

  /** The list as it goes to the dispatcher: name, value, name, value. */
  toWire(traits: OriginTraits, noStore: boolean, contentLength: number | undefined): readonly string[] {
    if (this.#names.length === 0 && !noStore && contentLength === undefined) return traits.defaultHeaders;
    const wire: string[] = [];
    for (const [place, name] of this.#names.entries()) {
      // A fetch caller cannot set Host, and Sec-Fetch-Mode is fetch's own wherever it sends one.
      if (name === "host") continue;
      wire.push(this.#flat[2 * place] ?? "", this.#wireValue(place, name, traits));
    }
    this.#addDefaults(wire, traits, noStore, contentLength);
    return wire;
  }

  #wireValue(place: number, name: string, traits: OriginTraits): string {
    const value = this.#flat[2 * place + 1] ?? "";
    if (name === "sec-fetch-mode" && traits.trustworthy) return "cors";
    // A compressed range could not be put together, so fetch asks for the plain bytes as well.
    if (name === "accept-encoding" && this.has("range")) return `${value}, identity`;
    return value;
  }

  #addDefaults(wire: string[], traits: OriginTraits, noStore: boolean, contentLength: number | undefined): void {
    if (!this.has("accept")) wire.push("accept", "*/*");
    if (!this.has("accept-language")) wire.push("accept-language", "*");
    if (contentLength !== undefined && !this.has("content-length")) wire.push("content-length", `${contentLength}`);
    if (traits.trustworthy && !this.has("sec-fetch-mode")) wire.push("sec-fetch-mode", "cors");
    if (!this.has("user-agent")) wire.push("user-agent", "node");
    // A conditional request is the caller's own caching: fetch tells caches on the way to keep out.
    if (noStore || conditional.some((name) => this.has(name))) {
      if (!this.has("pragma")) wire.push("pragma", "no-cache");
      if (!this.has("cache-control")) wire.push("cache-control", "no-cache");
    }
    if (!this.has("accept-encoding")) {
      wire.push("accept-encoding", this.has("range") ? "identity" : traits.acceptEncoding);
    }
  }

  #without(unwanted: ReadonlySet<string>): RequestHeaders {
    const rest = new RequestHeaders();
    for (const [place, name] of this.#names.entries()) {
      if (!unwanted.has(name)) rest.append(this.#flat[2 * place] ?? "", this.#flat[2 * place + 1] ?? "");
    }
    return rest;
  }
}

function appendPlain(headers: RequestHeaders, name: unknown, value: unknown): boolean {
  if (typeof name !== "string" || !token.test(name)) return false;
  if (typeof value !== "string" || !plainValue.test(value)) return false;
  headers.append(name, value);
  return true;
}

function readPairs(pairs: readonly unknown[]): RequestHeaders | undefined {
  const headers = new RequestHeaders();
  for (const pair of pairs) {
    if (!Array.isArray(pair) || pair.length !== 2 || !appendPlain(headers, pair[0], pair[1])) return undefined;
  }
  return headers;
}

/** The headers of an `init`, or undefined when only the global `Request` can say what they mean. */
export function readHeaders(init: unknown): RequestHeaders | undefined {
  if (typeof init !== "object" || init === null) return undefined;
  if (init instanceof globalThis.Headers) return copyHeaders(init);
  if (Array.isArray(init)) return readPairs(init);
  const prototype: unknown = Object.getPrototypeOf(init);
  if ((prototype !== Object.prototype && prototype !== null) || Symbol.iterator in init) return undefined;
  const headers = new RequestHeaders();
  for (const [name, value] of Object.entries(init)) {
    if (!appendPlain(headers, name, value)) return undefined;
  }
  return headers;
}

/** The headers of a `Headers` object, which were valid when they got there. Their spelling is lost: lower case. */
export function copyHeaders(source: Headers): RequestHeaders {
  const headers = new RequestHeaders();
  for (const [name, value] of source) headers.append(name, value);
  return headers;
}

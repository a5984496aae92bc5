/**
 * Turns what was given to `fetch` into the few facts the pipeline needs, or says that built-in fetch must serve it.
 *
 * Three ways, by what the call looks like. Common shapes (a URL, a known method, plain headers, a body in memory) are
 * read here, without ever raising an error. Any other shape is given to the global `Request`, which knows every rule
 * and raises the exact errors; what it accepts is then sent by the same pipeline. What the pipeline does not do
 * (other schemes, cache modes, integrity, a body whose length only the global Request knows) is `undefined` here, and
 * the global fetch does it over the same dispatcher.
 */

import { readPlainBody, UploadStream } from "./request-body.ts";
import type { RequestBody } from "./request-body.ts";
import { copyHeaders, readHeaders, RequestHeaders } from "./request-headers.ts";

export type RedirectMode = "follow" | "manual" | "error";

/** One hop of a fetch. A redirect makes another one of it. */
export interface LeanRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: RequestHeaders;
  readonly body: RequestBody | null;
  readonly redirect: RedirectMode;
  readonly noStore: boolean;
  readonly signal: AbortSignal | undefined;
  /** The URL of the first hop; decides whether the response is "basic" or "cors". */
  readonly firstUrl: URL;
  readonly redirectCount: number;
  /** A redirect has left the first origin. It stays true if a later one leads back. */
  readonly tainted: boolean;
  /** The server said 421 once, and the request was sent again. */
  readonly misdirected: boolean;
}

// Method names that the standard takes as they are or writes in capitals. "patch" is neither.
const commonMethods = new Map<unknown, string>([[undefined, "GET"]]);
for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]) {
  commonMethods.set(method, method).set(method.toLowerCase(), method);
}
commonMethods.set("PATCH", "PATCH");

const redirectModes = new Map<unknown, RedirectMode>([
  [undefined, "follow"],
  ["follow", "follow"],
  ["manual", "manual"],
  ["error", "error"],
]);

const noHeaders = new RequestHeaders();

function firstHop(facts: Omit<LeanRequest, "firstUrl" | "redirectCount" | "tainted" | "misdirected">): LeanRequest {
  return { ...facts, firstUrl: facts.url, redirectCount: 0, tainted: false, misdirected: false };
}

function isHttp(url: URL): boolean {
  return url.protocol === "http:" || url.protocol === "https:";
}

function readUrl(input: unknown): URL | undefined {
  // A URL object may change after the call, so it is copied.
  if (typeof input !== "string" && !(input instanceof URL)) return undefined;
  const url = URL.parse(typeof input === "string" ? input : input.href);
  if (url === null || !isHttp(url) || url.username !== "" || url.password !== "") return undefined;
  return url;
}

/** Whether the init members that the fast reading knows nothing of are absent, or say what is so anyway. */
function isPlainInit(init: RequestInit): boolean {
  const { cache, credentials, duplex, integrity, keepalive, mode, referrer, referrerPolicy } = init;
  return (
    (mode === undefined || mode === "cors") &&
    (cache === undefined || cache === "default" || cache === "no-store") &&
    (credentials === undefined || credentials === "same-origin") &&
    (duplex === undefined || duplex === "half") &&
    integrity === undefined &&
    keepalive === undefined &&
    referrer === undefined &&
    referrerPolicy === undefined &&
    !("priority" in init) &&
    !("window" in init)
  );
}

/** Reads the common shapes; undefined for any other, valid or not. */
export function readCommonRequest(input: unknown, init: RequestInit | null | undefined): LeanRequest | undefined {
  const url = readUrl(input);
  if (url === undefined) return undefined;
  if (init === undefined || init === null) {
    const redirect = "follow";
    return firstHop({
      method: "GET",
      url,
      headers: noHeaders,
      body: null,
      redirect,
      noStore: false,
      signal: undefined,
    });
  }
  if (typeof init !== "object" || !isPlainInit(init)) return undefined;
  const method = commonMethods.get(init.method);
  const redirect = redirectModes.get(init.redirect);
  const signal = init.signal ?? undefined;
  if (method === undefined || redirect === undefined) return undefined;
  if (signal !== undefined && !(signal instanceof AbortSignal)) return undefined;
  let headers = init.headers === undefined ? noHeaders : readHeaders(init.headers);
  if (headers === undefined) return undefined;
  let body: RequestBody | null = null;
  if (init.body !== undefined && init.body !== null) {
    const plain = method === "GET" || method === "HEAD" ? undefined : readPlainBody(init.body);
    if (plain === undefined) return undefined;
    body = plain.bytes;
    if (plain.type !== undefined && !headers.has("content-type")) {
      if (headers === noHeaders) headers = new RequestHeaders();
      headers.append("content-type", plain.type);
    }
  }
  return firstHop({ method, url, headers, body, redirect, noStore: init.cache === "no-store", signal });
}

/** Reads a global `Request`; undefined when built-in fetch must send it. `given` is the body it was made from, if known. */
export function readRequestObject(request: Request, given: unknown): LeanRequest | undefined {
  const { cache, method, signal } = request;
  const url = new URL(request.url);
  const redirect = redirectModes.get(request.redirect);
  if (!isHttp(url) || redirect === undefined || (cache !== "default" && cache !== "no-store")) return undefined;
  if (request.mode !== "cors" || request.integrity !== "" || request.keepalive) return undefined;
  if (request.referrer !== "about:client" || request.referrerPolicy !== "") return undefined;
  const body = request.body === null ? null : findBody(request.body, given);
  if (body === undefined) return undefined;
  const headers = copyHeaders(request.headers);
  return firstHop({ method, url, headers, body, redirect, noStore: cache === "no-store", signal });
}

/** The body that a Request extracted from `given`, or undefined when its length cannot be told from outside. */
function findBody(stream: ReadableStream<Uint8Array>, given: unknown): RequestBody | undefined {
  const plain = readPlainBody(given);
  if (plain !== undefined) return plain.bytes;
  if (given instanceof Blob) return new UploadStream(stream, given);
  const endless = typeof given === "object" && given !== null && Symbol.asyncIterator in given;
  return endless ? new UploadStream(stream) : undefined;
}

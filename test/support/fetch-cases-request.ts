/** Rows about what a request looks like on the wire, and which requests are refused before anything is sent. */

import assert from "node:assert/strict";
import { Readable } from "node:stream";
import type { Bench, CaseResult, FetchCase } from "./fetch-case.ts";
import { keptAfterHead, look } from "./fetch-case.ts";

const bytes = (): Uint8Array<ArrayBuffer> => new Uint8Array([0, 1, 254, 255]);

function streamOf(...chunks: Uint8Array[]): ReadableStream {
  return ReadableStream.from(chunks);
}

/** A row that posts one body. */
function posts(name: string, body: () => unknown, init: RequestInit = {}): FetchCase {
  return { name: `POST of ${name}`, init: () => ({ method: "POST", ...init, body: body() }) };
}

/** A row whose init is wrong (or odd) in one member. */
function gives(name: string, init: Record<string, unknown>): FetchCase {
  return { name, init: () => init };
}

function fetches(name: string, input: (bench: Bench) => unknown, init?: (bench: Bench) => unknown): FetchCase {
  return { name, run: (bench) => look(bench.fetch(input(bench), init?.(bench))) };
}

function sortedLines({ wire }: CaseResult): string[] {
  return (wire[0] ?? "").toLowerCase().split("\r\n").toSorted();
}

const spelling = {
  reason: "a Headers object tells names in lower case and sorted only; built-in fetch reads its private list",
  check: (ours: CaseResult, builtIn: CaseResult): void => {
    assert.notDeepEqual(ours.wire, builtIn.wire);
    assert.deepEqual(sortedLines(ours), sortedLines(builtIn));
    assert.deepEqual(ours.seen, builtIn.seen);
  },
};

export const requestCases: readonly FetchCase[] = [
  { name: "GET without init" },
  { name: "query, fragment and escapes", path: "/a/../b c/%41?q=1&r=ä 'x'#frag" },
  { name: "an empty query keeps its question mark", path: "/a?" },
  { name: "an empty query before a fragment keeps its question mark", path: "/a?#f" },
  { name: "an empty fragment", path: "/a#" },
  fetches("a URL object", (bench) => new URL(bench.at("/u?x"))),
  fetches("an object with toString", (bench) => ({ toString: () => bench.at("/s") })),
  fetches("white space around the URL", (bench) => `  ${bench.at("/w")}\n`),
  fetches("localhost", (bench) => bench.at("/").replace("127.0.0.1", "LOCALHOST")),
  gives("lower-case method", { method: "post" }),
  gives("mixed-case method", { method: "DeLeTe" }),
  gives("PATCH", { method: "PATCH", body: "x" }),
  gives("a method of one's own", { method: "PROPFIND" }),
  gives("QUERY with a body", { method: "QUERY", body: "x" }),
  gives("PUT without a body announces length 0", { method: "PUT" }),
  gives("DELETE without a body announces nothing", { method: "DELETE" }),
  gives("OPTIONS", { method: "OPTIONS" }),
  { name: "HEAD", init: () => ({ method: "HEAD" }), oursDiffers: keptAfterHead },
  gives("header record keeps spelling and order", { headers: { "X-Zed": "1", accept: "text/html", "a-b": "2" } }),
  gives("header pairs of one name are joined", { headers: [["X-A", "1"], ["b", "2"], ["x-a", "3"]] }), // prettier-ignore
  gives("cookies are joined by semicolons", { headers: [["cookie", "a=1"], ["Cookie", "b=2"]] }), // prettier-ignore
  gives("header values are trimmed", { headers: { a: " \tx y\t ", b: "" } }),
  gives("header values beyond ASCII are Latin-1", { headers: { a: "grün" } }),
  gives("a number as header value", { headers: { a: 7 } }),
  gives("a Map as headers", { headers: new Map([["m", "1"]]) }),
  gives("own user agent, language and coding", {
    headers: { "user-agent": "me", "accept-language": "de", "accept-encoding": "br" },
  }),
  gives("own host is dropped", { headers: { host: "example.org" } }),
  gives("own sec-fetch-mode is overruled", { headers: { "sec-fetch-mode": "navigate" } }),
  gives("range asks for the plain bytes", { headers: { range: "bytes=0-1" } }),
  gives("range beside an own coding", { headers: { range: "bytes=0-1", "accept-encoding": "gzip" } }),
  gives("a conditional request tells caches to keep out", { headers: { "If-None-Match": '"a"' } }),
  gives("cache no-store", { cache: "no-store" }),
  gives("cache reload", { cache: "reload" }),
  gives("cache no-cache", { cache: "no-cache" }),
  gives("cache force-cache", { cache: "force-cache" }),
  gives("referrer", { referrer: "http://127.0.0.1/page" }),
  gives("credentials omit", { credentials: "omit" }),
  gives("keepalive", { keepalive: true }),
  gives("integrity that fits", {
    integrity: "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
  }),
  gives("integrity that does not fit", { integrity: "sha256-AAAAul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=" }),
  {
    name: "a Headers object",
    init: ({ classes }) => ({ headers: new classes.Headers({ "X-Zed": "1", Aa: "2" }) }),
    oursDiffers: spelling,
  },
  {
    name: "a Request with headers",
    run: ({ classes, at, fetch }) => look(fetch(new classes.Request(at("/"), { headers: { "X-Zed": "1", Aa: "2" } }))),
    oursDiffers: spelling,
  },
  posts("a string", () => "grün"),
  posts("an empty string", () => ""),
  posts("a string with a lone surrogate", () => "a\ud800b"),
  posts("a string with an own content type", () => "{}", { headers: { "Content-Type": "application/json" } }),
  posts("bytes", bytes),
  posts("a view into larger memory", () => new Uint8Array(bytes().buffer, 1, 2)),
  posts("an ArrayBuffer", () => bytes().buffer),
  posts("a DataView", () => new DataView(bytes().buffer)),
  posts("a Buffer", () => Buffer.from("buffer")),
  posts("URLSearchParams", () => new URLSearchParams({ a: "1 2", b: "ä" })),
  posts("a Blob with a type", () => new Blob(["blob"], { type: "text/x" })),
  posts("a Blob without a type", () => new Blob(["blob"])),
  posts("an object becomes its string", () => ({})),
  posts("null", () => null),
  posts("a stream goes chunked", () => streamOf(bytes(), bytes()), { duplex: "half" }),
  posts("a Node stream goes chunked", () => Readable.from([Buffer.from("x"), Buffer.from("y")]), { duplex: "half" }),
  posts("a stream without duplex is refused", () => streamOf(bytes())),
  {
    name: "POST of form data",
    init: ({ classes }) => {
      const form = new classes.FormData();
      form.append("text", "a\nb");
      form.append("file", new Blob(["content"], { type: "text/x" }), "näme.txt");
      return { method: "POST", body: form };
    },
  },
  fetches("a Request", ({ classes, at }) => new classes.Request(at("/r#f"), { headers: { a: "1", b: "2" } })),
  fetches(
    "a Request with a body",
    ({ classes, at }) => new classes.Request(at("/r"), { method: "POST", body: "body" }),
  ),
  fetches(
    "a Request with another method and body",
    ({ classes, at }) => new classes.Request(at("/r"), { method: "PUT", body: "old" }),
    () => ({ method: "POST", body: "new" }),
  ),
  fetches("a Request whose body was read is refused", ({ classes, at }) => {
    const request = new classes.Request(at("/r"), { method: "POST", body: "body" });
    void request.text();
    return request;
  }),
  fetches("a relative URL is refused", () => "/path"),
  fetches("a broken URL is refused", () => "http://a b/"),
  fetches("a URL with a password is refused", (bench) => bench.at("/").replace("//", "//user:pass@")),
  fetches("an unknown scheme is refused", () => "foo://x/"),
  fetches("a data URL", () => "data:text/plain;charset=utf-8,hello%20data"),
  fetches("an about URL is refused", () => "about:blank"),
  fetches("a file URL is refused", () => "file:///etc/hostname"),
  fetches("a blocked port is refused", () => "http://127.0.0.1:25/"),
  ...["CONNECT", "TRACE", "track", "a b", ""].map((method) => gives(`method "${method}" is refused`, { method })),
  ...["GET", "head"].map((method) => gives(`${method} with a body is refused`, { method, body: "x" })),
  ...["a\r\nb: c", "a\0", "a\nb", "\u20ac"].map((value) =>
    gives(`header value ${JSON.stringify(value)} is refused`, { headers: { a: value } }),
  ),
  ...["a b", "a:", "", "ä", "a\r\n"].map((name) =>
    gives(`header name ${JSON.stringify(name)} is refused`, { headers: { [name]: "x" } }),
  ),
  gives("a header pair of three is refused", { headers: [["a", "b", "c"]] }),
  gives("headers that are a string are refused", { headers: "a: b" }),
  gives("headers that are null are refused", { headers: null }),
  gives("transfer-encoding is refused", { headers: { "transfer-encoding": "chunked" } }),
  gives("an unknown redirect mode is refused", { redirect: "maybe" }),
  gives("an unknown mode is refused", { mode: "maybe" }),
  gives("mode navigate is refused", { mode: "navigate" }),
  gives("mode same-origin", { mode: "same-origin" }),
  gives("mode no-cors", { mode: "no-cors" }),
  gives("cache only-if-cached is refused", { cache: "only-if-cached" }),
  gives("a signal that is none is refused", { signal: {} }),
  gives("a window is refused", { window: {} }),
  fetches(
    "an init that is a number is refused",
    (bench) => bench.at("/"),
    () => 7,
  ),
  fetches(
    "an init that is null",
    (bench) => bench.at("/"),
    () => null,
  ),
];

/** Rows about responses: what they look like, how their bodies are read, codings, and answers that break off. */

import assert from "node:assert/strict";
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import type { Socket } from "node:net";
import type { Bench, FetchCase } from "./fetch-case.ts";
import { describeError, head, hello, keptAfterHead, look, settle } from "./fetch-case.ts";
import { reply } from "./wire-server.ts";

const plain = "plain text ".repeat(2_000);

function encoded(name: string, coding: string, body: Buffer | string, init: RequestInit = {}): FetchCase {
  return { name, answer: reply("200 OK", { "content-encoding": coding }, body), init: () => init };
}

/** A row that does something with the response of an ordinary answer. */
function reads(name: string, use: (response: Response, bench: Bench) => Promise<unknown>, answer = hello): FetchCase {
  return { name, answer, run: async (bench) => use(await bench.fetch(bench.at("/"), { redirect: "manual" }), bench) };
}

/** Writes the parts one after the other, with a pause between them, and ends the connection. */
function inParts(...parts: string[]): (_: unknown, socket: Socket) => Promise<void> {
  return async (_, socket) => {
    for (const part of parts) {
      socket.write(part, "latin1");
      // oxlint-disable-next-line no-await-in-loop -- one after the other is the point
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    socket.end();
  };
}

function answers(name: string, ...parts: string[]): FetchCase {
  return { name, answer: (request, socket) => void inParts(...parts)(request, socket) };
}

const chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

async function drain(stream: ReadableStream<Uint8Array> | null): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream ?? []) text += decoder.decode(chunk, { stream: true });
  return text;
}

const shapes: readonly FetchCase[] = [
  { name: "status text and repeated headers", answer: "HTTP/1.1 299 Fine by  me\r\nX-A: 1\r\nx-a: 2\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 0\r\n\r\n" }, // prettier-ignore
  { name: "no status text", answer: "HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok" },
  { name: "Latin-1 header values", answer: Buffer.from("HTTP/1.1 200 OK\r\nx: gr\xfcn\r\ncontent-length: 0\r\n\r\n", "latin1") }, // prettier-ignore
  ...["204 No Content", "304 Not Modified"].map((status): FetchCase => ({ name: `no body: ${status}`, answer: `HTTP/1.1 ${status}\r\nx: 1\r\n\r\n`, run: reading })), // prettier-ignore
  { name: "no body: 205", answer: reply("205 Reset Content", {}), run: reading },
  { name: "no body: HEAD", answer: "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-encoding: gzip\r\n\r\n", run: (bench) => reading(bench, { method: "HEAD" }), oursDiffers: keptAfterHead,
  }, // prettier-ignore
  { name: "an empty body", answer: reply("200 OK", {}), run: reading },
  ...["400 Bad", "401 Unauthorized", "404 Not Found", "500 Oops"].map((status): FetchCase => ({ name: `status ${status}`, answer: reply(status, { "www-authenticate": "Basic" }, "body") })), // prettier-ignore
  {
    name: "407 is an error",
    answer: reply("407 Proxy Authentication Required", {}, "body"),
    oursDiffers: {
      reason: "the cause of built-in fetch has no message there, which tells nobody what to do",
      check: (ours, builtIn): void => {
        const named = JSON.stringify(ours).replace("proxy authentication required", "");
        assert.deepEqual(JSON.parse(named), builtIn);
      },
    },
  },
  { name: "421 is tried once more", answer: ({ index }, socket) => void socket.write(index === 0 ? reply("421 Misdirected Request", {}, "no") : hello) }, // prettier-ignore
  { name: "421 twice is the answer", answer: reply("421 Misdirected Request", {}, "no"), init: () => ({ method: "POST", body: "x" }) }, // prettier-ignore
  { name: "1xx answers are passed over", answer: `HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${hello}` }, // prettier-ignore
  answers("a body in pieces", chunked, "3\r\nabc\r\n", "4\r\ndefg\r\n", "0\r\n\r\n"),
  answers("a character split over two chunks", chunked, "2\r\ng\xc3\r\n", "2\r\n\xbcn\r\n0\r\n\r\n"),
  answers("a body that the end of the connection ends", "HTTP/1.1 200 OK\r\n\r\nabc", "def"),
  answers("trailers are ignored", chunked, "1\r\na\r\n0\r\nx: y\r\n\r\n"),
];

const bodies: readonly FetchCase[] = [
  reads("json", (response) => settle(response.json()), reply("200 OK", {}, '{"a":[1]}').toString()),
  reads("json that is none", (response) => settle(response.json())),
  reads("json of nothing", (response) => settle(response.json()), reply("200 OK", {}).toString()),
  reads("arrayBuffer", async (response) => Buffer.from(await response.arrayBuffer()).toString("hex")),
  reads("bytes have memory of their own", async (response) => (await response.bytes()).buffer.byteLength),
  reads("a byte order mark is dropped", (response) => response.text(), "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n\ufeffabc"), // prettier-ignore
  reads(
    "blob takes the media type",
    async (response) => {
      const blob = await response.blob();
      return [blob.type, await blob.text()];
    },
    reply("200 OK", { "content-type": "Text/HTML; Charset=UTF-8" }, "x").toString(),
  ),
  reads("blob without a media type", async (response) => (await response.blob()).type, reply("200 OK", {}, "x").toString()), // prettier-ignore
  reads(
    "formData of a form",
    async (response) => [...(await response.formData())],
    reply("200 OK", { "content-type": "application/x-www-form-urlencoded" }, "a=1&b=%20").toString(),
  ),
  reads("formData of something else", (response) => settle(response.formData())),
  reads("a second read is refused", async (response) => [
    await response.text(),
    response.bodyUsed,
    await settle(response.text()),
    await settle(response.formData()),
    response.body?.locked,
  ]),
  reads("clone after reading is refused", async (response) => {
    await response.text();
    return settle(Promise.try(() => response.clone()));
  }),
  reads("clone gives both", async (response) => {
    const clone = response.clone();
    return [head(clone), await clone.text(), response.bodyUsed, await response.text()];
  }),
  reads("clone after a look at body gives both", async (response) => {
    const { body } = response;
    const clone = response.clone();
    return [body?.locked, await clone.text(), response.bodyUsed, await drain(response.body)];
  }),
  reads("body is one stream", async (response) => [
    response.body === response.body,
    response.bodyUsed,
    await drain(response.body),
    response.bodyUsed,
    response.body?.locked,
  ]),
  reads("text after a look at body", async (response) => [response.body?.locked, await response.text(), response.body?.locked]), // prettier-ignore
  reads("text while the body is locked is refused", async (response) => {
    response.body?.getReader();
    return [response.bodyUsed, await settle(response.text())];
  }),
  reads("a BYOB reader", async (response) => {
    const reader = response.body?.getReader({ mode: "byob" });
    const first = await reader?.read(new Uint8Array(3));
    const second = await reader?.read(new Uint8Array(3));
    const last = await reader?.read(new Uint8Array(3));
    return [first, second, last].map((read) => [read?.done, read?.value?.toString()]);
  }),
  reads("body.cancel", async (response) => {
    await response.body?.cancel("enough");
    return [response.bodyUsed, await settle(response.text())];
  }),
  {
    ...reads("textStream", async (response) => {
      if (!("textStream" in response)) return "none";
      let text = "";
      for await (const part of response.textStream()) text += part;
      return [text, response.bodyUsed];
    }),
    ...("textStream" in Response.prototype ? {} : { npmDiffers: "Node 24 does not have it yet" }),
  },
  reads("a new Response of the old one", async (response, { classes }) => {
    const copy = new classes.Response(response.body, response);
    return [copy.status, copy.statusText, [...copy.headers], await copy.text(), response.bodyUsed];
  }),
  reads("it is a Response", async (response, { classes }) => [
    response instanceof classes.Response,
    response.constructor === classes.Response,
    Object.prototype.toString.call(response),
    Object.keys(response),
    response.headers instanceof classes.Headers,
    response.headers === response.headers,
  ]),
  reads("headers are closed", async ({ headers }) => [
    await settle(Promise.try(() => headers.append("a", "b"))),
    await settle(Promise.try(() => headers.set("a", "b"))),
    await settle(Promise.try(() => headers.delete("content-type"))),
    headers.get("CONTENT-type"),
    headers.getSetCookie(),
  ]),
  reads("it cannot be cloned to another thread", (response) => settle(Promise.try(() => structuredClone(response)))),
];

const codings: readonly FetchCase[] = [
  encoded("gzip", "gzip", gzipSync(plain)),
  encoded("x-gzip in capitals", "X-GZIP", gzipSync(plain)),
  encoded("deflate", "deflate", deflateSync(plain)),
  encoded("raw deflate", "deflate", deflateRawSync(plain)),
  encoded("br", "br", brotliCompressSync(plain)),
  encoded("zstd", "zstd", zstdCompressSync(plain)),
  encoded("two codings", "deflate, gzip", gzipSync(deflateSync(plain))),
  encoded("an unknown coding is left alone", "foo", "abc"),
  encoded("an unknown coding among known ones leaves all alone", "foo, gzip", "abc"),
  encoded("identity is left alone", "identity", "abc"),
  encoded("five codings", "gzip,gzip,gzip,gzip,gzip", gzipSync(gzipSync(gzipSync(gzipSync(gzipSync("x")))))),
  encoded("six codings are refused", "gzip,gzip,gzip,gzip,gzip,gzip", "x"),
  encoded("an encoded body of nothing", "gzip", ""),
  encoded("broken gzip", "gzip", "not gzip at all"),
  encoded("broken br", "br", "not brotli at all"),
  encoded("broken zstd", "zstd", "not zstd at all"),
  encoded("truncated gzip is read as far as it goes", "gzip", gzipSync("abc").subarray(0, -8)),
  encoded("truncated br", "br", brotliCompressSync("abc").subarray(0, -1)),
  encoded("garbage behind gzip", "gzip", Buffer.concat([gzipSync("abc"), Buffer.from("garbage")])),
  { ...encoded("HEAD of an encoded resource", "gzip", "", { method: "HEAD" }), oursDiffers: keptAfterHead },
  { name: "an encoded redirect under manual", answer: reply("302 Found", { location: "/x", "content-encoding": "gzip" }, gzipSync("abc")), init: () => ({ redirect: "manual" }) }, // prettier-ignore
];

const broken: readonly FetchCase[] = [
  answers("closed before the header", ""),
  answers("closed in the header", "HTTP/1.1 200 OK\r\nx: 1"),
  answers("garbage instead of an answer", "garbage\r\n\r\n"),
  answers("closed in the body", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"),
  answers("closed in a chunk", chunked, "5\r\nab"),
  answers("a chunk length that is none", chunked, "3\r\nabc\r\n", "zz\r\n"),
  answers("more than the length", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcdef"),
  answers("two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc"),
  answers("101 that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
  answers("a header larger than 16 KiB", `HTTP/1.1 200 OK\r\nx: ${"a".repeat(20_000)}\r\n\r\n`),
  {
    name: "closed in the body while it is streamed",
    answer: (request, socket) => void inParts("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")(request, socket),
    run: async ({ at, fetch }) => {
      const reader = (await fetch(at("/"))).body?.getReader();
      const first = await reader?.read();
      return [first?.value?.length, await settle(Promise.resolve(reader?.read())), await settle(Promise.resolve(reader?.closed))]; // prettier-ignore
    },
  },
  {
    name: "nobody listens",
    run: ({ fetch }) => fetch("http://127.0.0.1:1024/").catch((error: unknown) => describeError(error)),
  },
  { name: "no such host", run: ({ fetch }) => look(fetch("http://does-not-exist.invalid/")) },
];

async function reading({ fetch, at }: Bench, init?: RequestInit): Promise<unknown> {
  const response = await fetch(at("/"), init);
  const clone = response.clone();
  const stream = response.body === null ? null : "stream";
  const seen = [head(response), stream, await settle(response.text()), response.bodyUsed];
  return [...seen, await settle(response.text()), await settle(clone.blob()), clone.bodyUsed];
}

export const responseCases: readonly FetchCase[] = [...shapes, ...bodies, ...codings, ...broken];

/**
 * A response that is one small object until more is asked of it.
 *
 * It is not made by the global `Response`'s constructor (which builds a header list and a state to throw away), but its
 * prototype chain leads to `Response.prototype`, so `instanceof Response` holds, and every member is its own.
 * Headers are parsed at the first look at `headers`, the stream is made by the first look at `body`. What needs the
 * real thing (form data, a Blob's type) makes a real `Response` of the same bytes. Taking a method off
 * `Response.prototype` and calling it on this object throws, as it does for any object of another class.
 */

import { Readable } from "node:stream";
import { formatWithOptions, inspect } from "node:util";
import type { InspectOptions } from "node:util";
import { markAsUncloneable } from "node:worker_threads";
import type { BodyBuffer, ConvertBytes } from "./body-buffer.ts";
import { copyBytes } from "./body-buffer.ts";
import { makeHeaders } from "./response-headers.ts";
import type { HeaderFields, RawField } from "./response-headers.ts";
import { withoutFragment } from "./target.ts";

/** What the header of an answer says, before anything of it is parsed. Shared by clones. */
export interface ResponseHead {
  readonly status: number;
  readonly statusText: string;
  readonly url: URL;
  readonly redirected: boolean;
  readonly type: "basic" | "cors";
  /** Name, value, name, value, as they came; undefined where a dispatcher has no such list. */
  readonly raw: readonly RawField[] | undefined;
  readonly fields: HeaderFields;
}

type Bytes = Uint8Array<ArrayBuffer>;

// Strips a byte order mark and replaces what is not UTF-8, as the standard's "UTF-8 decode" does.
const utf8 = new TextDecoder();

function joined(chunks: readonly Uint8Array[], byteCount: number): Uint8Array {
  const [first] = chunks;
  return chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, byteCount);
}

function toText(chunks: readonly Uint8Array[], byteCount: number): string {
  return byteCount === 0 ? "" : utf8.decode(joined(chunks, byteCount));
}

function toJson(chunks: readonly Uint8Array[], byteCount: number): unknown {
  return JSON.parse(toText(chunks, byteCount));
}

async function readStream<T>(stream: ReadableStream<Bytes>, convert: ConvertBytes<T>): Promise<T> {
  const chunks: Uint8Array[] = [];
  let byteCount = 0;
  // The lock is kept, as the standard's "fully read" keeps it.
  const reader = stream.getReader();
  // Iterating the stream itself would release the lock at the end.
  const reads = { [Symbol.asyncIterator]: () => ({ next: () => reader.read() }) };
  for await (const chunk of reads) {
    chunks.push(chunk);
    byteCount += chunk.byteLength;
  }
  return convert(chunks, byteCount);
}

/** What `body` is after `text()` and its like have taken the bytes without a stream. */
function usedStream(): ReadableStream<Bytes> {
  const stream = new ReadableStream<Bytes>({ type: "bytes" });
  stream.getReader().cancel().catch(ignore);
  return stream;
}

function ignore(): void {
  // Cancelling a stream without a source cannot fail.
}

/** Invariant: once `#stream` is set, the body is read through it only. `#used` is for reading without a stream. */
export class LeanResponse implements Response {
  readonly #head: ResponseHead;
  readonly #body: BodyBuffer | null;
  #stream: ReadableStream<Bytes> | undefined = undefined;
  #used = false;
  #headers: Headers | undefined = undefined;
  /** Comes from `adoptGlobal`, where Node has it. */
  declare readonly textStream: Response["textStream"];

  constructor(head: ResponseHead, body: BodyBuffer | null) {
    this.#head = head;
    this.#body = body;
    // As a genuine response: structuredClone() and postMessage() refuse it.
    markAsUncloneable(this);
  }

  get type(): "basic" | "cors" {
    return this.#head.type;
  }

  get url(): string {
    return withoutFragment(this.#head.url);
  }

  get redirected(): boolean {
    return this.#head.redirected;
  }

  get status(): number {
    return this.#head.status;
  }

  get ok(): boolean {
    return this.#head.status >= 200 && this.#head.status <= 299;
  }

  get statusText(): string {
    return this.#head.statusText;
  }

  get headers(): Headers {
    return (this.#headers ??= makeHeaders(this.#head.raw, this.#head.fields));
  }

  get body(): ReadableStream<Bytes> | null {
    const body = this.#body;
    if (body === null) return null;
    return (this.#stream ??= this.#used ? usedStream() : body.openStream());
  }

  get bodyUsed(): boolean {
    return this.#stream === undefined ? this.#used : wasRead(this.#stream);
  }

  text(): Promise<string> {
    return this.#read(toText);
  }

  json(): Promise<unknown> {
    return this.#read(toJson);
  }

  bytes(): Promise<Bytes> {
    return this.#read(copyBytes);
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    return this.#read((chunks, byteCount) => copyBytes(chunks, byteCount).buffer);
  }

  async blob(): Promise<Blob> {
    const bytes = await this.#read(joined);
    const type = this.headers.get("content-type");
    // A real response knows how to parse and write a media type.
    return new globalThis.Response(
      new Uint8Array(bytes),
      type === null ? {} : { headers: { "content-type": type } },
    ).blob();
  }

  async formData(): Promise<FormData> {
    if (this.#unusable) throw alreadyRead();
    return this.#genuine().formData();
  }

  clone(): LeanResponse {
    if (this.#unusable) throw new TypeError("Response.clone: Body has already been consumed.");
    const body = this.#body;
    if (body === null) return new LeanResponse(this.#head, null);
    if (body.complete && this.#stream === undefined) return new LeanResponse(this.#head, body.share());
    const [mine, theirs] = (this.#stream ?? body.openStream()).tee();
    const clone = new LeanResponse(this.#head, body);
    this.#stream = mine;
    clone.#stream = theirs;
    return clone;
  }

  get #unusable(): boolean {
    return this.#stream === undefined ? this.#used : this.#stream.locked || wasRead(this.#stream);
  }

  #read<T>(convert: ConvertBytes<T>): Promise<T> {
    const body = this.#body;
    if (this.#unusable) return Promise.reject(alreadyRead());
    if (this.#stream !== undefined) return readStream(this.#stream, convert);
    if (body === null) return new Promise((resolve) => resolve(convert([], 0)));
    this.#used = true;
    return body.readAll(convert);
  }

  /** A real response that takes over the body. */
  #genuine(): Response {
    const { status, statusText, headers, body } = this;
    return new globalThis.Response(body, { status, statusText, headers });
  }

  /**
   * Hangs this class below the global `Response`, once. Not at import: the first look at `globalThis.Response` loads
   * Node's whole fetch. Members of `Response` that this class does not know (`textStream`, and what later versions
   * of Node add) are served by a real response over the same body.
   */
  static adoptGlobal(): void {
    if (Object.getPrototypeOf(LeanResponse.prototype) !== Object.prototype) return;
    const { prototype } = globalThis.Response;
    Object.setPrototypeOf(LeanResponse.prototype, prototype);
    Object.defineProperty(LeanResponse.prototype, "constructor", { value: globalThis.Response });
    Object.defineProperty(LeanResponse.prototype, inspect.custom, { value: inspectResponse });
    for (const [name, member] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      if (!Object.hasOwn(LeanResponse.prototype, name)) LeanResponse.#forward(name, member.value);
    }
  }

  static #forward(name: string, member: unknown): void {
    const take = (response: LeanResponse): Response => {
      if (response.#unusable) throw alreadyRead();
      return response.#genuine();
    };
    Object.defineProperty(LeanResponse.prototype, name, {
      configurable: true,
      ...(typeof member === "function"
        ? {
            value(this: LeanResponse, ...given: unknown[]): unknown {
              return Reflect.apply(member, take(this), given);
            },
          }
        : {
            get(this: LeanResponse): unknown {
              return Reflect.get(globalThis.Response.prototype, name, take(this));
            },
          }),
    });
  }
}

function inspectResponse(this: LeanResponse, _depth: number, options: InspectOptions): string {
  const { status, statusText, headers, body, bodyUsed, ok, redirected, type, url } = this;
  const shown = { status, statusText, headers, body, bodyUsed, ok, redirected, type, url };
  return `Response ${formatWithOptions({ ...options, depth: options.depth ?? 2 }, shown)}`;
}

function wasRead(stream: ReadableStream): boolean {
  return Readable.isDisturbed(stream);
}

function alreadyRead(): TypeError {
  return new TypeError("Body is unusable: Body has already been read");
}

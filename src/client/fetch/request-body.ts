/**
 * What a request sends after its header: bytes, which can be sent again, or a stream, which usually cannot.
 *
 * Bytes are copied when `fetch` is called, as the standard says, because the request may wait in a queue while the
 * caller reuses the memory.
 */

/** A body that is not in memory. */
export interface StreamBody extends AsyncIterable<Uint8Array> {
  /** Its length where it is known; otherwise it goes chunked. */
  readonly byteCount: number | undefined;
  /** The same body from its start, or undefined when it is gone once it was sent. */
  again(): StreamBody | undefined;
  cancel(reason: unknown): void;
}

export type RequestBody = Uint8Array | StreamBody;

/** The length to announce, if there is one to announce. */
export function bodyLength(body: RequestBody | null, method: string): number | undefined {
  if (body === null) return method === "POST" || method === "PUT" ? 0 : undefined;
  return body instanceof Uint8Array ? body.byteLength : body.byteCount;
}

/** The body for another hop, null for none, undefined when it cannot be sent twice. */
export function repeatBody(body: RequestBody | null): RequestBody | null | undefined {
  return body === null || body instanceof Uint8Array ? body : body.again();
}

/** Ends a body that will not be sent any further. */
export function cancelBody(body: RequestBody | null, reason: unknown): void {
  if (body !== null && !(body instanceof Uint8Array)) body.cancel(reason);
}

/** The bytes and the content type of a plain body, or undefined when only the global `Request` can extract it. */
export function readPlainBody(init: unknown): { readonly bytes: Uint8Array; readonly type?: string } | undefined {
  if (typeof init === "string") return { bytes: Buffer.from(init), type: "text/plain;charset=UTF-8" };
  if (init instanceof URLSearchParams) {
    return { bytes: Buffer.from(init.toString()), type: "application/x-www-form-urlencoded;charset=UTF-8" };
  }
  if (init instanceof ArrayBuffer && !init.resizable) return { bytes: new Uint8Array(init.slice(0)) };
  // Typed arrays over shared or resizable memory need the checks of the global Request.
  if (init instanceof Uint8Array && init.buffer instanceof ArrayBuffer && !init.buffer.resizable) {
    return { bytes: new Uint8Array(init) };
  }
  return undefined;
}

/** Reads a web stream as it is sent. Invariant: the reader is taken when sending starts, and cancelled at most once. */
export class UploadStream implements StreamBody {
  readonly byteCount: number | undefined;
  readonly #stream: ReadableStream<Uint8Array>;
  readonly #blob: Blob | undefined;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined = undefined;

  /** With `blob`, `stream` is a stream over it, and the body can be sent again. */
  constructor(stream: ReadableStream<Uint8Array>, blob?: Blob) {
    this.#stream = stream;
    this.#blob = blob;
    this.byteCount = blob?.size;
  }

  again(): StreamBody | undefined {
    return this.#blob === undefined ? undefined : new UploadStream(this.#blob.stream(), this.#blob);
  }

  cancel(reason: unknown): void {
    const cancelled = this.#reader === undefined ? this.#stream.cancel(reason) : this.#reader.cancel(reason);
    // The request fails with the reason already; a source that cannot be cancelled has nobody else to tell.
    cancelled.catch(ignore);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    const reader = this.#stream.getReader();
    this.#reader = reader;
    return {
      async next(): Promise<IteratorResult<Uint8Array, undefined>> {
        const { done, value } = await reader.read();
        return done ? { done, value: undefined } : { done, value };
      },
      return: async (): Promise<IteratorResult<Uint8Array, undefined>> => {
        this.cancel(undefined);
        return { done: true, value: undefined };
      },
    };
  }
}

function ignore(): void {
  // Said at the place of use.
}

/**
 * The body of an answer to `transport.request()`: undici's, a Node stream with `text()`, `json()` and their like.
 *
 * Most bodies are read with one call of those, and a stream is the dearest way to do that: events, ticks and states
 * for one or two chunks. So the chunks wait outside the stream's machinery, which is only set going by whoever uses
 * it as a stream. Both ways pause the connection when too much waits unread.
 */

import { Readable } from "node:stream";
import type { Dispatcher } from "undici";
import { errors } from "./undici.ts";
import { toError } from "./to-error.ts";
import { ignoreError } from "./ignore-error.ts";

/** What the body needs of its request. */
type Flow = Pick<Dispatcher.DispatchController, "abort" | "pause" | "resume">;

/** A reader of the whole. */
interface Collector {
  finish(chunks: readonly Buffer[], length: number): void;
  fail(error: Error): void;
}

/** What `dump` reads at most, as in undici. */
const dumpLimitBytes = 131_072;

/**
 * Invariant: chunks are in `#waiting` or were pushed to the stream, in their order; once `#streaming` they are only
 * pushed. `#collector` and `#streaming` exclude each other. The connection is paused only while unread bytes wait.
 */
export class ResponseBody extends Readable implements Dispatcher.BodyMixin {
  readonly #flow: Flow;
  #state: "open" | "ended" | "failed" = "open";
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #receivedBytes = 0;
  #collector: Collector | undefined;
  #streaming = false;
  #used = false;
  #webStream: ReadableStream | undefined;

  constructor(flow: Flow, highWaterMark: number) {
    super({ highWaterMark });
    this.#flow = flow;
  }

  get bodyUsed(): boolean {
    return this.#used || Readable.isDisturbed(this);
  }

  /** The same body as a web stream. */
  get body(): never {
    this.#webStream ??= ReadableStream.from(this);
    // undici declares it so: its own type is only a mark.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
    return this.#webStream as never;
  }

  text(): Promise<string> {
    return this.#collect((chunks, length) => {
      const text = joined(chunks, length).toString("utf8");
      return text.codePointAt(0) === 0xfe_ff ? text.slice(1) : text;
    });
  }

  json(): Promise<unknown> {
    return this.text().then((text): unknown => JSON.parse(text));
  }

  bytes(): Promise<Uint8Array> {
    return this.#collect((chunks, length) => new Uint8Array(joined(chunks, length)));
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    return this.#collect((chunks, length) => new Uint8Array(joined(chunks, length)).buffer);
  }

  blob(): Promise<Blob> {
    return this.#collect((chunks, length) => new Blob([new Uint8Array(joined(chunks, length))]));
  }

  /** Not supported, as in undici: use `transport.fetch`. */
  async formData(): Promise<never> {
    throw new errors.NotSupportedError("use transport.fetch for form data");
  }

  /** Reads the rest and forgets it, so that the connection can be used again; gives up beyond `limit` bytes. */
  async dump(options?: { readonly limit?: number; readonly signal?: AbortSignal }): Promise<void> {
    const { limit = dumpLimitBytes, signal } = options ?? {};
    signal?.throwIfAborted();
    if (this.destroyed || this.#state === "failed") return;
    const onAbort = (): void => void this.destroy(toError(signal?.reason));
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      for await (const _chunk of this) if (this.#receivedBytes > limit) break;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
    signal?.throwIfAborted();
  }

  /** Takes a chunk from the connection. */
  receive(chunk: Buffer): void {
    this.#receivedBytes += chunk.length;
    if (this.#streaming) {
      if (!this.push(chunk)) this.#flow.pause();
      return;
    }
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    if (this.#collector === undefined && this.#waitingBytes >= this.readableHighWaterMark) this.#flow.pause();
  }

  receiveEnd(): void {
    if (this.#state !== "open") return;
    this.#state = "ended";
    if (this.#collector !== undefined) this.#finish(this.#collector);
    else if (this.#streaming) this.push(null);
  }

  receiveError(error: Error): void {
    if (this.#state !== "open") return;
    this.#state = "failed";
    this.#collector?.fail(error);
    // Whoever holds the body learns of it when he reads; nobody has to listen.
    this.on("error", ignoreError).destroy(error);
  }

  override _read(): void {
    if (this.#collector !== undefined) return;
    if (!this.#streaming) {
      this.#streaming = true;
      for (const chunk of this.#waiting.splice(0)) this.push(chunk);
      if (this.#state === "ended") this.push(null);
    }
    if (this.#state === "open") this.#flow.resume();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    if (this.#state === "open") {
      this.#state = "failed";
      const reason = error ?? new errors.RequestAbortedError();
      this.#collector?.fail(reason);
      this.#flow.abort(reason);
    }
    callback(error);
  }

  #collect<Value>(convert: (chunks: readonly Buffer[], length: number) => Value): Promise<Value> {
    return new Promise((resolve, reject) => {
      if (this.bodyUsed || this.destroyed || this.listenerCount("data") + this.listenerCount("readable") > 0) {
        reject(this.errored ?? new TypeError("unusable"));
        return;
      }
      this.#used = true;
      this.#collector = {
        finish: (chunks, length) => {
          try {
            resolve(convert(chunks, length));
          } catch (error) {
            reject(error);
          }
        },
        fail: reject,
      };
      if (this.#state === "ended") this.#finish(this.#collector);
      else this.#flow.resume();
    });
  }

  #finish(collector: Collector): void {
    collector.finish(this.#waiting, this.#waitingBytes);
    this.#waiting = [];
    // Nobody reads the stream, but somebody may wait for its end.
    if (this.listenerCount("end") === 0) {
      this.destroy();
      return;
    }
    this.push(null);
    this.resume();
  }
}

function joined(chunks: readonly Buffer[], length: number): Buffer {
  const [first] = chunks;
  return first !== undefined && chunks.length === 1 ? first : Buffer.concat(chunks, length);
}

/**
 * The bytes of one response between the dispatcher that pushes them and the reader that may or may not come.
 *
 * A web stream costs more than the whole rest of a small request, so none is made until somebody asks for
 * `response.body`: `text()`, `json()` and `bytes()` take the chunks straight from here. When more than
 * `bufferLimitBytes` wait unread, `push` says so and the connection is paused; a reader that wants everything lifts
 * the limit. A body that nobody holds any more is cancelled, so that a forgotten response cannot keep a connection.
 */

/** Unread bytes at which the connection is paused. A body that is known to be smaller needs no watching. */
export const bufferLimitBytes: number = 128 * 1024;

/** The sending side, as far as a reader needs it. */
export interface BodyFlow {
  /** There is room again. */
  resume(): void;
  /** Nobody wants the rest. */
  cancel(reason: unknown): void;
}

/** Makes the reader's value of all the bytes. The chunks belong to the buffer: copy what is handed out. */
export type ConvertBytes<T> = (chunks: readonly Uint8Array[], byteCount: number) => T;

const abandoned = new FinalizationRegistry<BodyBuffer>((body) => {
  body.cancel(new DOMException("The response was garbage collected before its body was read.", "AbortError"));
});

/** Copies chunks into memory of their own: network chunks are views of a shared buffer, which a stream would detach. */
export function copyBytes(chunks: readonly Uint8Array[], byteCount: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(byteCount);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

/**
 * Invariant: the state leaves "open" once. `#flow` is set exactly while it is open. `#paused` implies that
 * `#byteCount >= bufferLimitBytes` and that nobody collects. At most one reader exists: `readAll` or the stream.
 */
export class BodyBuffer {
  #state: "open" | "ended" | "failed" = "open";
  #chunks: Uint8Array[] = [];
  #byteCount = 0;
  #paused = false;
  #collecting = false;
  #watched = false;
  #error: unknown = undefined;
  #flow: BodyFlow | undefined;
  readonly #signal: AbortSignal | undefined;
  #wake: (() => void) | undefined = undefined;
  // Weak: the dispatcher holds this buffer, and a stream that only the dispatcher holds must be collectable.
  #streamController: WeakRef<ReadableByteStreamController> | undefined = undefined;

  constructor(flow: BodyFlow, signal: AbortSignal | undefined) {
    this.#flow = flow;
    this.#signal = signal;
  }

  /** Whether all bytes are here. */
  get complete(): boolean {
    return this.#state === "ended";
  }

  /** Takes a chunk. False: pause until `flow.resume()`. */
  push(chunk: Uint8Array): boolean {
    if (this.#state !== "open") return true;
    this.#chunks.push(chunk);
    this.#byteCount += chunk.byteLength;
    if (this.#collecting) return true;
    this.#wakeReader();
    // The reader runs in a later microtask: what it is about to take still counts here.
    this.#paused = this.#byteCount >= bufferLimitBytes;
    return !this.#paused;
  }

  end(): void {
    if (this.#state !== "open") return;
    this.#enter("ended");
  }

  /** The rest will not come. What was not read yet is dropped, as a stream's `error()` does. */
  fail(error: unknown): void {
    if (this.#state !== "open") return;
    this.#error = error;
    this.#drop();
    this.#streamController?.deref()?.error(error);
    this.#enter("failed");
  }

  /** The reader is gone: the connection is told, and nothing more is kept. */
  cancel(reason: unknown): void {
    const flow = this.#flow;
    this.#drop();
    if (this.#state !== "open") return;
    this.#error = reason;
    this.#enter("failed");
    flow?.cancel(reason);
  }

  /** Cancels the body when `holder` is garbage collected before the body ended. A new holder replaces the old one. */
  watch(holder: object): void {
    if (this.#state !== "open") return;
    if (this.#watched) abandoned.unregister(this);
    this.#watched = true;
    abandoned.register(holder, this, this);
  }

  /** A second reader of the same bytes. Only of a complete body. */
  share(): BodyBuffer {
    const copy = new BodyBuffer({ resume: ignore, cancel: ignore }, this.#signal);
    copy.#chunks = [...this.#chunks];
    copy.#byteCount = this.#byteCount;
    copy.#enter("ended");
    return copy;
  }

  /** Resolves with the converted whole body. No limit applies: the caller asked for all of it. */
  readAll<T>(convert: ConvertBytes<T>): Promise<T> {
    if (this.#state === "open") return this.#collect(convert);
    try {
      return Promise.resolve(this.#convertAll(convert));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** A byte stream over what is here and what will come. Each read takes all that waits, in one copy. */
  openStream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    const stream = new ReadableStream({
      type: "bytes",
      start: (controller: ReadableByteStreamController) => {
        this.#streamController = new WeakRef(controller);
      },
      pull: (controller: ReadableByteStreamController) => this.#pull(controller),
      cancel: (reason: unknown) => this.cancel(reason),
    });
    this.watch(stream);
    return stream;
  }

  async #collect<T>(convert: ConvertBytes<T>): Promise<T> {
    this.#collecting = true;
    this.#resume();
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    return this.#convertAll(convert);
  }

  #convertAll<T>(convert: ConvertBytes<T>): T {
    const error = this.#failure();
    if (error !== undefined) throw error.reason;
    const value = convert(this.#chunks, this.#byteCount);
    this.#drop();
    return value;
  }

  #pull(controller: ReadableByteStreamController): Promise<void> | undefined {
    if (this.#state !== "open" || this.#byteCount > 0) {
      this.#deliver(controller);
      return undefined;
    }
    // While a read is pending the chain dispatcher -> buffer -> this closure -> controller keeps the stream alive.
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    return promise.then(() => this.#deliver(controller));
  }

  #deliver(controller: ReadableByteStreamController): void {
    const error = this.#failure();
    if (error !== undefined) {
      controller.error(error.reason);
    } else if (this.#byteCount > 0) {
      const bytes = copyBytes(this.#chunks, this.#byteCount);
      this.#drop();
      controller.enqueue(bytes);
      this.#resume();
    } else {
      controller.close();
      // A pending BYOB read settles only when its request is answered.
      controller.byobRequest?.respond(0);
    }
  }

  /**
   * Why the body cannot be read, if so. After the last byte no abort listener is left, so the signal is asked here:
   * bytes nobody has read yet must not be had after an abort.
   */
  #failure(): { readonly reason: unknown } | undefined {
    if (this.#state === "failed") return { reason: this.#error };
    if (this.#signal?.aborted === true && this.#byteCount > 0) return { reason: this.#signal.reason };
    return undefined;
  }

  #enter(next: "ended" | "failed"): void {
    this.#state = next;
    this.#flow = undefined;
    this.#paused = false;
    if (this.#watched) abandoned.unregister(this);
    this.#wakeReader();
  }

  #wakeReader(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#flow?.resume();
  }

  #drop(): void {
    this.#chunks = [];
    this.#byteCount = 0;
  }
}

function ignore(): void {
  // A shared body is complete: there is no connection to resume or cancel.
}

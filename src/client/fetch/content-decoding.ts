/**
 * Undoes the content codings of a response (RFC 9110, 8.4.1), one zlib stream per coding, chained.
 *
 * Decompression streams and obeys the reader: a full body buffer pauses the last stage, a full stage pauses the one
 * before it, and the first one the connection, so a decompression bomb expands only as far as it is read. The zlib
 * settings are those of undici's fetch: a truncated gzip, deflate or br body is read as far as it goes, as curl and
 * browsers do. An unknown coding leaves the body as it came.
 */

import type { Transform } from "node:stream";
import { zlib } from "../builtins.ts";

/** More codings than this are refused: each one costs memory and a stream (compare curl's CVE-2022-32206). */
export const maxContentCodings = 5;

/** Where decoded bytes go. */
export interface ByteSink {
  /** False: wait for room. */
  push(chunk: Uint8Array): boolean;
  end(): void;
}

/** What a decoder tells its owner. */
export interface DecoderOwner {
  /** The compressed side has room again. */
  onDecoderDrain(): void;
  onDecoderError(error: Error): void;
}

/** The codings in the order they were applied, lower case. Empty when there is nothing to undo. */
export function parseContentCodings(header: string): string[] {
  return header.toLowerCase().split(",");
}

/** Whether every coding of the list can be undone. Otherwise none is. */
export function canDecode(codings: readonly string[]): boolean {
  return codings.every((coding) => openers.has(coding.trim()));
}

function syncFlush(): { flush: number; finishFlush: number } {
  const { Z_SYNC_FLUSH } = zlib().constants;
  return { flush: Z_SYNC_FLUSH, finishFlush: Z_SYNC_FLUSH };
}

const openers = new Map<string, (first: number) => Transform>([
  ["gzip", () => zlib().createGunzip(syncFlush())],
  ["x-gzip", () => zlib().createGunzip(syncFlush())],
  // "deflate" is the zlib format, but some servers send the raw one. The low half of the first byte tells them apart.
  [
    "deflate",
    (first) => ((first & 0x0f) === 0x08 ? zlib().createInflate(syncFlush()) : zlib().createInflateRaw(syncFlush())),
  ],
  [
    "br",
    () =>
      zlib().createBrotliDecompress({
        flush: zlib().constants.BROTLI_OPERATION_FLUSH,
        finishFlush: zlib().constants.BROTLI_OPERATION_FLUSH,
      }),
  ],
  [
    "zstd",
    () =>
      zlib().createZstdDecompress({
        flush: zlib().constants.ZSTD_e_continue,
        finishFlush: zlib().constants.ZSTD_e_end,
        // RFC 9659 limits the window to 8 MiB.
        params: { [zlib().constants.ZSTD_d_windowLogMax]: 23 },
      }),
  ],
]);

/** Invariant: `#stream` exists from the first byte on; an empty body never makes one, as zlib refuses empty input. */
class Stage implements ByteSink {
  readonly #open: (first: number) => Transform;
  readonly #next: ByteSink;
  readonly #owner: DecoderOwner;
  readonly #onDrain: () => void;
  #stream: Transform | undefined = undefined;

  constructor(open: (first: number) => Transform, next: ByteSink, owner: DecoderOwner, onDrain: () => void) {
    this.#open = open;
    this.#next = next;
    this.#owner = owner;
    this.#onDrain = onDrain;
  }

  push(chunk: Uint8Array): boolean {
    const [first] = chunk;
    if (first === undefined) return true;
    this.#stream ??= this.#start(first);
    return this.#stream.write(chunk);
  }

  end(): void {
    if (this.#stream === undefined) this.#next.end();
    else this.#stream.end();
  }

  resume(): void {
    this.#stream?.resume();
  }

  destroy(): void {
    this.#stream?.destroy();
  }

  #start(first: number): Transform {
    const stream = this.#open(first);
    stream.on("data", (chunk: Uint8Array) => {
      if (!this.#next.push(chunk)) stream.pause();
    });
    stream.on("end", () => this.#next.end());
    stream.on("drain", this.#onDrain);
    stream.on("error", (error: Error) => this.#owner.onDecoderError(error));
    return stream;
  }
}

/** A chain of stages. Invariant: `#stages[0]` writes to the sink, the last one is fed by the connection. */
export class ContentDecoder {
  readonly #stages: Stage[] = [];

  /** `codings` must satisfy `canDecode`. */
  constructor(codings: readonly string[], sink: ByteSink, owner: DecoderOwner) {
    let next = sink;
    for (const coding of codings) {
      const open = openers.get(coding.trim());
      if (open === undefined) continue;
      const place = this.#stages.length;
      // The stages are built from the reader's end, so the one before this one stands at the next place.
      const stage: Stage = new Stage(open, next, owner, () => {
        const before = this.#stages[place + 1];
        if (before === undefined) owner.onDecoderDrain();
        else before.resume();
      });
      this.#stages.push(stage);
      next = stage;
    }
  }

  /** False: pause the connection until `onDecoderDrain`. */
  push(chunk: Uint8Array): boolean {
    return this.#stages.at(-1)?.push(chunk) ?? true;
  }

  end(): void {
    this.#stages.at(-1)?.end();
  }

  /** The reader has room again. */
  resume(): void {
    this.#stages[0]?.resume();
  }

  destroy(): void {
    for (const stage of this.#stages) stage.destroy();
  }
}

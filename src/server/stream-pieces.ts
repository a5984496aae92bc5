/**
 * Gives a stream of HTTP/2 what is written to it in pieces.
 *
 * How much of a write a client has taken is known to nghttp2 alone, until it has taken all of it: an answer of 64 MB,
 * given in one piece, either moves or does not, nobody can tell. In pieces, what is left of it stands in the stream's
 * own buffer. And it does not count for `maxSessionMemory`, above which Node refuses every other request of the session.
 */

import type { ServerHttp2Stream } from "node:http2";

/** That of the largest frame, unless a client asks for larger ones (RFC 9113, 4.2). */
const pieceBytes = 16_384;

/** Of several small chunks together: as long as it takes to send so many, a client may seem to stand still. */
const mostUnseenBytes = 4 * pieceBytes;

type Callback = (error?: Error | null) => void;

/** As `write` and `end` may be called. */
type Arguments = readonly [chunk?: unknown, encoding?: BufferEncoding | Callback | null, callback?: Callback];

/** As Node calls `_writev`. */
type WriteAll = (chunks: unknown, done: Callback) => void;

/** The methods of a stream's class, which the own ones are set over; each is called on the stream. */
interface OwnMethods {
  readonly write: (...given: Arguments) => boolean;
  readonly end: (...given: Arguments) => ServerHttp2Stream;
  readonly _writev: WriteAll;
}

/**
 * A stream whose methods `write` and `end` take another one's place, and what stands below them.
 *
 * Small chunks that have piled up are still given to nghttp2 together, since one by one they would take twenty times as
 * long. While it has more of those than a few pieces, what the whole connection sends is counted as the stream's.
 */
export class StreamPieces {
  readonly #stream: ServerHttp2Stream;
  readonly #wireBytes: () => number;
  readonly #own: OwnMethods;
  #writtenBytes = 0;
  /** Whether something is piled up in pieces. */
  #hasPieces = false;
  /** What was given together, and what the connection had sent by then; 0 if nothing is. */
  #heapBytes = 0;
  #wireBefore = 0;

  /** `wireBytes` tells what the connection has sent. */
  constructor(stream: ServerHttp2Stream, wireBytes: () => number) {
    this.#stream = stream;
    this.#wireBytes = wireBytes;
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its class
    this.#own = Object.getPrototypeOf(stream) as OwnMethods;
    stream.write = (...given: Arguments) => this.#write(given);
    stream.end = (...given: Arguments) => this.#end(given);
  }

  /** Bytes that have left it. */
  get sentBytes(): number {
    const ofHeap = this.#heapBytes === 0 ? 0 : Math.min(this.#wireBytes() - this.#wireBefore, this.#heapBytes);
    return this.#writtenBytes - this.#stream.writableLength + ofHeap;
  }

  /** Whether nobody can tell what leaves it. */
  get isOpaque(): boolean {
    return this.#heapBytes > 0;
  }

  /** From when on chunks may pile up, Node asks for this to give it all of them; `undefined` is for one at a time. */
  #interceptHeaps(): void {
    const stream = this.#stream;
    const own = this.#own._writev;
    const writeAll: WriteAll = (chunks, done) => {
      if (stream.writableLength > mostUnseenBytes) {
        this.#heapBytes = stream.writableLength;
        this.#wireBefore = this.#wireBytes();
      }
      Reflect.apply(own, stream, [
        chunks,
        (error?: Error | null) => {
          this.#heapBytes = 0;
          done(error);
        },
      ]);
    };
    const get = (): WriteAll | undefined => {
      this.#hasPieces &&= stream.writableLength > pieceBytes;
      return this.#hasPieces ? undefined : writeAll;
    };
    Object.defineProperty(stream, "_writev", { get });
  }

  #write([chunk, encoding, callback]: Arguments): boolean {
    const stream = this.#stream;
    // The first one of several.
    if (stream.writableLength > 0 && !Object.hasOwn(stream, "_writev")) this.#interceptHeaps();
    const bytes = stream.writable ? bytesOf(chunk, encoding) : undefined;
    this.#writtenBytes += bytes?.length ?? 0;
    // Of what cannot be written, Node tells by itself.
    if (bytes === undefined || bytes.length <= pieceBytes) {
      return Reflect.apply(this.#own.write, stream, [bytes ?? chunk, encoding, callback]);
    }
    if (!Object.hasOwn(stream, "_writev")) this.#interceptHeaps();
    this.#hasPieces = true;
    let at = 0;
    for (; at + pieceBytes < bytes.length; at += pieceBytes) {
      Reflect.apply(this.#own.write, stream, [bytes.subarray(at, at + pieceBytes)]);
    }
    return Reflect.apply(this.#own.write, stream, [
      bytes.subarray(at),
      typeof encoding === "function" ? encoding : callback,
    ]);
  }

  #end([chunk, encoding, callback]: Arguments): ServerHttp2Stream {
    const stream = this.#stream;
    if (chunk === undefined || chunk === null || typeof chunk === "function") {
      return Reflect.apply(this.#own.end, stream, [chunk, encoding, callback]);
    }
    if (typeof encoding === "function") return this.#end([chunk, null, encoding]);
    if (stream.writable) this.#write([chunk, encoding ?? null]);
    else return Reflect.apply(this.#own.end, stream, [chunk, encoding, callback]);
    return Reflect.apply(this.#own.end, stream, [callback]);
  }
}

/** `undefined` for what is no data. */
function bytesOf(chunk: unknown, encoding: Arguments[1]): Uint8Array | undefined {
  if (chunk instanceof Uint8Array) return chunk;
  if (typeof chunk !== "string") return undefined;
  if (typeof encoding === "string" && !Buffer.isEncoding(encoding)) return undefined;
  return Buffer.from(chunk, typeof encoding === "string" ? encoding : "utf8");
}

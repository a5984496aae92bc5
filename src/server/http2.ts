/**
 * What is different in HTTP/2: a connection is a session, and carries many exchanges at once, each on a stream.
 *
 * Streams have their own timers, since they have no turn to wait for; a connection with a stream is active, one without
 * is idle. Cutting an exchange resets its stream, and the connection only if that is what does not move. A client may
 * close the window of one stream and read all others: each is measured by what has left it (`stream-pieces.ts`).
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServerHttp2Stream } from "node:http2";
import { WheelTimer } from "../core/deadline-wheel.ts";
import type { Connection } from "./connection.ts";
import { Exchange, type Carrier } from "./exchange.ts";
import { attendStream } from "./attend.ts";
import type { CloseReason, ServerCore } from "./server-core.ts";
import { StreamPieces } from "./stream-pieces.ts";

/** NGHTTP2_NO_ERROR, RFC 9113 section 7. */
const noError = 0x0;
/** NGHTTP2_INTERNAL_ERROR. A client made of Node takes CANCEL for the end of the answer. */
const broken = 0x2;

/** What a connection may send of each stream before it is another one's turn, and some. */
const fairShareBytes = 262_144;

/** A request of HTTP/2 in the shape of one of HTTP/1 (Node's compatibility API). */
export interface CompatRequest extends IncomingMessage {
  readonly stream: ServerHttp2Stream;
}

export function isOfHttp2(req: IncomingMessage): req is CompatRequest {
  return req.httpVersionMajor === 2 && "stream" in req;
}

/**
 * Carries one exchange on a stream.
 *
 * Invariant: the connection counts the stream from the constructor until the stream has closed.
 */
export class StreamCarrier extends WheelTimer implements Carrier {
  readonly exchange: Exchange;
  readonly #core: ServerCore;
  readonly #connection: Connection;
  readonly #stream: ServerHttp2Stream;
  readonly #pieces: StreamPieces;

  constructor(core: ServerCore, connection: Connection, req: CompatRequest, res: ServerResponse) {
    super();
    this.#core = core;
    this.#connection = connection;
    this.#stream = req.stream;
    this.#pieces = new StreamPieces(req.stream, () => connection.sentBytes);
    this.exchange = new Exchange(core, this, req, res);
    connection.openStream(this);
    attendStream(this.exchange);
    req.stream.once("finish", () => {
      // Node also ends a stream that was reset.
      if (!req.stream.aborted && req.stream.rstCode === noError) this.exchange.onFinish();
    });
    req.stream.once("close", () => {
      this.exchange.onClose();
      core.wheel.cancel(this);
      connection.closeStream(this);
    });
  }

  announcedBytes(req: IncomingMessage): number {
    if (!isOfHttp2(req) || req.stream.endAfterHeaders) return 0;
    const length = req.headers["content-length"];
    return length === undefined ? Infinity : Number(length);
  }

  get readBytes(): number {
    return this.exchange.chunkBytes;
  }

  get sentBytes(): number {
    return this.#pieces.sentBytes;
  }

  get unsentBytes(): number {
    return this.#stream.writableLength;
  }

  get wireBytes(): number {
    return this.#connection.sentBytes;
  }

  /** Each stream has its turn after a frame of the others; as long as the connection is full, that may take a while. */
  get bytesBefore(): number {
    if (this.#pieces.isOpaque) return Infinity;
    return this.#connection.unsentBytes > 0 ? fairShareBytes * (this.#connection.streams?.size ?? 1) : 0;
  }

  get descriptor(): number {
    return this.#connection.descriptor;
  }

  armExchange(ms: number): void {
    if (!this.#stream.destroyed) this.#core.wheel.arm(this, ms);
  }

  onDeadline(): void {
    this.exchange.onDeadline();
  }

  close(): void {
    this.#stream.close(noError);
  }

  cut(reason: CloseReason, othersMove: boolean = false): void {
    this.#stream.close(broken);
    // Where nothing moves, a reset of the stream would wait behind what the client does not read.
    if (!othersMove && this.#connection.unsentBytes > 0) this.#connection.cut(reason);
  }

  endExchange(): void {
    this.#core.wheel.cancel(this);
  }
}

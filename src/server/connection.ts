/**
 * One connection: what it is doing, and how long it may do that.
 *
 * Node's parser reads the socket by itself, below JavaScript, and has no event for "the first bytes of a request are
 * here". But it calls `socket._unrefTimer()` after each piece that it has parsed, which `net` needs for its own
 * timeouts; an own property of that name is what tells an idle connection from one that is sending a header. Where a
 * later Node does not call it, a header that comes in pieces has the idle timeout.
 *
 * One deadline of a connection holds at a time, and none while a request is in the works: then it is the exchange that
 * watches. What runs on the connection stands in `exchange.ts`.
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServerHttp2Session } from "node:http2";
import { Socket } from "node:net";
import type { RequestContext } from "../core/context.ts";
import { WheelTimer } from "../core/deadline-wheel.ts";
import { now } from "../core/clock.ts";
import { append, RingNode, unlink } from "../core/ring.ts";
import type { Place, RefuseReason } from "./accept.ts";
import { countState, stateOf, type Phase } from "./connection-state.ts";
import type { Carrier, Exchange, RequestEvent } from "./exchange.ts";
import type { StreamCarrier } from "./http2.ts";
import type { BadRequest } from "./bad-request.ts";
import { endAfterAnswer, refuse, startLinger, wireFormat, type Refusal } from "./refusal.ts";
import type { CloseReason, ConnectionState, ServerCore } from "./server-core.ts";

/** Where a socket keeps its connection. */
export const connectionKey: unique symbol = Symbol("sluice.connection");

/** A socket as it is once a guard has seen it. `_unrefTimer` is Node's own, see above. */
export interface GuardedSocket extends Socket {
  [connectionKey]?: Connection;
  _unrefTimer?: () => void;
  /** Whether http has stopped reading. */
  _paused?: boolean;
  readonly parser?: { readonly resume?: () => void } | null;
  readonly _readableState?: { readonly ended: boolean };
  /** The socket of the kernel. Its `writeQueueSize` is the only sign of a reader's progress that Node has. */
  readonly _handle?: { readonly bytesWritten: number; readonly writeQueueSize: number; readonly fd?: number } | null;
  /** The raw socket below a TLS one. */
  readonly _parent?: GuardedSocket;
}

/** A request that came before the answer to the one before it was complete. */
export interface Deferred {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly event: RequestEvent;
}

/** Pipelined requests of one connection after which it is not read on. */
const maxDeferredHere = 32;

/** How a socket came. */
interface Arrival {
  readonly tls: boolean;
  /** Why its requests are to be answered with 503, if they are. */
  readonly refusal: RefuseReason | undefined;
}

class ConnectionTimer extends WheelTimer {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    super();
    this.#connection = connection;
  }

  onDeadline(): void {
    this.#connection.onDeadline();
  }
}

// `net.Socket` declares it nowhere; that it is there is checked before it is used.
// oxlint-disable-next-line typescript/no-unsafe-type-assertion
const unrefTimer = (Socket.prototype as GuardedSocket)._unrefTimer;

function onActivity(this: GuardedSocket): void {
  const connection = this[connectionKey];
  if (connection !== undefined) connection.onActivity();
  unrefTimer?.call(this);
}

function noteHeader(connection: Connection): void {
  connection.noteHeader();
}

function onClose(this: GuardedSocket): void {
  this[connectionKey]?.onClose();
}

/** Node calls it when the last answer is out. */
function closeAfterAnswer(this: GuardedSocket): void {
  this[connectionKey]?.close("answered");
}

/** Whether an answer that is out has said that it was the last of its connection. Node's own, declared nowhere. */
function saysClose(res: ServerResponse & { readonly _last?: boolean }): boolean {
  return res._last === true;
}

/**
 * Invariant: `exchange` is set exactly in the phase `exchange`, and only then can `#deferred` hold anything; the phase
 * is changed by `#enter` alone, which moves the level, the ring and the deadline with it.
 */
export class Connection extends RingNode implements Carrier {
  /** The one that was accepted. */
  readonly raw: GuardedSocket;
  readonly acceptedAt: number = now();
  /** The one that HTTP is spoken on: `raw`, or the TLS socket over it. */
  socket: GuardedSocket;
  /** Requests begun. */
  requests = 0;
  exchange: Exchange | undefined;
  /** The exchanges of a session; `undefined` for HTTP/1. */
  streams: Set<StreamCarrier> | undefined;
  /** Why its requests are answered with 503, if they are. */
  readonly refusal: RefuseReason | undefined;
  readonly #core: ServerCore;
  readonly #timer: ConnectionTimer;
  #phase: Phase;
  #place: Place;
  #deferred: Deferred[] | undefined;
  #session: ServerHttp2Session | undefined;
  #upgradeContext: RequestContext | undefined;
  #closeReason: CloseReason | undefined;
  #isDeaf = false;
  /** Whether a header has begun behind the present request, and takes long already. */
  #isHeaderOverdue = false;

  constructor(core: ServerCore, raw: Socket, { tls, refusal }: Arrival) {
    super();
    this.#core = core;
    this.refusal = refusal;
    this.#place = refusal === undefined ? "admitted" : "refusing";
    this.raw = raw;
    this.socket = raw;
    this.#timer = new ConnectionTimer(this);
    this.#phase = tls ? "handshake" : "new";
    core.levels.new += 1;
    append(core.busy, this);
    core.wheel.arm(this.#timer, tls ? core.options.tlsHandshakeTimeout : core.options.readHeaderTimeout);
    this.raw[connectionKey] = this;
    raw.on("close", onClose);
    if (!tls) this.#attend();
  }

  get state(): ConnectionState {
    return stateOf(this.#phase);
  }

  get phase(): Phase {
    return this.#phase;
  }

  get isClosing(): boolean {
    return this.#phase === "closing" || this.#phase === "closed";
  }

  /** The TLS handshake is done; HTTP is spoken on `socket`. */
  secured(socket: GuardedSocket): void {
    this.socket = socket;
    socket[connectionKey] = this;
    socket.on("close", onClose);
    this.#attend();
    this.#enter("new");
  }

  /** It speaks HTTP/2. */
  startSession(session: ServerHttp2Session): void {
    this.#session = session;
    this.streams = new Set();
  }

  openStream(stream: StreamCarrier): void {
    this.requests += 1;
    this.streams?.add(stream);
    if (!this.isClosing) this.#enter("exchange");
  }

  closeStream(stream: StreamCarrier): void {
    this.streams?.delete(stream);
    if (this.#phase === "exchange" && this.streams?.size === 0) this.#rest();
  }

  /** Lets what runs end, and begins nothing new: the other side is told. */
  closeAfterwards(): void {
    this.exchange?.closeAfterwards();
    this.#session?.close();
  }

  /** It has said nothing yet: it shall do so soon, or go. */
  hurry(ms: number): void {
    if (this.#phase !== "new") return;
    // Never later than it would have been.
    const leftMs = this.acceptedAt + this.#core.options.readHeaderTimeout - now();
    this.#core.wheel.arm(this.#timer, Math.max(Math.min(ms, leftMs), 1));
  }

  /** A request's header is complete. */
  startExchange(exchange: Exchange): void {
    this.exchange = exchange;
    this.requests += 1;
    this.#enter("exchange");
  }

  /** The request has been answered, and read to its end. */
  endExchange(): void {
    const isLast = this.exchange !== undefined && saysClose(this.exchange.res);
    this.exchange = undefined;
    // Set by a handler, with `req.setTimeout` or `res.setTimeout`. Node takes it back with timers that are at rest here.
    if (this.socket.timeout !== undefined && this.socket.timeout > 0) this.socket.setTimeout(0);
    if (this.#phase !== "exchange") return;
    if (isLast) {
      // What came after is not served: nobody could be told (RFC 9112, 9.6).
      this.#dropDeferred();
      this.close("answered");
      return;
    }
    const next = this.#deferred?.shift();
    if (next !== undefined) {
      this.#core.deferred -= 1;
      if (this.#deferred?.length === 0) this.#goOn();
      // Its first byte was here long ago.
      this.#enter("header");
      this.#core.onTurn?.(this, next);
    } else {
      this.#rest();
    }
  }

  /** Nothing is in the works. */
  #rest(): void {
    const reason = this.#core.closesIdleFor;
    if (reason === undefined) {
      this.#enter(this.#isHeaderOverdue ? "header" : "idle");
      this.#isHeaderOverdue = false;
      return;
    }
    if (reason === "room") this.#core.gate.promiseRoom();
    this.close(reason);
  }

  /** Keeps a pipelined request until it is its turn. Too many in all, and the client that sends them is cut. */
  defer(deferred: Deferred): void {
    if (!this.#core.mayDefer) {
      this.cut("refused");
      return;
    }
    this.#isHeaderOverdue = false;
    this.#core.deferred += 1;
    this.#deferred ??= [];
    this.#deferred.push(deferred);
    if (this.#deferred.length >= maxDeferredHere) this.#hold();
  }

  /** Reads no more requests for now, but for those in the present packet. It is what Node does when answers pile up. */
  #hold(): void {
    const { socket } = this;
    if (socket._paused === true) return;
    socket._paused = true;
    socket.pause();
  }

  #goOn(): void {
    const { socket } = this;
    if (socket._paused !== true) return;
    socket._paused = false;
    socket.parser?.resume?.();
    socket.resume();
  }

  #dropDeferred(): void {
    this.#core.deferred -= this.#deferred?.length ?? 0;
    this.#deferred = undefined;
  }

  /** The user has it now; `context` ends with it. `false` if there are too many of that kind. */
  upgrade(context: RequestContext): boolean {
    if (!this.#core.gate.upgrade()) return false;
    this.#place = "upgraded";
    this.#upgradeContext = context;
    this.#enter("upgraded");
    return true;
  }

  /**
   * Ends it so that the other side gets all that was written: FIN, and what still comes is thrown away for a while.
   * A `close` with unread bytes would be a reset, which can overtake the answer.
   */
  close(reason: CloseReason): void {
    if (this.isClosing) return;
    this.#closeReason = reason;
    this.#enter("closing");
    if (this.#session === undefined) {
      startLinger(this.socket);
      return;
    }
    this.#session.close();
    // It waits for streams, also for those whose header will never be complete.
    if (this.streams?.size === 0) this.#session.destroy();
  }

  /** Ends it now: the other side sees a reset, and the kernel drops what it holds for it. */
  cut(reason: CloseReason): void {
    if (this.#phase === "closed") return;
    this.#closeReason ??= reason;
    try {
      this.raw.resetAndDestroy();
    } catch {
      // A Unix socket knows no reset.
      this.raw.destroy();
    }
    this.#session?.destroy();
    this.socket.destroy();
  }

  /** Answers without a request or response object, and closes. */
  refuse({ status, message }: Pick<Refusal, "status" | "message">): void {
    if (this.isClosing) return;
    const { socket } = this;
    this.#closeReason = "refused";
    this.#enter("closing");
    refuse(socket, { status, message, retryAfterMs: this.#core.options.retryAfter });
  }

  /** What came cannot be served on this connection. What is being answered is the last, and what came between is dropped. */
  endWithExchange(): void {
    // Where the answer is out, only the end of its request's body has not been told yet.
    if (!endAfterAnswer(this.socket)) this.close("refused");
  }

  /** What came makes no sense. The request that it belongs to is refused; one that came whole before it is answered. */
  refuseInput(bad: BadRequest): void {
    const { exchange } = this;
    this.#isDeaf = true;
    if (exchange === undefined) this.refuse(bad);
    else if (!exchange.req.complete && bad.reason === "incomplete" && !exchange.isAnswered) this.#loseClient(bad);
    else if (endAfterAnswer(this.socket)) return;
    // Answered already: what is wrong is the rest of a body that nobody waits for.
    else if (exchange.req.complete || exchange.isAnswered) this.close("refused");
    else exchange.refuse(bad);
  }

  /** Refuses a request that the parser has let through. */
  refuseRequest(exchange: Exchange, bad: BadRequest): void {
    this.#isDeaf ||= bad.close;
    exchange.refuse(bad);
  }

  /** Whether what still comes means nothing: it was refused, or nobody reads it any more. */
  get isDeaf(): boolean {
    return this.#isDeaf || this.isClosing;
  }

  /** The body has no end, since the client has left. One that is still there has nothing to send, and may read why. */
  #loseClient(bad: BadRequest): void {
    const { socket } = this;
    if (this.exchange?.res.headersSent === false && socket.writable) socket.write(wireFormat(bad));
    socket.destroy();
  }

  get wasUpgraded(): boolean {
    return this.#upgradeContext !== undefined;
  }

  announcedBytes(req: IncomingMessage): number {
    const { headers } = req;
    const length = headers["content-length"];
    if (length !== undefined) return Number(length);
    return headers["transfer-encoding"] === undefined ? 0 : Infinity;
  }

  armExchange(ms: number): void {
    if (this.#phase === "exchange") this.#core.wheel.arm(this.#timer, ms);
  }

  get readBytes(): number {
    return this.socket.bytesRead;
  }

  /** Bytes that the kernel has not taken yet, because the other side does not read. */
  get unsentBytes(): number {
    return this.raw._handle?.writeQueueSize ?? 0;
  }

  get descriptor(): number {
    return this.raw._handle?.fd ?? -1;
  }

  /** Bytes that the kernel has taken. `bytesWritten` of a socket also counts those that wait. */
  get sentBytes(): number {
    const handle = this.raw._handle;
    return handle == null ? 0 : handle.bytesWritten - handle.writeQueueSize;
  }

  get wireBytes(): number {
    return this.sentBytes;
  }

  /** All that goes out is of one exchange. */
  get bytesBefore(): number {
    return Infinity;
  }

  onActivity(): void {
    if (this.#phase === "idle" || this.#phase === "new") process.nextTick(noteHeader, this);
  }

  /** Bytes have come that were not a whole header, or else the other side's FIN, which is activity too. */
  noteHeader(): void {
    const isOver = this.socket._readableState?.ended === true;
    if (!isOver && (this.#phase === "idle" || this.#phase === "new")) this.#enter("header");
  }

  /**
   * Node's own check has found a header that takes too long. Only one that began in one piece with the request before
   * it is news: in all other cases our deadline is in force, and does not pass before what has come has been read.
   */
  onHeaderOverdue(): void {
    // Told once only, which may be while the request before it is in the works.
    if (this.#phase === "exchange") this.#isHeaderOverdue = true;
    if (this.#phase !== "idle") return;
    this.#enter("header");
    this.#core.wheel.arm(this.#timer, 1);
  }

  onDeadline(): void {
    switch (this.#phase) {
      case "handshake":
        this.#core.instruments.timeouts.add("tls");
        this.cut("timeout");
        return;
      case "new":
        // Browsers open connections ahead of need; 408 would be the answer to the request that they send next.
        this.#core.instruments.timeouts.add("read_header");
        this.close("timeout");
        return;
      case "header":
        this.#core.instruments.timeouts.add("read_header");
        this.refuse({ status: 408, message: "The header of the request took too long." });
        return;
      case "idle":
        this.#core.instruments.timeouts.add("idle");
        this.close("idle");
        return;
      case "closing":
        this.socket.destroy();
        this.raw.destroy();
        return;
      case "exchange":
        this.exchange?.onDeadline();
        return;
      case "upgraded":
      case "closed":
    }
  }

  onClose(): void {
    if (this.#phase === "closed") return;
    this.#enter("closed");
    this.exchange?.onClose();
    for (const stream of this.streams ?? []) stream.exchange.onClose();
    this.#dropDeferred();
    this.#upgradeContext?.end("ERR_CLIENT_GONE");
    this.#core.closed[this.#closeReason ?? "client"] += 1;
    this.#core.instruments.connectionDuration.record((now() - this.acceptedAt) / 1_000);
    this.#core.gate.leave(this.#place, this.raw);
    this.#core.onLess?.();
  }

  #attend(): void {
    if (unrefTimer !== undefined) this.socket._unrefTimer = onActivity;
    this.socket.destroySoon = closeAfterAnswer;
  }

  #enter(phase: Phase): void {
    const before = this.#phase;
    this.#phase = phase;
    this.#move(stateOf(before), stateOf(phase));
    this.#arm(phase, before);
  }

  #move(from: ConnectionState, to: ConnectionState): void {
    if (from === to) return;
    const { levels, idle, busy, events } = this.#core;
    countState(levels, from, -1);
    countState(levels, to, 1);
    unlink(this);
    if (to !== "closed") append(to === "idle" ? idle : busy, this);
    if (events.listenerCount("connState") > 0) events.emit("connState", this.socket, to);
  }

  #arm(phase: Phase, before: Phase): void {
    const { wheel, options } = this.#core;
    switch (phase) {
      case "idle":
        wheel.arm(this.#timer, options.idleTimeout);
        return;
      case "exchange":
        // Armed by the exchange, in a moment; streams have timers of their own.
        if (this.streams !== undefined) wheel.cancel(this.#timer);
        return;
      case "upgraded":
      case "closed":
        wheel.cancel(this.#timer);
        return;
      case "header":
        // The first request's header is timed from accept.
        if (before === "new") return;
        wheel.arm(this.#timer, options.readHeaderTimeout);
        return;
      case "new":
        wheel.arm(this.#timer, options.readHeaderTimeout);
        return;
      case "closing":
        wheel.arm(this.#timer, lingerMs);
        return;
      case "handshake":
    }
  }
}

/** Takes a socket into the care of a new connection. */
export function accept(core: ServerCore, raw: Socket, arrival: Arrival): Connection {
  return new Connection(core, raw, arrival);
}

/** How long the other side may go on sending to a connection that is closing: Go has 500 ms, nginx 5 s. */
const lingerMs = 2_000;

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
import { Socket } from "node:net";
import type { RequestContext } from "../core/context.ts";
import { WheelTimer } from "../core/deadline-wheel.ts";
import { now } from "../core/clock.ts";
import { append, RingNode, unlink } from "../core/ring.ts";
import type { Exchange } from "./exchange.ts";
import { refuse, startLinger } from "./refusal.ts";
import type { CloseReason, ConnectionState, ServerCore } from "./server-core.ts";

/** Where a socket keeps its connection. */
export const connectionKey: unique symbol = Symbol("sluice.connection");

/** A socket as it is once a guard has seen it. `_unrefTimer` is Node's own, see above. */
export interface GuardedSocket extends Socket {
  [connectionKey]?: Connection;
  _unrefTimer?: () => void;
  /** The socket of the kernel. Its `writeQueueSize` is the only sign of a reader's progress that Node has. */
  readonly _handle?: { readonly bytesWritten: number; readonly writeQueueSize: number } | null;
  /** The raw socket below a TLS one. */
  readonly _parent?: GuardedSocket;
}

/** A request that came before the answer to the one before it was complete. */
export interface Deferred {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly expectsContinue: boolean;
}

/** `header`: a request is coming in. `closing`: the last bytes are out, and whatever still comes is thrown away. */
type Phase = "handshake" | "new" | "header" | "exchange" | "idle" | "upgraded" | "closing" | "closed";

const stateOf: Readonly<Record<Phase, ConnectionState>> = {
  handshake: "new",
  new: "new",
  header: "active",
  exchange: "active",
  idle: "idle",
  upgraded: "upgraded",
  closing: "active",
  closed: "closed",
};

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

function onClose(this: GuardedSocket): void {
  this[connectionKey]?.onClose();
}

/** Node calls it when the last answer is out. */
function closeAfterAnswer(this: GuardedSocket): void {
  this[connectionKey]?.close("answered");
}

/**
 * Invariant: `exchange` is set exactly in the phase `exchange`, and only then can `#deferred` hold anything; the phase
 * is changed by `#enter` alone, which moves the level, the ring and the deadline with it.
 */
export class Connection extends RingNode {
  /** The one that was accepted. */
  readonly raw: GuardedSocket;
  readonly acceptedAt: number = now();
  /** The one that HTTP is spoken on: `raw`, or the TLS socket over it. */
  socket: GuardedSocket;
  /** Requests begun. */
  requests = 0;
  exchange: Exchange | undefined;
  readonly #core: ServerCore;
  readonly #timer: ConnectionTimer;
  #phase: Phase;
  #deferred: Deferred[] | undefined;
  #upgradeContext: RequestContext | undefined;
  #closeReason: CloseReason | undefined;

  constructor(core: ServerCore, raw: Socket, tls: boolean) {
    super();
    this.#core = core;
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
    return stateOf[this.#phase];
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
    this.#attend();
    this.#enter("new");
  }

  /** A request's header is complete. */
  startExchange(exchange: Exchange): void {
    this.exchange = exchange;
    this.requests += 1;
    this.#enter("exchange");
  }

  /** The request has been answered, and read to its end. */
  endExchange(): void {
    this.exchange = undefined;
    if (this.#phase !== "exchange") return;
    const next = this.#deferred?.shift();
    if (next !== undefined) {
      this.#core.deferred -= 1;
      // Its first byte was here long ago.
      this.#enter("header");
      this.#core.onTurn?.(this, next);
    } else if (this.#core.closesIdle) {
      this.close(this.#core.draining ? "drain" : "room");
    } else {
      this.#enter("idle");
    }
  }

  /** Keeps a pipelined request until it is its turn. Too many in all, and the client that sends them is cut. */
  defer(deferred: Deferred): void {
    if (!this.#core.mayDefer) {
      this.cut("refused");
      return;
    }
    this.#core.deferred += 1;
    this.#deferred ??= [];
    this.#deferred.push(deferred);
  }

  get hasDeferred(): boolean {
    return this.#deferred !== undefined && this.#deferred.length > 0;
  }

  /** The user has it now; `context` ends with it. */
  upgrade(context: RequestContext): void {
    this.#upgradeContext = context;
    this.#enter("upgraded");
  }

  /**
   * Ends it so that the other side gets all that was written: FIN, and what still comes is thrown away for a while.
   * A `close` with unread bytes would be a reset, which can overtake the answer.
   */
  close(reason: CloseReason): void {
    if (this.isClosing) return;
    this.#closeReason = reason;
    this.#enter("closing");
    startLinger(this.socket);
  }

  /** Ends it now: the other side sees a reset, and the kernel drops what it holds for it. */
  cut(reason: CloseReason): void {
    if (this.#phase === "closed") return;
    this.#closeReason ??= reason;
    this.raw.resetAndDestroy();
    this.socket.destroy();
  }

  /** Answers without a request or response object, and closes. */
  refuse(status: number, message: string): void {
    if (this.isClosing) return;
    this.#closeReason = "refused";
    const { socket } = this;
    this.#enter("closing");
    refuse(socket, { status, message, retryAfterMs: this.#core.options.retryAfter });
  }

  get wasUpgraded(): boolean {
    return this.#upgradeContext !== undefined;
  }

  /** Bytes that the kernel has not taken yet, because the other side does not read. */
  get unsentBytes(): number {
    return this.raw._handle?.writeQueueSize ?? 0;
  }

  /** Bytes that the kernel has taken. `bytesWritten` of a socket also counts those that wait. */
  get sentBytes(): number {
    const handle = this.raw._handle;
    return handle == null ? 0 : handle.bytesWritten - handle.writeQueueSize;
  }

  onActivity(): void {
    if (this.#phase === "idle" || this.#phase === "new") this.#enter("header");
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
        this.refuse(408, "The request's header took too long.");
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
      case "upgraded":
      case "closed":
    }
  }

  onClose(): void {
    if (this.#phase === "closed") return;
    this.#enter("closed");
    this.#core.deferred -= this.#deferred?.length ?? 0;
    this.#deferred = undefined;
    this.#upgradeContext?.end("ERR_CLIENT_GONE");
    this.#core.closed[this.#closeReason ?? "client"] += 1;
    this.#core.instruments.connectionDuration.record((now() - this.acceptedAt) / 1_000);
    this.#core.onLess?.();
  }

  #attend(): void {
    if (unrefTimer !== undefined) this.socket._unrefTimer = onActivity;
    this.socket.destroySoon = closeAfterAnswer;
  }

  #enter(phase: Phase): void {
    const core = this.#core;
    const before = this.#phase;
    const from = stateOf[before];
    const to = stateOf[phase];
    this.#phase = phase;
    if (from !== to) {
      if (from !== "closed") core.levels[from] -= 1;
      if (to !== "closed") core.levels[to] += 1;
      unlink(this);
      if (to !== "closed") append(to === "idle" ? core.idle : core.busy, this);
    }
    this.#arm(phase, before);
    if (from !== to && core.events.listenerCount("connState") > 0) core.events.emit("connState", this.socket, to);
  }

  #arm(phase: Phase, before: Phase): void {
    const { wheel, options } = this.#core;
    switch (phase) {
      case "idle":
        wheel.arm(this.#timer, options.idleTimeout);
        return;
      case "exchange":
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
export function attend(core: ServerCore, raw: Socket, tls: boolean): Connection {
  return new Connection(core, raw, tls);
}

/** How long the other side may go on sending to a connection that is closing: Go has 500 ms, nginx 5 s. */
const lingerMs = 2_000;

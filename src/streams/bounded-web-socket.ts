/**
 * One WebSocket whose reader may be slow: what it does not take waits within a bound, as with an event stream.
 *
 * A library of WebSockets takes whatever it is given and keeps it until the client reads; it only says how much that is
 * (`bufferedAmount`). So it is given no more than a little ahead, and the rest waits here, where it can still be left out.
 */

import type { IncomingMessage } from "node:http";
import { now, turnNow } from "../core/clock.ts";
import { ContextError, type Context, type OwnedContext } from "../core/context.ts";
import { WheelTimer, type DeadlineWheel } from "../core/deadline-wheel.ts";
import type { Lifecycle } from "../core/lifecycle.ts";
import { Backlog, Waiting } from "./backlog.ts";
import { streamClosed } from "./channels.ts";
import type { StreamCloseReason, StreamInstruments } from "./instruments.ts";
import { isClientGone, type SseState } from "./sse-stream.ts";
import type { ResolvedWebSocketsOptions } from "./web-sockets-options.ts";

/** What is needed of a WebSocket: `ws` has it. */
export interface WebSocketPort {
  /** Bytes that it was given and that have not left for the client. */
  readonly bufferedAmount: number;
  send(data: Buffer, options: { readonly binary: boolean }, onSent: (error?: Error | null) => void): void;
  ping(): void;
  close(code: number, reason: string): void;
  terminate(): void;
}

/** What a connection needs of those it belongs to. */
export interface WebSocketHost<Socket extends WebSocketPort> {
  readonly options: ResolvedWebSocketsOptions;
  readonly wheel: DeadlineWheel;
  readonly instruments: StreamInstruments;
  onClosed(connection: BoundedWebSocket<Socket>): void;
}

/** What a connection is made of. */
export interface WebSocketParts<Socket extends WebSocketPort> {
  readonly host: WebSocketHost<Socket>;
  readonly socket: Socket;
  readonly req: IncomingMessage;
  readonly address: string | undefined;
  readonly lifecycle: Lifecycle | undefined;
  /** Of the request for it. */
  readonly context: Context;
}

/** How a message is sent. */
export interface MessageOptions {
  /** What `latest-only` goes by. @default "" */
  readonly key?: string;
}

class ConnectionTimer extends WheelTimer {
  readonly #look: () => void;

  constructor(look: () => void) {
    super();
    this.#look = look;
  }

  onDeadline(): void {
    this.#look();
  }
}

interface Message {
  readonly data: Buffer;
  readonly binary: boolean;
}

/** Bytes that the socket is given ahead: enough that it never runs dry. */
const aheadBytes = 65_536;
/** Pings after which a client from which nothing has come is dead. */
const deadAfter = 2;
/** How long a client that is told to go may take for that. */
const closeMs = 5_000;

/** RFC 6455 section 7.4.1, and the registry that it makes. */
const goingAway = 1_001;
const tryAgainLater = 1_013;

/**
 * Invariants: while the socket has room, the backlog is empty. `#finish` is the only place that makes it `closed`, once.
 */
export class BoundedWebSocket<Socket extends WebSocketPort = WebSocketPort> {
  /** The socket itself, for its messages. What is sent on it past this is bounded by nobody. */
  readonly socket: Socket;
  /** The request that asked for it. */
  readonly req: IncomingMessage;
  readonly lifecycle: Lifecycle | undefined;
  readonly address: string | undefined;
  readonly #host: WebSocketHost<Socket>;
  readonly #outerContext: Context;
  readonly #contextEnd: Disposable;
  readonly #backlog: Backlog<Message>;
  readonly #timer: ConnectionTimer = new ConnectionTimer(() => this.#onLook());
  readonly #beatMs: number;
  readonly #openedAt: number = turnNow();
  #state: SseState = "open";
  #reason: StreamCloseReason | undefined;
  #context: OwnedContext | undefined;
  /** Pings since something has come. */
  #unanswered = 0;
  #closing: { readonly code: number; readonly reason: string } | undefined;
  #counted = 0;
  #ready: PromiseWithResolvers<boolean> | undefined;

  constructor({ host, socket, req, address, lifecycle, context }: WebSocketParts<Socket>) {
    const { heartbeat, overflow: policy, maxBufferedBytes: limit } = host.options;
    this.#host = host;
    this.socket = socket;
    this.req = req;
    this.address = address;
    this.lifecycle = lifecycle;
    this.#outerContext = context;
    this.#beatMs = heartbeat * (1 - Math.random() / 5);
    this.#backlog = new Backlog({ policy, limit, onDrop: (reason) => host.instruments.dropped.add(reason) });
    host.instruments.opened();
    host.wheel.arm(this.#timer, this.#beatMs);
    this.#contextEnd = context.onDone((cause) => {
      if (isClientGone(cause)) this.onClose("client");
      else this.endFor("context");
    });
  }

  get state(): SseState {
    return this.#state;
  }

  /** Why it is over; `undefined` while nobody has ended it. */
  get closeReason(): StreamCloseReason | undefined {
    return this.#reason;
  }

  /** Bytes that wait for the client here and in the socket. */
  get bufferedBytes(): number {
    return this.#backlog.bytes + (this.#state === "closed" ? 0 : this.socket.bufferedAmount);
  }

  /** Done as soon as nothing more can be sent, whatever the reason. */
  get context(): Context {
    if (this.#context === undefined) {
      this.#context = this.#outerContext.child();
      if (this.#state !== "open") this.#endContext();
    }
    return this.#context;
  }

  /**
   * Sends text, or bytes. What the client does not take at once waits, within the limit. It never throws for what a
   * client does: `false` says that nothing more can be sent.
   */
  send(data: string | Uint8Array, { key = "" }: MessageOptions = {}): boolean {
    return this.push(toMessage(data), key);
  }

  /** @internal Bytes that may be shared. */
  push(message: Message, key: string): boolean {
    if (this.#state !== "open") return false;
    this.#host.instruments.sent();
    if (this.#backlog.isEmpty && this.socket.bufferedAmount < aheadBytes) {
      this.#hand(message);
      return true;
    }
    const taken = this.#backlog.add(new Waiting(message, message.data.byteLength, key), this.socket.bufferedAmount);
    if (taken) this.#count();
    else {
      this.#backlog.clear();
      this.endFor("overflow", tryAgainLater, "too far behind");
    }
    return taken;
  }

  /** Resolves to `true` once nothing waits here for the client, and to `false` when it is over. */
  ready(): Promise<boolean> {
    if (this.#state !== "open") return Promise.resolve(false);
    if (this.#backlog.isEmpty && this.socket.bufferedAmount < aheadBytes) return Promise.resolve(true);
    this.#ready ??= Promise.withResolvers<boolean>();
    return this.#ready.promise;
  }

  /** Closes it once what waits is sent, and cuts it if the client does not answer in 5 s. Later calls do nothing. */
  close(code: number = 1_000, reason: string = ""): void {
    this.endFor("ended", code, reason);
  }

  /** Ends it now, and what waits is lost. */
  abort(): void {
    this.cut("aborted");
  }

  /** @internal */
  endFor(why: StreamCloseReason, code: number = goingAway, reason: string = "going away"): void {
    if (this.#state !== "open") return;
    this.#reason ??= why;
    this.#state = "ending";
    this.#closing = { code, reason };
    this.#endContext();
    this.#host.wheel.arm(this.#timer, closeMs);
    this.#pump();
  }

  /** @internal */
  cut(reason: StreamCloseReason): void {
    if (this.#state === "closed") return;
    this.#reason ??= reason;
    this.socket.terminate();
    this.#finish();
  }

  /** @internal Something has come from the client. */
  onHeard(): void {
    this.#unanswered = 0;
  }

  /** @internal The socket is closed. `reason` is why, if nobody here has ended it. */
  onClose(reason: "client" | "protocol"): void {
    this.#reason ??= reason;
    this.#finish();
  }

  #hand({ data, binary }: Message): void {
    this.socket.send(data, { binary }, this.#onSent);
  }

  readonly #onSent = (): void => {
    if (this.#state !== "closed" && this.socket.bufferedAmount < aheadBytes) this.#pump();
  };

  #pump(): void {
    while (this.socket.bufferedAmount < aheadBytes) {
      const next = this.#backlog.take();
      if (next === undefined) break;
      this.#hand(next.payload);
    }
    this.#count();
    if (!this.#backlog.isEmpty) return;
    if (this.#closing !== undefined) {
      const { code, reason } = this.#closing;
      this.#closing = undefined;
      this.socket.close(code, reason);
    }
    this.#ready?.resolve(this.#state === "open");
    this.#ready = undefined;
  }

  #count(): void {
    const { bytes } = this.#backlog;
    this.#host.instruments.bufferedBytes += bytes - this.#counted;
    this.#counted = bytes;
  }

  #onLook(): void {
    if (this.#state === "ending") this.cut("aborted");
    else if (this.#unanswered >= deadAfter) this.cut("stalled");
    else {
      this.#unanswered += 1;
      this.socket.ping();
      this.#host.wheel.arm(this.#timer, this.#beatMs);
    }
  }

  #finish(): void {
    if (this.#state === "closed") return;
    const unsentBytes = this.bufferedBytes;
    this.#backlog.clear();
    this.#count();
    this.#state = "closed";
    this.#host.wheel.cancel(this.#timer);
    this.#contextEnd[Symbol.dispose]();
    const reason = this.#reason ?? "client";
    this.#host.instruments.over(reason);
    this.#host.onClosed(this);
    this.#ready?.resolve(false);
    this.#ready = undefined;
    this.#endContext();
    const { address } = this;
    const { name: streams } = this.#host.options;
    streamClosed.publish(() => ({ kind: "ws", streams, address, reason, ageMs: now() - this.#openedAt, unsentBytes }));
  }

  /** Nothing more can be sent. */
  #endContext(): void {
    const context = this.#context;
    if (context === undefined || context.done) return;
    if (this.#reason === "client") context.cancel(new ContextError("ERR_CLIENT_GONE"));
    else if (this.#reason === "drain") context.cancel(new ContextError("ERR_SHUTTING_DOWN"));
    else context.cancel(this.#outerContext.cause);
  }
}

/** Made once for all who get it. */
export function toMessage(data: string | Uint8Array): Message {
  if (typeof data === "string") return { data: Buffer.from(data), binary: false };
  return { data: Buffer.from(data.buffer, data.byteOffset, data.byteLength), binary: true };
}

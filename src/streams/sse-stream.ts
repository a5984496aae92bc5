/**
 * One event stream: the answer to one request, open for as long as its client stays.
 *
 * Whoever sends is never made to wait, and whoever reads slowly makes nothing grow: what Node does not take at once waits
 * in a bounded backlog. One timer looks after the rest: the heartbeat, the client that takes nothing, the age. It stands
 * on `node:http`'s own response, of HTTP/1 or of HTTP/2's compatibility API, and knows of a guarded server only what
 * `core/served.ts` has.
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import { now, turnNow } from "../core/clock.ts";
import {
  background,
  context as currentContext,
  ContextError,
  type Context,
  type OwnedContext,
} from "../core/context.ts";
import { WheelTimer, type DeadlineWheel } from "../core/deadline-wheel.ts";
import type { Lifecycle } from "../core/lifecycle.ts";
import { servedOf, type Served } from "../core/served.ts";
import { Backlog, Waiting } from "./backlog.ts";
import { streamClosed } from "./channels.ts";
import type { StreamCloseReason, StreamInstruments } from "./instruments.ts";
import { streamHeaders } from "./refuse-stream.ts";
import { encodeComment, encodeEvent, encodeRetry, type SseEvent } from "./sse-encoder.ts";
import type { Replayed } from "./sse-history.ts";
import type { ResolvedSseOptions } from "./sse-options.ts";

/** What a stream needs of its group. */
export interface StreamHost {
  readonly name: string;
  readonly wheel: DeadlineWheel;
  readonly instruments: StreamInstruments;
  onClosed(stream: SseStream): void;
}

/** What a stream is made of. */
export interface StreamParts {
  readonly host: StreamHost;
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly options: ResolvedSseOptions;
  /** What it is counted under. */
  readonly address: string | undefined;
  /** Whether it begins at all: it was refused, or its client has left before. */
  readonly fate: "begins" | "refused" | "gone";
}

/** Something that has a list of streams, and wants to know when one of them is over. */
export interface Membership {
  /** It is about to end: the last chance to send. */
  flush(stream: SseStream): void;
  leave(stream: SseStream): void;
}

/** `ending` writes what waits, and takes nothing more. */
export type SseState = "open" | "ending" | "closed";

class StreamTimer extends WheelTimer {
  readonly #stream: SseStream;

  constructor(stream: SseStream) {
    super();
    this.#stream = stream;
  }

  onDeadline(): void {
    this.#stream.onLook();
  }
}

const heartbeat = Buffer.from(":\n\n");
/** The longest id that is looked up. An id of ours has some twenty characters. */
const maxIdLength = 256;

/** Where a response keeps its stream: its listeners are shared functions, so that an idle stream costs no closures. */
const streamOf: unique symbol = Symbol("sluice.stream");

type StreamResponse = ServerResponse & { [streamOf]?: SseStream };

function onDrain(this: StreamResponse): void {
  this[streamOf]?.onDrain();
}

function onClose(this: StreamResponse): void {
  this[streamOf]?.onClose();
}

/** The close that follows tells enough. */
function ignoreError(): void {}

/**
 * Invariants: while it is `open`, and neither behind nor replaying, the backlog is empty. `#isBehind` says that Node has
 * refused to take more until `drain`. `#finish` is the only place that makes it `closed`, once.
 */
export class SseStream {
  /** What the client has seen last, as it says; empty if it says nothing. */
  readonly lastEventId: string;
  /** Of the guarded server that the request came to. */
  readonly lifecycle: Lifecycle | undefined;
  /** What it is counted under among others of its client. */
  readonly address: string | undefined;
  readonly #host: StreamHost;
  readonly #res: StreamResponse;
  readonly #options: ResolvedSseOptions;
  readonly #served: Served | undefined;
  readonly #backlog: Backlog<Buffer>;
  readonly #outerContext: Context;
  readonly #openedAt: number = turnNow();
  readonly #endsAt: number;
  readonly #beatMs: number;
  #state: SseState = "open";
  #reason: StreamCloseReason | undefined;
  #context: OwnedContext | undefined;
  #timer: StreamTimer | undefined;
  #contextEnd: Disposable | undefined;
  #memberships: readonly Membership[] = [];
  #replay: Iterator<Replayed, void> | undefined;
  /** Written with the end. */
  #farewell: Buffer | undefined;
  #isBehind = false;
  /** Since when its client has taken nothing, while it is behind. */
  #behindSince = 0;
  #lastLength = 0;
  #lastWriteAt = 0;
  /** What of it stands in the group's sum. */
  #counted = 0;
  #ready: PromiseWithResolvers<boolean> | undefined;

  constructor({ host, req, res, options, address, fate }: StreamParts) {
    const { maxAge, heartbeat: every, retry, overflow, maxBufferedBytes } = options;
    this.#host = host;
    this.#res = res;
    this.#options = options;
    this.address = address;
    this.lastEventId = readLastEventId(req);
    this.#served = servedOf(res);
    this.lifecycle = this.#served?.lifecycle;
    this.#outerContext = this.#served?.context ?? currentContext();
    this.#endsAt = this.#openedAt + maxAge * (1 - Math.random() / 5);
    this.#beatMs = every * (1 - Math.random() / 5);
    const { dropped } = host.instruments;
    this.#backlog = new Backlog({ policy: overflow, limit: maxBufferedBytes, onDrop: (reason) => dropped.add(reason) });
    if (fate === "begins") {
      host.instruments.opened();
      this.#open(retry * (1 + Math.random() / 2));
      return;
    }
    this.#state = "closed";
    this.#reason = fate === "gone" ? "client" : undefined;
  }

  get state(): SseState {
    return this.#state;
  }

  /** Why it is over; `undefined` while nobody has ended it. */
  get closeReason(): StreamCloseReason | undefined {
    return this.#reason;
  }

  /** Bytes that wait for the client here and in Node. */
  get bufferedBytes(): number {
    return this.#backlog.bytes + (this.#state === "closed" ? 0 : this.#res.writableLength);
  }

  /** Done as soon as nothing more can be sent, whatever the reason: whatever feeds the stream stops by this. */
  get context(): Context {
    if (this.#context === undefined) {
      this.#context = this.#outerContext.child();
      if (this.#state !== "open") this.#endContext();
    }
    return this.#context;
  }

  /**
   * Sends an event, or text as the data of one. What the client does not take at once waits, within the limit. It
   * never throws for what a client does: `false` says that nothing more can be sent.
   */
  send(event: SseEvent | string): boolean {
    if (this.#state !== "open") return false;
    const whole = typeof event === "string" ? { data: event } : event;
    return this.push(encodeEvent(whole), whole.event ?? "");
  }

  /** Sends a line that no client sees. */
  comment(text: string): boolean {
    return this.push(encodeComment(text), "");
  }

  /**
   * Resolves to `true` once nothing waits for the client, and to `false` when the stream is over: what makes a producer
   * as slow as its reader.
   */
  ready(): Promise<boolean> {
    if (this.#state !== "open") return Promise.resolve(false);
    if (!this.#isBehind && this.#replay === undefined) return Promise.resolve(true);
    this.#ready ??= Promise.withResolvers<boolean>();
    return this.#ready.promise;
  }

  /** Ends it once what waits is written. Later calls do nothing. */
  end(): void {
    this.endFor("ended");
  }

  /** Ends it now, and what waits is lost. */
  abort(): void {
    this.cut("aborted");
  }

  /** @internal */
  endFor(reason: StreamCloseReason, retryMs?: number): void {
    if (this.#state !== "open") return;
    for (const membership of this.#memberships) membership.flush(this);
    if (!this.#isOpen) return;
    this.#reason ??= reason;
    this.#state = "ending";
    this.#endContext();
    if (retryMs !== undefined) this.#farewell = encodeRetry(retryMs);
    if (!this.#isBehind && this.#replay === undefined) this.#res.end(this.#farewell);
  }

  /** @internal */
  cut(reason: StreamCloseReason): void {
    if (this.#state === "closed") return;
    this.#reason ??= reason;
    this.#res.destroy();
    // HTTP/2 tells at once, HTTP/1 later.
    this.#finish();
  }

  /** @internal Bytes that may be shared. `key` is what `latest-only` goes by. */
  push(frame: Buffer, key: string): boolean {
    if (this.#state !== "open") return false;
    this.#host.instruments.sent();
    if (!this.#isBehind && this.#replay === undefined) {
      this.#write(frame);
      return true;
    }
    if (!this.#backlog.add(new Waiting(frame, frame.byteLength, key), this.#res.writableLength)) {
      this.cut("overflow");
      return false;
    }
    this.#count();
    return true;
  }

  /** @internal Joins a channel: it is told of the end, and of nothing else. */
  join(membership: Membership): void {
    this.#memberships = [...this.#memberships, membership];
  }

  /** @internal Reads along at the client's pace, before anything else is sent. */
  replay(source: Iterator<Replayed, void>): void {
    if (this.#state !== "open") return;
    this.#replay = source;
    if (!this.#isBehind) this.#pump();
  }

  /** @internal Whether events of its channel reach it by what it replays. */
  get isReplaying(): boolean {
    return this.#replay !== undefined;
  }

  /** @internal Tells the client that it has missed something. */
  tellGap(reason: "expired" | "unknown" | "overflow", missed?: number): void {
    this.#host.instruments.gap();
    this.#write(encodeEvent({ event: "gap", data: { reason, missed } }));
  }

  /** @internal */
  onDrain(): void {
    this.#isBehind = false;
    if (this.#state !== "closed") this.#pump();
  }

  /** @internal */
  onClose(): void {
    this.#reason ??= "client";
    this.#finish();
  }

  /** @internal Looks what the time has brought. */
  onLook(): void {
    const at = now();
    if (this.#state === "closed") return;
    if (this.#isBehind && this.#isStalled(at)) {
      this.cut("stalled");
      return;
    }
    if (at >= this.#endsAt) this.endFor("max_age");
    else if (this.#state === "open" && !this.#isBehind && at >= this.#lastWriteAt + this.#beatMs)
      this.#write(heartbeat);
    this.#lookLater(at);
  }

  #open(retryMs: number): void {
    const res = this.#res;
    this.#served?.takeOver();
    res[streamOf] = this;
    res.on("drain", onDrain);
    res.on("close", onClose);
    res.on("error", ignoreError);
    // `server.timeout`, which is for sockets in general. A guarded server has its own.
    if (this.#served === undefined) res.setTimeout(0);
    if (!res.headersSent) res.writeHead(200, { ...streamHeaders, ...this.#options.headers });
    this.#write(encodeRetry(retryMs));
    if (this.#outerContext !== background) {
      this.#contextEnd = this.#outerContext.onDone((cause) => this.#onContextEnd(cause));
    }
    this.#lookLater(now());
  }

  get #isOpen(): boolean {
    return this.#state === "open";
  }

  #onContextEnd(cause: unknown): void {
    if (!isClientGone(cause)) this.endFor("context");
    else this.onClose();
  }

  #write(frame: Buffer): void {
    this.#lastWriteAt = turnNow();
    if (this.#res.write(frame)) return;
    this.#isBehind = true;
    this.#behindSince = this.#lastWriteAt;
    this.#lastLength = this.#res.writableLength;
    this.#count();
  }

  /** Writes what waits for as long as Node takes it. */
  #pump(): void {
    while (!this.#isBehind && this.#writeNext());
    this.#count();
    if (this.#isBehind || this.#replay !== undefined) return;
    this.#ready?.resolve(true);
    this.#ready = undefined;
    if (this.#state === "ending") this.#res.end(this.#farewell);
  }

  /** `false` when nothing is left. */
  #writeNext(): boolean {
    if (this.#replay !== undefined) {
      const { done, value } = this.#replay.next();
      if (done === true || value === undefined) this.#replay = undefined;
      else if ("missed" in value) this.tellGap("expired", value.missed);
      else {
        this.#host.instruments.replayed();
        this.#write(value.frame);
      }
      return true;
    }
    // What was left out is older than all that is left.
    const missed = this.#backlog.takeMissed();
    if (missed > 0) {
      this.tellGap("overflow", missed);
      return true;
    }
    const next = this.#backlog.take();
    if (next === undefined) return false;
    this.#write(next.payload);
    return true;
  }

  /** Keeps the group's sum of what waits. */
  #count(): void {
    const waiting = this.#isBehind ? this.#backlog.bytes + this.#res.writableLength : this.#backlog.bytes;
    this.#host.instruments.bufferedBytes += waiting - this.#counted;
    this.#counted = waiting;
  }

  #isStalled(at: number): boolean {
    const length = this.#res.writableLength;
    if (length < this.#lastLength) this.#behindSince = at;
    this.#lastLength = length;
    return at - this.#behindSince >= this.#options.stallTimeout;
  }

  #lookLater(at: number): void {
    if (this.#state === "closed") return;
    const { stallTimeout } = this.#options;
    const look = this.#isBehind ? this.#behindSince + stallTimeout : this.#lastWriteAt + this.#beatMs;
    // A client may fall behind right after this look.
    const next = Math.min(look, at + Math.max(stallTimeout, 1), this.#state === "open" ? this.#endsAt : Infinity);
    this.#timer ??= new StreamTimer(this);
    this.#host.wheel.arm(this.#timer, Math.max(next - at, 1));
  }

  #finish(): void {
    if (this.#state === "closed") return;
    const unsentBytes = this.#counted;
    this.#backlog.clear();
    this.#isBehind = false;
    this.#replay = undefined;
    this.#count();
    this.#state = "closed";
    const { host, reason } = { host: this.#host, reason: this.#reason ?? "client" };
    host.instruments.over(reason);
    if (this.#timer !== undefined) host.wheel.cancel(this.#timer);
    this.#contextEnd?.[Symbol.dispose]();
    for (const membership of this.#memberships) membership.leave(this);
    this.#memberships = [];
    host.onClosed(this);
    this.#ready?.resolve(false);
    this.#ready = undefined;
    this.#endContext();
    const { address } = this;
    streamClosed.publish(() => {
      return { kind: "sse", streams: host.name, address, reason, ageMs: now() - this.#openedAt, unsentBytes };
    });
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

/** Whether a guarded server has noticed before we have. */
export function isClientGone(cause: unknown): boolean {
  return cause instanceof ContextError && cause.code === "ERR_CLIENT_GONE";
}

/** Sent as UTF-8, and read by Node as latin1. */
function readLastEventId({ headers }: IncomingMessage): string {
  const raw = headers["last-event-id"];
  if (typeof raw !== "string" || raw.length > maxIdLength) return "";
  return Buffer.from(raw, "latin1").toString();
}

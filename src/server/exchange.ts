/**
 * One request and its answer: from the end of the request's header until the answer is out and the body read.
 *
 * Nothing is listened to and nothing is made per request beyond this object and its context. What happens to the
 * request and the response is learned from an own `emit` on both, a shared function: it is where Node tells its own
 * side of things, it survives frameworks that exchange the prototype (Express), and it is also what puts the listeners
 * into the request's context, since Node's parser calls them in that of the connection.
 *
 * The one timer of an exchange is armed for the earliest of its deadlines, once; nearly every request ends before.
 */

import { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { context as currentContext, type RequestContext, type RequestOwner } from "../core/context.ts";
import { now } from "../core/clock.ts";
import { WheelTimer } from "../core/deadline-wheel.ts";
import type { Connection } from "./connection.ts";
import type { ShedReason, TimeoutKind } from "./instruments.ts";
import type { ServerCore } from "./server-core.ts";

/** Where a request and its response keep their exchange. */
export const exchangeKey: unique symbol = Symbol("sluice.exchange");

/** `waiting` for its place, `running` in the handler, `answered` but not read to its end, `over`. */
type ExchangeState = "waiting" | "running" | "answered" | "over";

/** How much of an upload is read on after its answer, so that the connection can be kept (Go's maxPostHandlerReadBytes). */
const maxUnreadBytes = 262_144;
/** And for how long. */
const maxUnreadMs = 2_000;

/** A request or a response once an exchange has it. */
interface Attended extends EventEmitter {
  [exchangeKey]?: Exchange;
}

function callEmit(emitter: EventEmitter, event: string | symbol, args: unknown[]): boolean {
  return EventEmitter.prototype.emit.call(emitter, event, ...args);
}

/** Calls the listeners in the request's context, if there are any and they are not in it already. */
function emitWithin(exchange: Exchange, emitter: EventEmitter, event: string | symbol, args: unknown[]): boolean {
  const { context } = exchange;
  if (context === undefined || currentContext() === context) return callEmit(emitter, event, args);
  return context.run(callEmit, emitter, event, args);
}

function emitOnRequest(this: Attended, event: string | symbol, ...args: unknown[]): boolean {
  const exchange = this[exchangeKey];
  if (exchange === undefined) return callEmit(this, event, args);
  // `error` without a listener has to throw.
  const heard = this.listenerCount(event) > 0 || event === "error";
  const result = heard && emitWithin(exchange, this, event, args);
  if (event === "end") exchange.onBodyEnd();
  return result;
}

function emitOnResponse(this: Attended, event: string | symbol, ...args: unknown[]): boolean {
  const exchange = this[exchangeKey];
  if (exchange === undefined) return callEmit(this, event, args);
  if (event === "close") exchange.onClose();
  const listeners = this.listenerCount(event);
  // Node's own listener is the first of `finish`, and needs no context.
  const heard = event === "finish" ? listeners > 1 : listeners > 0 || event === "error";
  const result = heard ? emitWithin(exchange, this, event, args) : listeners > 0 && callEmit(this, event, args);
  if (event === "finish") exchange.onFinish();
  return result;
}

/** Keeps a connection from being kept when more of an upload is left than will be read. */
function writeHeadOfUpload(this: ServerResponse & Attended, ...args: unknown[]): unknown {
  const exchange = this[exchangeKey];
  if (exchange !== undefined && exchange.unreadBytes > maxUnreadBytes) this.shouldKeepAlive = false;
  const writeHead: unknown = Reflect.get(Object.getPrototypeOf(this), "writeHead");
  return typeof writeHead === "function" ? Reflect.apply(writeHead, this, args) : this;
}

/** Counts the bytes of a body whose length was not announced. */
function pushChunk(this: IncomingMessage & Attended, chunk: Buffer | null): boolean {
  const exchange = this[exchangeKey];
  if (exchange !== undefined && chunk !== null && !exchange.takeChunk(chunk.length)) return true;
  const push: unknown = Reflect.get(Object.getPrototypeOf(this), "push");
  return typeof push === "function" && Reflect.apply(push, this, [chunk]) === true;
}

/**
 * Invariant: the timer is armed exactly in the states `running` and `answered`, and in `waiting` by the admission;
 * `over` is final. Only `#end` makes it so, and gives back what the exchange holds.
 */
export class Exchange extends WheelTimer implements RequestOwner {
  readonly connection: Connection;
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly startedAt: number = now();
  /** From the start on; `undefined` while it waits. */
  context: RequestContext | undefined;
  /** For the metrics. */
  route: string | undefined;
  readonly #core: ServerCore;
  /** Bytes that the header has announced; `Infinity` when it only said that there will be some, 0 without a body. */
  readonly #bodyBytes: number;
  #state: ExchangeState = "waiting";
  #readBy = Infinity;
  #handleBy = Infinity;
  #writeBy = Infinity;
  /** Why it ends, once that is not up to the handler any more. */
  #failure: TimeoutKind | undefined;
  /** Bytes of a body of unknown length. */
  #chunkBytes = 0;
  #bytesBefore = 0;
  /** When the present look at the rates began, and the bytes there were then. */
  #rateSince = 0;
  #rateBytes = 0;
  #wroteBytes = 0;

  constructor(core: ServerCore, connection: Connection, req: IncomingMessage, res: ServerResponse) {
    super();
    this.#core = core;
    this.connection = connection;
    this.req = req;
    this.res = res;
    this.#bodyBytes = announcedBytes(req);
    core.inFlight += 1;
    this.#attend();
  }

  get state(): ExchangeState {
    return this.#state;
  }

  /** Bytes of the request that have been announced and not read. */
  get unreadBytes(): number {
    if (this.req.complete || this.#bodyBytes === 0) return 0;
    return this.#bodyBytes - (this.req.socket.bytesRead - this.#bytesBefore);
  }

  get announcedBytes(): number {
    return this.#bodyBytes;
  }

  /** It has its place: from here on the handler's time runs. */
  start(deadline: number, traceparent: string | undefined): RequestContext {
    const { options } = this.#core;
    const at = now();
    this.#state = "running";
    this.#handleBy = at + options.handlerTimeout;
    this.#writeBy = this.startedAt + options.writeTimeout;
    this.#rateSince = at;
    if (this.#bodyBytes > 0) {
      this.#readBy = this.startedAt + options.readTimeout;
      this.#rateBytes = this.req.socket.bytesRead;
    }
    this.#core.wheel.arm(this, this.#nextLook(at));
    const context = this.#core.contexts.create(Math.min(this.#handleBy, deadline), this, traceparent);
    this.context = context;
    return context;
  }

  /** See `RequestOwner`: once the answer has begun, only the limit on writing it is left. */
  reconsiderDeadline(passed: number): number {
    return this.res.headersSent ? this.#writeBy : passed;
  }

  /** Refuses it before a handler has seen it. */
  shed(reason: ShedReason): void {
    this.#core.instruments.shed.add(reason);
    this.answer(503, shedMessages[reason]);
  }

  /** Answers instead of the handler, which may go on without knowing. What has begun cannot be taken back: then it is cut. */
  answer(status: number, message: string): void {
    const { res } = this;
    if (this.#state === "waiting") this.#begin();
    if (res.headersSent || res.writableEnded) {
      this.connection.cut("refused");
      return;
    }
    for (const name of res.getHeaderNames()) res.removeHeader(name);
    // The rest of a body that nobody will read is no reason to keep the connection.
    if (this.unreadBytes > 0 || status === 408) res.shouldKeepAlive = false;
    const body = `${message}\n`;
    res.statusCode = status;
    res.setHeader("Content-Type", "text/plain; charset=utf-8");
    res.setHeader("Content-Length", Buffer.byteLength(body));
    if (status === 503) res.setHeader("Retry-After", Math.ceil(this.#core.options.retryAfter / 1_000));
    res.end(body);
  }

  /** One more piece of a body of unknown length; `false` when it is not wanted any more. */
  takeChunk(length: number): boolean {
    this.#chunkBytes += length;
    if (this.#state === "answered") {
      if (this.#chunkBytes - this.#bytesBefore > maxUnreadBytes) this.connection.close("answered");
      return true;
    }
    if (this.#chunkBytes <= this.#core.options.maxBodyBytes) return true;
    if (this.#state === "running" && !this.res.writableEnded) this.answer(413, "The body is too large.");
    return false;
  }

  /** The answer says that the connection ends with it, unless it has begun. */
  closeAfterwards(): void {
    if (!this.res.headersSent) this.res.shouldKeepAlive = false;
  }

  extend(byMs: number): void {
    this.#readBy += byMs;
    this.#writeBy += byMs;
    this.#handleBy += byMs;
    this.#changed();
  }

  setReadDeadline(inMs: number): void {
    this.#readBy = now() + inMs;
    this.#changed();
  }

  setWriteDeadline(inMs: number): void {
    this.#writeBy = now() + inMs;
    this.#changed();
  }

  /** It goes on for as long as its client stays: no handler's or writer's deadline. */
  stream(): void {
    this.#handleBy = Infinity;
    this.#writeBy = Infinity;
    this.#changed();
  }

  onBodyEnd(): void {
    if (this.#state === "answered") this.#end();
  }

  onFinish(): void {
    if (this.#state === "over") return;
    this.#record("");
    if (this.req.complete) {
      this.#end();
      return;
    }
    this.#state = "answered";
    this.#core.wheel.arm(this, maxUnreadMs);
    this.#bytesBefore = this.#chunkBytes;
    // Node throws away what nobody has begun to read, and leaves what somebody has.
    this.req.resume();
  }

  /** The connection is closed, or the answer destroyed. */
  onClose(): void {
    if (this.#state === "over") return;
    if (this.#state === "answered") {
      this.#end();
      return;
    }
    this.#record(this.#failure === undefined ? "client_gone" : `${this.#failure}_timeout`);
    this.context?.end(this.#failure === undefined ? "ERR_CLIENT_GONE" : "ERR_DEADLINE_EXCEEDED");
    this.#end();
  }

  onDeadline(): void {
    const at = now();
    if (this.#state === "answered") {
      this.connection.close("answered");
      return;
    }
    const failure = this.#findFailure(at);
    if (failure === undefined) this.#core.wheel.arm(this, this.#nextLook(at));
    else this.#fail(failure);
  }

  #attend(): void {
    const req: Attended = this.req;
    const res: Attended = this.res;
    req[exchangeKey] = this;
    res[exchangeKey] = this;
    req.emit = emitOnRequest;
    res.emit = emitOnResponse;
    if (this.#bodyBytes === 0) return;
    this.#bytesBefore = this.req.socket.bytesRead;
    Reflect.set(res, "writeHead", writeHeadOfUpload);
    if (this.#bodyBytes === Infinity) Reflect.set(req, "push", pushChunk);
  }

  /** An answer of ours to a request that never got its place is watched like any other. */
  #begin(): void {
    this.start(Infinity, undefined);
  }

  #fail(failure: TimeoutKind): void {
    this.#core.instruments.timeouts.add(failure);
    this.#failure = failure;
    switch (failure) {
      case "handler":
        this.context?.end("ERR_DEADLINE_EXCEEDED");
        this.answer(503, "The answer took too long.");
        this.#core.wheel.arm(this, this.#nextLook(now()));
        return;
      case "read":
      case "read_rate":
        if (this.res.headersSent) break;
        this.context?.end("ERR_DEADLINE_EXCEEDED");
        this.answer(408, "The body of the request took too long.");
        this.#core.wheel.arm(this, maxUnreadMs);
        return;
      default:
    }
    this.connection.cut("timeout");
  }

  #findFailure(at: number): TimeoutKind | undefined {
    const { res, req } = this;
    if (at >= this.#writeBy) return "write";
    if (at >= this.#handleBy && !res.headersSent) return "handler";
    if (!req.complete && at >= this.#readBy) return "read";
    return this.#findSlowness(at);
  }

  /** Looks at the rates, once in each grace. */
  #findSlowness(at: number): TimeoutKind | undefined {
    const { minRequestRate, minResponseRate } = this.#core.options;
    const sinceMs = at - this.#rateSince;
    const reads = !this.req.complete && minRequestRate.bytesPerSecond > 0;
    const grace = reads ? minRequestRate.grace : minResponseRate.grace;
    if (sinceMs < grace) return undefined;
    const { socket } = this.req;
    const read = socket.bytesRead - this.#rateBytes;
    const sent = this.connection.sentBytes;
    const wrote = sent - this.#wroteBytes;
    this.#rateSince = at;
    this.#rateBytes = socket.bytesRead;
    this.#wroteBytes = sent;
    const isReadLate = reads && !isHeldBack(this.req) && read < (minRequestRate.bytesPerSecond * sinceMs) / 1_000;
    if (isReadLate) return "read_rate";
    const isWriteLate = this.connection.unsentBytes > 0 && wrote < (minResponseRate.bytesPerSecond * sinceMs) / 1_000;
    return isWriteLate ? "write_rate" : undefined;
  }

  /** How long until the next deadline, or the next look at the rates. */
  #nextLook(at: number): number {
    const { minRequestRate, minResponseRate } = this.#core.options;
    const { req, res } = this;
    let next = this.#writeBy;
    if (!res.headersSent) next = Math.min(next, this.#handleBy);
    if (this.#bodyBytes > 0 && !req.complete) {
      next = Math.min(next, this.#readBy);
      if (minRequestRate.bytesPerSecond > 0) next = Math.min(next, this.#rateSince + minRequestRate.grace);
    }
    if (minResponseRate.bytesPerSecond > 0) next = Math.min(next, this.#rateSince + minResponseRate.grace);
    return Math.max(next - at, 1);
  }

  #changed(): void {
    if (this.#state !== "running") return;
    this.context?.putOff(this.res.headersSent ? this.#writeBy : this.#handleBy);
    this.#core.wheel.arm(this, this.#nextLook(now()));
  }

  #record(error: string): void {
    const { req, res } = this;
    const { instruments, options } = this.#core;
    const route = this.route ?? options.route?.(req) ?? "";
    const durationMs = now() - this.startedAt;
    const method = req.method ?? "";
    if (error === "") instruments.finished(method, res.statusCode, route, durationMs);
    else instruments.failed({ method, status: res.headersSent ? res.statusCode : 0, route, error, durationMs });
  }

  #end(): void {
    this.#state = "over";
    this.#core.wheel.cancel(this);
    this.#core.inFlight -= 1;
    this.context?.release();
    this.connection.endExchange();
    this.#core.onLess?.();
  }
}

const shedMessages: Readonly<Record<ShedReason, string>> = {
  concurrency: "Too many requests at once. Try again soon.",
  event_loop: "The server is overloaded. Try again soon.",
  memory: "The server is short of memory. Try again soon.",
  deadline: "There was too little time left for this request.",
  address: "Too many requests from this address.",
  draining: "The server is going away. Try again.",
};

function announcedBytes(req: IncomingMessage): number {
  const { headers } = req;
  const length = headers["content-length"];
  if (length !== undefined) return Number(length);
  return headers["transfer-encoding"] === undefined ? 0 : Infinity;
}

/** Whether it is the handler that does not read on. */
function isHeldBack(req: IncomingMessage): boolean {
  return req.readableLength >= req.readableHighWaterMark;
}

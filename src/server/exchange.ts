/**
 * One request and its answer: from the end of the request's header until the answer is out and the body read.
 *
 * Nothing is listened to per request, and nothing is made but this object and its context. What happens to the request
 * and the response is learned from a few own methods on both (`attend.ts`). The deadlines of an exchange share the one
 * timer of its carrier, armed for the earliest of them, once; nearly every request ends before.
 */

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { ContextCode, RequestContext, RequestOwner } from "../core/context.ts";
import { now } from "../core/clock.ts";
import { WheelTimer } from "../core/deadline-wheel.ts";
import type { Lifecycle } from "../core/lifecycle.ts";
import { throwLater } from "../core/outside.ts";
import type { Served } from "../core/served.ts";
import type { BadRequest } from "./bad-request.ts";
import type { ShedReason, TimeoutKind } from "./instruments.ts";
import { letGo, sendWhole } from "./attend.ts";
import { RequestRefusedError } from "./errors.ts";
import { AdmissionTicket } from "./admission.ts";
import type { LateWriteOwner } from "./late-methods.ts";
import type { LateWrites } from "./late-writes.ts";
import { RateWatch } from "./rate-watch.ts";
import type { CloseReason, ServerCore } from "./server-core.ts";

/** How Node tells of a request: the other two have an `Expect` header. */
export type RequestEvent = "request" | "checkContinue" | "checkExpectation";

/** What carries an exchange: a connection of HTTP/1, or a stream of HTTP/2. */
export interface Carrier {
  /** Bytes of body that a request's header has announced; `Infinity` when it only said that there will be some. */
  announcedBytes(req: IncomingMessage): number;
  /** Bytes read from the client so far. */
  readonly readBytes: number;
  /** Bytes that have left for the client. */
  readonly sentBytes: number;
  /** Those that have left on the whole connection. */
  readonly wireBytes: number;
  /** How many may do so before some must be of this exchange, if its client lets it send. */
  readonly bytesBefore: number;
  /** Bytes that wait because the client does not read. */
  readonly unsentBytes: number;
  /** Of the socket; -1 if there is none. */
  readonly descriptor: number;
  /** Calls the exchange's `onDeadline` after `ms`. */
  armExchange(ms: number): void;
  /** Ends it so that the other side gets all that was written. */
  close(reason: CloseReason): void;
  /** Ends it now. `othersMove`: what shares its connection goes on. */
  cut(reason: CloseReason, othersMove?: boolean): void;
  /** The exchange is over. */
  endExchange(): void;
}

/** `waiting` for its place, `running` in the handler, `answered` but not read to its end, `over`. */
type ExchangeState = "waiting" | "running" | "answered" | "over";

/** How much of an upload is read on after its answer, so that the connection can be kept (Go's maxPostHandlerReadBytes). */
const maxUnreadBytes = 262_144;
/** And for how long. */
const maxUnreadMs = 2_000;

/** How long a handler whose client has left holds its place, if it does not end its answer before. */
const maxLeftoverMs = 1_000;

class Leftover extends WheelTimer {
  readonly #release: () => void;

  constructor(release: () => void) {
    super();
    this.#release = release;
  }

  onDeadline(): void {
    this.#release();
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

/** Deadlines that were set for this request alone, as points in time. */
interface OwnDeadlines {
  readBy: number;
  handleBy: number;
  writeBy: number;
}

/**
 * Invariant: the carrier's timer is armed in the states `running` and `answered`; `over` is final, and only `#end`
 * makes it so, and gives back what the exchange holds.
 */
export class Exchange extends AdmissionTicket implements RequestOwner, LateWriteOwner, Served {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly startedAt: number = now();
  /** Bytes of body that the header has announced; `Infinity` when it only said that there will be some. */
  readonly announcedBytes: number;
  /** From the start on; `undefined` while it waits. */
  context: RequestContext | undefined;
  /** What it is counted under beside others of its client, behind a trusted proxy. */
  addressKey: string | undefined;
  /** For the metrics. */
  route: string | undefined;
  readonly #core: ServerCore;
  readonly #carrier: Carrier;
  #state: ExchangeState = "waiting";
  #own: OwnDeadlines | undefined;
  #rateWatch: RateWatch | undefined;
  /** Whether somebody else sees to how fast its client reads. */
  #isTakenOver = false;
  /** Why it ends, once that is not up to the handler any more. */
  #failure: TimeoutKind | undefined;
  /** Whether its client has left. */
  #isGone = false;
  /** Bytes that have come of a body of unknown length. */
  #chunkBytes = 0;
  /** How many of them had come when the answer was complete. */
  #chunksBefore = 0;
  /** Bytes that had been read at the start; only of a request with a body. */
  #readBefore = 0;

  constructor(core: ServerCore, carrier: Carrier, req: IncomingMessage, res: ServerResponse) {
    super();
    this.#core = core;
    this.#carrier = carrier;
    this.req = req;
    this.res = res;
    this.announcedBytes = carrier.announcedBytes(req);
    core.inFlight += 1;
    core.begun += 1;
  }

  get isOver(): boolean {
    return this.#state === "over";
  }

  /** Whether its answer is out, and only the rest of its body is not. */
  get isAnswered(): boolean {
    return this.#state === "answered";
  }

  get lifecycle(): Lifecycle {
    return this.#core.lifecycle;
  }

  get lateWrites(): LateWrites {
    return this.#core.lateWrites;
  }

  /** As what Node has emitted it. */
  event: RequestEvent = "request";

  onAdmitted(): void {
    this.#core.onAdmitted?.(this);
  }

  onShed(reason: ShedReason): void {
    this.shed(reason);
  }

  /** Bytes of the request that have been announced and not read. */
  get unreadBytes(): number {
    if (this.announcedBytes === 0 || this.req.complete) return 0;
    return Math.max(this.announcedBytes - (this.#carrier.readBytes - this.#readBefore), 0);
  }

  /** Bytes of body that have come in pieces of unknown number. */
  get chunkBytes(): number {
    return this.#chunkBytes;
  }

  /** Whether so much of the request is unread that its connection is not worth keeping. Unknown is not much. */
  get isFarFromRead(): boolean {
    const { unreadBytes } = this;
    return unreadBytes > maxUnreadBytes && unreadBytes !== Infinity;
  }

  /** It has its place: from here on its time runs. `deadline` is the caller's own. */
  start(deadline: number, traceparent: string | undefined): RequestContext {
    const { options, contexts } = this.#core;
    this.#state = "running";
    if (this.announcedBytes > 0) this.#readBefore = this.#carrier.readBytes;
    const handleBy = this.startedAt + options.handlerTimeout;
    this.#carrier.armExchange(this.announcedBytes > 0 ? this.#core.firstLookWithBodyMs : this.#core.firstLookMs);
    const context = contexts.create(deadline < handleBy ? deadline : handleBy, this, traceparent);
    this.context = context;
    return context;
  }

  /**
   * See `RequestOwner`: once the answer has begun, only the limit on writing it is left. Else it is answered here:
   * whoever listens to the context would answer with its own failure first.
   */
  reconsiderDeadline(passed: number): number {
    if (this.res.headersSent) return this.#writeBy;
    if (this.#state === "running" && this.#failure === undefined && now() >= this.deadlines.handleBy) {
      this.#fail("handler");
    }
    return passed;
  }

  /** Refuses it before a handler has seen it. */
  shed(reason: ShedReason): void {
    this.#core.instruments.shed.add(reason);
    this.answer(503, shedMessages[reason]);
  }

  /** Refuses a request that is wrong. */
  refuse(bad: BadRequest): void {
    if (bad.close) this.res.shouldKeepAlive = false;
    this.answer(bad.status, bad.message, "ERR_CLIENT_GONE");
  }

  /**
   * Answers instead of the handler, whose context ends with `code`, and which may go on without knowing. What has begun
   * cannot be taken back, and is cut.
   */
  answer(status: number, message: string, code: ContextCode = "ERR_CANCELLED"): void {
    const { res, context } = this;
    if (this.#state === "waiting") {
      this.#core.admission.abandon(this);
      this.start(Infinity, undefined);
    }
    if (res.headersSent || res.writableEnded) {
      context?.end(code);
      this.#carrier.cut("refused");
      return;
    }
    // The rest of a body that nobody will read is no reason to keep the connection.
    if (this.unreadBytes > 0) res.shouldKeepAlive = false;
    const body = `${message}\n`;
    const headers: OutgoingHttpHeaders = {
      "Content-Type": "text/plain; charset=utf-8",
      "Content-Length": Buffer.byteLength(body),
    };
    if (status === 503) headers["Retry-After"] = Math.ceil(this.#core.options.retryAfter / 1_000);
    sendWhole(this, { status, headers, body });
    if (context === undefined) return;
    // Not before: a handler may answer at once when it hears that its time is over.
    letGo(this, new RequestRefusedError(status, message));
    context.end(code);
  }

  /** One more piece of a body of unknown length; `false` when it is not wanted any more. */
  takeChunk(length: number): boolean {
    this.#chunkBytes += length;
    if (this.#state === "answered" && !this.#isBeingRead) {
      if (this.#chunkBytes > this.#chunksBefore + maxUnreadBytes) this.#carrier.close("answered");
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

  /** It stays for as long as its client does, and counts against no limit on concurrency. */
  stream(): void {
    this.setDeadlines({ handleBy: Infinity, writeBy: Infinity });
    this.#core.admission.release(this);
  }

  takeOver(): void {
    this.#isTakenOver = true;
    this.stream();
  }

  /** Moves the deadlines of this request. Times in milliseconds; what is left out stays. */
  setDeadlines(deadlines: Partial<OwnDeadlines>): void {
    if (this.#state !== "running") return;
    const { readBy, handleBy, writeBy } = this.deadlines;
    this.#own = { readBy, handleBy, writeBy, ...deadlines };
    this.context?.putOff(this.res.headersSent ? this.#own.writeBy : this.#own.handleBy);
    this.#carrier.armExchange(this.#nextLook(now()));
  }

  /** The deadlines in force, on the monotonic clock. */
  get deadlines(): Readonly<OwnDeadlines> {
    if (this.#own !== undefined) return this.#own;
    const { readTimeout, handlerTimeout, writeTimeout } = this.#core.options;
    const from = this.startedAt;
    return { readBy: from + readTimeout, handleBy: from + handlerTimeout, writeBy: from + writeTimeout };
  }

  onBodyEnd(): void {
    if (this.#state === "answered") this.#end();
  }

  /** The handler has done its part. A client that reads slowly holds no place, and is not what a limit adapts to. */
  onWritten(): void {
    const { admission } = this.#core;
    if (this.#state === "over") admission.release(this);
    if (this.#state !== "running") return;
    // An answer that says that something broke came at once, or much too late.
    if (this.#failure === undefined && this.res.statusCode >= 500) admission.release(this);
    else admission.leave(this, this.#failure !== undefined);
  }

  /** The answer is complete, and with the kernel. */
  onFinish(): void {
    if (this.#state === "over") return;
    this.#record("");
    if (this.announcedBytes === 0 || this.req.complete) {
      this.#end();
      return;
    }
    this.#state = "answered";
    if (this.#isBeingRead) {
      this.#carrier.armExchange(this.#nextLook(now()));
      return;
    }
    this.#chunksBefore = this.#chunkBytes;
    this.#carrier.armExchange(maxUnreadMs);
    // Node throws away what nobody has begun to read, and leaves what somebody has.
    this.req.resume();
  }

  /** A handler may answer first and read on: then the limits of a request hold as before. */
  get #isBeingRead(): boolean {
    const { req } = this;
    return !req.destroyed && (req.listenerCount("data") > 0 || req.listenerCount("readable") > 0);
  }

  /** The connection is closed, or the stream. */
  onClose(): void {
    if (this.#state === "over") return;
    if (this.#state !== "answered") {
      this.#isGone = this.#failure === undefined;
      this.#record(this.#failure === undefined ? "client_gone" : `${this.#failure}_timeout`);
      this.context?.end(this.#failure === undefined ? "ERR_CLIENT_GONE" : "ERR_DEADLINE_EXCEEDED");
    }
    this.#end();
  }

  onDeadline(): void {
    const at = now();
    if (this.#state === "over") return;
    if (this.#state === "answered" && !this.#isBeingRead) {
      this.#carrier.close("answered");
      return;
    }
    const failure = this.#findFailure(at);
    if (failure === undefined) this.#carrier.armExchange(this.#nextLook(at));
    else this.#fail(failure);
  }

  get #writeBy(): number {
    return this.#own?.writeBy ?? this.startedAt + this.#core.options.writeTimeout;
  }

  /** Made when it is first needed: nearly every request has ended before. */
  get #rates(): RateWatch {
    const { options, sendQueues } = this.#core;
    const start = { at: this.startedAt, readBytes: this.#readBefore, wireBytes: this.#carrier.wireBytes };
    return (this.#rateWatch ??= new RateWatch(options, sendQueues, start));
  }

  #fail(failure: TimeoutKind): void {
    this.#core.instruments.timeouts.add(failure);
    this.#failure = failure;
    const isOfHandler = failure === "handler";
    if (!isOfHandler && (this.res.headersSent || (failure !== "read" && failure !== "read_rate"))) {
      this.#carrier.cut("timeout", this.#rateWatch?.isConnectionMoving);
      return;
    }
    if (isOfHandler) this.answer(503, "The answer took too long.", "ERR_DEADLINE_EXCEEDED");
    else this.answer(408, "The body of the request took too long.", "ERR_DEADLINE_EXCEEDED");
    this.#carrier.armExchange(maxUnreadMs);
  }

  #findFailure(at: number): TimeoutKind | undefined {
    const { res, req } = this;
    const { readBy, handleBy, writeBy } = this.deadlines;
    if (at >= writeBy && this.#state === "running") return "write";
    if (this.#failure !== undefined) return this.res.writableFinished ? undefined : "write";
    if (at >= handleBy && !res.headersSent) return "handler";
    const reads = this.announcedBytes > 0 && !req.complete;
    if (reads && at >= readBy) return "read";
    if (reads && this.#rates.isReadingSlow(at, this.#carrier, req)) return "read_rate";
    return !this.#isTakenOver && this.#rates.isWritingSlow(at, this.#carrier) ? "write_rate" : undefined;
  }

  /** How long until the next deadline, or the next look at the rates. */
  #nextLook(at: number): number {
    const { req, res } = this;
    const { readBy, handleBy, writeBy } = this.deadlines;
    const reads = this.announcedBytes > 0 && !req.complete;
    let next = this.#state === "running" ? writeBy : Infinity;
    if (!res.headersSent) next = Math.min(next, handleBy);
    if (reads) next = Math.min(next, readBy);
    if (reads || !this.#isTakenOver) next = Math.min(next, this.#rates.nextAt(reads, !this.#isTakenOver));
    return Math.max(next - at, 1);
  }

  #record(error: string): void {
    const { req, res } = this;
    const { instruments } = this.#core;
    const route = this.route ?? this.#findRoute() ?? "";
    const durationMs = now() - this.startedAt;
    const method = req.method ?? "";
    if (error === "") instruments.finished(method, res.statusCode, route, durationMs);
    else instruments.failed({ method, status: res.headersSent ? res.statusCode : 0, route, error, durationMs });
  }

  /** What the program's function throws, at a target that it did not expect, must not keep the exchange from its end. */
  #findRoute(): string | undefined {
    try {
      return this.#core.options.route?.(this.req);
    } catch (error) {
      throwLater(error);
      return undefined;
    }
  }

  /** Its client has left, and its handler goes on: places that came free at once would let in any number of them. */
  #leavePlaceLater(): void {
    const { admission, wheel } = this.#core;
    if (!this.holdsPlace) return;
    if (this.res.writableEnded) admission.release(this);
    else wheel.arm(new Leftover(() => admission.release(this)), maxLeftoverMs);
  }

  #end(): void {
    const { admission, gate } = this.#core;
    if (this.#state === "waiting") admission.abandon(this);
    else if (this.#isGone) this.#leavePlaceLater();
    else admission.leave(this, this.#failure !== undefined);
    this.#state = "over";
    this.#core.inFlight -= 1;
    if (this.addressKey !== undefined) gate.perAddress.leave(this.addressKey);
    this.context?.release();
    this.#carrier.endExchange();
  }
}

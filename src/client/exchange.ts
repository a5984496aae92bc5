/**
 * One request, from `dispatch` to the last byte of its answer.
 *
 * It stands between undici and the caller's handler and plays both parts: undici calls it as a handler, the caller
 * holds it as a controller. That way a request costs one object, the caller has a controller from the first moment
 * (undici's own comes when the request is written, so an abort in its queue waits, undici#386), and the controller
 * stays the same when a stale connection is replaced. It is its own waiter and its own deadline, too: the waits of
 * a request come one after another, so one timer serves them all.
 */

import type { Duplex } from "node:stream";
import type { Dispatcher } from "undici";
import { now, turnNow } from "../core/clock.ts";
import { background, ContextError, type Context } from "../core/context.ts";
import { isConnectionGone, type CloseReason, type Connection } from "./connection.ts";
import {
  BodyTimeoutError,
  InterimResponsesError,
  RequestBodyTimeoutError,
  ResponseHeaderTimeoutError,
  type Phase,
} from "./errors.ts";
import { expectsContinue, sendExpectContinue } from "./expect-continue.ts";
import { readKeepAliveHint } from "./keep-alive-hint.ts";
import { type FailedAttempt, mayReplay } from "./replay.ts";
import { withoutHeader } from "./request-headers.ts";
import type { RequestSettings } from "./request-settings.ts";
import { isServerFailure } from "./policies/outlier-ejection.ts";
import type { Pool } from "./pool.ts";
import { toError } from "./to-error.ts";
import { errors } from "./undici.ts";
import { errorType, isRefusedByUndici } from "./undici-errors.ts";
import { Waiter } from "./wait-queue.ts";

type ResponseHeaders = Parameters<NonNullable<Dispatcher.DispatchHandler["onResponseStart"]>>[2];

/** Where the exchange stands. "lent": it has a connection and undici has not written yet. */
type Stage = "queue" | "lent" | "request" | "response_header" | "body" | "drain" | "done";

/** What is read of a body that the caller no longer wants, to keep its connection; Go's figures (golang/go#77370). */
const drainLimitBytes = 262_144;
const drainLimitMs = 50;
/** Interim answers in one request; 103 and 102 come a few at a time. */
const maxInterimResponses = 1_000;

/**
 * Invariant: `#conn` is set exactly from `onConnection` until the connection was released, which happens once;
 * the caller's handler hears `onResponseEnd`, `onRequestUpgrade` or `onResponseError` exactly once, and nothing after.
 */
export class Exchange extends Waiter implements Dispatcher.DispatchController, Dispatcher.DispatchHandler {
  // The controller's face.
  aborted = false;
  paused = false;
  reason: Error | null = null;
  rawHeaders: NonNullable<Dispatcher.DispatchController["rawHeaders"]> | null = null;
  rawTrailers: NonNullable<Dispatcher.DispatchController["rawTrailers"]> | null = null;

  readonly #pool: Pool;
  #options: Dispatcher.DispatchOptions;
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #settings: RequestSettings;
  readonly #startedAt = now();
  #stage: Stage = "queue";
  #conn: Connection | undefined;
  #address = "";
  #inner: Dispatcher.DispatchController | undefined;
  #contextEnd: Disposable | undefined;
  #status = 0;
  #headerMs = 0;
  /** When bytes of a body moved last, either way. */
  #movedAt = 0;
  #written = false;
  #sent = false;
  #answered = false;
  #serverCloses = false;
  #interim = 0;
  #drained = 0;
  #unreadSince = 0;
  /** Where the request was made, while leaks are looked for. */
  readonly #madeAt: Error | undefined;
  #replays = 0;
  #unread = false;

  constructor(
    pool: Pool,
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
    settings: RequestSettings,
  ) {
    super();
    this.#pool = pool;
    this.#options = options;
    this.#handler = handler;
    this.#settings = settings;
    if (settings.onLeak !== undefined) this.#madeAt = new Error("the request was made here");
  }

  /** Tells the caller, who may abort at once, and asks for a connection. The end of `context` ends the request. */
  start(context: Context): void {
    this.#pool.active += 1;
    try {
      this.#handler.onRequestStart?.(this, null);
    } catch (error) {
      return this.#fail(toError(error), "error");
    }
    if (this.#stage === "done") return;
    if (context.done) return this.#fail(toError(context.cause), "aborted");
    if (context !== background) this.#contextEnd = context.onDone((cause) => this.#onContextEnd(cause));
    this.#pool.acquire(this, this.#startedAt);
  }

  // Controller

  pause(): void {
    this.paused = true;
    this.#inner?.pause();
    if (this.#stage !== "body") return;
    this.#unreadSince = now();
    this.#pool.wheel.arm(this, this.#settings.unreadAfterMs);
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.#markRead();
    if (this.#stage === "body") {
      this.#movedAt = now();
      this.#pool.wheel.arm(this, this.#settings.bodyTimeoutMs);
    }
    this.#inner?.resume();
  }

  /** Ends the request. undici's own bodies call it without a reason. */
  abort(given?: Error): void {
    if (this.#stage === "done" || this.#stage === "drain") return;
    const reason = given ?? new errors.RequestAbortedError();
    this.aborted = true;
    this.reason = reason;
    if (this.#stage === "body" && this.#worthDraining()) return this.#drain(reason);
    this.#fail(reason, "aborted");
  }

  // Waiter

  override onConnection(conn: Connection): void {
    this.#pool.wheel.cancel(this);
    this.#conn = conn;
    this.#address = conn.remoteAddress;
    this.#stage = "lent";
    this.#written = false;
    this.#pool.inFlight += 1;
    this.#pool.wheel.arm(this, this.#settings.responseHeaderTimeoutMs);
    // Twice, because an immediate that is asked for in the poll phase comes before the next one.
    if (conn.watching) setImmediate(setImmediate, () => this.#dispatchWatched(conn));
    else this.#dispatch(conn);
  }

  override onRefused(error: Error): void {
    this.#fail(error, "error");
  }

  override onDeadline(): void {
    switch (this.#stage) {
      case "queue":
        if (this.queued) this.#pool.expire(this);
        return;
      case "lent":
      case "response_header":
        return this.#timeOut(new ResponseHeaderTimeoutError(this.#pool.origin, this.#settings.responseHeaderTimeoutMs));
      case "request":
        if (this.#stillMoving()) return;
        return this.#timeOut(new RequestBodyTimeoutError(this.#pool.origin, this.#settings.bodyTimeoutMs));
      case "body":
        if (this.paused) return this.#reportUnread();
        if (this.#stillMoving()) return;
        return this.#timeOut(new BodyTimeoutError(this.#pool.origin, this.#settings.bodyTimeoutMs));
      case "drain":
        return this.#endDrain("aborted");
      case "done":
    }
  }

  // Handler, called by undici

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#inner = controller;
    if (this.paused) controller.pause();
    if (this.#stage === "done") {
      // Given up between the loan and the write.
      controller.abort(this.reason ?? new Error("aborted"));
      return;
    }
    this.#written = true;
    this.#stage = "request";
    if (this.#options.body === null || this.#options.body === undefined) return;
    this.#movedAt = now();
    this.#pool.wheel.arm(this, this.#settings.bodyTimeoutMs);
  }

  onBodySent(chunk: Buffer): void {
    this.#movedAt = now();
    this.#handler.onBodySent?.(chunk);
  }

  onRequestSent(): void {
    this.#sent = true;
    if (this.#stage === "request") {
      this.#stage = "response_header";
      if (this.#options.body !== null && this.#options.body !== undefined) {
        this.#pool.wheel.arm(this, this.#settings.responseHeaderTimeoutMs);
      }
    }
    this.#handler.onRequestSent?.();
  }

  onResponseStarted(): void {
    this.#answered = true;
    this.#handler.onResponseStarted?.();
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: ResponseHeaders,
    statusText?: string,
  ): void {
    if (this.#stage === "done") return;
    this.rawHeaders = controller.rawHeaders ?? null;
    if (status >= 200) this.#onFinalHeader(status, headers);
    else if (++this.#interim > maxInterimResponses) {
      return this.#fail(new InterimResponsesError(this.#pool.origin, this.#interim), "error");
    }
    this.#handler.onResponseStart?.(this, status, headers, statusText);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#stage === "drain") {
      this.#drained += chunk.length;
      if (this.#drained > drainLimitBytes) this.#endDrain("aborted");
      return;
    }
    if (this.#stage === "done") return;
    this.#movedAt = turnNow();
    this.#handler.onResponseData?.(this, chunk);
  }

  onResponseEnd(controller: Dispatcher.DispatchController, trailers: ResponseHeaders): void {
    if (this.#stage !== "done") this.rawTrailers = controller.rawTrailers ?? null;
    // undici decides after this call whether the connection lives on: it does not after an answer of HTTP/1.0, or when
    // more follows that nobody asked for. Who waits for a connection must not get this one before that; whoever comes
    // later sees that it is gone.
    if (this.#conn?.http2 === true || this.#pool.waiting === 0) this.#onEnd(trailers);
    else process.nextTick(() => this.#onEnd(trailers));
  }

  onRequestUpgrade(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: ResponseHeaders,
    socket: Duplex,
  ): void {
    this.rawHeaders = controller.rawHeaders ?? null;
    this.#status = status;
    const conn = this.#leaveConn();
    if (conn?.http2 === true) socket.once("close", () => this.#pool.release(conn, undefined));
    else if (conn !== undefined) this.#pool.detach(conn);
    const at = now();
    this.#settle(undefined, at);
    this.#record("", at);
    this.#handler.onRequestUpgrade?.(this, status, headers, socket);
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#stage === "drain") return this.#endDrain("error");
    const conn = this.#conn;
    if (this.#stage === "done" || conn === undefined) return;
    if (this.#pool.closedBy !== undefined) return this.#fail(this.#pool.closedBy, "error");
    if (!this.#written && isRefusedByUndici(error)) return this.#onRefusedByUndici(conn, error);
    // Or the next request would find it as well, until its socket has closed.
    if (isConnectionGone(error)) conn.close("stale");
    const attempt: FailedAttempt = {
      options: this.#options,
      error,
      reused: conn.reused,
      written: this.#written,
      answered: this.#answered,
    };
    if (mayReplay(attempt) && this.#replays < this.#settings.maxReplays) return this.#replay();
    this.#fail(error, "error");
  }

  /** The connection has no room for it after all; nothing was sent. */
  onUnsent(): void {
    // Given up meanwhile: undici's queue is the last to hear of it.
    if (this.#stage === "done") return;
    this.#leaveAttempt(undefined, now());
    this.#acquireAgain();
  }

  // Inside

  /**
   * Sends over a connection that was never used, one poll phase after it was lent. An answer that lay there before the
   * request must not become the request's (GHSA-35p6-xmwp-9g52); undici sees to that only from the second request on.
   */
  #dispatchWatched(conn: Connection): void {
    conn.unwatch();
    // Given up meanwhile, and the connection was closed.
    if (this.#conn !== conn) return;
    if (conn.gone) this.onUnsent();
    else this.#dispatch(conn);
  }

  #dispatch(conn: Connection): void {
    if (!this.bare) return conn.dispatch(this.#options, this);
    const { expectContinueTimeoutMs } = this.#settings;
    sendExpectContinue(this.#options, this, { socket: conn.socket, expectContinueTimeoutMs });
  }

  #onEnd(trailers: ResponseHeaders): void {
    if (this.#stage === "drain") return this.#endDrain(this.#reasonToClose());
    if (this.#stage === "done") return;
    // First the connection, then the caller: who asks for the next request at once gets this one (Go's rule).
    const at = turnNow();
    this.#pool.report(this.#address, !isServerFailure(this.#status));
    this.#settle(this.#reasonToClose(), at);
    this.#record("", at);
    try {
      this.#handler.onResponseEnd?.(this, trailers);
    } catch (error) {
      this.#handler.onResponseError?.(this, toError(error));
    }
  }

  #onFinalHeader(status: number, headers: ResponseHeaders): void {
    this.#status = status;
    this.#stage = "body";
    this.#movedAt = turnNow();
    this.#headerMs = this.#movedAt - this.#startedAt;
    // The header's deadline still stands. It finds out how long the body has been still, if it comes first.
    const { bodyTimeoutMs, responseHeaderTimeoutMs } = this.#settings;
    if (!this.armed || bodyTimeoutMs < responseHeaderTimeoutMs) this.#pool.wheel.arm(this, bodyTimeoutMs);
    const conn = this.#conn;
    if (conn === undefined || conn.http2) return;
    const { connection, "keep-alive": keepAlive } = headers;
    if (connection !== undefined && connection !== "keep-alive") {
      this.#serverCloses = /\bclose\b/i.test(String(connection));
    }
    conn.hintMs = keepAlive === undefined ? Infinity : readKeepAliveHint(String(keepAlive));
  }

  #onContextEnd(cause: unknown): void {
    if (cause instanceof ContextError && cause.code === "ERR_DEADLINE_EXCEEDED") this.#pool.countTimeout("total");
    this.abort(toError(cause));
  }

  /** Whether a body moved since the deadline was armed; then the rest of the time is armed. */
  #stillMoving(): boolean {
    const restMs = this.#movedAt + this.#settings.bodyTimeoutMs - now();
    if (restMs <= 0) return false;
    this.#pool.wheel.arm(this, restMs);
    return true;
  }

  #timeOut(error: Error & { readonly phase: Phase }): void {
    this.#pool.countTimeout(error.phase);
    this.#fail(error, "error");
  }

  #onRefusedByUndici(conn: Connection, error: Error): void {
    this.#leaveAttempt(conn.gone ? "error" : undefined, now());
    if (!expectsContinue(this.#options)) return this.#fail(error, undefined);
    // undici knows `Expect` only for HTTP/2, as an option; over HTTP/1 the request goes by node:http instead, on a
    // connection of its own.
    if (conn.http2) this.#options = { ...withoutHeader(this.#options, "expect"), expectContinue: true };
    else this.bare = true;
    this.#acquireAgain();
  }

  #replay(): void {
    this.#replays += 1;
    this.#pool.countReplay(this.#options.method, this.#options.path);
    this.#leaveAttempt("stale", now());
    this.fresh = true;
    this.#acquireAgain();
  }

  #acquireAgain(): void {
    this.#stage = "queue";
    this.#inner = undefined;
    this.#sent = false;
    this.#pool.acquire(this);
  }

  #worthDraining(): boolean {
    const conn = this.#conn;
    if (conn === undefined || conn.http2 || conn.gone || this.bare || this.#serverCloses || !this.#sent) return false;
    return this.#settings.keepAlive;
  }

  #drain(reason: Error): void {
    this.#stage = "drain";
    this.#markRead();
    this.#contextEnd?.[Symbol.dispose]();
    this.#record(errorType(reason), now());
    this.#pool.wheel.arm(this, drainLimitMs);
    this.#handler.onResponseError?.(this, reason);
    if (this.paused) {
      this.paused = false;
      this.#inner?.resume();
    }
  }

  #endDrain(close: CloseReason | undefined): void {
    const inner = this.#inner;
    this.#settle(close, now());
    if (close === "aborted") inner?.abort(this.reason ?? new Error("aborted"));
  }

  #fail(error: Error, close: CloseReason | undefined): void {
    const inner = this.#inner;
    this.reason ??= error;
    if (this.queued) this.#pool.leave(this);
    if (close === "error") {
      this.#pool.lastError = { at: Date.now(), message: error.message };
      if (this.#conn !== undefined) this.#pool.report(this.#address, false);
    }
    const at = now();
    // What was not written stays in undici's queue. A connection that takes nothing must not collect the given up.
    if (this.#stage === "lent" && this.#conn?.stuck === true && this.#conn.streams === 1) this.#conn.close("error");
    this.#settle(close, at);
    inner?.abort(error);
    this.#record(errorType(error), at);
    this.#handler.onResponseError?.(this, error);
  }

  /** Ends the exchange's hold on everything: connection, timer, context. */
  #settle(close: CloseReason | undefined, at: number): void {
    this.#stage = "done";
    this.#pool.wheel.cancel(this);
    this.#markRead();
    this.#contextEnd?.[Symbol.dispose]();
    this.#leaveAttempt(close, at);
  }

  #leaveAttempt(close: CloseReason | undefined, at: number): void {
    const conn = this.#leaveConn();
    if (conn !== undefined) this.#pool.release(conn, close, at);
  }

  #leaveConn(): Connection | undefined {
    const conn = this.#conn;
    if (conn === undefined) return undefined;
    this.#conn = undefined;
    this.#pool.inFlight -= 1;
    return conn;
  }

  #reasonToClose(): CloseReason | undefined {
    // Asked to close, the server says that it will.
    if (this.bare || this.#options.reset === true) return "single_use";
    if (this.#serverCloses) return "server_close";
    // The answer came before the request had gone out: the rest of it would be read as the next request.
    return this.#sent ? undefined : "aborted";
  }

  #reportUnread(): void {
    if (this.#unread) return;
    this.#unread = true;
    this.#pool.unreadBodies += 1;
    this.#settings.onLeak?.({
      origin: this.#pool.origin,
      method: this.#options.method,
      path: this.#options.path,
      unreadMs: now() - this.#unreadSince,
      stack: this.#madeAt?.stack,
    });
  }

  #markRead(): void {
    if (!this.#unread) return;
    this.#unread = false;
    this.#pool.unreadBodies -= 1;
  }

  #record(error: string, at: number): void {
    this.#pool.active -= 1;
    const times = { durationMs: at - this.#startedAt, headerMs: this.#headerMs };
    this.#pool.instruments.finished(this.#options.method, this.#status, error, times);
  }
}

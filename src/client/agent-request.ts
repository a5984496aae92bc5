/**
 * One request of `node:http` on a connection of the pool, from the queue to the last byte of its answer.
 *
 * Node writes and parses; this file waits, lends the socket, counts, watches the time, and gives the socket back. It
 * only listens: what Node does with a request is left as it is, because its users match on each of its habits.
 *
 * What cannot be had here is a replay. By the time a stale connection shows itself, the request's bytes have gone
 * through Node's hands and nobody keeps them. So every connection gets one poll phase before it is lent, in which an
 * end or a byte that nobody asked for shows (GHSA-35p6-xmwp-9g52), and the race that is left is told as Node tells it:
 * `ECONNRESET` with `request.reusedSocket` set.
 */

import { AsyncResource } from "node:async_hooks";
import { errorMonitor } from "node:events";
import type { ClientRequest, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { now } from "../core/clock.ts";
import { background, type Context } from "../core/context.ts";
import type { CloseReason, Connection } from "./connection.ts";
import { BodyTimeoutError, RequestBodyTimeoutError, ResponseHeaderTimeoutError, type Phase } from "./errors.ts";
import { readKeepAliveHint } from "./keep-alive-hint.ts";
import { isServerFailure } from "./policies/outlier-ejection.ts";
import type { Pool } from "./pool.ts";
import type { RequestSettings } from "./request-settings.ts";
import { toError } from "./to-error.ts";
import { errorType } from "./undici-errors.ts";
import { Waiter } from "./wait-queue.ts";

/** What a request of `node:http` shows to its agent. Its types leave out how an agent says that there is no socket. */
export interface AgentClientRequest extends ClientRequest {
  onSocket(socket: Socket | null, error?: Error): void;
  /** The `timeout` option of the request, in milliseconds. */
  readonly timeout?: number;
  /** Largest answer header that the parser takes, in bytes. */
  maxHeaderSize?: number | undefined;
  readonly res?: IncomingMessage | null;
}

/** Where the request stands. "polled": it has a connection, which has one poll phase to show that it is stale. */
type Stage = "queue" | "polled" | "request" | "response_header" | "body" | "done";

/**
 * Invariant: `#conn` is set exactly from `onConnection` until the connection was given back or away, which happens
 * once; the listeners on its socket stand exactly while Node has the socket. `#record` runs once.
 */
export class AgentRequest extends Waiter {
  override bare = true;

  readonly #pool: Pool;
  readonly #request: AgentClientRequest;
  readonly #settings: RequestSettings;
  readonly #startedAt = now();
  /** The caller's async context: sockets, and the turns in which they fall free, belong to nobody. */
  readonly #scope = new AsyncResource("SluiceAgentRequest");
  /** Where the request was made, while leaks are looked for. */
  readonly #madeAt: Error | undefined;
  #stage: Stage = "queue";
  #conn: Connection | undefined;
  #contextEnd: Disposable | undefined;
  #headerMs = 0;
  /** When bytes were last seen to have moved, and how many had by then. */
  #movedAt = 0;
  #moved = 0;
  #bytesReadBefore = 0;
  #unreadSince: number | undefined;
  #unread = false;
  #error: Error | undefined;
  #timedOut = false;

  constructor(pool: Pool, request: AgentClientRequest, settings: RequestSettings) {
    super();
    this.#pool = pool;
    this.#request = request;
    this.#settings = settings;
    if (settings.onLeak !== undefined) this.#madeAt = new Error("the request was made here");
  }

  /** Asks for a connection. The end of `context` ends the request. */
  start(context: Context): void {
    this.#pool.active += 1;
    this.#watchDestroy();
    if (context.done) {
      this.#request.destroy(toError(context.cause));
      return;
    }
    if (context !== background) {
      this.#contextEnd = context.onDone((cause) => void this.#request.destroy(toError(cause)));
    }
    this.#pool.acquire(this);
  }

  // Waiter

  override onConnection(conn: Connection): void {
    this.#conn = conn;
    this.#stage = "polled";
    this.#pool.inFlight += 1;
    conn.watch();
    // Twice, because an immediate that is asked for in the poll phase comes at its end, before the next one.
    setImmediate(setImmediate, this.#onPolled);
  }

  override onRefused(error: Error): void {
    this.#pool.lastError = { at: Date.now(), message: error.message };
    this.#giveUp(error);
  }

  override onDeadline(): void {
    switch (this.#stage) {
      case "queue":
        if (this.queued) this.#pool.expire(this);
        return;
      case "request":
        return this.#onUploadDeadline();
      case "response_header":
        return this.#timeOut(
          new ResponseHeaderTimeoutError(this.#pool.origin, this.#settings.responseHeaderTimeoutMs),
          this.#request,
        );
      case "body":
        return this.#onBodyDeadline();
      case "polled":
      case "done":
    }
  }

  // Before Node has the socket

  /**
   * Hears of `request.destroy()` while there is no socket: Node only notes it, for when the agent brings one. It stays
   * there and does nothing more afterwards; taking it away again would make every later step of the request slower.
   */
  #watchDestroy(): void {
    const request = this.#request;
    // oxlint-disable-next-line typescript/unbound-method -- called on the request below
    const { destroy } = request;
    const watched = (error?: Error): AgentClientRequest => {
      destroy.call(request, error);
      if (this.#stage === "queue" || this.#stage === "polled") this.#onAbort(error);
      return request;
    };
    Object.assign(request, { destroy: watched });
  }

  #onAbort(error: Error | undefined): void {
    if (this.queued) this.#pool.leave(this);
    const conn = this.#takeConn();
    conn?.unwatch();
    if (conn !== undefined) this.#pool.release(conn, undefined);
    this.#error ??= error;
    // Without an error of ours: Node has the one of `destroy()`, and says "socket hang up" when there was none.
    this.#giveUp(undefined);
  }

  /** Ends a request that never got a socket. */
  #giveUp(error: Error | undefined): void {
    this.#end();
    this.#record(error ?? this.#error ?? "aborted");
    this.#scope.runInAsyncScope(() => this.#request.onSocket(null, error));
  }

  readonly #onPolled = (): void => {
    const conn = this.#conn;
    if (this.#stage !== "polled" || conn === undefined) return;
    conn.unwatch();
    if (!conn.gone) return this.#lend(conn);
    this.#takeConn();
    this.#pool.release(conn, "stale");
    // Nothing was sent, so another one will do; but one that was dialled for it should have lasted for a turn.
    if (this.fresh) return this.onRefused(connectionReset());
    this.fresh = true;
    this.#stage = "queue";
    this.#pool.acquire(this);
  };

  #lend(conn: Connection): void {
    const { socket } = conn;
    const request = this.#request;
    this.#stage = "request";
    this.#bytesReadBefore = socket.bytesRead;
    this.#moved = socket.bytesWritten;
    this.#movedAt = now();
    request.reusedSocket = conn.reused;
    socket.on("close", this.#onSocketClose).on("free", this.#onFree).on("agentRemove", this.#onDetach);
    request.on(errorMonitor, this.#onError).once("finish", this.#onFinish);
    request.prependOnceListener("response", this.#onResponse);
    this.#pool.wheel.arm(this, this.#settings.bodyTimeoutMs);
    this.#scope.runInAsyncScope(() => request.onSocket(socket));
    if (request.timeout !== undefined) socket.setTimeout(request.timeout);
  }

  // While Node has the socket

  readonly #onError = (error: Error): void => {
    this.#error ??= error;
  };

  readonly #onFinish = (): void => {
    if (this.#stage !== "request") return;
    this.#stage = "response_header";
    this.#pool.wheel.arm(this, this.#settings.responseHeaderTimeoutMs);
  };

  readonly #onResponse = (response: IncomingMessage): void => {
    const conn = this.#conn;
    if (conn === undefined) return;
    this.#stage = "body";
    this.#movedAt = now();
    this.#moved = conn.socket.bytesRead;
    this.#headerMs = this.#movedAt - this.#startedAt;
    const keepAlive = response.headers["keep-alive"];
    conn.hintMs = keepAlive === undefined ? Infinity : readKeepAliveHint(String(keepAlive));
    this.#armBody();
    // Right after Node's own listener and before the caller's: who asks for the next request there gets this connection.
    response.once("end", this.#onEnd);
    // Node throws a body away that nobody listens for, and sees this listener.
    if (this.#request.listenerCount("response") === 0) response.resume();
  };

  readonly #onEnd = (): void => {
    const { shouldKeepAlive, writableFinished } = this.#request;
    // An answer that was destroyed can still come to its end; Node keeps the socket then, until it has closed.
    if (this.#conn?.socket.destroyed === true) return;
    if (!shouldKeepAlive) this.#settle(this.#settings.keepAlive ? "server_close" : "single_use", "");
    else if (writableFinished) this.#settle(undefined, "");
    // Else the answer came before the upload had gone out. `free` follows when it has.
  };

  readonly #onFree = (): void => {
    // Without an answer it was destroyed before Node had begun: the connection is as good as new.
    this.#settle(undefined, this.#request.res == null ? (this.#error ?? "aborted") : "");
  };

  readonly #onSocketClose = (): void => {
    const conn = this.#conn;
    if (conn === undefined) return;
    if (this.#request.res?.complete === true) return this.#settle("server_close", "");
    const untouched = conn.reused && conn.socket.bytesRead === this.#bytesReadBefore;
    if (this.#error !== undefined) this.#pool.lastError = { at: Date.now(), message: this.#error.message };
    if (this.#request.destroyed && !this.#timedOut) this.#settle("aborted", this.#error ?? "aborted");
    else this.#settle(untouched ? "stale" : "error", this.#error ?? "ECONNRESET");
  };

  readonly #onDetach = (): void => {
    const conn = this.#takeConn();
    if (conn === undefined) return;
    this.#unlisten(conn.socket);
    this.#end();
    this.#pool.detach(conn);
    this.#record("");
  };

  // Time

  #onUploadDeadline(): void {
    const socket = this.#conn?.socket;
    if (socket === undefined || this.#hasMoved(socket.bytesWritten - socket.writableLength)) {
      this.#pool.wheel.arm(this, this.#settings.bodyTimeoutMs);
      return;
    }
    this.#timeOut(new RequestBodyTimeoutError(this.#pool.origin, this.#settings.bodyTimeoutMs), this.#request);
  }

  /**
   * Looks whether the body stands still, twice in each `bodyTimeout`: a listener for every piece would cost every
   * request, and the precision is worth less than that.
   */
  #onBodyDeadline(): void {
    const { res } = this.#request;
    const socket = this.#conn?.socket;
    if (res == null || socket === undefined) return;
    if (isReadersTurn(res)) {
      this.#movedAt = now();
      this.#onUnread();
      return this.#armBody();
    }
    this.#markRead();
    if (this.#hasMoved(socket.bytesRead) || now() - this.#movedAt < this.#settings.bodyTimeoutMs)
      return this.#armBody();
    this.#timeOut(new BodyTimeoutError(this.#pool.origin, this.#settings.bodyTimeoutMs), res);
  }

  #armBody(): void {
    const { bodyTimeoutMs, unreadAfterMs } = this.#settings;
    this.#pool.wheel.arm(this, Math.min(bodyTimeoutMs / 2, unreadAfterMs));
  }

  #hasMoved(bytes: number): boolean {
    if (bytes <= this.#moved) return false;
    this.#moved = bytes;
    this.#movedAt = now();
    return true;
  }

  /** Ends the request, told on what its caller is looking at: the request, or the answer's body. */
  #timeOut(error: Error & { readonly phase: Phase }, told: ClientRequest | IncomingMessage): void {
    this.#error = error;
    this.#timedOut = true;
    this.#pool.countTimeout(error.phase);
    told.destroy(error);
  }

  #onUnread(): void {
    this.#unreadSince ??= now();
    const unreadMs = now() - this.#unreadSince;
    if (this.#unread || unreadMs < this.#settings.unreadAfterMs) return;
    this.#unread = true;
    this.#pool.unreadBodies += 1;
    const { origin } = this.#pool;
    const { method, path } = this.#request;
    this.#settings.onLeak?.({ origin, method, path, unreadMs, stack: this.#madeAt?.stack });
  }

  #markRead(): void {
    this.#unreadSince = undefined;
    if (!this.#unread) return;
    this.#unread = false;
    this.#pool.unreadBodies -= 1;
  }

  // The end

  /** Gives the connection back, to be closed if `close` says why. First the connection, then the books. */
  #settle(close: CloseReason | undefined, error: Error | string): void {
    const conn = this.#takeConn();
    if (conn === undefined) return;
    const { socket } = conn;
    this.#unlisten(socket);
    this.#end();
    if (close === undefined) {
      if (socket.timeout !== undefined && socket.timeout > 0) socket.setTimeout(0);
      // Node's agent does the same: an idle socket must not keep its last request in memory.
      Object.assign(socket, { _httpMessage: null });
    }
    this.#report(conn, close);
    this.#pool.release(conn, close);
    this.#record(error);
  }

  #takeConn(): Connection | undefined {
    const conn = this.#conn;
    if (conn === undefined) return undefined;
    this.#conn = undefined;
    this.#pool.inFlight -= 1;
    return conn;
  }

  #unlisten(socket: Socket): void {
    socket.off("close", this.#onSocketClose).off("free", this.#onFree).off("agentRemove", this.#onDetach);
  }

  #end(): void {
    this.#stage = "done";
    this.#pool.wheel.cancel(this);
    this.#markRead();
    this.#contextEnd?.[Symbol.dispose]();
  }

  /** Tells how the address behaved, for who watches over addresses that fail. */
  #report({ remoteAddress }: Connection, close: CloseReason | undefined): void {
    const status = this.#request.res?.statusCode;
    if (close === "error") this.#pool.report(remoteAddress, false);
    else if (status !== undefined) this.#pool.report(remoteAddress, !isServerFailure(status));
  }

  #record(error: Error | string): void {
    this.#pool.active -= 1;
    const { method, res } = this.#request;
    const times = { durationMs: now() - this.#startedAt, headerMs: this.#headerMs };
    const type = typeof error === "string" ? error : errorType(error);
    this.#pool.instruments.finished(method, res?.statusCode ?? 0, type, times);
  }
}

/** Whether a body stands still because nobody reads it. */
function isReadersTurn(body: IncomingMessage): boolean {
  if (body.readableLength > 0 || body.complete) return true;
  // One that is read by its `readable` event or as an iterator is paused, too, and somebody waits for it.
  return body.isPaused() && body.listenerCount("readable") === 0;
}

/** What Node's users match on when the server has gone before the answer. */
function connectionReset(): Error {
  return Object.assign(new Error("socket hang up"), { code: "ECONNRESET" });
}

/**
 * One socket of the pool, with its protocol state.
 *
 * The socket is dialled by us and handed to one undici `Client`, made when the first request is sent, which parses
 * and writes HTTP on it and nothing else: its own timers are off, and when the socket has gone it is refused a
 * second one, so that undici never reconnects behind the pool's back and the limits count what really exists.
 *
 * While a socket is idle and no `Client` reads it, this file reads it: a byte or an end that nobody asked for means
 * that the connection must not carry another request (response-queue poisoning, GHSA-35p6-xmwp-9g52).
 */

import type { Socket } from "node:net";
import type { Client, Dispatcher } from "undici";
import { outside } from "../core/context.ts";
import { type DeadlineWheel, WheelTimer } from "../core/deadline-wheel.ts";
import type { DialedConnection } from "./dial/dialer.ts";
import { ignoreError } from "./dial/happy-eyeballs.ts";
import { Http2Streams, type StreamHandler } from "./http2-streams.ts";
import type { Pool } from "./pool.ts";
import { getClient } from "./undici.ts";

/** Why a connection was closed; the `reason` label of `http_client_connections_closed_total`. */
export type CloseReason =
  | "idle_timeout"
  | "max_idle"
  | "max_lifetime"
  | "server_close"
  | "stale"
  | "error"
  | "aborted"
  | "single_use"
  | "shutdown"
  | "upgraded";

/** A count for every reason, in the order in which stats and metrics show them. */
export function countReasons(): Record<CloseReason, number> {
  return {
    idle_timeout: 0,
    max_idle: 0,
    max_lifetime: 0,
    server_close: 0,
    stale: 0,
    error: 0,
    aborted: 0,
    single_use: 0,
    shutdown: 0,
    upgraded: 0,
  };
}

/** Closing: nobody may have it any more, and its socket has not told its end yet. */
export type ConnectionState = "active" | "idle" | "closing" | "closed";

/** Wall clock minus monotonic clock, as it was when the wall clock was last looked at. */
let wallAhead = NaN;

/** The longest timer that Node takes; undici's own timers are set to it, because the pool has its own. */
const never = 2 ** 31 - 1;

/**
 * What undici gets when it asks for a second socket: the requests that it still held were not sent.
 *
 * Any code but UND_ERR_INFO and UND_ERR_SOCKET makes the `Client` give up what it holds instead of asking again.
 */
class ConnectionGoneError extends Error {
  readonly code = "ERR_CONNECTION_GONE";
}

/** What Node says of a stream that it cannot open. The session has ended then; its socket closes some turns later. */
const sessionGoneCodes: ReadonlySet<unknown> = new Set(["ERR_HTTP2_INVALID_SESSION", "ERR_HTTP2_GOAWAY_SESSION"]);

/** Whether `error` says that a request was still unsent when its connection went away. */
export function isConnectionGone(error: Error): boolean {
  return error instanceof ConnectionGoneError || ("code" in error && sessionGoneCodes.has(error.code));
}

/**
 * Invariant: `streams` is the number of requests that hold this connection, at most `capacity` (1 for HTTP/1);
 * `state` is "idle" exactly when `streams` is 0 and the socket is in its pool's idle list. Only `Pool` writes
 * `state`, `streams` and the idle fields.
 */
export class Connection extends WheelTimer {
  readonly pool: Pool;
  readonly socket: Socket;
  readonly http2: boolean;
  readonly remoteAddress: string;
  readonly openedAt: number;
  /** When it is too old for another request; `Infinity` without `maxConnLifetime`. Monotonic milliseconds. */
  readonly retireAt: number;

  state: ConnectionState = "active";
  streams: number = 0;
  capacity: number = 1;
  /** True once it has been idle: from then on the peer may have closed it without our knowing. */
  reused: boolean = false;
  /** When it fell idle last, and when it has been idle for long enough. Monotonic milliseconds. */
  idleSince: number = 0;
  idleDueAt: number = 0;
  /** Milliseconds that the server promised to keep it open (`Keep-Alive: timeout=`); `Infinity` when it said nothing. */
  hintMs: number = Infinity;
  /** Set when this side closes, so that the close is counted under the right reason. */
  closeReason: CloseReason | undefined;
  olderIdle: Connection | undefined;
  newerIdle: Connection | undefined;

  /** Wall clock, because a suspended machine's monotonic clock stands still while the peer's does not. */
  #idleUntil = Infinity;
  /** The `idleDueAt` for which its deadline was armed; the deadline stays armed while the connection is in use. */
  #armedFor = 0;
  #client: Client | undefined;
  #streams: Http2Streams | undefined;
  #watching = false;

  constructor(pool: Pool, dialed: DialedConnection, openedAt: number, retireAt: number) {
    super();
    this.pool = pool;
    this.socket = dialed.socket;
    this.http2 = dialed.protocol === "h2";
    this.remoteAddress = dialed.remoteAddress;
    this.openedAt = openedAt;
    wallAhead = Date.now() - openedAt;
    this.retireAt = retireAt;
    // A microtask later, so that the request it carried has been told and has said why it closed.
    this.socket.once("close", () => queueMicrotask(() => pool.onClosed(this)));
  }

  /** Whether nothing but bytes of node:http has used it, so that it may be lent out as a bare socket. */
  get bare(): boolean {
    return this.#client === undefined && !this.http2;
  }

  /** Starts an idle time of `idleMs` at `at`, monotonic milliseconds. */
  fallIdle(at: number, idleMs: number): void {
    this.idleSince = at;
    this.idleDueAt = Math.min(at + idleMs, this.retireAt);
    // After a suspension since the last look this lies too early, and the connection is not used: the safe side.
    this.#idleUntil = at + wallAhead + idleMs;
  }

  /** Arms the end of the idle time, unless a deadline stands before it: that one finds out that there is time left. */
  armIdle(wheel: DeadlineWheel, at: number): void {
    if (this.armed && this.#armedFor <= this.idleDueAt) return;
    this.#armedFor = this.idleDueAt;
    wheel.arm(this, this.idleDueAt - at);
  }

  /** Why it may not carry another request at `at`, if so. */
  reasonToRetire(at: number): "max_lifetime" | "idle_timeout" | undefined {
    if (at >= this.retireAt) return "max_lifetime";
    // Put back a moment ago: not worth a look at the wall clock, which costs as much as all the rest here.
    if (this.state !== "idle" || at - this.idleSince < 5) return undefined;
    wallAhead = Date.now() - at;
    return at + wallAhead >= this.#idleUntil ? "idle_timeout" : undefined;
  }

  get gone(): boolean {
    return this.closeReason !== undefined || this.socket.destroyed;
  }

  /** Whether it speaks HTTP/2 to a server that takes no request for now: what is sent stays in undici's queue. */
  get stuck(): boolean {
    return this.#streams?.stuck === true;
  }

  /** Sends a request over undici. The handler's first call back is `onRequestStart`, or `onResponseError`. */
  dispatch(options: Dispatcher.DispatchOptions, handler: StreamHandler): void {
    const client = (this.#client ??= outside(() => this.#createClient()));
    if (!this.http2) {
      client.dispatch(options, handler);
      return;
    }
    this.#streams ??= new Http2Streams(client, (capacity) => (this.capacity = Math.min(this.capacity, capacity)));
    const streams = this.#streams;
    // The first request starts the session and its timers, which live longer than whoever sent it.
    outside(() => streams.dispatch(options, handler));
  }

  /**
   * Closes now. The pool learns of it from the socket's close event, whoever closed it. A request that is still on it
   * fails with `error`.
   */
  close(reason: CloseReason, error: Error = new ConnectionGoneError("the connection was closed")): void {
    this.closeReason ??= reason;
    // Without an error undici takes a body that has no declared length for complete, and ends an aborted request again.
    // Over HTTP/2 lengths are known, and streams that were given up would throw the error where nobody hears it.
    if (this.#client === undefined || this.http2) this.socket.destroy();
    else this.socket.destroy(error);
  }

  /** Takes back the dialer's listener: the socket is the user's now, and an error on it must not go unheard. */
  handOver(): void {
    this.socket.off("error", ignoreError);
  }

  /** Whether it was idle and no `Client` has looked at it: what came meanwhile may not have been read yet. */
  get watching(): boolean {
    return this.#watching;
  }

  /** Starts to watch an idle socket that no `Client` watches. Undici watches its own. */
  watch(): void {
    if (this.#watching || this.#client !== undefined || this.http2) return;
    this.#watching = true;
    this.socket.on("readable", this.#onUnasked).on("end", this.#onUnasked);
    this.socket.read(0);
    this.socket.unref();
  }

  /** Stops watching and leaves the socket as it was, for whoever uses it next. */
  unwatch(): void {
    if (!this.#watching) return;
    this.#watching = false;
    this.socket.off("readable", this.#onUnasked).off("end", this.#onUnasked);
    this.socket.ref();
  }

  override onDeadline(): void {
    this.pool.onIdleDeadline(this);
  }

  readonly #onUnasked = (): void => {
    // `readable` also announces the end, which is only told once it has been read up to.
    if (this.socket.read() !== null || this.socket.readableEnded) this.close("server_close");
  };

  #createClient(): Client {
    let given = false;
    const { limits, route } = this.pool;
    const ClientOfUndici = getClient();
    return new ClientOfUndici(route.url, {
      connect: (_options, callback) => {
        const socket = given || this.socket.destroyed ? null : this.socket;
        given = true;
        // Called back at once, undici never sends the request.
        queueMicrotask(() => {
          if (socket === null) callback(new ConnectionGoneError("the connection has gone"), null);
          else callback(null, socket);
        });
      },
      allowH2: this.http2,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: never,
      keepAliveMaxTimeout: never,
      // Undici takes this away from the server's hint and stops reuse below zero; the pool reads the hint itself.
      keepAliveTimeoutThreshold: -never,
      maxHeaderSize: limits.maxResponseHeaderBytes,
      ...(this.http2 && { h2Options: { maxConcurrentStreams: limits.maxStreamsPerConn } }),
    });
  }
}

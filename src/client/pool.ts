/**
 * Who gets which connection of one origin.
 *
 * The rules are those of Go's `net/http.Transport` (getConn, queueForIdleConn, queueForDial, tryPutIdleConn): the
 * newest idle connection first, so that the tail of a burst can idle out; else the request waits, and takes whichever
 * comes first, a connection that somebody gives back or a dial. A dial belongs to nobody: when its request was served
 * otherwise, or has given up, the connection is kept for the next. Added to Go's rules are a bound on the queue and
 * on the wait, a lifetime, the server's keep-alive hint, and HTTP/2 connections in the same books.
 */

import { now } from "../core/clock.ts";
import type { DeadlineWheel } from "../core/deadline-wheel.ts";
import { connectionClosed, connectionOpened, requestReplayed } from "./channels.ts";
import { Connection, countReasons, type CloseReason } from "./connection.ts";
import type { DialTarget } from "./dial/dial-target.ts";
import type { DialedConnection, Dialer } from "./dial/dialer.ts";
import { failedAddresses } from "./dial/happy-eyeballs.ts";
import {
  DialTimeoutError,
  PoolFullError,
  PoolTimeoutError,
  TlsHandshakeTimeoutError,
  type Phase,
  type PoolSnapshot,
} from "./errors.ts";
import type { OriginInstruments } from "./instruments.ts";
import type { SharedLimits } from "./shared-limits.ts";
import type { Route } from "./wire-options.ts";
import { loadClient } from "./undici.ts";
import { toError } from "./to-error.ts";
import { OutlierEjection, type OutlierEjectionOptions } from "./policies/outlier-ejection.ts";
import { WaitQueue, type Waiter } from "./wait-queue.ts";

/** The limits of one origin, in milliseconds, bytes and counts. */
export interface PoolLimits {
  readonly maxConnsPerHost: number;
  readonly maxIdleConnsPerHost: number;
  readonly maxWaitersPerHost: number;
  readonly maxStreamsPerConn: number;
  readonly maxResponseHeaderBytes: number;
  readonly poolTimeout: number;
  readonly idleConnTimeout: number;
  readonly maxConnLifetime: number;
  readonly keepAlive: boolean;
}

/** What a pool shares with the other pools of its transport. */
export interface PoolNeighbours {
  readonly limits: PoolLimits;
  readonly shared: SharedLimits;
  readonly wheel: DeadlineWheel;
  readonly dialer: Dialer;
  readonly ejection: OutlierEjectionOptions | undefined;
}

/** Lifetimes are shortened by up to a tenth at random, so that connections opened together do not end together. */
const lifetimeJitter = 0.1;

/** A server that promises N seconds is trusted for four fifths of it: the rest is for the way and for its timer. */
const hintShare = 0.8;

/**
 * Invariant: open connections = `connecting + inUse + idle + closing`, at most `maxConnsPerHost`, each counted in
 * `shared.open`. Somebody waits only while no idle connection would suit. `#enter` is the only place that changes a
 * connection's state, and the counts with it.
 */
export class Pool {
  readonly route: Route;
  readonly limits: PoolLimits;
  readonly instruments: OriginInstruments;
  readonly closed: Record<CloseReason, number>;
  readonly timeouts: Partial<Record<Phase, number>> = {};
  connecting = 0;
  inUse = 0;
  /** Requests that have not ended, those that wait among them. */
  active = 0;
  /** Requests that hold a connection. */
  inFlight = 0;
  opened = 0;
  reused = 0;
  replays = 0;
  retries = 0;
  upgraded = 0;
  unreadBodies = 0;
  waitCount = 0;
  waitDurationMs = 0;
  lastError: { readonly at: number; readonly message: string } | undefined;
  readonly #ejection: OutlierEjection | undefined;
  /** Monotonic milliseconds of the last acquire; the pool that is quiet for longest is forgotten first. */
  lastUsedAt: number = now();

  readonly #near: PoolNeighbours;
  readonly #target: DialTarget;
  readonly #idle: Connection[] = [];
  /** HTTP/2 connections, idle or not. */
  readonly #multiplexed: Connection[] = [];
  readonly #waiters: WaitQueue;
  readonly #connections = new Set<Connection>();
  readonly #closing = new AbortController();
  #closedBy: Error | undefined;
  #draining = false;
  #open = 0;
  /** What the origin speaks: one dial goes ahead until this is known, because one HTTP/2 connection serves many. */
  #protocol: "unknown" | "h1" | "h2";
  /** When a request last gave its connection back, or was dialled one; a clock read costs as much as all the rest. */
  #lastEndAt: number = this.lastUsedAt;
  /** Set by `closeIdle()` until the next request, as in Go: what falls idle meanwhile is closed as well. */
  #keepNone = false;

  constructor(route: Route, target: DialTarget, near: PoolNeighbours, instruments: OriginInstruments) {
    this.route = route;
    this.limits = near.limits;
    this.instruments = instruments;
    this.closed = countReasons();
    this.#near = near;
    this.#waiters = new WaitQueue(near.shared.exitGuard);
    this.#ejection = near.ejection && new OutlierEjection(near.ejection, (address) => this.#onEjected(address));
    this.#target = { ...target, avoid: (address) => this.#ejection?.avoid(address) === true };
    this.#protocol = target.allowH2 ? "unknown" : "h1";
  }

  get origin(): string {
    return this.route.origin;
  }

  /** Why the pool was closed; `undefined` while it is not. */
  get closedBy(): Error | undefined {
    return this.#closedBy;
  }

  get idle(): number {
    return this.#idle.length;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  /** Since when the head of the queue has waited, in monotonic milliseconds; `Infinity` when nobody waits. */
  get waitingSince(): number {
    return this.#waiters.first?.waitingSince ?? Infinity;
  }

  /** How long the head of the queue has waited, in milliseconds; 0 when nobody waits. */
  get oldestWaitMs(): number {
    return Math.max(0, now() - this.waitingSince);
  }

  /** Whether the pool could be forgotten: nobody uses it, waits for it or dials for it. */
  get quiet(): boolean {
    return this.inUse === 0 && this.connecting === 0 && this.#waiters.size === 0;
  }

  get open(): number {
    return this.#open;
  }

  get wheel(): DeadlineWheel {
    return this.#near.wheel;
  }

  /** Gives the waiter a connection now, or puts it in the queue, or refuses it. `at` is the monotonic time. */
  acquire(waiter: Waiter, at: number = now()): void {
    this.lastUsedAt = at;
    this.#keepNone = false;
    if (this.#closedBy !== undefined) return waiter.onRefused(this.#closedBy);
    const conn = waiter.fresh ? undefined : this.#findFor(waiter);
    if (conn !== undefined) return this.#lend(conn, waiter);
    if (!waiter.fresh && this.#isFull()) return waiter.onRefused(new PoolFullError(this.snapshot()));
    waiter.waitingSince = at;
    this.waitCount += 1;
    // A request whose connection was stale has waited before.
    if (waiter.fresh) this.#waiters.unshift(waiter);
    else this.#waiters.push(waiter);
    this.wheel.arm(waiter, this.limits.poolTimeout);
    this.dialForWaiters();
  }

  /** Takes a waiter out of the queue. The dial it may have caused goes on, for the next. */
  leave(waiter: Waiter): void {
    if (!waiter.queued) return;
    this.#waiters.remove(waiter);
    this.wheel.cancel(waiter);
    const waitedMs = now() - waiter.waitingSince;
    this.waitDurationMs += waitedMs;
    this.instruments.queueTime.record(waitedMs / 1_000);
    if (this.#waiters.size === 0) this.#near.shared.forget(this);
  }

  /** Refuses a waiter whose `poolTimeout` is over. */
  expire(waiter: Waiter): void {
    const error = new PoolTimeoutError(now() - waiter.waitingSince, this.snapshot());
    this.countTimeout("queue");
    this.leave(waiter);
    waiter.onRefused(error);
  }

  /** One request of the connection has ended at `at`; with `close` set the connection goes too. */
  release(conn: Connection, close: CloseReason | undefined, at: number = now()): void {
    this.#lastEndAt = at;
    conn.streams -= 1;
    conn.reused = true;
    // One stream's failure is not the connection's.
    if (close !== undefined && !conn.http2) conn.close(close);
    if (!conn.gone) this.#offer(conn);
    else if (conn.streams === 0) this.#enter(conn, "closing");
  }

  /** Hands a connection's socket away: from here on it is the user's, and in none of the counts but one. */
  detach(conn: Connection): void {
    conn.closeReason = "upgraded";
    conn.streams = 0;
    this.upgraded += 1;
    conn.socket.once("close", () => (this.upgraded -= 1));
    conn.handOver();
    this.#forgetConn(conn);
  }

  /** Closes an idle connection and counts why. */
  closeIdle(conn: Connection, reason: CloseReason): void {
    conn.close(reason);
    this.#enter(conn, "closing");
  }

  /** Closes all that is idle, and what falls idle before the next request. */
  closeAllIdle(reason: CloseReason): void {
    this.#keepNone = true;
    for (let conn = this.#idle.at(-1); conn !== undefined; conn = this.#idle.at(-1)) this.closeIdle(conn, reason);
  }

  /** From now on each connection is closed when it falls idle. */
  drain(): void {
    this.#draining = true;
    this.closeAllIdle("shutdown");
  }

  /** Ends everything now: dials, waiters, and requests in flight. */
  abort(reason: Error): void {
    this.#closedBy ??= reason;
    this.#closing.abort(reason);
    for (let waiter = this.#waiters.first; waiter !== undefined; waiter = this.#waiters.first) {
      this.leave(waiter);
      waiter.onRefused(reason);
    }
    for (const conn of this.#connections) conn.close("shutdown", reason);
  }

  /** Opens connections until `count` are idle or on their way, as far as the limits allow. Resolves to how many were opened. */
  async prewarm(count: number): Promise<number> {
    const dials: Promise<boolean>[] = [];
    const wanted = Math.min(count, this.limits.maxIdleConnsPerHost) - this.#idle.length - this.connecting;
    while (dials.length < wanted && this.#hasRoom() && this.#near.shared.tryOpen(this)) dials.push(this.#dial());
    const opened = await Promise.all(dials);
    return opened.filter(Boolean).length;
  }

  /** Starts as many dials as there are waiters without one, as far as the limits allow. */
  dialForWaiters(): void {
    const wanted = this.#protocol === "h1" ? this.#waiters.size : Math.min(this.#waiters.size, 1);
    while (this.connecting < wanted && this.#mayDial()) void this.#dial();
  }

  /** The socket of a connection has closed, for whichever reason. */
  onClosed(conn: Connection): void {
    if (conn.state === "closed") return;
    this.#forgetConn(conn);
  }

  /** An idle connection has been idle, or alive, for long enough. */
  onIdleDeadline(conn: Connection): void {
    if (conn.state !== "idle") return;
    const at = now();
    if (at < conn.idleDueAt) conn.armIdle(this.wheel, at);
    else this.closeIdle(conn, at >= conn.retireAt ? "max_lifetime" : "idle_timeout");
  }

  /** A request at `address` has ended; `ok` is whether the server did its part. */
  report(address: string, ok: boolean): void {
    this.#ejection?.report(address, ok);
  }

  countRetry(reason: string, again: boolean): void {
    if (!again) return this.instruments.retryRefused(reason);
    this.retries += 1;
    this.instruments.retried(reason);
  }

  countTimeout(phase: Phase): void {
    this.timeouts[phase] = (this.timeouts[phase] ?? 0) + 1;
    this.instruments.timedOut(phase);
  }

  countReplay(method: string, path: string): void {
    requestReplayed.publish(() => ({ origin: this.origin, method, path }));
    this.replays += 1;
    this.instruments.retried("stale_connection");
  }

  snapshot(): PoolSnapshot {
    return {
      origin: this.origin,
      limit: this.limits.maxConnsPerHost,
      inUse: this.inUse,
      idle: this.#idle.length,
      connecting: this.connecting,
      waiting: this.#waiters.size,
    };
  }

  #findFor(waiter: Waiter): Connection | undefined {
    for (const conn of this.#multiplexed) {
      if (!waiter.bare && conn.streams > 0 && conn.streams < conn.capacity && this.#usable(conn)) return conn;
    }
    for (let index = this.#idle.length - 1; index >= 0; index -= 1) {
      const conn = this.#idle[index];
      if (conn === undefined || (waiter.bare && !conn.bare)) continue;
      if (this.#usable(conn)) return conn;
    }
    return undefined;
  }

  /** Whether one more would wait for others' connections, behind as many as may. */
  #isFull(): boolean {
    const wanted = this.#protocol === "h1" ? this.#waiters.size + 1 : 1;
    // It gets a dial of its own, and waits for nobody.
    if (this.connecting < wanted && this.#hasRoom()) return false;
    return this.#waiters.size - this.connecting >= this.limits.maxWaitersPerHost;
  }

  /** Whether the connection may carry another request. One that is idle and may not is closed. */
  #usable(conn: Connection): boolean {
    if (conn.gone) return false;
    const reason = conn.reasonToRetire(this.lastUsedAt);
    if (reason === undefined) return true;
    if (conn.state === "idle") this.closeIdle(conn, reason);
    return false;
  }

  /** Gives a connection with room to those who wait, and to the idle list when nobody does. */
  #offer(conn: Connection): void {
    while (conn.streams < conn.capacity) {
      const waiter = this.#nextFor(conn);
      // Another origin's request was here first: the connection is closed below, to make room for it.
      if (
        waiter === undefined ||
        conn.gone ||
        (conn.streams === 0 && this.#near.shared.starvingSince < waiter.waitingSince)
      )
        break;
      this.leave(waiter);
      this.#lend(conn, waiter);
    }
    if (conn.streams === 0 && conn.state !== "closed") this.#park(conn);
  }

  #nextFor(conn: Connection): Waiter | undefined {
    for (let waiter = this.#waiters.first; waiter !== undefined; waiter = waiter.after) {
      if (waiter.bare && !conn.bare) continue;
      // While a dial is on its way, whoever met a stale connection waits for that.
      if (waiter.fresh && conn.reused && this.connecting > 0) continue;
      return waiter;
    }
    return undefined;
  }

  #lend(conn: Connection, waiter: Waiter): void {
    conn.streams += 1;
    if (conn.reused) this.reused += 1;
    this.instruments.acquired(conn.reused);
    this.#enter(conn, "active");
    waiter.onConnection(conn);
  }

  #park(conn: Connection): void {
    const reason = this.#reasonNotToKeep(conn);
    if (reason === undefined) return this.#enter(conn, "idle");
    conn.close(reason);
    this.#enter(conn, "closing");
    // Somebody may wait whom this connection did not suit.
    this.dialForWaiters();
  }

  #reasonNotToKeep(conn: Connection): CloseReason | undefined {
    if (this.#closedBy !== undefined || this.#draining) return "shutdown";
    if (this.#lastEndAt >= conn.retireAt) return "max_lifetime";
    if (this.#keepNone || !this.limits.keepAlive) return "shutdown";
    if (this.#idle.length >= this.limits.maxIdleConnsPerHost) return "max_idle";
    // Another origin waits for room under maxConns, or somebody here for another kind of connection.
    if (this.#near.shared.starving || (this.#waiters.size > 0 && this.connecting === 0)) return "max_idle";
    return undefined;
  }

  /** The only place where a connection changes its state. */
  #enter(conn: Connection, next: Connection["state"]): void {
    if (conn.state === next || conn.state === "closed") return;
    if (conn.state === "idle") this.#leaveIdle(conn);
    if (conn.state === "active") this.inUse -= 1;
    conn.state = next;
    if (next === "active") this.inUse += 1;
    if (next === "idle") this.#enterIdle(conn);
  }

  #enterIdle(conn: Connection): void {
    const idleMs = Math.min(this.limits.idleConnTimeout, conn.hintMs * hintShare);
    conn.fallIdle(this.#lastEndAt, idleMs);
    this.#idle.push(conn);
    conn.armIdle(this.wheel, conn.idleSince);
    conn.watch();
    // Last, because it may close the oldest idle connection, which may be this one.
    this.#near.shared.addIdle(conn);
  }

  #leaveIdle(conn: Connection): void {
    // The newest is lent first, so it is nearly always the last.
    if (this.#idle.at(-1) === conn) this.#idle.pop();
    else this.#idle.splice(this.#idle.indexOf(conn), 1);
    this.#near.shared.removeIdle(conn);
  }

  #forgetConn(conn: Connection): void {
    this.#enter(conn, "closed");
    this.wheel.cancel(conn);
    this.#connections.delete(conn);
    if (conn.http2) this.#multiplexed.splice(this.#multiplexed.indexOf(conn), 1);
    const reason = conn.closeReason ?? (conn.streams > 0 && !conn.reused ? "error" : "server_close");
    this.closed[reason] += 1;
    const ageMs = now() - conn.openedAt;
    this.instruments.closed(reason, ageMs / 1_000);
    const { origin } = this;
    connectionClosed.publish(() => ({ origin, remoteAddress: conn.remoteAddress, reason, ageMs }));
    this.#freed();
  }

  /** One connection less: room for those who wait here, or elsewhere. */
  #freed(): void {
    this.#open -= 1;
    this.#near.shared.closed();
    this.dialForWaiters();
  }

  /** Whether a connection more fits in without another being closed. */
  #hasRoom(): boolean {
    return this.#closedBy === undefined && this.#open < this.limits.maxConnsPerHost && this.#near.shared.hasRoom;
  }

  #mayDial(): boolean {
    if (this.#closedBy !== undefined) return false;
    if (this.#open < this.limits.maxConnsPerHost) return this.#near.shared.tryOpen(this);
    // All places are taken, one of them by an idle connection that suits nobody who waits.
    const [oldest] = this.#idle;
    if (oldest !== undefined) this.closeIdle(oldest, "max_idle");
    return false;
  }

  /** Dials once; the right to open has been taken. Resolves to whether it succeeded, and never rejects. */
  async #dial(): Promise<boolean> {
    this.#open += 1;
    this.connecting += 1;
    const begunAt = now();
    try {
      const [dialed] = await Promise.all([this.#near.dialer.dial(this.#target, this.#closing.signal), loadClient()]);
      this.#onDialed(dialed);
      return true;
    } catch (error) {
      this.#onDialFailed(toError(error), begunAt);
      return false;
    }
  }

  #onDialed(dialed: DialedConnection): void {
    this.connecting -= 1;
    this.opened += 1;
    this.inUse += 1;
    this.#protocol = dialed.protocol === "h2" ? "h2" : "h1";
    this.instruments.opened(dialed.timings);
    this.#ejection?.know([dialed.remoteAddress]);
    const { remoteAddress, protocol, timings } = dialed;
    connectionOpened.publish(() => ({ origin: this.origin, remoteAddress, protocol, timings }));
    const openedAt = now();
    this.#lastEndAt = openedAt;
    const conn = new Connection(this, dialed, openedAt, openedAt + this.#drawLifetime());
    this.#connections.add(conn);
    if (conn.http2) {
      conn.capacity = this.limits.maxStreamsPerConn;
      this.#multiplexed.push(conn);
    }
    this.#offer(conn);
    // The others waited for the protocol to be known.
    this.dialForWaiters();
  }

  #onDialFailed(error: Error, begunAt: number): void {
    this.connecting -= 1;
    this.lastError = { at: Date.now(), message: error.message };
    for (const address of failedAddresses(error)) this.report(address, false);
    if (error instanceof DialTimeoutError || error instanceof TlsHandshakeTimeoutError) this.countTimeout(error.phase);
    // A dial belongs to nobody: it fails whoever has waited longest, unless other dials are left for all of them. The
    // one that was to find out the protocol stood for all who waited for it.
    for (let first = this.#waiters.first; first !== undefined; first = this.#waiters.first) {
      if (this.#waiters.size <= this.connecting || first.waitingSince > begunAt) break;
      this.leave(first);
      first.onRefused(error);
      if (this.#protocol !== "unknown") break;
    }
    this.#freed();
  }

  /** Its idle connections are closed. Those in use may end what they carry. */
  #onEjected(address: string): void {
    this.instruments.ejected();
    for (const conn of this.#idle.filter(({ remoteAddress }) => remoteAddress === address)) {
      this.closeIdle(conn, "error");
    }
  }

  #drawLifetime(): number {
    return this.limits.maxConnLifetime * (1 - Math.random() * lifetimeJitter);
  }
}

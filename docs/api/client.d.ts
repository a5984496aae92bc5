// The interface of sluice/client, printed by `npm run api`. Do not edit.

// client/index.d.ts

/** Outgoing HTTP: one `Transport` for the whole program. */
export type { CloseReason } from "./connection.ts";
export type { ProxyRule } from "./dial/proxy-rule.ts";
export { BodyTimeoutError, ClientError, DialTimeoutError, InterimResponsesError, PoolFullError, PoolTimeoutError, ProxyConnectError, RequestBodyTimeoutError, ResponseHeaderTimeoutError, TlsHandshakeTimeoutError, TooManyHostsError, TransportClosedError, type Phase, type PoolSnapshot, } from "./errors.ts";
export type { ConnectionClosed, ConnectionOpened, LeakedBody, RequestReplayed } from "./channels.ts";
export type { DialTimings } from "./dial/dialer.ts";
export { ConcurrencyLimitError } from "./policies/concurrency-error.ts";
export type { BackoffOptions, BudgetOptions, ConcurrencyOptions, EjectionOptions, HedgeOptions, RetryOptions, } from "./policies/options.ts";
export { Transport, type CloseOptions } from "./transport.ts";
export type { PropagationOptions, ReplayOptions, ResolvedTransportOptions, TransportOptions, } from "./transport-options.ts";
export type { OriginStats, PoolCounts, TransportStats } from "./transport-stats.ts";

// client/channels.d.ts

/**
 * What the client publishes, for whoever wants to log or trace it: `node:diagnostics_channel` under these names.
 *
 * The library itself prints nothing. A message is made only while somebody listens.
 */
import type { CloseReason } from "./connection.ts";
import type { DialTimings } from "./dial/dialer.ts";
/** Message of `sluice.client.connection.opened`. */
export interface ConnectionOpened {
    readonly origin: string;
    readonly remoteAddress: string;
    readonly protocol: "http/1.1" | "h2";
    readonly timings: DialTimings;
}
/** Message of `sluice.client.connection.closed`. */
export interface ConnectionClosed {
    readonly origin: string;
    readonly remoteAddress: string;
    readonly reason: CloseReason;
    /** Its life in milliseconds. */
    readonly ageMs: number;
}
/** Message of `sluice.client.request.replayed`: sent again, because its connection was stale. */
export interface RequestReplayed {
    readonly origin: string;
    readonly method: string;
    readonly path: string;
}
/** Message of `sluice.client.body.leaked`: a response body that its caller got and did not read. */
export interface LeakedBody {
    readonly origin: string;
    readonly method: string;
    readonly path: string;
    /** How long nobody has read on, in milliseconds. */
    readonly unreadMs: number;
    /** Where the request was made; only recorded while `leakAfter` is set. */
    readonly stack: string | undefined;
}
/** A channel of one kind of message. */
declare class Topic<Message> {
    #private;
    constructor(name: string);
    /** Calls `describe` and publishes what it returns, if anybody listens. */
    publish(describe: () => Message): void;
}
export declare const connectionOpened: Topic<ConnectionOpened>;
export declare const connectionClosed: Topic<ConnectionClosed>;
export declare const requestReplayed: Topic<RequestReplayed>;
export declare const bodyLeaked: Topic<LeakedBody>;
export {};

// client/connection.d.ts

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
import type { Dispatcher } from "undici";
import { type DeadlineWheel, WheelTimer } from "../core/deadline-wheel.ts";
import type { DialedConnection } from "./dial/dialer.ts";
import { type StreamHandler } from "./http2-streams.ts";
import type { Pool } from "./pool.ts";
/** Why a connection was closed; the `reason` label of `http_client_connections_closed_total`. */
export type CloseReason = "idle_timeout" | "max_idle" | "max_lifetime" | "server_close" | "stale" | "error" | "aborted" | "single_use" | "shutdown" | "upgraded";
/** A count for every reason, in the order in which stats and metrics show them. */
export declare function countReasons(): Record<CloseReason, number>;
/** Closing: nobody may have it any more, and its socket has not told its end yet. */
export type ConnectionState = "active" | "idle" | "closing" | "closed";
/** Whether `error` says that a request was still unsent when its connection went away. */
export declare function isConnectionGone(error: Error): boolean;
/**
 * Invariant: `streams` is the number of requests that hold this connection, at most `capacity` (1 for HTTP/1);
 * `state` is "idle" exactly when `streams` is 0 and the socket is in its pool's idle list. Only `Pool` writes
 * `state`, `streams` and the idle fields.
 */
export declare class Connection extends WheelTimer {
    #private;
    readonly pool: Pool;
    readonly socket: Socket;
    readonly http2: boolean;
    readonly remoteAddress: string;
    readonly openedAt: number;
    /** When it is too old for another request; `Infinity` without `maxConnLifetime`. Monotonic milliseconds. */
    readonly retireAt: number;
    state: ConnectionState;
    streams: number;
    capacity: number;
    /** True once it has been idle: from then on the peer may have closed it without our knowing. */
    reused: boolean;
    /** When it fell idle last, and when it has been idle for long enough. Monotonic milliseconds. */
    idleSince: number;
    idleDueAt: number;
    /** Milliseconds that the server promised to keep it open (`Keep-Alive: timeout=`); `Infinity` when it said nothing. */
    hintMs: number;
    /** Set when this side closes, so that the close is counted under the right reason. */
    closeReason: CloseReason | undefined;
    olderIdle: Connection | undefined;
    newerIdle: Connection | undefined;
    constructor(pool: Pool, dialed: DialedConnection, openedAt: number, retireAt: number);
    /** Whether nothing but bytes of node:http has used it, so that it may be lent out as a bare socket. */
    get bare(): boolean;
    /** Starts an idle time of `idleMs` at `at`, monotonic milliseconds. */
    fallIdle(at: number, idleMs: number): void;
    /** Arms the end of the idle time, unless a deadline stands before it: that one finds out that there is time left. */
    armIdle(wheel: DeadlineWheel, at: number): void;
    /** Why it may not carry another request at `at`, if so. */
    reasonToRetire(at: number): "max_lifetime" | "idle_timeout" | undefined;
    get gone(): boolean;
    /** Whether it speaks HTTP/2 to a server that takes no request for now: what is sent stays in undici's queue. */
    get stuck(): boolean;
    /** Sends a request over undici. The handler's first call back is `onRequestStart`, or `onResponseError`. */
    dispatch(options: Dispatcher.DispatchOptions, handler: StreamHandler): void;
    /**
     * Closes now. The pool learns of it from the socket's close event, whoever closed it. A request that is still on it
     * fails with `error`.
     */
    close(reason: CloseReason, error?: Error): void;
    /** Takes back the dialer's listener: the socket is the user's now, and an error on it must not go unheard. */
    handOver(): void;
    /** Whether it was idle and no `Client` has looked at it: what came meanwhile may not have been read yet. */
    get watching(): boolean;
    /** Starts to watch an idle socket that no `Client` watches. Undici watches its own. */
    watch(): void;
    /** Stops watching and leaves the socket as it was, for whoever uses it next. */
    unwatch(): void;
    onDeadline(): void;
}

// client/dial/dialer.d.ts

/**
 * Makes the connections of the pool: name lookup, TCP, tunnel through a proxy, TLS, each step limited, timed and
 * abortable on its own, so that a slow name server never looks like a slow server.
 *
 * undici's connector has one coarse timer around all of it, and Node's sequential `autoSelectFamily` inside. So we
 * dial ourselves and hand undici a live socket. The dialer keeps no connection: which request gets it, and when it is
 * closed, is for the pool to decide.
 *
 * A socket is handed over connected, unread and not flowing; what the peer has sent already waits in its buffer. The
 * listeners left on it are `ignoreError`, so that it cannot crash the process before its owner listens, and on a TLS
 * socket the one that keeps session tickets. undici's `connect` callback must not be called synchronously with it.
 */
import { type Socket } from "node:net";
import { type DialOptions } from "./dial-options.ts";
import { type DialTarget } from "./dial-target.ts";
/** How long each step of a dial took, in ms; 0 for a step that was not needed. */
export interface DialTimings {
    /** Waiting for a turn, while `maxDials` others were under way. */
    readonly queueMs: number;
    readonly dnsMs: number;
    readonly connectMs: number;
    /** The tunnel, with the TLS handshake with the proxy itself if it is an `https:` one. */
    readonly proxyMs: number;
    readonly tlsMs: number;
    readonly tlsResumed: boolean;
}
/** A connection that nobody has used yet. Its new owner must destroy it, or it stays open. */
export interface DialedConnection {
    readonly socket: Socket;
    readonly protocol: "http/1.1" | "h2";
    /** Address at the other end of the TCP connection, which is the proxy's if there is one; the path of a Unix socket. */
    readonly remoteAddress: string;
    readonly timings: DialTimings;
}
/** What a request needs to know of the proxy on its way. */
export interface ProxyUse {
    /** `http://proxy.example:3128`, without user and password. */
    readonly url: string;
    /** `forward`: send requests in absolute form, with `authorization`. `tunnel`: the connection reaches the target. */
    readonly kind: "forward" | "tunnel";
    /** Value of `Proxy-Authorization` for a request in absolute form. A secret, undefined for a tunnel. */
    readonly authorization: string | undefined;
}
/**
 * Invariant: every scope in `#scopes` belongs to a dial whose promise has not settled, and a dial that does not
 * resolve has destroyed its sockets before it rejects. Everything is made outside the caller's async scope.
 */
export declare class Dialer {
    #private;
    /** @throws {OptionError} a proxy, certificate or address that cannot be used */
    constructor(options: DialOptions);
    /** Dials begun and not settled, those waiting for their turn included. */
    get dialing(): number;
    /** The proxy that a connection to `target` goes through. */
    proxyFor(target: Pick<DialTarget, "protocol" | "hostname" | "port">): ProxyUse | undefined;
    /**
     * Connects to `target`. An abort rejects with `signal.reason` in the same turn of the event loop.
     *
     * A dial first waits for its turn, at most for one `dialTimeout`; the limits of its steps count from that turn.
     * Otherwise a burst would fail those at its end although the server answered every connection at once.
     *
     * @throws {DialTimeoutError} lookup, TCP and tunnel, or the wait for a turn, took longer than `dialTimeoutMs`
     * @throws {TlsHandshakeTimeoutError} the handshake took longer than `tlsHandshakeTimeoutMs`
     * @throws {ProxyConnectError} the proxy opened no tunnel
     * @throws {TransportClosedError} the dialer was closed
     * @throws the system's error, unchanged: `ENOTFOUND`, `ECONNREFUSED`, a certificate error; an `AggregateError` with
     *   such a code if several addresses failed
     */
    dial(target: DialTarget, signal?: AbortSignal): Promise<DialedConnection>;
    /** Ends all dials with a `TransportClosedError` and forgets the TLS sessions. Connections handed over live on. */
    close(): void;
}

// client/dial/proxy-rule.d.ts

/**
 * Which proxy a connection goes through, decided once from an option or from the environment.
 *
 * The rules are those of Go's `httpproxy` package, so that one set of variables means the same to every program in a
 * container. The environment is read here and nowhere else in the client, only when the option says so, and only when
 * the dialer is made: a variable that changes later must not split the connections of one pool over two proxies.
 * SOCKS proxies and PAC files are not supported; the first is refused in words, the second cannot be given.
 */
import { type DialTarget } from "./dial-target.ts";
/** Proxies by the scheme of the target. */
export interface ProxyByScheme {
    /** For `http:` targets. */
    readonly http?: string | URL | undefined;
    /** For `https:` targets. */
    readonly https?: string | URL | undefined;
    /** Hosts to reach directly, written like the variable `NO_PROXY`. */
    readonly noProxy?: string | undefined;
}
/**
 * `"none"`; `"environment"`, that is `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either case; the URL
 * of one proxy for everything; or one for each scheme.
 *
 * Only `"environment"` never proxies `localhost` and loopback addresses, as in Go. A proxy given in code is meant.
 */
export type ProxyRule = string | URL | ProxyByScheme;
/** One proxy, with its password apart from what may be printed. */
export interface Proxy {
    readonly protocol: "http:" | "https:";
    readonly hostname: string;
    readonly port: number;
    /** `http://proxy.example:3128`, without user and password. */
    readonly url: string;
    /** Value of `Proxy-Authorization`. A secret. */
    readonly authorization: string | undefined;
}
/** How the connections to one target go through a proxy. */
export interface ProxyRoute {
    readonly proxy: Proxy;
    /** `forward`: the request names the whole URL and the proxy sends it on. `tunnel`: CONNECT, then TLS with the target. */
    readonly kind: "forward" | "tunnel";
}
/** The route to a target; undefined when it is reached directly. */
export type ProxyTable = (target: Pick<DialTarget, "protocol" | "hostname" | "port">) => ProxyRoute | undefined;
/** Parses the URL of a proxy; a bare `host:port` is an HTTP proxy. Messages never contain the URL: it may hold a password. */
export declare function parseProxy(option: string, given: string | URL): Proxy;
type Environment = Readonly<Record<string, string | undefined>>;
/** What the environment says, as the rule that one would have written in code. An empty variable is not set. */
export declare function environmentProxies(environment: Environment): ProxyByScheme;
/** Turns a rule into the table that answers for every target. `option` is the name that errors give it. */
export declare function resolveProxyRule(option: string, rule: ProxyRule, environment?: Environment): ProxyTable;
export {};

// client/errors.d.ts

/**
 * What can go wrong between `transport.dispatch` and the last byte of a response, one class per cause.
 *
 * `phase` says where the request stood, so that "it timed out" is never the whole story; `sent` says whether the
 * server may have seen the request, which is what a caller needs to decide if trying again is safe. A failure that
 * undici or Node users already match on is kept as `cause` under its own name and code. System errors of a dial
 * (`ECONNREFUSED`, `ENOTFOUND`, certificate errors) are not wrapped at all.
 */
import { SluiceError } from "../core/errors.ts";
/** Where a request stands. The order is the order of a request's life. */
export type Phase = "queue" | "dns" | "connect" | "proxy" | "tls" | "request" | "response_header" | "body" | "total";
/** The pool of one origin at the moment it gave up. */
export interface PoolSnapshot {
    readonly origin: string;
    readonly limit: number;
    readonly inUse: number;
    readonly idle: number;
    readonly connecting: number;
    readonly waiting: number;
}
/** What all errors of the client have: the phase, and whether bytes of the request may have reached the server. */
export declare abstract class ClientError extends SluiceError {
    abstract readonly phase: Phase;
    abstract readonly sent: boolean;
}
/** No connection became free within `poolTimeout`. The request was never sent, so it is safe to repeat. */
export declare class PoolTimeoutError extends ClientError {
    readonly code = "ERR_POOL_TIMEOUT";
    readonly phase = "queue";
    readonly sent = false;
    readonly pool: PoolSnapshot;
    constructor(waitedMs: number, pool: PoolSnapshot);
}
/** `maxWaitersPerHost` requests already wait for others' connections. It was never sent, so it is safe to repeat. */
export declare class PoolFullError extends ClientError {
    readonly code = "ERR_POOL_FULL";
    readonly phase = "queue";
    readonly sent = false;
    readonly pool: PoolSnapshot;
    constructor(pool: PoolSnapshot);
}
/** `maxHosts` origins are known and every one of them is in use, so none can be forgotten to make room. */
export declare class TooManyHostsError extends ClientError {
    readonly code = "ERR_TOO_MANY_HOSTS";
    readonly phase = "queue";
    readonly sent = false;
    constructor(origin: string, maxHosts: number);
}
/** DNS and TCP, or the tunnel through a proxy, took longer than `dialTimeout`. Nothing was sent. */
export declare class DialTimeoutError extends ClientError {
    readonly code = "ERR_DIAL_TIMEOUT";
    readonly phase: "dns" | "connect" | "proxy";
    readonly sent = false;
    constructor(phase: "dns" | "connect" | "proxy", target: string, timeoutMs: number, detail?: string);
}
/** The TLS handshake took longer than `tlsHandshakeTimeout`. Nothing was sent. */
export declare class TlsHandshakeTimeoutError extends ClientError {
    readonly code = "ERR_TLS_HANDSHAKE_TIMEOUT";
    readonly phase = "tls";
    readonly sent = false;
    constructor(target: string, timeoutMs: number);
}
/** The proxy could not be reached, answered `CONNECT` with something else than 2xx, or broke off. Nothing reached the origin. */
export declare class ProxyConnectError extends ClientError {
    readonly code = "ERR_PROXY_CONNECT";
    readonly phase = "proxy";
    readonly sent = false;
    /** Status of the proxy's answer; 0 when it gave none. */
    readonly status: number;
    constructor(proxy: string, target: string, status: number, options?: ErrorOptions);
}
/** The request body stood still for longer than `bodyTimeout`: its source gave nothing, or the server took nothing. */
export declare class RequestBodyTimeoutError extends ClientError {
    readonly code = "ERR_REQUEST_BODY_TIMEOUT";
    readonly phase = "request";
    readonly sent = true;
    constructor(origin: string, timeoutMs: number);
}
/** The server sent interim answers (1xx) without an end in sight. */
export declare class InterimResponsesError extends ClientError {
    readonly code = "ERR_TOO_MANY_INTERIM_RESPONSES";
    readonly phase = "response_header";
    readonly sent = true;
    constructor(origin: string, count: number);
}
/** No response header arrived within `responseHeaderTimeout` after the request was written. The server may have acted on it. */
export declare class ResponseHeaderTimeoutError extends ClientError {
    readonly code = "ERR_RESPONSE_HEADER_TIMEOUT";
    readonly phase = "response_header";
    readonly sent = true;
    constructor(origin: string, timeoutMs: number);
}
/** The response body stood still for longer than `bodyTimeout` while it was being read. */
export declare class BodyTimeoutError extends ClientError {
    readonly code = "ERR_BODY_TIMEOUT";
    readonly phase = "body";
    readonly sent = true;
    constructor(origin: string, timeoutMs: number);
}
/** The transport is closed or closing. Nothing was sent. */
export declare class TransportClosedError extends ClientError {
    readonly code = "ERR_TRANSPORT_CLOSED";
    readonly phase = "queue";
    readonly sent = false;
    constructor();
}

// client/policies/concurrency-error.d.ts

/** The error of a request that the concurrency limit of its origin has kept back. */
import { ClientError } from "../errors.ts";
/**
 * As many requests as the `concurrency` option allows are in flight to the origin, and this one could not or did not
 * want to wait any longer. It was never sent, so it is safe to repeat.
 */
export declare class ConcurrencyLimitError extends ClientError {
    readonly code = "ERR_CONCURRENCY_LIMIT";
    readonly phase = "queue";
    readonly sent = false;
    readonly origin: string;
    readonly limit: number;
    readonly waiting: number;
    /** `waitedMs` is 0 when there was no room to wait. */
    constructor(origin: string, gate: {
        readonly limit: number;
        readonly waiting: number;
    }, waitedMs: number);
}

// client/policies/options.d.ts

/**
 * The options of what prepares a transport for failure. All of it is off unless asked for.
 *
 * Extra tries and limits change what a server sees and what a caller may assume, so each is the user's decision; the
 * defaults below hold once the group is given. Each table stands as one group in the transport's own table.
 */
import type { Duration, OptionRule, OptionTable } from "../../core/options.ts";
import type { OutlierEjectionOptions } from "./outlier-ejection.ts";
import type { RetryBudgetOptions } from "./retry-budget.ts";
/** How many extra tries there may be in all, in proportion to the traffic. See {@link RetryBudget}. */
export interface BudgetOptions {
    /**
     * Extra tries for each request of the window.
     *
     * When they are used up, a failure is handed to the caller at once. Too low shows as failures that a retry would
     * have healed; too high makes a server's outage worse by that share.
     *
     * @default 0.2 for retries, 0.1 for hedges
     * @range 0 to 1
     * @metric http_client_retries_refused_total{reason="budget_spent"}
     */
    readonly ratio?: number;
    /**
     * Extra tries for each second of the window, whatever the traffic.
     *
     * Without it a client that makes one request a minute could never retry.
     *
     * @default 10 for retries, 1 for hedges
     * @range 0 to Infinity
     */
    readonly minPerSecond?: number;
    /**
     * How far the budget looks back.
     *
     * @default "10s"
     * @range above 0 to 1 h
     */
    readonly ttl?: Duration;
}
/** How long to wait before each further try. */
export interface BackoffOptions {
    /**
     * Longest wait before the first retry; it doubles with each further one.
     *
     * @default "50ms"
     * @range above 0 to 1 h
     */
    readonly from?: Duration;
    /**
     * Where the doubling ends.
     *
     * @default "2s"
     * @range above 0 to 1 h
     */
    readonly to?: Duration;
    /**
     * `"full"` draws the wait from 0 to the longest, so that clients which failed together do not come back together;
     * `"none"` waits the longest each time.
     *
     * @default "full"
     */
    readonly jitter?: "full" | "none";
}
/** When a failed request is sent again. */
export interface RetryOptions {
    /**
     * Further tries after the first one.
     *
     * 0 turns retries off. Each adds its own time to what the caller waits; the budget bounds what all of them add to
     * the server's load.
     *
     * @default 0
     * @range 0 to 10
     * @metric http_client_retries_total
     */
    readonly attempts?: number;
    /**
     * Methods that may be sent twice. Another method is retried only with an `Idempotency-Key` header.
     *
     * A method that is listed wrongly shows as orders that were placed twice. RFC 9110 section 9.2.2 names the safe ones.
     *
     * @default ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"]
     */
    readonly methods?: readonly string[];
    /**
     * Answers that mean "try again".
     *
     * 429 is left out: whoever sends it asks for less, and a client that knows better adds it.
     *
     * @default [502, 503, 504]
     * @range 300 to 599
     */
    readonly statusCodes?: readonly number[];
    /**
     * Codes of errors that mean "try again", looked up on the error and on its `cause`.
     *
     * A full pool is left out, because the next try would wait in the same queue; so is a late response header, because
     * the server may still be at work on it.
     *
     * @default connections refused, reset, broken, unreachable or timed out, and temporary DNS failures
     */
    readonly errors?: readonly string[];
    /** How long to wait before each further try. */
    readonly backoff?: BackoffOptions;
    /**
     * Whether a `Retry-After` of the server makes the wait longer (RFC 9110 section 10.2.3).
     *
     * @default true
     */
    readonly respectRetryAfter?: boolean;
    /**
     * Longest `Retry-After` that is waited for. An answer that asks for more is handed to the caller instead, because
     * coming back earlier than asked is what the server cannot use.
     *
     * @default "30s"
     * @range above 0 to 1 h
     */
    readonly maxRetryAfter?: Duration;
    /** How many retries there may be in all, in proportion to the requests to that origin. */
    readonly budget?: BudgetOptions;
}
/** When a second, equal request is sent because the first one is slow. */
export interface HedgeOptions {
    /**
     * How long to wait for a response header before the second request; `"p95"` waits for as long as 95 of 100 requests
     * to that origin take.
     *
     * Too short doubles the load until the budget is spent; too long heals nothing. `"p95"` sends no hedge before 100
     * response times are known.
     *
     * @default "p95"
     * @range above 0 to 1 h, or "p95"
     * @metric http_client_hedges_total{outcome="sent"}
     */
    readonly delay?: Duration | "p95";
    /**
     * Further requests for one call.
     *
     * @default 1
     * @range 0 to 3, where 0 turns hedging off
     */
    readonly maxHedges?: number;
    /** How many hedges there may be in all, in proportion to the requests to that origin. */
    readonly budget?: BudgetOptions;
}
/** When an address of an origin is left alone for a while. */
export interface EjectionOptions {
    /**
     * Failures in a row (connection refused or reset, 5xx) after which an address is tried last.
     *
     * Too low ejects on everyday errors; too high sends a dead machine its share of requests for longer.
     *
     * @default 5
     * @range 1 up
     * @metric http_client_ejections_total
     */
    readonly consecutiveFailures?: number;
    /**
     * Length of the first ejection; the n-th is n times as long.
     *
     * @default "30s"
     * @range above 0 to 1 h
     */
    readonly baseTime?: Duration;
    /**
     * Longest ejection.
     *
     * @default "300s"
     * @range above 0 to 24 h
     */
    readonly maxTime?: Duration;
    /**
     * Largest share of an origin's addresses that may be out at once.
     *
     * When more of them fail, the fault is elsewhere, and taking them out would only crowd the rest.
     *
     * @default 0.5
     * @range 0 to 1
     */
    readonly maxEjected?: number;
}
/** How many requests may be in flight to one origin. */
export interface ConcurrencyOptions {
    /**
     * A number, or `"adaptive"` for a limit that follows the measured response times. See {@link AdaptiveLimit}.
     *
     * A request above it waits. Too low shows as waiting requests while the server is idle; too high as response times
     * that grow with the load.
     *
     * @default "adaptive"
     * @range 1 up, or "adaptive"
     * @metric http_client_concurrency_limit
     */
    readonly limit?: number | "adaptive";
    /**
     * The adaptive limit never goes below.
     *
     * @default 20
     * @range 1 up
     */
    readonly min?: number;
    /**
     * The adaptive limit never goes above.
     *
     * @default 200
     * @range 1 up
     */
    readonly max?: number;
    /**
     * Requests to one origin that may wait for the limit; one more fails at once.
     *
     * @default 1000
     * @range 0 up, or Infinity
     */
    readonly maxWaiting?: number;
    /**
     * Longest wait for the limit.
     *
     * @default "10s"
     * @range above 0, or Infinity
     */
    readonly waitTimeout?: Duration;
}
export interface ResolvedBackoffOptions {
    readonly from: number;
    readonly to: number;
    readonly jitter: "full" | "none";
}
export interface ResolvedRetryOptions {
    readonly attempts: number;
    readonly methods: readonly string[];
    readonly statusCodes: readonly number[];
    readonly errors: readonly string[];
    readonly backoff: ResolvedBackoffOptions;
    readonly respectRetryAfter: boolean;
    readonly maxRetryAfter: number;
    readonly budget: RetryBudgetOptions;
}
export interface ResolvedHedgeOptions {
    readonly delay: number | "p95";
    readonly maxHedges: number;
    readonly budget: RetryBudgetOptions;
}
export interface ResolvedConcurrencyOptions {
    readonly limit: number | "adaptive";
    readonly min: number;
    readonly max: number;
    readonly maxWaiting: number;
    readonly waitTimeout: number;
}
/** The budget of retries, which stale replays use as well. */
export declare const retryBudgetOptions: OptionTable<BudgetOptions, RetryBudgetOptions>;
/** The budget of hedges: smaller, because a hedge is sent while the first request may still succeed. */
export declare const hedgeBudgetOptions: OptionTable<BudgetOptions, RetryBudgetOptions>;
export declare const retryOptions: OptionTable<RetryOptions, ResolvedRetryOptions>;
export declare const hedgeOptions: OptionTable<HedgeOptions, ResolvedHedgeOptions>;
export declare const ejectionOptions: OptionTable<EjectionOptions, OutlierEjectionOptions>;
export declare const concurrencyOptions: OptionTable<ConcurrencyOptions, ResolvedConcurrencyOptions>;
/** The rule of the whole `concurrency` group, with the check that `min` is not above `max`. */
export declare const concurrencyRule: OptionRule<ConcurrencyOptions, Readonly<ResolvedConcurrencyOptions>>;

// client/transport-options.d.ts

/**
 * Every option of a `Transport`, with its meaning, its default and its range.
 *
 * A time is a `Duration`: milliseconds, or text such as `"5s"`. `Infinity` means no limit, or never; 0 is an error for
 * a time, because Go reads it as "no timeout" in some fields and as "the default" in others.
 */
import type { LookupFunction } from "node:net";
import type { ConnectionOptions } from "node:tls";
import type { Dispatcher } from "undici";
import { type Registry } from "../core/instruments.ts";
import { type Duration, type OptionTable, type Size } from "../core/options.ts";
import type { ProxyRule } from "./dial/proxy-rule.ts";
import { type ConcurrencyOptions, type EjectionOptions, type HedgeOptions, type ResolvedConcurrencyOptions, type ResolvedHedgeOptions, type ResolvedRetryOptions, type RetryOptions } from "./policies/options.ts";
import type { OutlierEjectionOptions } from "./policies/outlier-ejection.ts";
import type { LeakedBody } from "./channels.ts";
/** When a request that met a stale connection is sent again. */
export interface ReplayOptions {
    /**
     * How often one request may be sent again because its connection turned out to be stale.
     *
     * The second try dials afresh, so one is nearly always enough. 0 hands every stale connection to the caller as an
     * error.
     *
     * @default 3
     * @range 0 to 10
     * @go no limit
     * @metric http_client_retries_total{reason="stale_connection"}
     */
    readonly attempts?: number;
}
/** What is told to the servers that are ours. */
export interface PropagationOptions {
    /**
     * Origins that are told how much time is left, in the header `x-request-timeout-ms`. Others must not learn it.
     *
     * @default []
     */
    readonly deadlineTo?: readonly string[];
    /**
     * Whether `traceparent` is sent on when the current context has one (W3C Trace Context).
     *
     * @default true
     */
    readonly trace?: boolean;
}
/** How a {@link Transport} keeps, limits, times and closes its connections. */
export interface TransportOptions {
    /**
     * Most idle connections kept open, over all origins.
     *
     * Above it the one that has been idle longest is closed, whichever origin it belongs to. Too low shows as
     * `closed{max_idle}` and `opened` growing together.
     *
     * @default 500
     * @range 0 to Infinity
     * @go MaxIdleConns, where the default is 100
     * @metric http_client_connections_closed_total{reason="max_idle"}
     */
    readonly maxIdleConns?: number;
    /**
     * Most idle connections kept open to one origin.
     *
     * A connection given back above this number is closed at once, and the next request connects anew. Too low shows
     * as a growing `opened` while `idle` stays flat; too high costs a socket at each end.
     *
     * @default 200
     * @range 0 to Infinity
     * @go MaxIdleConnsPerHost, where the default is 2
     * @metric http_client_open_connections{http_connection_state="idle"}
     */
    readonly maxIdleConnsPerHost?: number;
    /**
     * Most connections over all origins: connecting, active and idle ones together.
     *
     * At the limit an idle connection of another origin makes room; without one, requests wait in their order.
     *
     * @default Infinity
     * @range 1 to Infinity
     * @metric http_client_connections_limit{scope="total"}
     */
    readonly maxConns?: number;
    /**
     * Most connections to one origin: connecting, active and idle ones together.
     *
     * At the limit requests wait for at most `poolTimeout`. Too low shows as `waiting` and `waitDuration`; too high
     * moves the queue into the server.
     *
     * @default 200
     * @range 1 to Infinity
     * @go MaxConnsPerHost, where the default is no limit
     * @metric http_client_connections_limit{scope="per_host"}
     */
    readonly maxConnsPerHost?: number;
    /**
     * Most origins that are remembered.
     *
     * Above it the one whose last request is longest ago is forgotten and its idle connections are closed; when all of
     * them are in use, a new one fails with `ERR_TOO_MANY_HOSTS`.
     *
     * @default 1000
     * @range 1 to Infinity
     */
    readonly maxHosts?: number;
    /**
     * Most requests that may wait for a connection to one origin, besides those whose own dial is under way. One more
     * fails at once with `ERR_POOL_FULL`.
     *
     * @default 1000
     * @range 0 to Infinity
     * @metric http_client_pending_requests
     */
    readonly maxWaitersPerHost?: number;
    /**
     * Most requests in flight on one HTTP/2 connection; the server may allow fewer. Above it another is opened.
     *
     * @default 100
     * @range 1 up
     */
    readonly maxStreamsPerConn?: number;
    /**
     * Longest wait for a connection, dialling included. Beyond it a request fails with `ERR_POOL_TIMEOUT`, unsent.
     *
     * @default "10s"
     * @range above 0, or Infinity
     * @go none; only the request's context ends the wait
     * @metric http_client_timeouts_total{phase="queue"}
     */
    readonly poolTimeout?: Duration;
    /**
     * How long a connection may stay idle before this side closes it, by wall clock, so that it also holds over a
     * suspended machine.
     *
     * Keep it shorter than the server's own idle timeout: whoever closes second loses the race, and the loser here is a
     * request. A server's `Keep-Alive: timeout=N` shortens it to four fifths of N.
     *
     * @default "60s"
     * @range above 0, or Infinity
     * @go IdleConnTimeout, where the default is 90 s
     * @metric http_client_connections_closed_total{reason="idle_timeout"}
     */
    readonly idleConnTimeout?: Duration;
    /**
     * Longest life of a connection. It is closed when it next falls idle; each one's own limit is up to a tenth shorter
     * at random.
     *
     * Set it where names are balanced over changing addresses: an unlimited connection stays with yesterday's server.
     *
     * @default Infinity
     * @range above 0, or Infinity
     * @go none (golang/go#23427)
     * @metric http_client_connections_closed_total{reason="max_lifetime"}
     */
    readonly maxConnLifetime?: Duration;
    /**
     * Longest time for the name lookup, the TCP connection and a proxy's tunnel together.
     *
     * @default "5s"
     * @range above 0, or Infinity
     * @go net.Dialer.Timeout, where DefaultTransport has 30 s
     * @metric http_client_timeouts_total{phase="connect"}
     */
    readonly dialTimeout?: Duration;
    /**
     * Longest time for the TLS handshake.
     *
     * @default "5s"
     * @range above 0, or Infinity
     * @go TLSHandshakeTimeout, where the default is 10 s
     * @metric http_client_timeouts_total{phase="tls"}
     */
    readonly tlsHandshakeTimeout?: Duration;
    /**
     * Longest time from the end of the request to the end of the response header; interim answers (1xx) do not extend it.
     *
     * A request's own `headersTimeout` goes first; there 0 means none, as in undici.
     *
     * @default "10s"
     * @range above 0, or Infinity
     * @go ResponseHeaderTimeout, where the default is none
     * @metric http_client_timeouts_total{phase="response_header"}
     */
    readonly responseHeaderTimeout?: Duration;
    /**
     * Longest time in which a body may stand still, in either direction. A reader who has stopped reading is not timed;
     * see `leakAfter`.
     *
     * A request's own `bodyTimeout` goes first; there 0 means none, as in undici.
     *
     * @default "30s"
     * @range above 0, or Infinity
     * @metric http_client_timeouts_total{phase="body"}
     */
    readonly bodyTimeout?: Duration;
    /**
     * How long a request with `Expect: 100-continue` waits for the server's word before it sends its body all the same.
     *
     * @default "1s"
     * @range above 0, or Infinity
     * @go ExpectContinueTimeout
     */
    readonly expectContinueTimeout?: Duration;
    /**
     * Largest response header.
     *
     * @default "16kb"
     * @range 1 up
     * @go MaxResponseHeaderBytes, where the default is 10 MiB
     */
    readonly maxResponseHeaderBytes?: Size;
    /**
     * Whether connections are used for more than one request.
     *
     * @default true
     * @go DisableKeepAlives
     */
    readonly keepAlive?: boolean;
    /**
     * `"auto"` offers HTTP/2 and HTTP/1.1 in the TLS handshake and lets the server choose; `"never"` offers HTTP/1.1 only.
     *
     * @default "auto"
     * @go ForceAttemptHTTP2
     */
    readonly http2?: "auto" | "never";
    /** Settings for every TLS connection: `ca`, `cert`, `key`, `rejectUnauthorized`, `minVersion` and the like. */
    readonly tls?: ConnectionOptions;
    /**
     * Most TLS sessions kept for resumption.
     *
     * @default 100
     * @range 0 up
     */
    readonly maxTlsSessions?: number;
    /** Replaces `dns.lookup`, with its signature. */
    readonly lookup?: LookupFunction;
    /**
     * `"none"` connects directly; a URL is used for all origins; `"environment"` reads `HTTP_PROXY`, `HTTPS_PROXY`,
     * `ALL_PROXY` and `NO_PROXY` once, when the transport is made.
     *
     * @default "none"
     * @go Proxy, where DefaultTransport has ProxyFromEnvironment
     */
    readonly proxy?: ProxyRule;
    /** Path of a Unix socket through which every origin is reached. */
    readonly socketPath?: string;
    /** Address of this machine to connect from. */
    readonly localAddress?: string;
    /** What happens to a request whose connection turned out to be stale. */
    readonly replay?: ReplayOptions;
    /** When a failed request is sent again. Off unless `attempts` is set. */
    readonly retry?: RetryOptions;
    /** When a second request races a slow first one. Off unless given. */
    readonly hedge?: HedgeOptions;
    /** When an address that fails is left alone for a while. Off unless given. */
    readonly ejection?: EjectionOptions;
    /** How many requests may be in flight to one origin. Off unless given. */
    readonly concurrency?: ConcurrencyOptions;
    /** What is told to the servers that are ours. */
    readonly propagate?: PropagationOptions;
    /**
     * How long a response body may stand unread before it is reported, once, to `onLeak` and on the channel
     * `sluice.client.body.leaked`, with the stack of its request. Recording the stacks costs about 2 us a request.
     *
     * @default Infinity
     * @range above 0, or Infinity
     * @metric http_client_unread_bodies
     */
    readonly leakAfter?: Duration;
    /** Called for each body that nobody reads; see `leakAfter`. */
    readonly onLeak?: (leak: LeakedBody) => void;
    /** A dispatcher that gets all requests instead of the network, such as undici's `MockAgent` in a test. */
    readonly upstream?: Pick<Dispatcher, "dispatch">;
    /**
     * Name of the transport: the value of the label `pool`.
     *
     * @default "default"
     */
    readonly name?: string;
    /** Where the instruments are registered. */
    readonly registry?: Registry;
}
/** What the options become once checked: nothing missing, times in milliseconds, sizes in bytes. */
export interface ResolvedTransportOptions {
    readonly maxIdleConns: number;
    readonly maxIdleConnsPerHost: number;
    readonly maxConns: number;
    readonly maxConnsPerHost: number;
    readonly maxHosts: number;
    readonly maxWaitersPerHost: number;
    readonly maxStreamsPerConn: number;
    readonly poolTimeout: number;
    readonly idleConnTimeout: number;
    readonly maxConnLifetime: number;
    readonly dialTimeout: number;
    readonly tlsHandshakeTimeout: number;
    readonly responseHeaderTimeout: number;
    readonly bodyTimeout: number;
    readonly expectContinueTimeout: number;
    readonly maxResponseHeaderBytes: number;
    readonly keepAlive: boolean;
    readonly http2: "auto" | "never";
    readonly tls: ConnectionOptions | undefined;
    readonly maxTlsSessions: number;
    readonly lookup: LookupFunction | undefined;
    readonly proxy: ProxyRule;
    readonly socketPath: string | undefined;
    readonly localAddress: string | undefined;
    readonly replay: {
        readonly attempts: number;
    };
    readonly retry: ResolvedRetryOptions | undefined;
    readonly hedge: ResolvedHedgeOptions | undefined;
    readonly ejection: OutlierEjectionOptions | undefined;
    readonly concurrency: ResolvedConcurrencyOptions | undefined;
    readonly propagate: {
        readonly deadlineTo: readonly string[];
        readonly trace: boolean;
    };
    readonly leakAfter: number;
    readonly onLeak: ((leak: LeakedBody) => void) | undefined;
    readonly upstream: Pick<Dispatcher, "dispatch"> | undefined;
    readonly name: string;
    readonly registry: Registry;
}
/** The only place where a default is written. The reference page is printed from it. */
export declare const transportOptions: OptionTable<TransportOptions, ResolvedTransportOptions>;

// client/transport-stats.d.ts

/**
 * What a transport looks like at one moment: immutable plain numbers, limits beside levels.
 *
 * Every count is kept where its state changes; nothing here asks a connection anything.
 */
import { type CloseReason } from "./connection.ts";
import type { Phase } from "./errors.ts";
import type { Pool } from "./pool.ts";
/** The counts that a transport and each of its origins have. Levels first, then totals since the start. */
export interface PoolCounts {
    /** Open connections that wait for reuse. */
    readonly idle: number;
    /** Open connections that carry a request. */
    readonly inUse: number;
    /** Dials under way. */
    readonly connecting: number;
    /** Requests that wait for a connection. */
    readonly waiting: number;
    /** Requests that hold a connection. */
    readonly inFlight: number;
    /** Connections handed to the user by an upgrade or `CONNECT`, and still open. They count against no limit. */
    readonly upgraded: number;
    /** Response bodies that nobody has read on from for `leakAfter`, or 30 s. */
    readonly unreadBodies: number;
    readonly opened: number;
    /** Requests that got a connection which had served before. */
    readonly reused: number;
    readonly closed: Readonly<Record<CloseReason, number>>;
    /** Requests sent again because their connection was stale. */
    readonly replays: number;
    /** Requests sent again by the `retry` option. */
    readonly retries: number;
    readonly timeouts: Readonly<Partial<Record<Phase, number>>>;
    /** How often a request waited because no connection was free: for one in use, or for a dial of its own. */
    readonly waitCount: number;
    /** How long they waited in all, in milliseconds. */
    readonly waitDuration: number;
    /** How long the one has waited that waits for longest, in milliseconds. */
    readonly oldestWait: number;
}
/** One origin at one moment. */
export interface OriginStats extends PoolCounts {
    readonly origin: string;
    /** The name asked for in the TLS handshake, when it is not the origin's: such requests share no connections with others. */
    readonly servername: string | undefined;
    /** Whether HTTP/2 is offered; it is not to `agent()`, so a TLS origin of both has two rows. */
    readonly http2: boolean;
    readonly limits: {
        readonly maxConnsPerHost: number;
        readonly maxIdleConnsPerHost: number;
        readonly maxWaitersPerHost: number;
    };
    readonly lastError: {
        readonly at: Date;
        readonly message: string;
    } | undefined;
}
/** A transport at one moment. Totals include origins that have been forgotten since. */
export interface TransportStats extends PoolCounts {
    readonly name: string;
    readonly limits: {
        readonly maxConns: number;
        readonly maxIdleConns: number;
        readonly maxHosts: number;
    };
    readonly origins: readonly OriginStats[];
}
/** Sums that can grow while origins come and go. */
export type Sums = {
    -readonly [Key in keyof PoolCounts]: PoolCounts[Key];
} & {
    closed: Record<CloseReason, number>;
    timeouts: Partial<Record<Phase, number>>;
};
/** The counts of a pool, as they are now. */
export declare function describeOrigin(pool: Pool): OriginStats;
/** The sums, from now on as they are. */
export declare function freezeCounts(sums: Sums): Readonly<PoolCounts>;
export declare function emptySums(): Sums;
/** Adds what a pool has counted, and its levels. */
export declare function addPool(sums: Sums, pool: Pool): void;

// client/transport.d.ts

/**
 * The owner of a program's outgoing connections.
 *
 * Go's `http.Transport` on undici's HTTP: every limit is an option, every wait has a bound, every phase is timed, and
 * all of it can be read from `stats()`. It is an undici `Dispatcher`, so whatever takes one takes it; `agent()` gives
 * the same limits and the same books to what is built on `node:http`, and `install()` to code that nobody edits.
 */
import type { Agent } from "node:https";
import type { Dispatcher } from "undici";
import { type Duration, type GivenOptions } from "../core/options.ts";
import { type ResolvedTransportOptions, type TransportOptions } from "./transport-options.ts";
import type { TransportStats } from "./transport-stats.ts";
import { Dispatcher as DispatcherOfUndici } from "./undici.ts";
type DispatchOptions = Dispatcher.DispatchOptions;
type DispatchHandler = Dispatcher.DispatchHandler;
/**
 * Owns pools of connections, one for each origin, within the limits of {@link TransportOptions}.
 *
 * Make one for the whole program and keep it; `close()` it at the end. `await using` works as well.
 */
export declare class Transport extends DispatcherOfUndici implements AsyncDisposable {
    #private;
    readonly options: Readonly<ResolvedTransportOptions>;
    /** WHATWG fetch over this transport: the requests, responses and errors of global fetch, for less. */
    readonly fetch: typeof globalThis.fetch;
    /** @throws {OptionError} an option is unknown, out of range or contradicts another */
    constructor(options?: GivenOptions<TransportOptions>);
    /**
     * Sends a request; the lowest level, and undici's. The handler gets its controller at once and hears of every step.
     *
     * Never throws for a request that cannot be sent: that goes to `handler.onResponseError`, as all errors do.
     */
    dispatch(options: DispatchOptions, handler: DispatchHandler): boolean;
    /**
     * Sends a request and resolves when the response header is there; undici's call and answer. `body` must be read, or
     * dumped, or its connection stays in use.
     *
     * @throws {ClientError} a limit of this transport; other errors are those of undici and Node
     */
    request<TOpaque = null>(options: Dispatcher.RequestOptions<TOpaque>): Promise<Dispatcher.ResponseData<TOpaque>>;
    request<TOpaque = null>(options: Dispatcher.RequestOptions<TOpaque>, callback: (error: Error | null, data: Dispatcher.ResponseData<TOpaque>) => void): void;
    request(url: string | URL, options?: Partial<Dispatcher.RequestOptions>): Promise<Dispatcher.ResponseData>;
    /**
     * The agent of this transport, for whatever is built on `node:http`: one for `http:` and `https:`, always the same.
     *
     * @throws {OptionError} the transport has an `upstream`, which an agent cannot use
     */
    agent(): Agent;
    /**
     * Becomes the process's dispatcher, for undici and the fetch that it gave to others, and its global fetch, until the
     * result is disposed of. That gives back what was there before, unless somebody else has replaced it meanwhile.
     *
     * @throws {TypeError} `globalThis` is frozen
     */
    install(): Disposable;
    /** What the pools look like now: immutable, limits beside levels. */
    stats(): TransportStats;
    /**
     * Opens connections before they are needed: until `count` to `origin` are idle or on their way, as far as the limits
     * allow. Resolves to how many were opened; why a dial failed is in `stats()` as `lastError`.
     *
     * @throws {OptionError} `count` is no whole number, or below 0
     */
    prewarm(origin: string | URL, count: number): Promise<number>;
    /** Closes what is idle, and what falls idle before the next request to its origin (Go's CloseIdleConnections). */
    closeIdleConnections(): void;
    /**
     * Takes no new requests, lets those under way end, and resolves when the last connection has closed. What has not
     * ended within `grace` is aborted: one body that nobody reads must not keep a deploy waiting.
     *
     * @throws {OptionError} `grace` is no duration
     */
    close(options?: CloseOptions): Promise<void>;
    close(callback: () => void): void;
    /** Ends every request with `reason` now, and resolves when the last connection has closed. */
    abort(reason?: Error): Promise<void>;
    /** undici's name for {@link abort}. */
    destroy(): Promise<void>;
    destroy(error: Error | null): Promise<void>;
    destroy(callback: () => void): void;
    destroy(error: Error | null, callback: () => void): void;
    [Symbol.asyncDispose](): Promise<void>;
}
/** How long {@link Transport.close} waits. */
export interface CloseOptions {
    /**
     * How long requests under way may take to end.
     *
     * @default "30s"
     * @range above 0, or Infinity
     */
    readonly grace?: Duration;
    /** Aborts at once what is still under way. */
    readonly signal?: AbortSignal;
}
export {};

// client/http2-streams.d.ts

/**
 * Requests on one HTTP/2 connection, and how many of them it takes.
 *
 * undici keeps the server's SETTINGS_MAX_CONCURRENT_STREAMS to itself and queues what is above it, out of reach of our
 * limits and cancels. So each request is sent through an attempt that can be taken back while undici has not written
 * it: once the settings are known, what is still unwritten was too much, the number of the others is the connection's
 * capacity, and the pool opens another connection for the rest.
 */
import type { Duplex } from "node:stream";
import type { Client, Dispatcher } from "undici";
type Handler = Dispatcher.DispatchHandler;
type Controller = Dispatcher.DispatchController;
/** A handler that can be told that its request has not been sent and must look for another connection. */
export interface StreamHandler extends Handler {
    onUnsent(): void;
}
/**
 * Invariant: `#unwritten` holds the attempts that undici has taken and not written. They are taken back only after
 * `#settled`: before the server's settings have come, undici writes one request and holds the others for them.
 */
export declare class Http2Streams {
    #private;
    /** `onCapacity` hears how many requests at once the server takes, each time that turns out to be fewer. */
    constructor(client: Client, onCapacity: (capacity: number) => void);
    /** Whether the server takes no request at all for now. */
    get stuck(): boolean;
    dispatch(options: Dispatcher.DispatchOptions, handler: StreamHandler): void;
    /** undici writes an attempt. The second one shows that the settings have come. */
    onWritten(attempt: Attempt): void;
    /** The server's settings are known, because they precede everything else that it sends. */
    onSettings(): void;
    onEnded(attempt: Attempt): void;
}
/** One request as undici sees it. Invariant: the handler hears nothing after `takeBack`. */
declare class Attempt implements Handler {
    #private;
    written: boolean;
    constructor(handler: StreamHandler, streams: Http2Streams);
    takeBack(): void;
    onRequestStart(controller: Controller, context: unknown): void;
    onBodySent(chunk: Buffer): void;
    onRequestSent(): void;
    onResponseStarted(): void;
    onResponseStart(...args: Parameters<NonNullable<Handler["onResponseStart"]>>): void;
    onResponseData(controller: Controller, chunk: Buffer): void;
    onResponseEnd(...args: Parameters<NonNullable<Handler["onResponseEnd"]>>): void;
    onRequestUpgrade(controller: Controller, status: number, headers: Parameters<NonNullable<Handler["onRequestUpgrade"]>>[2], socket: Duplex): void;
    onResponseError(controller: Controller, error: Error): void;
}
export {};

// client/pool.d.ts

/**
 * Who gets which connection of one origin.
 *
 * The rules are those of Go's `net/http.Transport` (getConn, queueForIdleConn, queueForDial, tryPutIdleConn): the
 * newest idle connection first, so that the tail of a burst can idle out; else the request waits, and takes whichever
 * comes first, a connection that somebody gives back or a dial. A dial belongs to nobody: when its request was served
 * otherwise, or has given up, the connection is kept for the next. Added to Go's rules are a bound on the queue and
 * on the wait, a lifetime, the server's keep-alive hint, and HTTP/2 connections in the same books.
 */
import type { DeadlineWheel } from "../core/deadline-wheel.ts";
import { Connection, type CloseReason } from "./connection.ts";
import type { DialTarget } from "./dial/dial-target.ts";
import type { Dialer } from "./dial/dialer.ts";
import { type Phase, type PoolSnapshot } from "./errors.ts";
import type { OriginInstruments } from "./instruments.ts";
import type { SharedLimits } from "./shared-limits.ts";
import type { Route } from "./wire-options.ts";
import { type OutlierEjectionOptions } from "./policies/outlier-ejection.ts";
import { type Waiter } from "./wait-queue.ts";
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
/**
 * Invariant: open connections = `connecting + inUse + idle + closing`, at most `maxConnsPerHost`, each counted in
 * `shared.open`. Somebody waits only while no idle connection would suit. `#enter` is the only place that changes a
 * connection's state, and the counts with it.
 */
export declare class Pool {
    #private;
    readonly route: Route;
    readonly limits: PoolLimits;
    readonly instruments: OriginInstruments;
    readonly closed: Record<CloseReason, number>;
    readonly timeouts: Partial<Record<Phase, number>>;
    connecting: number;
    inUse: number;
    /** Requests that have not ended, those that wait among them. */
    active: number;
    /** Requests that hold a connection. */
    inFlight: number;
    opened: number;
    reused: number;
    replays: number;
    retries: number;
    upgraded: number;
    unreadBodies: number;
    waitCount: number;
    waitDurationMs: number;
    lastError: {
        readonly at: number;
        readonly message: string;
    } | undefined;
    /** Monotonic milliseconds of the last acquire; the pool that is quiet for longest is forgotten first. */
    lastUsedAt: number;
    constructor(route: Route, target: DialTarget, near: PoolNeighbours, instruments: OriginInstruments);
    get origin(): string;
    /** Why the pool was closed; `undefined` while it is not. */
    get closedBy(): Error | undefined;
    get idle(): number;
    get waiting(): number;
    /** Since when the head of the queue has waited, in monotonic milliseconds; `Infinity` when nobody waits. */
    get waitingSince(): number;
    /** How long the head of the queue has waited, in milliseconds; 0 when nobody waits. */
    get oldestWaitMs(): number;
    /** Whether the pool could be forgotten: nobody uses it, waits for it or dials for it. */
    get quiet(): boolean;
    get open(): number;
    get wheel(): DeadlineWheel;
    /** Gives the waiter a connection now, or puts it in the queue, or refuses it. `at` is the monotonic time. */
    acquire(waiter: Waiter, at?: number): void;
    /** Takes a waiter out of the queue. The dial it may have caused goes on, for the next. */
    leave(waiter: Waiter): void;
    /** Refuses a waiter whose `poolTimeout` is over. */
    expire(waiter: Waiter): void;
    /** One request of the connection has ended at `at`; with `close` set the connection goes too. */
    release(conn: Connection, close: CloseReason | undefined, at?: number): void;
    /** Hands a connection's socket away: from here on it is the user's, and in none of the counts but one. */
    detach(conn: Connection): void;
    /** Closes an idle connection and counts why. */
    closeIdle(conn: Connection, reason: CloseReason): void;
    /** Closes all that is idle, and what falls idle before the next request. */
    closeAllIdle(reason: CloseReason): void;
    /** From now on each connection is closed when it falls idle. */
    drain(): void;
    /** Ends everything now: dials, waiters, and requests in flight. */
    abort(reason: Error): void;
    /** Opens connections until `count` are idle or on their way, as far as the limits allow. Resolves to how many were opened. */
    prewarm(count: number): Promise<number>;
    /** Starts as many dials as there are waiters without one, as far as the limits allow. */
    dialForWaiters(): void;
    /** The socket of a connection has closed, for whichever reason. */
    onClosed(conn: Connection): void;
    /** An idle connection has been idle, or alive, for long enough. */
    onIdleDeadline(conn: Connection): void;
    /** A request at `address` has ended; `ok` is whether the server did its part. */
    report(address: string, ok: boolean): void;
    countRetry(reason: string, again: boolean): void;
    countTimeout(phase: Phase): void;
    countReplay(method: string, path: string): void;
    snapshot(): PoolSnapshot;
}

// client/dial/dial-options.d.ts

/** What a dialer can be told. The transport's option table checks and defaults most of it; this is the stored form. */
import { type LookupFunction } from "node:net";
import type { ConnectionOptions, SecureContext } from "node:tls";
import type { ProxyRule } from "./proxy-rule.ts";
export interface DialOptions {
    /** Longest time for the name lookup, the TCP connection and the tunnel through a proxy together; ms, `Infinity` for none. */
    readonly dialTimeoutMs: number;
    /** Longest time for the TLS handshake with the target; ms, `Infinity` for none. */
    readonly tlsHandshakeTimeoutMs: number;
    /**
     * Most dials under way at once, TLS included; more wait for their turn. One host gets at most half of them.
     *
     * @default 100
     */
    readonly maxDials?: number | undefined;
    /** Settings for every TLS connection: client certificate, `ca`, `rejectUnauthorized`, `minVersion`, ... */
    readonly tls?: ConnectionOptions | undefined;
    /** Replaces `dns.lookup`, with its signature. It is called with `all: true` and may answer in either form. */
    readonly lookup?: LookupFunction | undefined;
    /** @default "none" */
    readonly proxy?: ProxyRule | undefined;
    /** Path of a Unix socket: every target is reached through it, without a name lookup and without a proxy. */
    readonly socketPath?: string | undefined;
    /** Address of this machine to connect from. Addresses of the other family are then not tried. */
    readonly localAddress?: string | undefined;
    /**
     * Silence before TCP itself asks whether the peer is still there, in ms.
     *
     * @default 30000, as in Go
     */
    readonly keepAliveInitialDelay?: number | undefined;
    /** Most TLS sessions kept for resumption. @default 100 */
    readonly maxCachedTlsSessions?: number | undefined;
}
/** Refuses what would otherwise fail in every dial, or surprise in one. */
export declare function checkDialOptions({ localAddress, maxDials, proxy, socketPath }: DialOptions): void;
/** Parses the certificates once. A wrong key or password is found here and not in the first request. */
export declare function secureContextFor(tls: ConnectionOptions | undefined): SecureContext;

// client/dial/dial-target.d.ts

/** Where a dial goes, and how a host and port are written down. */
/** What the pool wants a connection to: the origin of its requests, whatever lies in between. */
export interface DialTarget {
    readonly protocol: "http:" | "https:";
    /** A name or an address; an IPv6 address with or without its brackets. */
    readonly hostname: string;
    readonly port: number;
    /** Name sent to and checked against the certificate of the server, when it is not `hostname`. */
    readonly servername?: string | undefined;
    /** Offers HTTP/2 in the TLS handshake, before HTTP/1.1. */
    readonly allowH2: boolean;
    /** Names the addresses that are tried last: those that outlier ejection has taken out. */
    readonly avoid?: ((address: string) => boolean) | undefined;
}
/** `[::1]` as `::1`; anything else as it is. */
export declare function withoutBrackets(hostname: string): string;
/** `host:port` as it stands in a CONNECT request and in messages, with an IPv6 address in brackets. */
export declare function authorityOf(target: {
    readonly hostname: string;
    readonly port: number;
}): string;

// client/policies/outlier-ejection.d.ts

/**
 * Leaves an address alone for a while when it fails again and again, though the name behind it is well.
 *
 * A name often stands for several machines. When one of them dies, a client that picks addresses blindly loses its
 * share of requests until somebody edits the DNS. After five failures in a row (a refused or broken connection, or a
 * 5xx) an address is ejected: for 30 s the first time, twice that the second, at most 300 s, and less again the longer
 * it has behaved. At most half of the known addresses are out at once, because when all fail the fault is elsewhere and
 * a client without addresses helps nobody. The rules are those of Envoy's outlier detection, with its share raised from
 * 10 % to 50 %, since a service seen from one client has few addresses. An ejected address is not forbidden: the dialer
 * tries it last. One object serves one origin. It opens no socket and has no timer: it is told, and it is asked.
 */
export interface OutlierEjectionOptions {
    /** Failures in a row that eject an address. */
    readonly consecutiveFailures: number;
    /** Milliseconds of the first ejection; the n-th takes n times as long. */
    readonly baseTime: number;
    /** Longest ejection in milliseconds. */
    readonly maxTime: number;
    /** Largest share of the known addresses that may be out at once, 0 to 1. */
    readonly maxEjected: number;
}
/** Does an answer count against the address that gave it? A 501 or 505 says something about the request instead. */
export declare function isServerFailure(status: number): boolean;
/**
 * Invariant: `#latestEnd` is the largest `until` of all entries, so `avoid` answers without a look at the clock or the
 * table as long as nothing was ever ejected. `#eject` is the only place that sends an address out.
 */
export declare class OutlierEjection {
    #private;
    /** `onEject` is told of every ejection: the pool closes its idle connections to that address there. */
    constructor(options: OutlierEjectionOptions, onEject?: (address: string, ms: number) => void, now?: () => number);
    /** Ejections so far. */
    get ejections(): number;
    /** Addresses that are out now. */
    get ejected(): number;
    /** Tells which addresses there are, for example after a DNS answer. The share that may be out is taken of these. */
    know(addresses: Iterable<string>): void;
    /** Tells how a connection attempt or a response at `address` went. One success ends a row of failures. */
    report(address: string, ok: boolean): void;
    /** Should this address be tried only when the others have failed? */
    avoid(address: string): boolean;
    /** The same addresses, those to avoid last, each group in its order. */
    order<Address extends string>(addresses: readonly Address[]): Address[];
}

// client/policies/retry-budget.d.ts

/**
 * How many extra tries a client may make, measured against the requests that it makes anyway.
 *
 * When a server fails, a fixed number of attempts multiplies its load at the worst moment. A budget bounds the whole
 * instead: each request puts a share of a try in, each retry takes one out, and what is older than the window counts
 * no more, so that a day of good traffic cannot pay for a storm. The shape and the figures (20 % of the requests, and
 * 10 a second for clients with little traffic, over 10 s) are those of Finagle's RetryBudget. Retries, hedges and
 * stale replays all draw on one of these. There is no timer: time is looked at when the budget is used.
 */
export interface RetryBudgetOptions {
    /** Tries allowed for each request of the window, for example 0.2. */
    readonly ratio: number;
    /** Tries allowed for each second of the window, whatever the traffic. */
    readonly minPerSecond: number;
    /** Length of the window in milliseconds. */
    readonly ttl: number;
}
/**
 * Says whether one more try is allowed.
 *
 * Invariant: `#deposited` and `#withdrawn` are the sums over the slots, and slot `#tick % slotCount` is the newest.
 * `#advance` is the only place that lets a slot go out of the window. Whole numbers are kept and the ratio is applied
 * when the balance is read, so that no rounding error builds up.
 */
export declare class RetryBudget {
    #private;
    constructor(options: RetryBudgetOptions, now?: () => number);
    /** Tries that may be made now. */
    get balance(): number;
    /** Counts a request. Call it once for each, not for its retries. Allocates nothing. */
    deposit(): void;
    /** Takes one try if there is one. `false` means: do not try again. */
    tryWithdraw(): boolean;
}

// client/undici.d.ts

/**
 * undici, in the pieces that the client is made of, and its `Client` only when a transport has been made.
 *
 * `import "undici"` loads its fetch, web sockets, caches and mocks as well, which takes most of 100 ms, and puts an
 * `Agent` of its own in place as the process's global dispatcher. These files are not part of undici's documented
 * interface; its version is pinned for that, and a test holds each piece against the one that the index exports.
 * docs/decisions/0003-undici-in-pieces.md weighs it.
 */
import type * as Undici from "undici";
/** What `Transport` extends. The index puts the methods of {@link api} on it. */
export declare const Dispatcher: typeof Undici.Dispatcher;
/** Gives handlers of undici 7 and older what they expect. */
export declare const Dispatcher1Wrapper: typeof Undici.Dispatcher1Wrapper;
export declare const errors: typeof Undici.errors;
export declare const parseHeaders: typeof Undici.util.parseHeaders;
/** `request`, `stream`, `pipeline`, `connect` and `upgrade` over any dispatcher. */
export declare const api: Pick<Undici.Dispatcher, "connect" | "pipeline" | "request" | "stream" | "upgrade">;
/** Starts to load what a connection needs, which takes tens of milliseconds, and resolves when it is there. */
export declare function loadClient(): Promise<void>;
/** undici's connection. Whoever asks has waited for {@link loadClient}. */
export declare function getClient(): typeof Undici.Client;

// client/instruments.d.ts

/**
 * The instruments of the client, by the names of OpenTelemetry's HTTP conventions in Prometheus' form.
 *
 * A request that fails is counted and timed like any other, under its `error_type`: promhttp leaves such requests
 * out, and a dead upstream looks like silence. A request's duration runs from the call to the end of the body. What
 * is a level (open connections, requests waiting) is read from the pools when somebody collects, so it costs a request
 * nothing.
 */
import { type Counter, type Family, type GaugeFamily, type Histogram, type Registry } from "../core/instruments.ts";
import type { CloseReason } from "./connection.ts";
import type { DialTimings } from "./dial/dialer.ts";
import type { Phase } from "./errors.ts";
/** The families of what is off by default; empty until it is on. */
declare class PolicyInstruments {
    readonly refusedRetries: Family<Counter>;
    readonly hedges: Family<Counter>;
    readonly ejections: Family<Counter>;
    readonly gated: Family<Counter>;
    readonly limit: GaugeFamily;
    readonly limitWaiting: GaugeFamily;
    constructor(registry: Registry);
}
/** All families of the client in one registry. Made once for a transport; transports of one registry share them. */
export declare class ClientInstruments {
    readonly requests: Family<Counter>;
    readonly duration: Family<Histogram>;
    readonly header: Family<Histogram>;
    readonly queueTime: Family<Histogram>;
    readonly opened: Family<Counter>;
    readonly closed: Family<Counter>;
    readonly acquired: Family<Counter>;
    readonly connectionDuration: Family<Histogram>;
    readonly establish: Family<Histogram>;
    readonly timeouts: Family<Counter>;
    readonly retries: Family<Counter>;
    readonly policies: PolicyInstruments;
    readonly active: GaugeFamily;
    readonly pending: GaugeFamily;
    readonly openConnections: GaugeFamily;
    readonly limits: GaugeFamily;
    readonly unreadBodies: GaugeFamily;
    constructor(registry: Registry);
}
/** The series of one origin, looked up once and held. */
export declare class OriginInstruments {
    #private;
    readonly queueTime: Histogram;
    constructor(all: ClientInstruments, pool: string, origin: URL);
    /** The values of {@link originLabels}. */
    get labels(): readonly [string, string, string];
    acquired(reused: boolean): void;
    /** A request has ended. `error` is empty on success; `status` is 0 when there was none. Times in milliseconds. */
    finished(method: string, status: number, error: string, times: {
        durationMs: number;
        headerMs: number;
    }): void;
    opened(timings: DialTimings): void;
    closed(reason: CloseReason, seconds: number): void;
    timedOut(phase: Phase): void;
    retried(reason: string): void;
    retryRefused(reason: string): void;
    hedged(outcome: string): void;
    gated(outcome: string): void;
    ejected(): void;
}
export {};

// client/shared-limits.d.ts

/**
 * The limits that hold over all origins of a transport: `maxConns` and `maxIdleConns`.
 *
 * Both are Go's: when there are too many idle connections the one that has been idle longest is closed, whichever
 * origin it belongs to. A pool that may not dial because `maxConns` is reached closes another origin's idle
 * connection to make room, and stands in line when there is none. The request that has waited for longest is served
 * first, whenever a connection closes or becomes free, even if that one's own origin has later requests for it;
 * node:http's Agent stops at the first host with a free socket instead, and lets the others starve (node#31942).
 */
import type { Connection } from "./connection.ts";
import { ExitGuard } from "./exit-guard.ts";
import type { Pool } from "./pool.ts";
/**
 * Invariant: `open` counts dials in progress, active and idle connections; a pool is in `#starved` only while
 * `open` is at `maxConns` and the pool wants to dial. The idle list runs from the oldest to the newest.
 */
export declare class SharedLimits {
    #private;
    readonly maxConns: number;
    readonly maxIdleConns: number;
    /** Holds the process while somebody waits, in whichever pool. */
    readonly exitGuard: ExitGuard;
    constructor(maxConns: number, maxIdleConns: number);
    get open(): number;
    get idle(): number;
    /** Whether a pool waits for room, so that a connection that falls idle elsewhere should be closed instead. */
    get starving(): boolean;
    /** Whether one connection more may be open now. */
    get hasRoom(): boolean;
    /** Since when the first in line has waited for room, in monotonic milliseconds; `Infinity` without a line. */
    get starvingSince(): number;
    /** Takes the right to open one connection; without room, closes the oldest idle one and puts the pool in line. */
    tryOpen(pool: Pool): boolean;
    /** Gives the right back: a connection has closed, or a dial has failed. */
    closed(): void;
    /** Resolves when no connection is open or on its way. */
    whenEmpty(): Promise<void>;
    /** A pool that no longer wants to dial leaves the line. */
    forget(pool: Pool): void;
    /** Appends the connection as the newest idle one, and closes the oldest when there are now too many. */
    addIdle(conn: Connection): void;
    removeIdle(conn: Connection): void;
}

// client/wait-queue.d.ts

/**
 * Who waits for a connection of one origin, first come, first served.
 *
 * A linked list, because a waiter may leave from anywhere (its caller gave up, its time is over) and ten thousand of
 * them leaving at once must not cost ten thousand searches. The links live in the waiter itself: waiting allocates
 * nothing.
 */
import { WheelTimer } from "../core/deadline-wheel.ts";
import type { Connection } from "./connection.ts";
import type { ExitGuard } from "./exit-guard.ts";
/** Somebody who wants a connection. It is its own deadline while it waits. */
export declare abstract class Waiter extends WheelTimer {
    /** Takes only a connection that was dialled now: its last one turned out to be stale. */
    fresh: boolean;
    /** Takes only a bare socket: node:http parses on it, not undici. */
    bare: boolean;
    /** Monotonic milliseconds; meaningful while `queued`. */
    waitingSince: number;
    queued: boolean;
    before: Waiter | undefined;
    after: Waiter | undefined;
    /** The connection is the waiter's now, until it is released. */
    abstract onConnection(conn: Connection): void;
    /** There will be none. The waiter has left the queue. */
    abstract onRefused(error: Error): void;
}
/** Invariant: a waiter is linked exactly while its `queued` is true; `size` counts the linked ones, and so does the guard. */
export declare class WaitQueue {
    #private;
    constructor(exitGuard: ExitGuard);
    get size(): number;
    get first(): Waiter | undefined;
    push(waiter: Waiter): void;
    /** For one that has waited before and lost what it got. */
    unshift(waiter: Waiter): void;
    remove(waiter: Waiter): void;
}

// client/wire-options.d.ts

/**
 * What undici is given for a request: the caller's own options, or a copy where something has to differ.
 *
 * The common request is passed on untouched. A copy is made to silence undici's timers where the caller set them
 * (ours keep them to the tick), to keep the connection of a HEAD (undici closes it for fear of servers that send a
 * body; our connections are watched for that), for a large body, and for a forward proxy.
 */
import type { Dispatcher } from "undici";
import { type Context } from "../core/context.ts";
type DispatchOptions = Dispatcher.DispatchOptions;
/** How requests to one origin differ from what their callers wrote. */
export interface Route {
    readonly origin: string;
    /** The same, as undici's clients are given it. */
    readonly url: URL;
    /** The name asked for in the TLS handshake, when a request wanted another than the origin's. */
    readonly servername: string | undefined;
    /** Whether HTTP/2 is offered. */
    readonly http2: boolean;
    /** Set when requests go to an HTTP proxy in absolute form, with the value of `Proxy-Authorization` if it wants one. */
    readonly forward: {
        readonly authorization: string | undefined;
    } | undefined;
    readonly keepAlive: boolean;
    /** Whether `traceparent` is sent on. */
    readonly trace: boolean;
    /** Whether the time left is told, because this origin is one of ours. */
    readonly deadline: boolean;
}
/** The options to send. `context` is the caller's. */
export declare function wireOptions(options: DispatchOptions, route: Route, context: Context): DispatchOptions;
/** Headers that the route asks for; the caller's own go first. */
export declare function addedHeaders(options: Pick<DispatchOptions, "method">, route: Route, context: Context): Record<string, string> | undefined;
/**
 * The target of a request in the form that a forward proxy wants (RFC 9112, 3.2.2; without a path for `*`, 3.2.4).
 *
 * @throws {errors.InvalidArgumentError} it names another origin: the proxy would go there, with what is meant for this one
 */
export declare function absolutePath(origin: string, path: string): string;
export {};

// client/exit-guard.d.ts

/**
 * Keeps the process alive while somebody waits in a queue.
 *
 * Idle connections and deadlines must not keep it alive, so their sockets and timers are unreferenced; and a connection
 * whose body nobody reads does not either, since Node stops to read it. A program that waits for such a connection
 * would end in the middle of its `await`, without the timeout that says why. One timer that never comes due is enough
 * to hold it.
 */
/** Invariant: the timer holds the process exactly while `#waiting > 0`; there is none before the first wait. */
export declare class ExitGuard {
    #private;
    enter(): void;
    leave(): void;
    /** Nobody waits, and nobody will. */
    close(): void;
}

/**
 * Every option of a `Transport`, with its meaning, its default and its range.
 *
 * A time is a `Duration`: milliseconds, or text such as `"5s"`. `Infinity` means no limit, or never; 0 is an error for
 * a time, because Go reads it as "no timeout" in some fields and as "the default" in others.
 */

import type { LookupFunction } from "node:net";
import type { ConnectionOptions } from "node:tls";
import type { Dispatcher } from "undici";
import { instruments, type Registry } from "../core/instruments.ts";
import {
  bytes,
  choice,
  count,
  duration,
  flag,
  given,
  group,
  optional,
  text,
  type Duration,
  type OptionTable,
  type Size,
} from "../core/options.ts";
import type { ProxyRule } from "./dial/proxy-rule.ts";
import {
  concurrencyRule,
  ejectionOptions,
  hedgeOptions,
  retryOptions,
  type ConcurrencyOptions,
  type EjectionOptions,
  type HedgeOptions,
  type ResolvedConcurrencyOptions,
  type ResolvedHedgeOptions,
  type ResolvedRetryOptions,
  type RetryOptions,
} from "./policies/options.ts";
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
  readonly replay: { readonly attempts: number };
  readonly retry: ResolvedRetryOptions | undefined;
  readonly hedge: ResolvedHedgeOptions | undefined;
  readonly ejection: OutlierEjectionOptions | undefined;
  readonly concurrency: ResolvedConcurrencyOptions | undefined;
  readonly propagate: { readonly deadlineTo: readonly string[]; readonly trace: boolean };
  readonly leakAfter: number;
  readonly onLeak: ((leak: LeakedBody) => void) | undefined;
  readonly upstream: Pick<Dispatcher, "dispatch"> | undefined;
  readonly name: string;
  readonly registry: Registry;
}

function beObject(value: unknown): void {
  if (typeof value !== "object" || value === null) throw new TypeError(`must be an object; got ${typeof value}`);
}

function beFunction(value: unknown): void {
  if (typeof value !== "function") throw new TypeError(`must be a function; got ${typeof value}`);
}

function beDispatcher(value: Pick<Dispatcher, "dispatch"> | undefined): void {
  beObject(value);
  if (typeof value?.dispatch !== "function")
    throw new TypeError("must have a dispatch method, as undici's MockAgent has");
}

function beRegistry(value: Registry): void {
  beObject(value);
  if (typeof value.counter !== "function") throw new TypeError("must be a Registry of sluice/core");
}

function beOrigins(value: readonly string[]): void {
  if (!Array.isArray(value)) throw new TypeError("must be an array of origins");
  for (const origin of value) {
    if (typeof origin === "string" && URL.parse(origin)?.origin === origin) continue;
    throw new RangeError(`must hold origins such as "http://orders.internal:8080"; got ${JSON.stringify(origin)}`);
  }
}

/** The only place where a default is written. The reference page is printed from it. */
export const transportOptions: OptionTable<TransportOptions, ResolvedTransportOptions> = {
  maxIdleConns: count({ fallback: 500 }),
  maxIdleConnsPerHost: count({ fallback: 200 }),
  maxConns: count({ fallback: Infinity, min: 1 }),
  maxConnsPerHost: count({ fallback: 200, min: 1 }),
  maxHosts: count({ fallback: 1_000, min: 1 }),
  maxWaitersPerHost: count({ fallback: 1_000 }),
  maxStreamsPerConn: count({ fallback: 100, min: 1, max: 2 ** 31 - 1 }),
  poolTimeout: duration({ fallback: 10_000 }),
  idleConnTimeout: duration({ fallback: 60_000 }),
  maxConnLifetime: duration({ fallback: Infinity }),
  dialTimeout: duration({ fallback: 5_000 }),
  tlsHandshakeTimeout: duration({ fallback: 5_000 }),
  responseHeaderTimeout: duration({ fallback: 10_000 }),
  bodyTimeout: duration({ fallback: 30_000 }),
  expectContinueTimeout: duration({ fallback: 1_000 }),
  maxResponseHeaderBytes: bytes({ fallback: 16_384, min: 1 }),
  keepAlive: flag({ fallback: true }),
  http2: choice({ fallback: "auto", values: ["auto", "never"] }),
  tls: given<ConnectionOptions | undefined>({ fallback: undefined, check: beObject }),
  maxTlsSessions: count({ fallback: 100 }),
  lookup: given<LookupFunction | undefined>({ fallback: undefined, check: beFunction }),
  proxy: given<ProxyRule>({ fallback: "none" }),
  socketPath: optional(text({ fallback: "" })),
  localAddress: optional(text({ fallback: "" })),
  replay: group<ReplayOptions, ResolvedTransportOptions["replay"]>("Transport.replay", {
    attempts: count({ fallback: 3, max: 10 }),
  }),
  retry: optional(group("Transport.retry", retryOptions)),
  hedge: optional(group("Transport.hedge", hedgeOptions)),
  ejection: optional(group("Transport.ejection", ejectionOptions)),
  concurrency: optional(concurrencyRule),
  propagate: group<PropagationOptions, ResolvedTransportOptions["propagate"]>("Transport.propagate", {
    deadlineTo: given<readonly string[]>({ fallback: [], check: beOrigins }),
    trace: flag({ fallback: true }),
  }),
  leakAfter: duration({ fallback: Infinity }),
  onLeak: given<((leak: LeakedBody) => void) | undefined>({ fallback: undefined, check: beFunction }),
  upstream: given<Pick<Dispatcher, "dispatch"> | undefined>({ fallback: undefined, check: beDispatcher }),
  name: text({ fallback: "default" }),
  registry: given<Registry>({ fallback: instruments, check: beRegistry }),
};

/**
 * Every option of a guarded server, with its meaning, its default and its range.
 *
 * A time is a `Duration`: milliseconds, or text such as `"5s"`. `Infinity` means no limit, or never; 0 is an error for
 * a time, because Go reads it as "no timeout" in some fields and as "the default" in others.
 */

import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { OptionError } from "../core/errors.ts";
import { instruments, type Registry } from "../core/instruments.ts";
import {
  bytes,
  choice,
  count,
  duration,
  flag,
  given,
  group,
  ratio,
  text,
  type Duration,
  type OptionRule,
  type OptionTable,
  type Size,
} from "../core/options.ts";

/** How slowly a body may come in or go out. */
export interface DataRateOptions {
  /**
   * Bytes that must pass in each second, on average over the grace.
   *
   * Only time in which the other side is waited for counts: an upload that the handler does not read, and an answer
   * that has nothing to send, are nobody's fault. 0 turns the rule off.
   *
   * @default 240
   * @range 0 to Infinity
   * @go none; Kestrel's MinRequestBodyDataRate and MinResponseDataRate
   */
  readonly bytesPerSecond?: number;
  /**
   * How long a transfer may be slower before it is cut: TCP starts slowly, and radio links pause.
   *
   * That a client reads is seen in steps: its kernel makes room known a segment at a time, or a sixteenth of its buffer
   * (1 to 4 KB for a small one, 64 KB over loopback, 0.4 MB for one of 6 MB). A client that takes longer than the grace
   * for a step is cut, however low the rate. Our own kernel hides more, a third of its send buffer, which can be a
   * megabyte; on Linux it is asked (`/proc/net/tcp`) before anybody is cut. On other systems allow for it here.
   *
   * @default "5s"
   * @range above 0 to 1 h
   */
  readonly grace?: Duration;
}

/** How many requests are worked on at once, and which of the others wait. */
export interface ConcurrencyOptions {
  /**
   * Most requests that handlers work on at once.
   *
   * `"adaptive"` finds the number from measured response times (Gradient2): it grows while answers stay as fast as
   * they are without a crowd, and shrinks as soon as they do not. A request in flight that is meant to stay, such as
   * an event stream, holds a place until `controller(res).stream()` gives it back.
   *
   * @default Infinity
   * @range 1 to Infinity, or "adaptive"
   * @metric http_server_concurrency_limit
   */
  readonly limit?: number | "adaptive";
  /**
   * Lowest value of an adaptive limit.
   *
   * @default 8
   * @range 1 to 100000
   */
  readonly min?: number;
  /**
   * Highest value of an adaptive limit.
   *
   * @default 1000
   * @range 1 to 100000
   */
  readonly max?: number;
  /**
   * Most requests that wait for a place. The next one is shed: 503 with `Retry-After`.
   *
   * @default 100
   * @range 0 to Infinity
   * @metric http_server_queued_requests
   */
  readonly queue?: number;
  /**
   * Longest wait for a place; then the request is shed. Long waits serve nobody: the client has given up by then.
   *
   * @default "1s"
   * @range above 0 to Infinity
   * @metric http_server_requests_shed_total{reason="concurrency"}
   */
  readonly queueTimeout?: Duration;
  /**
   * Paths that are always let in, and never counted: probes and the pages that one needs in an overload. `"/admin/*"`
   * stands for all that begins with `/admin/`.
   *
   * @default ["/livez", "/readyz", "/healthz"]
   */
  readonly exempt?: readonly string[];
  /**
   * How much a request matters, from 0 (first) to 9: the queue is served in this order, and when it is full the least
   * important, latest one is shed. Must not throw.
   *
   * @default all alike
   * @range 0 to 9
   */
  readonly priority?: (req: IncomingMessage) => number;
  /**
   * Sheds while the event loop was busy for more than this share of the last second. 1 turns it off.
   *
   * @default 1
   * @range 0 to 1
   * @metric http_server_requests_shed_total{reason="event_loop"}
   */
  readonly maxEventLoopUtilization?: number;
  /**
   * Sheds while more than this share of the heap limit is used. 1 turns it off.
   *
   * @default 1
   * @range 0 to 1
   * @metric http_server_requests_shed_total{reason="memory"}
   */
  readonly maxHeapUtilization?: number;
}

/** How the server goes away. */
export interface DrainOptions {
  /**
   * How long it goes on accepting while it is `draining`, each answer with `Connection: close`: until whoever sends
   * requests here has noticed that it is not ready any more. Set it longer than the interval of the readiness probe.
   *
   * @default 0
   * @range 0 to 1 h
   */
  readonly settle?: Duration;
  /**
   * How long requests in flight may go on after that. Then their contexts are done, and a moment later their
   * connections are cut.
   *
   * @default "30s"
   * @range above 0 to Infinity
   * @go the context of Server.Shutdown
   */
  readonly grace?: Duration;
}

/** What a guarded server bounds, and how it behaves at each bound. */
export interface ServerOptions {
  /**
   * Longest time for a request's header: from the first byte, or from accept for the first request.
   *
   * Then 408 and close; a client that has sent nothing at all is closed without a word.
   *
   * @default "5s"
   * @range above 0 to Infinity
   * @go ReadHeaderTimeout
   * @metric http_server_timeouts_total{kind="read_header"}
   */
  readonly readHeaderTimeout?: Duration;
  /**
   * Longest time for a TLS handshake, from accept.
   *
   * @default "10s"
   * @range above 0 to Infinity
   * @metric http_server_timeouts_total{kind="tls"}
   */
  readonly tlsHandshakeTimeout?: Duration;
  /**
   * Longest time for the body of a request, from the end of its header, which `readHeaderTimeout` limits.
   *
   * Then 408 if the answer has not begun, and close. It cuts honest slow uploads too: raise it together with
   * `maxBodyBytes`, or for one request with `controller(res).setReadDeadline()`.
   *
   * @default "5m"
   * @range above 0 to Infinity
   * @go ReadTimeout, which counts the header in
   * @metric http_server_timeouts_total{kind="read"}
   */
  readonly readTimeout?: Duration;
  /**
   * Longest time for an answer: from the end of the request's header to the last byte handed to the client's side.
   *
   * Then the connection is cut. Off by default, because it would cut each download and event stream that takes longer;
   * what cuts a client that does not read is `minResponseRate`. For one request: `controller(res).setWriteDeadline()`.
   *
   * @default Infinity
   * @range above 0 to Infinity
   * @go WriteTimeout
   * @metric http_server_timeouts_total{kind="write"}
   */
  readonly writeTimeout?: Duration;
  /**
   * How long a connection is kept open without a request. Longer than the idle timeout of whatever stands in front:
   * the side that closes first loses requests of the other.
   *
   * Clients are told a second less (`Keep-Alive: timeout=74`).
   *
   * @default "75s"
   * @range above 0 to Infinity
   * @go IdleTimeout
   */
  readonly idleTimeout?: Duration;
  /**
   * Longest time until a handler begins its answer. Then the client gets 503 and the request's context is done.
   *
   * @default "10s"
   * @range above 0 to Infinity
   * @go TimeoutHandler
   * @metric http_server_timeouts_total{kind="handler"}
   */
  readonly handlerTimeout?: Duration;
  /** Slowest upload. Below it the client gets 408. */
  readonly minRequestRate?: DataRateOptions;
  /** Slowest reader of an answer. Below it the connection is cut. */
  readonly minResponseRate?: DataRateOptions;
  /**
   * Most connections at once: handshaking, active and idle ones together, upgraded ones apart.
   *
   * At the limit the longest idle connection makes room; without one, `overflow` decides.
   *
   * @default 10000
   * @range 1 to Infinity
   * @go LimitListener
   * @metric http_server_connections_limit
   */
  readonly maxConns?: number;
  /**
   * Most connections of one client address at once, and most requests in flight of one address behind a trusted proxy.
   * Those above are refused with 503.
   *
   * @default Infinity
   * @range 1 to Infinity
   * @metric http_server_connections_rejected_total{reason="address"}
   */
  readonly maxConnsPerIp?: number;
  /**
   * How many leading bits of an IPv6 address make a client: whoever has one address of a network has all of them.
   *
   * @default 64
   * @range 1 to 128
   */
  readonly ipv6Prefix?: number;
  /**
   * Proxies whose `X-Forwarded-For` is believed: addresses, or networks such as `"10.0.0.0/8"`.
   *
   * @default []
   */
  readonly trustedProxies?: readonly string[];
  /**
   * Most upgraded connections at once (WebSocket and such). The next upgrade is refused with 503.
   *
   * @default 10000
   * @range 0 to Infinity
   */
  readonly maxUpgradedConns?: number;
  /**
   * What happens to a connection above `maxConns`: `"wait"` holds it, unread, until another one closes; `"reject"`
   * reads its request and answers 503 with `Retry-After`. Neither resets it.
   *
   * @default "wait"
   */
  readonly overflow?: "wait" | "reject";
  /**
   * Most connections held or being refused at once. Those beyond are closed on accept: every bound needs an end.
   *
   * @default 1000
   * @range 0 to Infinity
   * @metric http_server_connections_rejected_total{reason="pending"}
   */
  readonly maxPending?: number;
  /**
   * Longest time that a connection is held; then it is refused with 503.
   *
   * @default "10s"
   * @range above 0 to Infinity
   */
  readonly pendingTimeout?: Duration;
  /**
   * Most bytes of a request's header, request line included. Above: 431.
   *
   * @default 16384
   * @range 1024 to Infinity
   * @go MaxHeaderBytes
   */
  readonly maxHeaderBytes?: Size;
  /**
   * Most header fields of a request. Above: 431.
   *
   * @default 100
   * @range 1 to 2000
   */
  readonly maxHeaders?: number;
  /**
   * Most bytes of a request's body. Above: 413, at once if the client has announced the length.
   *
   * @default 10485760
   * @range 0 to Infinity
   * @go MaxBytesReader
   */
  readonly maxBodyBytes?: Size;
  /**
   * Most requests on one connection; the last one is answered with `Connection: close`.
   *
   * @default Infinity
   * @range 1 to Infinity
   */
  readonly maxRequestsPerConn?: number;
  /**
   * Whether connections are kept open for another request.
   *
   * @default true
   * @go SetKeepAlivesEnabled
   */
  readonly keepAlive?: boolean;
  /**
   * Connections that the kernel completes ahead of `accept`. The kernel caps it at `net.core.somaxconn`.
   *
   * @default 4096
   * @range 1 to 65535
   */
  readonly backlog?: number;
  /** How many requests are worked on at once. */
  readonly concurrency?: ConcurrencyOptions;
  /** How the server goes away. */
  readonly drain?: DrainOptions;
  /**
   * What `Retry-After` says in a 503, in whole seconds.
   *
   * @default "1s"
   * @range 1 s to 1 h
   */
  readonly retryAfter?: Duration;
  /**
   * The pattern of the route that served a request, such as `/products/:id`, for the metrics. Called once at its end.
   * Never return the path itself: each value is a series. Must not throw.
   *
   * @default what `controller(res).setRoute()` was given, else none
   */
  readonly route?: (req: IncomingMessage) => string | undefined;
  /**
   * Name of the server in metrics and `stats()`.
   *
   * @default "default"
   */
  readonly name?: string;
  /**
   * Where the instruments live.
   *
   * @default the registry of the process, `instruments` of `sluice/core`
   */
  readonly registry?: Registry;
}

/** {@link DataRateOptions} with defaults filled in; times in milliseconds. */
export interface ResolvedDataRate {
  readonly bytesPerSecond: number;
  readonly grace: number;
}

/** {@link ConcurrencyOptions} with defaults filled in; times in milliseconds. */
export interface ResolvedConcurrency {
  readonly limit: number | "adaptive";
  readonly min: number;
  readonly max: number;
  readonly queue: number;
  readonly queueTimeout: number;
  readonly exempt: readonly string[];
  readonly priority: ((req: IncomingMessage) => number) | undefined;
  readonly maxEventLoopUtilization: number;
  readonly maxHeapUtilization: number;
}

/** {@link ServerOptions} with defaults filled in; times in milliseconds. */
export interface ResolvedServerOptions {
  readonly readHeaderTimeout: number;
  readonly tlsHandshakeTimeout: number;
  readonly readTimeout: number;
  readonly writeTimeout: number;
  readonly idleTimeout: number;
  readonly handlerTimeout: number;
  readonly minRequestRate: ResolvedDataRate;
  readonly minResponseRate: ResolvedDataRate;
  readonly maxConns: number;
  readonly maxConnsPerIp: number;
  readonly ipv6Prefix: number;
  readonly trustedProxies: readonly string[];
  readonly maxUpgradedConns: number;
  readonly overflow: "wait" | "reject";
  readonly maxPending: number;
  readonly pendingTimeout: number;
  readonly maxHeaderBytes: number;
  readonly maxHeaders: number;
  readonly maxBodyBytes: number;
  readonly maxRequestsPerConn: number;
  readonly keepAlive: boolean;
  readonly backlog: number;
  readonly concurrency: ResolvedConcurrency;
  readonly drain: { readonly settle: number; readonly grace: number };
  readonly retryAfter: number;
  readonly route: ((req: IncomingMessage) => string | undefined) | undefined;
  readonly name: string;
  readonly registry: Registry;
}

const hourMs = 3_600_000;

function beFunction(value: unknown): void {
  if (typeof value !== "function") throw new TypeError(`must be a function; got ${typeof value}`);
}

function beRegistry(value: Registry): void {
  if (typeof value !== "object" || typeof value.counter !== "function") {
    throw new TypeError("must be a Registry of sluice/core");
  }
}

function bePaths(value: readonly string[]): void {
  if (!Array.isArray(value)) throw new TypeError("must be an array of paths");
  for (const path of value) {
    if (typeof path === "string" && path.startsWith("/")) continue;
    throw new RangeError(`must hold paths such as "/livez" or "/admin/*"; got ${JSON.stringify(path)}`);
  }
}

function beNetworks(value: readonly string[]): void {
  if (!Array.isArray(value)) throw new TypeError("must be an array of addresses and networks");
  for (const network of value) {
    const [address = "", prefix = "0", rest] = typeof network === "string" ? network.split("/") : [];
    const bits = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
    if (rest === undefined && /^\d{1,3}$/.test(prefix) && Number(prefix) <= bits) continue;
    throw new RangeError(`must hold addresses or networks such as "10.0.0.0/8"; got ${JSON.stringify(network)}`);
  }
}

/** A whole number of at least 1, or `"adaptive"`. */
const limitRule: OptionRule<number | "adaptive", number | "adaptive"> = {
  fallback: Infinity,
  parse(raw) {
    if (raw === "adaptive") return raw;
    if (typeof raw === "number" && raw >= 1 && (Number.isInteger(raw) || raw === Infinity)) return raw;
    throw new RangeError(`must be a whole number from 1 up, Infinity, or "adaptive"; got ${JSON.stringify(raw)}`);
  },
};

/** A time that may be 0: not to wait at all is a choice here. */
const settleRule: OptionRule<Duration, number> = {
  fallback: 0,
  parse(raw) {
    if (raw === 0 || /^0(?:ms|s|m|h)$/.test(String(raw))) return 0;
    try {
      return duration({ fallback: 0, max: hourMs }).parse(raw);
    } catch {
      throw new RangeError(
        `must be from 0 to 1h, as milliseconds or like "5s"; got ${JSON.stringify(raw) ?? "nothing"}`,
      );
    }
  },
};

const concurrencyTable: OptionTable<ConcurrencyOptions, ResolvedConcurrency> = {
  limit: limitRule,
  min: count({ fallback: 8, min: 1, max: 100_000 }),
  max: count({ fallback: 1_000, min: 1, max: 100_000 }),
  queue: count({ fallback: 100 }),
  queueTimeout: duration({ fallback: 1_000 }),
  exempt: given<readonly string[]>({ fallback: ["/livez", "/readyz", "/healthz"], check: bePaths }),
  priority: given<((req: IncomingMessage) => number) | undefined>({ fallback: undefined, check: beFunction }),
  maxEventLoopUtilization: ratio({ fallback: 1 }),
  maxHeapUtilization: ratio({ fallback: 1 }),
};

const concurrencyGroup = group<ConcurrencyOptions, ResolvedConcurrency>("Server.concurrency", concurrencyTable);

function contradict(key: string, value: number, bound: string): never {
  throw new OptionError(`Server.concurrency.${key}`, `is ${value}, which contradicts ${bound}.`);
}

/** A fixed limit needs neither `min` nor `max`; but whoever gives one means something by it. */
const concurrencyRule: OptionRule<ConcurrencyOptions, ResolvedConcurrency> = {
  fallback: concurrencyGroup.fallback,
  parse(raw) {
    const resolved = concurrencyGroup.parse(raw);
    const { limit, min, max } = resolved;
    if (min > max && (limit === "adaptive" || raw.min != null)) contradict("min", min, `max: ${max}`);
    // Without a limit the other two say nothing that could be wrong.
    if (limit === "adaptive" || raw.limit == null) return resolved;
    if (raw.max != null && limit > max) contradict("limit", limit, `max: ${max}`);
    if (raw.min != null && limit < min) contradict("limit", limit, `min: ${min}`);
    return resolved;
  },
};

const retryAfterRule: OptionRule<Duration, number> = {
  fallback: 1_000,
  parse(raw) {
    const ms = duration({ fallback: 1_000, max: hourMs }).parse(raw);
    if (ms < 1_000) throw new RangeError(`must be at least "1s": Retry-After counts in seconds; got ${ms} ms`);
    return ms;
  },
};

const dataRate = (owner: string): OptionRule<DataRateOptions, ResolvedDataRate> =>
  group<DataRateOptions, ResolvedDataRate>(owner, {
    bytesPerSecond: count({ fallback: 240 }),
    grace: duration({ fallback: 5_000, max: hourMs }),
  });

/** The only place where a default is written. The reference page is printed from it. */
export const serverOptions: OptionTable<ServerOptions, ResolvedServerOptions> = {
  readHeaderTimeout: duration({ fallback: 5_000 }),
  tlsHandshakeTimeout: duration({ fallback: 10_000 }),
  readTimeout: duration({ fallback: 300_000 }),
  writeTimeout: duration({ fallback: Infinity }),
  idleTimeout: duration({ fallback: 75_000 }),
  handlerTimeout: duration({ fallback: 10_000 }),
  minRequestRate: dataRate("Server.minRequestRate"),
  minResponseRate: dataRate("Server.minResponseRate"),
  maxConns: count({ fallback: 10_000, min: 1 }),
  maxConnsPerIp: count({ fallback: Infinity, min: 1 }),
  ipv6Prefix: count({ fallback: 64, min: 1, max: 128 }),
  trustedProxies: given<readonly string[]>({ fallback: [], check: beNetworks }),
  maxUpgradedConns: count({ fallback: 10_000 }),
  overflow: choice({ fallback: "wait", values: ["wait", "reject"] }),
  maxPending: count({ fallback: 1_000 }),
  pendingTimeout: duration({ fallback: 10_000 }),
  maxHeaderBytes: bytes({ fallback: 16_384, min: 1_024 }),
  maxHeaders: count({ fallback: 100, min: 1, max: 2_000 }),
  maxBodyBytes: bytes({ fallback: 10_485_760 }),
  maxRequestsPerConn: count({ fallback: Infinity, min: 1 }),
  keepAlive: flag({ fallback: true }),
  backlog: count({ fallback: 4_096, min: 1, max: 65_535 }),
  concurrency: concurrencyRule,
  drain: group<DrainOptions, ResolvedServerOptions["drain"]>("Server.drain", {
    settle: settleRule,
    grace: duration({ fallback: 30_000 }),
  }),
  retryAfter: retryAfterRule,
  route: given<((req: IncomingMessage) => string | undefined) | undefined>({ fallback: undefined, check: beFunction }),
  name: text({ fallback: "default" }),
  registry: given<Registry>({ fallback: instruments, check: beRegistry }),
};

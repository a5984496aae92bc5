// The interface of sluice/server, printed by `npm run api`. Do not edit.

// server/index.d.ts

/** A server that no client can hold, no overload takes down, and no deploy cuts. */
export { type BadRequestEvent, type BadRequestReason } from "./bad-request.ts";
export { controller, type ResponseController } from "./controller.ts";
export { type DrainReport } from "./drain.ts";
export { DrainedError, NotGuardedError, RequestRefusedError } from "./errors.ts";
export { guard, type Guarded } from "./guard.ts";
export { type RejectReason, type ShedReason, type TimeoutKind } from "./instruments.ts";
export { type LateWrite } from "./late-writes.ts";
export { type CloseReason, type ConnectionState } from "./server-core.ts";
export { type ConcurrencyOptions, type DataRateOptions, type DrainOptions, type ServerOptions, } from "./server-options.ts";
export { type ServerStats } from "./server-stats.ts";
export { type GuardableServer } from "./take-over.ts";
export { createServer, type Handler, type ServerKind } from "./server.ts";

// server/bad-request.d.ts

/**
 * Every way in which a request can be bad, and what the client and the operator are told.
 *
 * Node answers a parser's error with a bare status line, and tells nobody why. Here each cause has a word, which is the
 * label of a counter, a status and one sentence that names the rule and never repeats what was sent: an answer that
 * echoes its request is a way to put words into the mouth of a server. The operator gets the same, the address, and of
 * the wire at most the beginning of a request line, without its query: further on there may be somebody's password.
 *
 * What the parser lets through and should not is found by `strict-request.ts`.
 */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
/** Why a request was refused. Stable: these words are the values of a label. */
export type BadRequestReason = "request_line" | "method" | "target" | "target_size" | "version" | "host_missing" | "host_empty" | "host_duplicate" | "host_malformed" | "host_mismatch" | "header" | "header_size" | "header_count" | "content_length" | "transfer_encoding" | "transfer_coding" | "chunk" | "chunk_extension" | "upgrade" | "after_close" | "incomplete" | "timeout" | "tls_on_http" | "http_on_tls" | "other";
/** One way to be bad. There is one object for each reason, so that refusing allocates nothing. */
export interface BadRequest {
    readonly reason: BadRequestReason;
    readonly status: 400 | 408 | 413 | 414 | 431 | 501 | 505;
    /** One sentence for the client. */
    readonly message: string;
    /** Whether the connection must be closed: it is not certain where the next request begins, or whose it is. */
    readonly close: boolean;
}
/** What is told about a request that was refused. */
export interface BadRequestEvent {
    readonly reason: BadRequestReason;
    readonly status: number;
    readonly message: string;
    readonly remoteAddress: string | undefined;
    /** The code of Node's error, such as `HPE_INVALID_METHOD`; undefined when Node had none. */
    readonly code: string | undefined;
    /**
     * The beginning of the request line without the query: at most 64 characters, with escapes for what is not printable
     * ASCII. Undefined unless it is certain that this is where a request began.
     */
    readonly excerpt: string | undefined;
}
/** The one {@link BadRequest} of each reason. */
export declare const badRequests: Readonly<Record<BadRequestReason, BadRequest>>;
/**
 * What the error of a `'clientError'` event means. `undefined` for what is no request at all, and has nobody left to be
 * answered: a connection that was reset, or a TLS handshake that failed.
 */
export declare function describeClientError(error: Error): BadRequest | undefined;
/** The event of a request that `checkRequest` refused. */
export declare function eventOfRequest(bad: BadRequest, req: IncomingMessage): BadRequestEvent;
/** The event of a `'clientError'`. */
export declare function eventOfClientError(bad: BadRequest, error: Error, socket: Socket): BadRequestEvent;

// server/controller.d.ts

/**
 * What a handler may say about its own request: Go's `ResponseController`.
 *
 * The limits of the server hold for the usual request. An upload of a gigabyte or a stream that lives for hours says so
 * here, for itself, and nothing else becomes laxer.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Context } from "../core/context.ts";
import { type Duration } from "../core/options.ts";
import type { Exchange } from "./exchange.ts";
/** The limits of one request. */
export declare class ResponseController {
    #private;
    constructor(exchange: Exchange);
    /** The context of the request. */
    get context(): Context;
    /** The request has to be read to its end within this time from now. Replaces `readTimeout`. */
    setReadDeadline(within: Duration): void;
    /** The answer has to be out within this time from now. Replaces `writeTimeout`. */
    setWriteDeadline(within: Duration): void;
    /** Moves all deadlines of this request, the handler's among them, later by this. */
    extend(by: Duration): void;
    /**
     * This answer goes on for as long as its client stays: an event stream, a long poll. It has no more deadlines but
     * the slowest rate, and does not count against the concurrency limit.
     */
    stream(): void;
    /** The pattern of the route, such as `/products/:id`, for the metrics. Never the path itself. */
    setRoute(pattern: string): void;
}
/** @throws NotGuardedError if the response is not one of a guarded server. */
export declare function controller(res: ServerResponse | IncomingMessage): ResponseController;

// server/drain.d.ts

/**
 * How a server goes away without losing a request.
 *
 * The order is everything. First it only says so: readiness turns, and each answer carries `Connection: close`, so that
 * whoever sends requests here moves on by itself, while new connections are still served. Only then the listener is
 * closed and idle connections with it; what is in flight ends in its own time, up to the grace. Node's own `close()`
 * does the last step first, keeps answering with `keep-alive`, and has no end.
 */
import type { QueuePlug } from "./queue-plug.ts";
import type { ServerCore } from "./server-core.ts";
/** How a drain went. Times in milliseconds. */
export interface DrainReport {
    readonly tookMs: number;
    /** Connections that were still open at the end of the grace, and were cut. */
    readonly cut: number;
    /** Upgraded ones among them. */
    readonly cutUpgraded: number;
}
/** The listener of a server. */
export interface Listener {
    readonly isOpen: () => boolean;
    readonly plug: QueuePlug;
    /** Node's `close`, without its way with idle connections. */
    readonly close: () => Promise<void>;
}
export declare class Drain {
    #private;
    constructor(core: ServerCore, listener: Listener);
    run(): Promise<DrainReport>;
    /** Closes what is idle, unless a drain is under way, which knows better when. */
    closeIdle(): void;
}

// server/errors.d.ts

/** What can go wrong with the server itself. What goes wrong with a request is an answer; only who reads it meets an error. */
import { SluiceError } from "../core/errors.ts";
/** Something that only a guarded server can do was asked of another one. */
export declare class NotGuardedError extends SluiceError {
    readonly code = "ERR_NOT_GUARDED";
}
/**
 * A body that ends in the middle, since the request was answered with `statusCode` meanwhile: it grew too large, or came
 * too slowly. Frameworks know that property.
 */
export declare class RequestRefusedError extends SluiceError {
    readonly code = "ERR_REQUEST_REFUSED";
    readonly statusCode: number;
    constructor(statusCode: number, message: string);
}
/** `listen()` of a server that drains, or has drained: a server goes away once. */
export declare class DrainedError extends SluiceError {
    readonly code = "ERR_SERVER_DRAINED";
}

// server/guard.d.ts

/**
 * Puts limits on a server that exists already: `http`, `https` or `http2`, whatever framework is on it.
 *
 * An own `emit` on the server stands between Node and the listeners. Everything that Node's server does it does by
 * emitting, so that nothing is patched, no prototype is touched, and a framework that looks at the server sees the
 * one that it made. What is refused is never emitted.
 */
import { type DrainReport } from "./drain.ts";
import { type GuardableServer } from "./take-over.ts";
import { type ServerOptions } from "./server-options.ts";
import { type ServerStats } from "./server-stats.ts";
/** What a guard adds to a server. */
export interface Guarded {
    /** Whether it is going away: readiness probes answer 503 then. */
    readonly draining: boolean;
    /**
     * Goes away without losing a request: see `ServerOptions.drain` for the steps. A later call gets the first one's
     * promise.
     */
    drain(): Promise<DrainReport>;
    /** Calls `fn` once when draining begins: for streams, which have to be told. */
    onDrain(fn: () => void): Disposable;
    /** What it looks like now: immutable plain numbers, limits beside levels. */
    stats(): ServerStats;
}
/** Guards `server`, which must not listen yet. */
export declare function guard(server: GuardableServer, options?: ServerOptions): Guarded;

// server/instruments.d.ts

/**
 * The instruments of a server, by the names of OpenTelemetry's HTTP conventions in Prometheus' form, and Kestrel's
 * where those have none.
 *
 * A request is counted at its end, whatever the end was; its duration runs from the end of its header to the last byte
 * handed to the kernel, or to the moment when its client left. The client's `Host` is no label: whoever sends requests
 * could make a series of each. Routes come only as patterns, from the user. What is a level is read when somebody
 * collects, so it costs a request nothing.
 */
import { type Counter, type CounterFamily, type GaugeFamily, type Histogram, type Registry } from "../core/instruments.ts";
declare const timeoutKinds: readonly ["tls", "read_header", "read", "read_rate", "handler", "write", "write_rate", "idle"];
declare const rejectReasons: readonly ["max_connections", "pending_timeout", "pending", "address", "upgraded", "draining"];
declare const shedReasons: readonly ["concurrency", "event_loop", "memory", "deadline", "address", "draining"];
/** Which limit on time was reached. */
export type TimeoutKind = (typeof timeoutKinds)[number];
/** Why a connection got no place. */
export type RejectReason = (typeof rejectReasons)[number];
/** Why a request got no place. */
export type ShedReason = (typeof shedReasons)[number];
/** The counts of one kind of event of one server, and the counters that they are also found in. */
declare class Tally<Kind extends string> {
    #private;
    constructor(kinds: readonly Kind[], counterOf: (kind: Kind) => Counter);
    add(kind: Kind): void;
    /** A copy. */
    read(): Readonly<Record<Kind, number>>;
}
/** A request that has ended without an answer, or with half of one. */
export interface Failure {
    readonly method: string;
    /** 0 if the answer had not begun. */
    readonly status: number;
    readonly route: string;
    readonly error: string;
    readonly durationMs: number;
}
/** All families of one server, and the series that its requests touch. */
export declare class ServerInstruments {
    #private;
    badRequestCount: number;
    lateWriteCount: number;
    requestCount: number;
    acceptedCount: number;
    readonly connectionDuration: Histogram;
    readonly queueTime: Histogram;
    readonly pendingTime: Histogram;
    readonly active: GaugeFamily;
    readonly connections: GaugeFamily;
    readonly limits: GaugeFamily;
    readonly queued: GaugeFamily;
    readonly pending: GaugeFamily;
    readonly concurrencyLimit: GaugeFamily;
    readonly draining: GaugeFamily;
    readonly acceptQueue: GaugeFamily;
    readonly acceptDrops: CounterFamily;
    readonly rejected: Tally<RejectReason>;
    readonly timeouts: Tally<TimeoutKind>;
    readonly shed: Tally<ShedReason>;
    constructor(registry: Registry, name: string);
    accepted(): void;
    /** A request has been answered. */
    finished(method: string, status: number, route: string, durationMs: number): void;
    /** A request has ended without an answer, or with half of one. */
    failed({ method, status, route, error, durationMs }: Failure): void;
    badRequest(reason: string): void;
    lateWrite(method: string): void;
}
export {};

// server/late-writes.d.ts

/**
 * What handlers did to answers that were complete: counted, and reported once for each place in their code.
 *
 * A late write is a mistake that goes unnoticed: the client has its answer, and nobody hears of it. An error would be
 * worse, since it comes in a timer or a stream, where nobody catches it. So it is told with its stack, and told once: a
 * mistake in a busy route is made a thousand times a second. It is not told here what a late write does; see
 * `late-methods.ts`.
 */
/** One place in the code that writes late. */
export interface LateWrite {
    /**
     * The first method called there, such as `setHeader`; `pipe` stands for a stream that was piped into the response, and
     * `destroy` for a connection that was to be ended: in Express, a handler that fails after its answer.
     */
    readonly method: string;
    /** How often anything was called late there. */
    readonly count: number;
    /** How the first call came about; begins with a line of words. */
    readonly stack: string;
    /** File, line and column, as they stand in the stack. */
    readonly place: string;
    /** Method and path of the first request, such as `GET /orders`, without the query. */
    readonly request: string;
}
/** What is read of a request for {@link LateWrite.request}. */
export interface LateRequest {
    readonly method?: string | undefined;
    /** Middlewares write to it. */
    readonly url?: unknown;
    /** Express keeps the whole path here and shortens `url` for its routers. */
    readonly originalUrl?: unknown;
}
/** How {@link LateWrites} bounds itself. */
export interface LateWritesOptions {
    /** Places that are told apart; what happens at others is only counted. */
    readonly maxPlaces?: number;
    /** Told of each late call, by its method. */
    readonly onLate?: (method: string) => void;
    /** Stacks that are taken in a second; calls beyond are only counted. A stack costs 10 us, so 1,000 are 1 % of a CPU. */
    readonly maxStacks?: number;
}
/** Invariant: the counts of the places add up to `count` as long as no bound was reached. `#tell` alone adds a place. */
export declare class LateWrites {
    #private;
    /** `report` is called once for each place, within the late call. It must not throw. */
    constructor(report: (late: LateWrite) => void, options?: LateWritesOptions);
    /** All late calls so far. */
    get count(): number;
    /** The places so far, in the order in which they were found. */
    places(): readonly LateWrite[];
    /** Counts a call of `method`. Its stack begins with the caller of `callee`. */
    add(method: string, request: LateRequest | undefined, callee: (...args: never) => unknown): void;
}
/**
 * Where in the program a call came from: the first frame that belongs neither to Node nor to sluice nor to a package.
 *
 * A late `res.json()` is called in the program, though it is Express that sets the headers. Where there is no such
 * frame, it is the first frame of a package, and where a stream of Node writes on its own, the first one at all.
 */
export declare function findPlace(stack: string): string;

// server/server-core.d.ts

/**
 * What the connections and exchanges of one server share: its options, its clock of deadlines, its rings and levels.
 *
 * It is only the place where they meet; who does what stands in `connection.ts`, `exchange.ts` and `guard.ts`.
 */
import type { EventEmitter } from "node:events";
import { RequestContexts } from "../core/context.ts";
import { DeadlineWheel } from "../core/deadline-wheel.ts";
import { Lifecycle } from "../core/lifecycle.ts";
import { RingNode } from "../core/ring.ts";
import { AcceptGate, type AcceptHandler } from "./accept.ts";
import { Admission } from "./admission.ts";
import { type Topic } from "./channels.ts";
import type { Connection, Deferred } from "./connection.ts";
import type { Exchange } from "./exchange.ts";
import { ServerInstruments } from "./instruments.ts";
import { LateWrites } from "./late-writes.ts";
import { Pressure } from "./pressure.ts";
import { SendQueues } from "./send-queues.ts";
import type { ResolvedServerOptions } from "./server-options.ts";
/** What a connection is doing, by Go's names: no byte yet, a request in the works, kept open, handed to the user. */
export type ConnectionState = "new" | "active" | "idle" | "upgraded" | "closed";
/** Why a connection ended, as counted. */
export type CloseReason = "client" | "answered" | "idle" | "timeout" | "refused" | "drain" | "room";
/** Invariant: `levels` are the connections in each state; each open connection stands in exactly one of the rings. */
export declare class ServerCore {
    readonly options: ResolvedServerOptions;
    readonly instruments: ServerInstruments;
    readonly wheel: DeadlineWheel;
    readonly contexts: RequestContexts;
    readonly lifecycle: Lifecycle;
    readonly sendQueues: SendQueues;
    /** Which connections have a place. Its handler is the guard. */
    readonly gate: AcceptGate;
    readonly admission: Admission;
    readonly pressure: Pressure;
    readonly lateWrites: LateWrites;
    /** Idle connections, longest idle first. */
    readonly idle: RingNode;
    /** All others. */
    readonly busy: RingNode;
    readonly levels: Record<Exclude<ConnectionState, "closed">, number>;
    /** When an exchange without a body first has to look at the clock, from its start. */
    readonly firstLookMs: number;
    readonly firstLookWithBodyMs: number;
    /** Where `connState`, `badRequest` and `lateWrite` are emitted. */
    readonly events: EventEmitter;
    /** Requests that handlers work on, or that wait to be worked on. */
    inFlight: number;
    /** Connections that have come, and requests that have begun, so far: a drain looks whether there are more. */
    accepted: number;
    begun: number;
    /** Pipelined requests that wait for the one before them. */
    deferred: number;
    /** Begins a pipelined request, now that it is its turn. Set by the guard. */
    onTurn: ((connection: Connection, deferred: Deferred) => void) | undefined;
    /** Whether connections are closed as soon as they are idle, because the server goes away. */
    closesIdle: boolean;
    /** When draining began, and whether the listener is closed. */
    drainsFrom: number;
    hasStopped: boolean;
    readonly closed: Record<CloseReason, number>;
    /** Runs the handler of an exchange that had to wait. Set by the guard. */
    onAdmitted: ((exchange: Exchange) => void) | undefined;
    /** Told each time a connection or an exchange ends: a drain waits for that. */
    onLess: (() => void) | undefined;
    constructor(options: ResolvedServerOptions, events: EventEmitter, handler: AcceptHandler);
    /** Tells whoever listens on the server or on the channel. */
    tell<Message extends object>(event: string, topic: Topic<Message>, message: Message): void;
    get draining(): boolean;
    /**
     * Whether a connection has to go after its present request. While a drain settles, those that come anew may stay:
     * sent away they would only come back, and be in the kernel's queue when the listener is closed.
     */
    sendsAway({ acceptedAt }: Pick<Connection, "acceptedAt">): boolean;
    /** Why a connection that falls idle now is closed instead, if it is. */
    get closesIdleFor(): CloseReason | undefined;
    get mayDefer(): boolean;
    /** Open connections, upgraded ones apart. */
    get connections(): number;
}

// server/server-options.d.ts

/**
 * Every option of a guarded server, with its meaning, its default and its range.
 *
 * A time is a `Duration`: milliseconds, or text such as `"5s"`. `Infinity` means no limit, or never; 0 is an error for
 * a time, because Go reads it as "no timeout" in some fields and as "the default" in others.
 */
import type { IncomingMessage } from "node:http";
import { type Registry } from "../core/instruments.ts";
import { type Duration, type OptionTable, type Size } from "../core/options.ts";
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
    readonly drain: {
        readonly settle: number;
        readonly grace: number;
    };
    readonly retryAfter: number;
    readonly route: ((req: IncomingMessage) => string | undefined) | undefined;
    readonly name: string;
    readonly registry: Registry;
}
/** The only place where a default is written. The reference page is printed from it. */
export declare const serverOptions: OptionTable<ServerOptions, ResolvedServerOptions>;

// server/server-stats.d.ts

/**
 * What a server looks like at one moment: immutable plain numbers, limits beside levels.
 *
 * Every count is kept where its state changes; nothing here asks a connection anything.
 */
import type { AddressInfo } from "node:net";
import type { LifecycleState } from "../core/lifecycle.ts";
import type { RejectReason, ShedReason, TimeoutKind } from "./instruments.ts";
import type { LateWrite } from "./late-writes.ts";
import type { CloseReason, ServerCore } from "./server-core.ts";
/** A server at one moment. Levels first, then totals since the start. */
export interface ServerStats {
    readonly name: string;
    readonly state: LifecycleState;
    readonly connections: {
        /** No byte of a request yet; TLS handshakes among them. */
        readonly new: number;
        /** A request in the works. */
        readonly active: number;
        /** Kept open. */
        readonly idle: number;
        /** Handed to the user by an upgrade or `CONNECT`. They count against `maxUpgradedConns` alone. */
        readonly upgraded: number;
    };
    /** Requests that have not ended. */
    readonly inFlight: number;
    /** Requests that wait for the concurrency limit. */
    readonly queued: number;
    /** How long the first of them has waited, in milliseconds. */
    readonly oldestQueued: number;
    /** Requests that handlers may work on at once, as of now. */
    readonly concurrencyLimit: number;
    /** Pipelined requests that wait for the one before them. */
    readonly deferred: number;
    /** Connections held until another one closes. */
    readonly pending: number;
    /** How long the first of them has waited, in milliseconds. */
    readonly oldestPending: number;
    /** Connections that are being told 503. */
    readonly refusing: number;
    readonly limits: {
        readonly maxConns: number;
        readonly maxConnsPerIp: number;
        readonly maxUpgradedConns: number;
    };
    readonly accepted: number;
    readonly closed: Readonly<Record<CloseReason, number>>;
    readonly rejected: Readonly<Record<RejectReason, number>>;
    readonly requests: number;
    readonly timeouts: Readonly<Record<TimeoutKind, number>>;
    readonly shed: Readonly<Record<ShedReason, number>>;
    readonly badRequests: number;
    /** Calls on answers that were complete. */
    readonly lateWrites: number;
    /** Where they were made: each place once, with its stack. */
    readonly lateWritePlaces: readonly LateWrite[];
}
export declare function describeServer(core: ServerCore): ServerStats;
/** Lets the gauges read the levels of this server; disposed of when it is gone. */
export declare function observeServer(core: ServerCore, addressOf: () => AddressInfo | string | null): Disposable;

// server/server.d.ts

/** `createServer`: one of Node's own servers, guarded from the start. */
import type { IncomingMessage, Server as HttpServer, ServerResponse } from "node:http";
import type { Http2SecureServer } from "node:http2";
import type { Server as HttpsServer } from "node:https";
import type { TlsOptions } from "node:tls";
import { type Guarded } from "./guard.ts";
import type { ServerOptions } from "./server-options.ts";
/** A handler as `http.createServer` takes it. */
export type Handler = (req: IncomingMessage, res: ServerResponse) => unknown;
/** What kind of server, besides its limits. */
export interface ServerKind {
    /** Certificate, key and whatever else `node:tls` takes: makes it a server of HTTPS. */
    readonly tls?: TlsOptions;
    /** HTTP/2 for whoever offers it in the handshake, HTTP/1.1 for the others. Needs `tls`. */
    readonly http2?: boolean;
}
/** Makes a server that is guarded: see {@link ServerOptions}. It is one of `node:http`, `node:https` or `node:http2`. */
export declare function createServer(options?: ServerOptions, handler?: Handler): HttpServer & Guarded;
export declare function createServer(options: ServerOptions & {
    readonly tls: TlsOptions;
    readonly http2: true;
}, handler?: Handler): Http2SecureServer & Guarded;
export declare function createServer(options: ServerOptions & {
    readonly tls: TlsOptions;
    readonly http2?: false;
}, handler?: Handler): HttpsServer & Guarded;

// server/take-over.d.ts

/**
 * What a guard changes about a server itself: its timers, its classes of requests and responses, `close` and `listen`.
 *
 * All are own properties of this one server. Frameworks set some of them after the server is made (Fastify its
 * timeouts), so the timers are set again when it listens.
 */
import type { Server as HttpServer } from "node:http";
import type { Http2SecureServer } from "node:http2";
import type { Server as HttpsServer } from "node:https";
import type { Listening } from "./queue-plug.ts";
import type { ResolvedServerOptions } from "./server-options.ts";
/** The servers that can be guarded. */
export type GuardableServer = HttpServer | HttpsServer | Http2SecureServer;
/**
 * Puts Node's own timers to rest: they are coarse, and stop in `close()`. What is left of them is the check of a header
 * whose first bytes came in one piece with the request before it, which nothing else sees.
 */
export declare function takeOverTimers(server: GuardableServer, options: ResolvedServerOptions): void;
/**
 * Requests and responses that have places for what is set on them. Node keeps their classes under two symbols of its
 * own (`options.IncomingMessage`, `options.ServerResponse`); without them it works all the same, and costs more.
 */
export declare function takeOverClasses(server: GuardableServer): void;
/** What a server's own ways to end connections become. */
export interface Ending {
    /** In the place of `close()`. */
    readonly drain: () => Promise<unknown>;
    /** In the place of `closeIdleConnections()`, which resets them, and whatever request is on its way with them. */
    readonly closeIdle: () => void;
}
/** Makes `close()` a drain, so that what frameworks call does the right thing. Returns what closes the listener alone. */
export declare function takeOverClose(server: GuardableServer, { drain, closeIdle }: Ending): () => Promise<void>;
/** Gives `listen` another default for the backlog; whoever passes one gets that one. */
export declare function takeOverListen(server: GuardableServer, backlog: number): Listening;

// server/exchange.d.ts

/**
 * One request and its answer: from the end of the request's header until the answer is out and the body read.
 *
 * Nothing is listened to per request, and nothing is made but this object and its context. What happens to the request
 * and the response is learned from a few own methods on both (`attend.ts`). The deadlines of an exchange share the one
 * timer of its carrier, armed for the earliest of them, once; nearly every request ends before.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ContextCode, RequestContext, RequestOwner } from "../core/context.ts";
import type { Lifecycle } from "../core/lifecycle.ts";
import type { Served } from "../core/served.ts";
import type { BadRequest } from "./bad-request.ts";
import type { ShedReason } from "./instruments.ts";
import { AdmissionTicket } from "./admission.ts";
import type { LateWriteOwner } from "./late-methods.ts";
import type { LateWrites } from "./late-writes.ts";
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
export declare class Exchange extends AdmissionTicket implements RequestOwner, LateWriteOwner, Served {
    #private;
    readonly req: IncomingMessage;
    readonly res: ServerResponse;
    readonly startedAt: number;
    /** Bytes of body that the header has announced; `Infinity` when it only said that there will be some. */
    readonly announcedBytes: number;
    /** From the start on; `undefined` while it waits. */
    context: RequestContext | undefined;
    /** What it is counted under beside others of its client, behind a trusted proxy. */
    addressKey: string | undefined;
    /** For the metrics. */
    route: string | undefined;
    constructor(core: ServerCore, carrier: Carrier, req: IncomingMessage, res: ServerResponse);
    get isOver(): boolean;
    /** Whether its answer is out, and only the rest of its body is not. */
    get isAnswered(): boolean;
    get lifecycle(): Lifecycle;
    get lateWrites(): LateWrites;
    /** As what Node has emitted it. */
    event: RequestEvent;
    onAdmitted(): void;
    onShed(reason: ShedReason): void;
    /** Bytes of the request that have been announced and not read. */
    get unreadBytes(): number;
    /** Bytes of body that have come in pieces of unknown number. */
    get chunkBytes(): number;
    /** Whether so much of the request is unread that its connection is not worth keeping. Unknown is not much. */
    get isFarFromRead(): boolean;
    /** It has its place: from here on its time runs. `deadline` is the caller's own. */
    start(deadline: number, traceparent: string | undefined): RequestContext;
    /**
     * See `RequestOwner`: once the answer has begun, only the limit on writing it is left. Else it is answered here:
     * whoever listens to the context would answer with its own failure first.
     */
    reconsiderDeadline(passed: number): number;
    /** Refuses it before a handler has seen it. */
    shed(reason: ShedReason): void;
    /** Refuses a request that is wrong. */
    refuse(bad: BadRequest): void;
    /**
     * Answers instead of the handler, whose context ends with `code`, and which may go on without knowing. What has begun
     * cannot be taken back, and is cut.
     */
    answer(status: number, message: string, code?: ContextCode): void;
    /** One more piece of a body of unknown length; `false` when it is not wanted any more. */
    takeChunk(length: number): boolean;
    /** The answer says that the connection ends with it, unless it has begun. */
    closeAfterwards(): void;
    /** It stays for as long as its client does, and counts against no limit on concurrency. */
    stream(): void;
    takeOver(): void;
    /** Moves the deadlines of this request. Times in milliseconds; what is left out stays. */
    setDeadlines(deadlines: Partial<OwnDeadlines>): void;
    /** The deadlines in force, on the monotonic clock. */
    get deadlines(): Readonly<OwnDeadlines>;
    onBodyEnd(): void;
    /** The handler has done its part. A client that reads slowly holds no place, and is not what a limit adapts to. */
    onWritten(): void;
    /** The answer is complete, and with the kernel. */
    onFinish(): void;
    /** The connection is closed, or the stream. */
    onClose(): void;
    onDeadline(): void;
}
export {};

// server/queue-plug.d.ts

/**
 * Stops the kernel from completing connections, for the moment in which the listener is closed.
 *
 * Linux drops a client's first packet while the queue of the listening socket is full: it comes again after a second,
 * finds nobody, and is refused, which every proxy knows how to take. So the queue is made to hold one connection, and
 * that one is our own. Whether it got in is known at once, since both ends are on this machine; if not, somebody else
 * was faster, the queue is as it was, and is to be tried again.
 *
 * Only for a socket that is this process's alone: the length of the queue is the socket's, and would stay for others.
 */
import { type Server } from "node:net";
/** What is known of how a server listens. */
export interface Listening {
    /** Whether the socket was made by this process, for a port, and nobody else can have it. */
    isOwn: boolean;
    readonly backlog: number;
}
/** Invariant: the queue is as long as it was asked for, unless `#isNarrow` or our own connection has just got in. */
export declare class QueuePlug {
    #private;
    constructor(server: Pick<Server, "address">, listening: Listening);
    /**
     * Makes the queue hold one connection, until the listener is closed: a server that never comes to an end with accepting
     * would otherwise be closed with as many as always wait there. Who gets no place tries again after a second.
     */
    narrow(): void;
    /** Resolves to whether the queue holds nothing but our own connection, as long as nothing else is awaited. */
    plug(): Promise<boolean>;
}

// server/accept.d.ts

/**
 * Which of the connections that the kernel has completed are served now, and what becomes of the others.
 *
 * Node's own `maxConnections` closes what is above it, and a client whose request is on its way sees a reset. Here a
 * connection above `maxConns` is held until another one closes, or is given to HTTP all the same, only to be told 503:
 * a client that can read an answer knows what to do. Where the limit of those is reached too, and only there, it is
 * closed unheard, which the kernel turns into a reset if the client has sent something.
 *
 * The gate cannot leave connections to the kernel's queue: libuv accepts whatever comes for as long as the port is
 * open. That queue, the backlog, therefore begins only where the event loop is too slow to accept, and what waits in it
 * has no limit in time; `listen-queue.ts` tells its length.
 *
 * A held socket is read, up to `maxHeldBytes`, because that is the only way to learn that its client has left. What
 * has been read is put back before HTTP sees the socket. A client that closes its half and goes on listening counts
 * as gone, as it does for node:http (`httpAllowHalfOpen`).
 */
import type { Socket } from "node:net";
import { type DeadlineWheel, WheelTimer } from "../core/deadline-wheel.ts";
import { AddressCounts, ClientAddresses } from "./addresses.ts";
import type { ResolvedServerOptions } from "./server-options.ts";
/** Why a client is answered 503 and nothing else; labels of `http_server_connections_rejected_total`. */
export type RefuseReason = "max_connections" | "pending_timeout" | "address" | "draining";
/** What a connection takes up; whoever has it gives it back to `AcceptGate.leave`. */
export type Place = "admitted" | "refusing" | "upgraded";
/** What the gate calls. It calls back from `take`, `leave` and `upgrade`, and when a socket was held for too long. */
export interface AcceptHandler {
    /** The socket is to be served. It was held for `heldMs`, 0 if not at all; its deadlines begin now. */
    onAdmit(socket: Socket, heldMs: number): void;
    /** The socket's request is to be read and answered with 503 and `Connection: close`, whatever it is. */
    onRefuse(socket: Socket, reason: RefuseReason): void;
    /** One beyond `maxPending` was closed. */
    onDrop(): void;
    /** Closes the connection that has been idle for longest, unless there is none; then the answer is `false`. */
    makeRoom(): boolean;
}
/** The options that the gate goes by. */
export type AcceptLimits = Pick<ResolvedServerOptions, "maxConns" | "maxConnsPerIp" | "ipv6Prefix" | "trustedProxies" | "maxUpgradedConns" | "overflow" | "maxPending" | "pendingTimeout">;
/**
 * Admits up to `maxConns` sockets at once, in the order in which they came.
 *
 * It knows of an admitted connection only that it is one: idle connections are many, and must cost nothing here.
 *
 * Invariants: while a socket is held, all places are taken. `#held` counts the ring, and `held + refusing` never
 * exceeds `maxPending`. While there is a line, and `pendingTimeout` is finite, the gate is armed as a timer for its
 * first member or an earlier one. `#addresses` counts those held, admitted and upgraded; `#refusingAddresses` those
 * being refused.
 */
export declare class AcceptGate extends WheelTimer {
    #private;
    /** Which client an address stands for. */
    readonly addresses: ClientAddresses;
    /** Connections of each client; also for its requests in flight behind trusted proxies, which the server counts. */
    readonly perAddress: AddressCounts;
    constructor(limits: AcceptLimits, wheel: DeadlineWheel, handler: AcceptHandler);
    /** Connections that have a place of `maxConns`. */
    get admitted(): number;
    /** Sockets that wait for one. */
    get held(): number;
    /** Connections that are being told 503. */
    get refusing(): number;
    get upgraded(): number;
    /** Held sockets whose clients have left, so far. */
    get gone(): number;
    /** How long the first in line has waited, in milliseconds; 0 without a line. */
    get oldestHeldMs(): number;
    /**
     * Whether a connection that falls idle now should be closed instead, and answers end with `Connection: close`. Tell
     * `promiseRoom` when you do so: then it is asked of no more connections than are needed.
     */
    get wantsRoom(): boolean;
    /** A connection is about to close because of `wantsRoom`. */
    promiseRoom(): void;
    /** Decides on a socket that was accepted now. */
    take(socket: Socket): void;
    /** A connection has closed that had a place: the first in line takes it. */
    leave(place: Place, socket: Socket): void;
    /** Moves an admitted connection to the upgraded ones, which frees its place; `false` if they are too many. */
    upgrade(): boolean;
    /** From now on nothing more is held; what is held already is served as places come free. */
    drain(): void;
    /** Closes what is still held. */
    close(): void;
    /** @internal The first in line has waited for long enough. */
    onDeadline(): void;
}

// server/admission.d.ts

/**
 * The limit in front of the handlers: which request is worked on now, which waits, and which is shed.
 *
 * A server that starts everything it is sent does more and more of it too late. So at most `limit` requests are with
 * the handlers, a bounded number waits for a bounded time (who is next: `AdmissionQueue`), and the rest is refused
 * while refusing is still cheap. The limit is a number, or finds itself from response times (`AdaptiveLimit`). Without
 * one, only pressure and spent deadlines shed, and what is left costs a few nanoseconds.
 *
 * Whoever asks is its own ticket, so admitting allocates nothing; only waiting does. This decides and counts. It
 * writes no answer and knows no connection.
 */
import type { IncomingMessage } from "node:http";
import { type Clock } from "../core/clock.ts";
import type { DeadlineWheel } from "../core/deadline-wheel.ts";
import { Waiting } from "./admission-queue.ts";
import type { ShedReason } from "./instruments.ts";
import type { Pressure } from "./pressure.ts";
import type { ResolvedConcurrency } from "./server-options.ts";
/**
 * What became of a request that asked for a place. A reason means: shed. `concurrency`: no place, and no room or no
 * more time to wait for one. `event_loop` and `memory`: the process is beyond its limits. `deadline`: its client has
 * given up, or will have before its turn.
 */
export type Entrance = "admitted" | "queued" | ShedReason;
/** A request that asks for a place. Extend it. */
export declare abstract class AdmissionTicket {
    /** @internal Set exactly while it waits. */
    waiting: Waiting | undefined;
    /** @internal Whether it counts as in flight. */
    holdsPlace: boolean;
    /** @internal Monotonic milliseconds; kept only for an adaptive limit. */
    admittedAt: number;
    /** @internal How many were in flight then, itself included. */
    admittedAmong: number;
    /**
     * It has waited, and has a place now. Called in the async scope of whoever made room. What it throws becomes an
     * uncaught exception.
     */
    abstract onAdmitted(): void;
    /** It has waited, and gets no place. Not called for what `enter` itself has shed. Throws as `onAdmitted` does. */
    abstract onShed(reason: ShedReason): void;
}
/** What an {@link Admission} stands on. */
export interface AdmissionParts {
    /** Times those who wait. */
    readonly wheel: DeadlineWheel;
    readonly pressure: Pressure;
    /** Told how long each one has waited that did wait, whatever became of it. */
    readonly onWaited?: (waitedMs: number) => void;
    /** @internal */
    readonly clock?: Clock;
    /** @internal */
    readonly random?: () => number;
}
/**
 * Invariant: while somebody waits, `inFlight >= limit`, or `#admitNext` is running, or is to run after this turn's
 * I/O. `#seat` and `#unseat` are the only places that move `inFlight`; who takes a {@link Waiting} out of the queue
 * calls `#endWait`.
 */
export declare class Admission {
    #private;
    constructor(options: ResolvedConcurrency, parts: AdmissionParts);
    /** Most requests at once with the handlers, as of now. */
    get limit(): number;
    /** Requests with the handlers; not those of exempt paths. */
    get inFlight(): number;
    get queued(): number;
    /** How long the one that has waited longest has waited so far; 0 when nobody waits. */
    get oldestWaitMs(): number;
    /**
     * Asks for a place. `"queued"` is followed by `onAdmitted` or `onShed`, unless the ticket is abandoned before;
     * anything else is final. Each ticket asks once.
     *
     * @param deadline when the caller gives up, on the monotonic clock.
     */
    enter(ticket: AdmissionTicket, req: IncomingMessage, deadline?: number): Entrance;
    /**
     * Gives the place back: the request has been answered. A ticket without a place is no mistake.
     *
     * @param timedOut it took too long, so that its end says nothing about the time that it would have taken.
     */
    leave(ticket: AdmissionTicket, timedOut?: boolean): void;
    /** Gives the place back while the request goes on, or when how long it took says nothing: a stream, a lost client. */
    release(ticket: AdmissionTicket): void;
    /** Leaves the queue without a word. A ticket that does not wait is no mistake. */
    abandon(ticket: AdmissionTicket): void;
    /** @internal The wait of somebody who is still in the queue is over. */
    expire(waiting: QueuedTicket): void;
}
interface Wait {
    readonly priority: number;
    readonly now: number;
    readonly deadline: number;
    readonly timeoutMs: number;
}
/** A ticket in the queue. Made only for those that wait, so that the others do not carry it. */
declare class QueuedTicket extends Waiting {
    #private;
    readonly ticket: AdmissionTicket;
    readonly expiresAt: number;
    readonly expiresAs: ShedReason;
    constructor(admission: Admission, ticket: AdmissionTicket, { priority, now, deadline, timeoutMs }: Wait);
    onDeadline(): void;
}
export {};

// server/channels.d.ts

/**
 * What the server publishes, for whoever wants to log or trace it: `node:diagnostics_channel` under these names.
 *
 * The library itself prints nothing. The same messages are events of the server that they are about.
 */
import type { BadRequestEvent } from "./bad-request.ts";
import type { LateWrite } from "./late-writes.ts";
/** A channel of one kind of message. */
export declare class Topic<Message extends object> {
    #private;
    constructor(name: string);
    publish(message: Message): void;
}
/** `sluice.server.request.bad`, and the event `badRequest`: a request was refused as malformed. */
export declare const requestBad: Topic<BadRequestEvent>;
/** `sluice.server.write.late`, and the event `lateWrite`: a place in the code that writes to complete answers. */
export declare const lateWritten: Topic<LateWrite>;

// server/connection.d.ts

/**
 * One connection: what it is doing, and how long it may do that.
 *
 * Node's parser reads the socket by itself, below JavaScript, and has no event for "the first bytes of a request are
 * here". But it calls `socket._unrefTimer()` after each piece that it has parsed, which `net` needs for its own
 * timeouts; an own property of that name is what tells an idle connection from one that is sending a header. Where a
 * later Node does not call it, a header that comes in pieces has the idle timeout.
 *
 * One deadline of a connection holds at a time, and none while a request is in the works: then it is the exchange that
 * watches. What runs on the connection stands in `exchange.ts`.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServerHttp2Session } from "node:http2";
import { Socket } from "node:net";
import type { RequestContext } from "../core/context.ts";
import { RingNode } from "../core/ring.ts";
import type { RefuseReason } from "./accept.ts";
import { type Phase } from "./connection-state.ts";
import type { Carrier, Exchange, RequestEvent } from "./exchange.ts";
import type { StreamCarrier } from "./http2.ts";
import type { BadRequest } from "./bad-request.ts";
import { type Refusal } from "./refusal.ts";
import type { CloseReason, ConnectionState, ServerCore } from "./server-core.ts";
/** Where a socket keeps its connection. */
export declare const connectionKey: unique symbol;
/** A socket as it is once a guard has seen it. `_unrefTimer` is Node's own, see above. */
export interface GuardedSocket extends Socket {
    [connectionKey]?: Connection;
    _unrefTimer?: () => void;
    /** Whether http has stopped reading. */
    _paused?: boolean;
    readonly parser?: {
        readonly resume?: () => void;
    } | null;
    readonly _readableState?: {
        readonly ended: boolean;
    };
    /** The socket of the kernel. Its `writeQueueSize` is the only sign of a reader's progress that Node has. */
    readonly _handle?: {
        readonly bytesWritten: number;
        readonly writeQueueSize: number;
        readonly fd?: number;
    } | null;
    /** The raw socket below a TLS one. */
    readonly _parent?: GuardedSocket;
}
/** A request that came before the answer to the one before it was complete. */
export interface Deferred {
    readonly req: IncomingMessage;
    readonly res: ServerResponse;
    readonly event: RequestEvent;
}
/** How a socket came. */
interface Arrival {
    readonly tls: boolean;
    /** Why its requests are to be answered with 503, if they are. */
    readonly refusal: RefuseReason | undefined;
}
/**
 * Invariant: `exchange` is set exactly in the phase `exchange`, and only then can `#deferred` hold anything; the phase
 * is changed by `#enter` alone, which moves the level, the ring and the deadline with it.
 */
export declare class Connection extends RingNode implements Carrier {
    #private;
    /** The one that was accepted. */
    readonly raw: GuardedSocket;
    readonly acceptedAt: number;
    /** The one that HTTP is spoken on: `raw`, or the TLS socket over it. */
    socket: GuardedSocket;
    /** Requests begun. */
    requests: number;
    exchange: Exchange | undefined;
    /** The exchanges of a session; `undefined` for HTTP/1. */
    streams: Set<StreamCarrier> | undefined;
    /** Why its requests are answered with 503, if they are. */
    readonly refusal: RefuseReason | undefined;
    constructor(core: ServerCore, raw: Socket, { tls, refusal }: Arrival);
    get state(): ConnectionState;
    get phase(): Phase;
    get isClosing(): boolean;
    /** The TLS handshake is done; HTTP is spoken on `socket`. */
    secured(socket: GuardedSocket): void;
    /** It speaks HTTP/2. */
    startSession(session: ServerHttp2Session): void;
    openStream(stream: StreamCarrier): void;
    closeStream(stream: StreamCarrier): void;
    /** Lets what runs end, and begins nothing new: the other side is told. */
    closeAfterwards(): void;
    /** It has said nothing yet: it shall do so soon, or go. */
    hurry(ms: number): void;
    /** A request's header is complete. */
    startExchange(exchange: Exchange): void;
    /** The request has been answered, and read to its end. */
    endExchange(): void;
    /** Keeps a pipelined request until it is its turn. Too many in all, and the client that sends them is cut. */
    defer(deferred: Deferred): void;
    /** The user has it now; `context` ends with it. `false` if there are too many of that kind. */
    upgrade(context: RequestContext): boolean;
    /**
     * Ends it so that the other side gets all that was written: FIN, and what still comes is thrown away for a while.
     * A `close` with unread bytes would be a reset, which can overtake the answer.
     */
    close(reason: CloseReason): void;
    /** Ends it now: the other side sees a reset, and the kernel drops what it holds for it. */
    cut(reason: CloseReason): void;
    /** Answers without a request or response object, and closes. */
    refuse({ status, message }: Pick<Refusal, "status" | "message">): void;
    /** What came cannot be served on this connection. What is being answered is the last, and what came between is dropped. */
    endWithExchange(): void;
    /** What came makes no sense. The request that it belongs to is refused; one that came whole before it is answered. */
    refuseInput(bad: BadRequest): void;
    /** Refuses a request that the parser has let through. */
    refuseRequest(exchange: Exchange, bad: BadRequest): void;
    /** Whether what still comes means nothing: it was refused, or nobody reads it any more. */
    get isDeaf(): boolean;
    get wasUpgraded(): boolean;
    announcedBytes(req: IncomingMessage): number;
    armExchange(ms: number): void;
    get readBytes(): number;
    /** Bytes that the kernel has not taken yet, because the other side does not read. */
    get unsentBytes(): number;
    get descriptor(): number;
    /** Bytes that the kernel has taken. `bytesWritten` of a socket also counts those that wait. */
    get sentBytes(): number;
    get wireBytes(): number;
    /** All that goes out is of one exchange. */
    get bytesBefore(): number;
    onActivity(): void;
    /** Bytes have come that were not a whole header, or else the other side's FIN, which is activity too. */
    noteHeader(): void;
    /**
     * Node's own check has found a header that takes too long. Only one that began in one piece with the request before
     * it is news: in all other cases our deadline is in force, and does not pass before what has come has been read.
     */
    onHeaderOverdue(): void;
    onDeadline(): void;
    onClose(): void;
}
/** Takes a socket into the care of a new connection. */
export declare function accept(core: ServerCore, raw: Socket, arrival: Arrival): Connection;
export {};

// server/pressure.d.ts

/**
 * Whether the process itself is beyond its limits: its event loop busy, or its heap full.
 *
 * Both are read once a second, and only while one of them has a limit. Lag is not read: it is noisy, and zero between
 * two bursts, whereas the share of time in which the loop was busy says how much is left.
 *
 * For the event loop this answers with a share of the requests to shed, as large as it takes. All or nothing would
 * swing: a second in which everything is let in, one in which everything is shed because of it, and half of what the
 * processor can do is lost. A full heap sheds everything, since each request may be the one that ends the process. Its
 * limit is V8's `heap_size_limit`, which counts a young generation that is hardly ever full (96 MB on Node 26, 192 MB
 * on Node 24): with a small `--max-old-space-size` a process dies well below a share of 1.
 */
import { type Clock } from "../core/clock.ts";
import type { ResolvedConcurrency } from "./server-options.ts";
export type PressureReason = "event_loop" | "memory";
/** Where the readings come from. */
export interface PressureProbes {
    readonly clock: Clock;
    /** Milliseconds since the event loop began. */
    eventLoop(): {
        readonly active: number;
        readonly idle: number;
    };
    /** Share of the heap limit that is used. */
    heap(): number;
}
/**
 * Invariant: a wake-up is planned exactly while it is started and something has a limit; otherwise there is no reason
 * to shed. `0 < #share <= 1`.
 */
export declare class Pressure {
    #private;
    constructor(options: Pick<ResolvedConcurrency, "maxEventLoopUtilization" | "maxHeapUtilization">, probes?: PressureProbes);
    /** Why to shed the request that has come now, if it is to be. To be asked once for each. */
    reasonToShed(): PressureReason | undefined;
    /** Takes readings from now on, if anything has a limit. Started already, it does nothing. */
    start(): void;
    /** No more readings, no more reasons. */
    stop(): void;
}

// server/send-queues.d.ts

/**
 * How much of what was written the other side has not acknowledged: the only sign of a slow reader's progress.
 *
 * Node tells when the kernel takes bytes, and the kernel takes some when a third of its send buffer is free, which is
 * more than a megabyte on a fast link: a client that reads 200 KB/s from there looks as if it stood still for 7 s
 * (measured, loopback, Linux 6.18). Linux shows the queue of each socket in `/proc/net/tcp`, though only of all of
 * them at once: 2.7 us for each socket of the machine, and 5 ms to walk through an empty table. Elsewhere the answer
 * is `undefined`.
 *
 * So the tables are read when somebody is about to be cut, once for all who ask, and in a thread of its own: in that of
 * the server, even in small pieces, thousands of clients that do not read would make all others wait.
 */
/** The queue of one socket at a moment between `askedAt` and `toldAt`. */
export interface SendQueue {
    readonly askedAt: number;
    readonly toldAt: number;
    /** Bytes that the kernel has been given, and the other side has not acknowledged. */
    readonly unackedBytes: number;
}
/**
 * Invariant: at most one read is under way, begun at `#askedAt`, and `#snapshot` is what the last one that succeeded has
 * found. While there is a thread, `#callOff` calls off its end.
 */
export declare class SendQueues {
    #private;
    constructor(tables?: readonly string[]);
    /** `false` where nothing can be told. */
    get isReadable(): boolean;
    /** The queue of this descriptor's socket when the tables were read last; `undefined` if they never were. */
    look(descriptor: number): SendQueue | undefined;
    /** Has the tables read, for whoever compares over a grace; unless that is being done, or has just been done. */
    refresh(graceMs: number): void;
    /** Ends the thread. It starts again when it is needed. */
    close(): void;
}

// server/late-methods.d.ts

/**
 * The methods of a response whose answer may be complete already.
 *
 * Node's own throw then (`setHeader`) or emit 'error' (`write`), or they harm the answer (`cork` holds up what is on its
 * way, HTTP/2's `write` resets the stream); and as a handler that has answered is not waited for, nobody catches
 * it, and the process ends. These do nothing then, and tell {@link LateWrites}. Until then they are Node's.
 *
 * They are the response's own from its beginning on, and not its prototype's: Express replaces the prototype of each
 * response, and middlewares keep the functions that they find before the answer (compression, express-session) and call
 * them whenever they like. All are shared: there is no closure and no state for a request, since Node knows whether an
 * answer is complete. Set on a finished object they cost half a microsecond; a class with places for them (`attend.ts`)
 * sets them for 10 ns.
 *
 * What it does not reach: functions of Node's prototypes called by their name, what is written to the socket itself,
 * `destroy()`, and `stream.pipeline()`, which throws ERR_STREAM_UNABLE_TO_PIPE to its caller before it does anything.
 */
import type { EventEmitter } from "node:events";
import { servedBy as exchangeOf } from "../core/served.ts";
import type { LateRequest, LateWrites } from "./late-writes.ts";
export { exchangeOf };
/** On the prototype of a class whose responses have the methods below: what its base has. Saves a search for that. */
export declare const baseMethods: unique symbol;
/** What is needed of that request-answer here. */
export interface LateWriteOwner {
    readonly lateWrites: LateWrites;
}
/** A response of `node:http` or `node:http2`: both have the same words for how far they are. */
export interface ContainableResponse {
    readonly writableEnded: boolean;
    readonly headersSent: boolean;
    /** Set by {@link containLateWrites}. */
    [exchangeOf]?: LateWriteOwner | undefined;
    /** Gone when somebody gives it another prototype. */
    readonly [baseMethods]?: Readonly<ContainedMethods>;
}
interface Response extends ContainableResponse, Pick<EventEmitter, "listeners" | "once"> {
    readonly req?: LateRequest;
    readonly destroyed?: boolean;
    /** HTTP/1: `null` after the answer. HTTP/2: `undefined` when the stream has closed. */
    readonly socket?: {
        readonly destroyed: boolean;
    } | null;
}
type Method = (this: Response, ...args: unknown[]) => unknown;
/** The methods that are contained. */
export interface ContainedMethods {
    setHeader: Method;
    appendHeader: Method;
    removeHeader: Method;
    writeHead: Method;
    flushHeaders: Method;
    addTrailers: Method;
    write: Method;
    end: Method;
    cork: Method;
    pipe: Method;
    prependListener: Method;
    writeContinue: Method;
    writeEarlyHints: Method;
    setHeaders: Method;
    setTrailer: Method;
    writeProcessing: Method;
    writeInformation: Method;
    createPushResponse: Method;
}
/** Makes late calls of the response's methods harmless, now and after its prototype was replaced. */
export declare function containLateWrites(response: ContainableResponse, owner: LateWriteOwner): void;
/** The methods under ours: what the prototype has by now, be it Node's, Express's or a subclass's. */
export declare function beneath(response: ContainableResponse): Readonly<ContainedMethods>;
/** As they are put on a response, for those who set or need them one by one. */
export declare const containedMethods: Readonly<ContainedMethods>;

// server/addresses.d.ts

/**
 * Which client an address stands for, and how many connections each has.
 *
 * One IPv4 address is one client. An IPv6 address is not: whoever has one has a network of them, so its leading bits
 * count. Behind a proxy the client is in `X-Forwarded-For`, which anybody can write: each proxy appends who it was
 * called by, so only what stands to the right, as far as trusted proxies have written it, is believed. `Forwarded`
 * (RFC 7239) is not read: hardly a proxy writes it, and to believe two fields is to let the client choose one.
 */
/** Invariant: immutable. `BlockList` does the matching; it takes an IPv4-mapped address for the IPv4 one. */
export declare class ClientAddresses {
    #private;
    /** Whether any proxy is trusted: without one the header need not be looked at. */
    readonly trustsProxies: boolean;
    /** `trustedProxies`: addresses, or networks such as `"10.0.0.0/8"`, checked before. */
    constructor(ipv6Prefix: number, trustedProxies: readonly string[]);
    /** Whether what this address says of others is believed. No address, as on a Unix socket, is not trusted. */
    isTrusted(address: string | undefined): boolean;
    /** What the address is counted under, the same for all addresses of one client; `undefined` without an address. */
    keyOf(address: string | undefined): string | undefined;
    /**
     * The address that a request comes from: the first one from the right that is no trusted proxy. `peer` is at the
     * other end of the connection, `forwardedFor` the value of the header, its lines joined by commas.
     *
     * What cannot be read ends the search, and the address to its right is the answer: nobody who is trusted has
     * vouched for another. Where all are trusted, the answer is the furthest.
     */
    clientOf(peer: string, forwardedFor?: string): string;
    /**
     * What a request is counted under; `undefined` if it comes from a trusted address itself: what a proxy or a
     * neighbour does on its own account, a probe for example, has no limit by address.
     */
    requestKeyOf(peer: string, forwardedFor?: string): string | undefined;
}
/**
 * How many of something each address has, up to a limit for each.
 *
 * Invariant: a key is in the table exactly while its count is above 0, so the table is never longer than what it counts.
 */
export declare class AddressCounts {
    #private;
    readonly limit: number;
    constructor(limit: number);
    /** How many addresses have any. */
    get size(): number;
    countOf(key: string): number;
    /** Counts one more, unless the address has `limit` already. */
    tryEnter(key: string): boolean;
    /** Takes back what `tryEnter` has counted. */
    leave(key: string): void;
}
/** The eight groups of an address that `isIPv6` accepts, and its zone with the `%`, if it has one. */
export declare function parseIPv6(address: string): {
    readonly groups: readonly number[];
    readonly zone: string;
};

// server/admission-queue.d.ts

/**
 * Who waits for a place, and who is next.
 *
 * The obvious queue, first come, first served, fails in an overload that lasts: it fills up, and from then on everybody
 * is served at the end of the longest wait, shortly before the client gives up, or shortly after. So a request that has
 * waited longer than `patienceMs` steps aside: those who came later are still in time and go first. Who stepped aside
 * is served when nobody else waits, the latest first; so a burst is served in full, and no place stays empty while
 * somebody waits. In the meantime they are the first to go when room is needed. Facebook's "Fail at Scale" (ACM Queue
 * 13/8, 2015) gets there with two states and a detector of overload; this has neither.
 */
import { WheelTimer } from "../core/deadline-wheel.ts";
import { RingNode } from "../core/ring.ts";
/** Priorities 0 (first) to 9. */
export declare const lowestPriority = 9;
/** Somebody who waits, and the deadline of the wait. */
export declare abstract class Waiting extends WheelTimer implements RingNode {
    /** @internal */
    ringNext: RingNode;
    /** @internal */
    ringPrev: RingNode;
    /** A whole number, 0 (first) to 9. */
    readonly priority: number;
    /** Monotonic milliseconds. */
    readonly waitingSince: number;
    constructor(priority: number, waitingSince: number);
}
/** Invariant: who waits is in exactly one ring, of the line of its priority; `size` counts them. */
export declare class AdmissionQueue {
    #private;
    constructor(patienceMs: number);
    get size(): number;
    /** Since when the one that has waited longest waits; `Infinity` when nobody does. */
    get oldestSince(): number;
    push(waiting: Waiting): void;
    /** Takes it out, wherever it stands. */
    remove(waiting: Waiting): void;
    /** Takes out who is served next. */
    takeNext(nowMs: number): Waiting | undefined;
    /**
     * Takes out who makes room for a newcomer of `priority`: the least important one, of equals one that has stepped
     * aside, else the latest. `undefined` if that would be the newcomer.
     */
    displace(priority: number, nowMs: number): Waiting | undefined;
}

// server/connection-state.d.ts

/** What a connection may be doing, inside and as told; and how many are doing it. */
import type { ConnectionState, ServerCore } from "./server-core.ts";
/** `header`: a request is coming in. `closing`: the last bytes are out, and whatever still comes is thrown away. */
export type Phase = "handshake" | "new" | "header" | "exchange" | "idle" | "upgraded" | "closing" | "closed";
/** Spelled out, as below: a computed name is several times slower, and this is done for each request. */
export declare function stateOf(phase: Phase): ConnectionState;
export declare function countState(levels: ServerCore["levels"], state: ConnectionState, by: 1 | -1): void;

// server/http2.d.ts

/**
 * What is different in HTTP/2: a connection is a session, and carries many exchanges at once, each on a stream.
 *
 * Streams have their own timers, since they have no turn to wait for; a connection with a stream is active, one without
 * is idle. Cutting an exchange resets its stream, and the connection only if that is what does not move. A client may
 * close the window of one stream and read all others: each is measured by what has left it (`stream-pieces.ts`).
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServerHttp2Stream } from "node:http2";
import { WheelTimer } from "../core/deadline-wheel.ts";
import type { Connection } from "./connection.ts";
import { Exchange, type Carrier } from "./exchange.ts";
import type { CloseReason, ServerCore } from "./server-core.ts";
/** A request of HTTP/2 in the shape of one of HTTP/1 (Node's compatibility API). */
export interface CompatRequest extends IncomingMessage {
    readonly stream: ServerHttp2Stream;
}
export declare function isOfHttp2(req: IncomingMessage): req is CompatRequest;
/**
 * Carries one exchange on a stream.
 *
 * Invariant: the connection counts the stream from the constructor until the stream has closed.
 */
export declare class StreamCarrier extends WheelTimer implements Carrier {
    #private;
    readonly exchange: Exchange;
    constructor(core: ServerCore, connection: Connection, req: CompatRequest, res: ServerResponse);
    announcedBytes(req: IncomingMessage): number;
    get readBytes(): number;
    get sentBytes(): number;
    get unsentBytes(): number;
    get wireBytes(): number;
    /** Each stream has its turn after a frame of the others; as long as the connection is full, that may take a while. */
    get bytesBefore(): number;
    get descriptor(): number;
    armExchange(ms: number): void;
    onDeadline(): void;
    close(): void;
    cut(reason: CloseReason, othersMove?: boolean): void;
    endExchange(): void;
}

// server/refusal.d.ts

/**
 * Answers on a connection that is about to be closed, so that the client reads the answer and not a reset.
 *
 * Closing a socket while its peer still sends makes the kernel answer with a reset, and the reset overtakes what was
 * written before: the client of an upload that is too large sees ECONNRESET, and not the 413. So an answer is followed
 * by FIN, and what still comes is read and thrown away until the peer closes too (RFC 9112 9.6). That costs time and
 * nothing else, and the time is bounded by whoever calls.
 *
 * What is written here is for connections without a `ServerResponse`, or with one that cannot be used any more.
 */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
/** What a client is told instead of an answer. */
export interface Refusal {
    readonly status: number;
    /** One sentence, for people. */
    readonly message: string;
    /** For the `Retry-After` of a 503. */
    readonly retryAfterMs?: number;
}
/**
 * Reads what still comes on a connection and throws it away. HTTP sees none of it any more, except for the end.
 *
 * A handler that is still reading the request gets nothing more of it, and hears of that when the connection closes.
 */
export declare function discardInput(socket: Socket): void;
/**
 * Ends a connection when what was written to it has gone out, and reads on. Both sides closed, it is gone by itself;
 * whoever calls destroys it when that takes too long. Takes the place of `socket.destroySoon`, which http calls after
 * the last answer.
 */
export declare function startLinger(socket: Socket): void;
/**
 * Tells whoever reads a request that there will be no more of it, as if its client had left, and lets the connection
 * live on to carry the answer. Without that a handler that awaits the body waits for ever: http tells it of the end of
 * a connection only while its answer is not complete.
 */
export declare function abortRequest(req: IncomingMessage, error?: Error): void;
/** A whole answer, as it goes over the wire. */
export declare function wireFormat({ status, message, retryAfterMs }: Refusal): string;
/**
 * Answers on the socket itself, behind the back of a handler if there is one, and begins to close it.
 *
 * A response that has sent nothing loses its socket; for its handler it is as if the client had left. One that has
 * begun cannot be taken back: then the connection is cut, so that nobody takes the half for the whole. `false` then,
 * and when there is nobody to write to.
 */
export declare function refuse(socket: Socket, refusal: Refusal): boolean;
/**
 * Stops reading requests from a connection whose input makes no sense, if there is an answer to be finished: to a request
 * that came whole, or one that was given early and has not gone out.
 *
 * Answers go in the order of requests, so that one comes first, and is the last: what is wrong came after it and gets
 * none. `false` when no answer is due; then it is the current request that is wrong, and can be refused.
 */
export declare function endAfterAnswer(socket: Socket): boolean;

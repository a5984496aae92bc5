// The interface of sluice/streams, printed by `npm run api`. Do not edit.

// streams/index.d.ts

/** Event streams and WebSockets that slow clients cannot make grow, and that end when their server does. */
export { type OverflowPolicy, type DropReason } from "./backlog.ts";
export type { StreamClosed, StreamOpened, StreamOrigin, StreamRejected } from "./channels.ts";
export type { StreamCloseReason, StreamRejectReason } from "./instruments.ts";
export { defaultStreams, sse } from "./sse.ts";
export { SseChannel, type ChannelEvent, type SseChannelStats } from "./sse-channel.ts";
export type { SseChannelOptions, SseHistoryOptions } from "./sse-channel-options.ts";
export { type SseEvent } from "./sse-encoder.ts";
export type { SseOptions } from "./sse-options.ts";
export { type SseState, type SseStream } from "./sse-stream.ts";
export { type StreamsDrainReport } from "./open-streams.ts";
export { Streams, type StreamsStats } from "./streams.ts";
export type { StreamsDrainOptions, StreamsOptions } from "./streams-options.ts";
export { BoundedWebSocket, type MessageOptions, type WebSocketHost, type WebSocketParts, type WebSocketPort, } from "./bounded-web-socket.ts";
export { chooseProtocol, type UpgradeRefusal } from "./upgrade-rules.ts";
export { WebSockets, type UpgradeDecision, type WebSocketsStats } from "./web-sockets.ts";
export type { WebSocketsDrainOptions, WebSocketsOptions } from "./web-sockets-options.ts";

// streams/backlog.d.ts

/**
 * What waits for a client that reads more slowly than it is written to: never more than so many bytes.
 *
 * Who reads too slowly is not waited for, since there are others. Either it is told to go and come again (`disconnect`),
 * or it misses the oldest (`drop-oldest`), or it gets of each key only the newest (`latest-only`), which for prices and
 * positions is all that anybody wants. The bytes themselves are shared with all others who wait for them.
 */
import { RingNode } from "../core/ring.ts";
/** What happens to a client that is too far behind. */
export type OverflowPolicy = "disconnect" | "drop-oldest" | "latest-only";
/** Why a message did not reach a client that is still there: it was too far behind, or a newer one took its place. */
export type DropReason = "overflow" | "superseded";
/** One message that waits for one client. */
export declare class Waiting<Payload> extends RingNode {
    readonly payload: Payload;
    readonly byteLength: number;
    /** Of `latest-only`: a newer one of the same key takes its place. */
    readonly key: string;
    constructor(payload: Payload, byteLength: number, key: string);
}
/** How much may wait, and what happens beyond. */
export interface BacklogSettings {
    readonly policy: OverflowPolicy;
    readonly limit: number;
    readonly onDrop: (reason: DropReason) => void;
}
/**
 * Invariant: `bytes` is the sum of what waits in the ring, at most the limit; under `latest-only` there is one for each
 * key, found by `#byKey`.
 */
export declare class Backlog<Payload> {
    #private;
    bytes: number;
    constructor(settings: BacklogSettings);
    get isEmpty(): boolean;
    /**
     * Takes one more, or leaves something out, as its policy says. `besides` are bytes of the same client that wait
     * elsewhere, and count too. `false` means that it is too much, and the client has to go.
     */
    add(message: Waiting<Payload>, besides: number): boolean;
    /** The one that has waited longest. */
    take(): Waiting<Payload> | undefined;
    /** How many were left out because of the limit since the last call. */
    takeMissed(): number;
    clear(): void;
}

// streams/bounded-web-socket.d.ts

/**
 * One WebSocket whose reader may be slow: what it does not take waits within a bound, as with an event stream.
 *
 * A library of WebSockets takes whatever it is given and keeps it until the client reads; it only says how much that is
 * (`bufferedAmount`). So it is given no more than a little ahead, and the rest waits here, where it can still be left out.
 */
import type { IncomingMessage } from "node:http";
import { type Context } from "../core/context.ts";
import { type DeadlineWheel } from "../core/deadline-wheel.ts";
import type { Lifecycle } from "../core/lifecycle.ts";
import type { StreamCloseReason, StreamInstruments } from "./instruments.ts";
import { type SseState } from "./sse-stream.ts";
import type { ResolvedWebSocketsOptions } from "./web-sockets-options.ts";
/** What is needed of a WebSocket: `ws` has it. */
export interface WebSocketPort {
    /** Bytes that it was given and that have not left for the client. */
    readonly bufferedAmount: number;
    send(data: Buffer, options: {
        readonly binary: boolean;
    }, onSent: (error?: Error | null) => void): void;
    ping(): void;
    close(code: number, reason: string): void;
    terminate(): void;
}
/** What a connection needs of those it belongs to. */
export interface WebSocketHost<Socket extends WebSocketPort> {
    readonly options: ResolvedWebSocketsOptions;
    readonly wheel: DeadlineWheel;
    readonly instruments: StreamInstruments;
    onClosed(connection: BoundedWebSocket<Socket>): void;
}
/** What a connection is made of. */
export interface WebSocketParts<Socket extends WebSocketPort> {
    readonly host: WebSocketHost<Socket>;
    readonly socket: Socket;
    readonly req: IncomingMessage;
    readonly address: string | undefined;
    readonly lifecycle: Lifecycle | undefined;
    /** Of the request for it. */
    readonly context: Context;
}
/** How a message is sent. */
export interface MessageOptions {
    /** What `latest-only` goes by. @default "" */
    readonly key?: string;
}
interface Message {
    readonly data: Buffer;
    readonly binary: boolean;
}
/**
 * Invariants: while the socket has room, the backlog is empty. `#finish` is the only place that makes it `closed`, once.
 */
export declare class BoundedWebSocket<Socket extends WebSocketPort = WebSocketPort> {
    #private;
    /** The socket itself, for its messages. What is sent on it past this is bounded by nobody. */
    readonly socket: Socket;
    /** The request that asked for it. */
    readonly req: IncomingMessage;
    readonly lifecycle: Lifecycle | undefined;
    readonly address: string | undefined;
    constructor({ host, socket, req, address, lifecycle, context }: WebSocketParts<Socket>);
    get state(): SseState;
    /** Why it is over; `undefined` while nobody has ended it. */
    get closeReason(): StreamCloseReason | undefined;
    /** Bytes that wait for the client here and in the socket. */
    get bufferedBytes(): number;
    /** Done as soon as nothing more can be sent, whatever the reason. */
    get context(): Context;
    /**
     * Sends text, or bytes. What the client does not take at once waits, within the limit. It never throws for what a
     * client does: `false` says that nothing more can be sent.
     */
    send(data: string | Uint8Array, { key }?: MessageOptions): boolean;
    /** @internal Bytes that may be shared. */
    push(message: Message, key: string): boolean;
    /** Resolves to `true` once nothing waits here for the client, and to `false` when it is over. */
    ready(): Promise<boolean>;
    /** Closes it once what waits is sent, and cuts it if the client does not answer in 5 s. Later calls do nothing. */
    close(code?: number, reason?: string): void;
    /** Ends it now, and what waits is lost. */
    abort(): void;
    /** @internal */
    endFor(why: StreamCloseReason, code?: number, reason?: string): void;
    /** @internal */
    cut(reason: StreamCloseReason): void;
    /** @internal Something has come from the client. */
    onHeard(): void;
    /** @internal The socket is closed. `reason` is why, if nobody here has ended it. */
    onClose(reason: "client" | "protocol"): void;
}
/** Made once for all who get it. */
export declare function toMessage(data: string | Uint8Array): Message;
export {};

// streams/channels.d.ts

/**
 * What streams publish, for whoever wants to log or trace them: `node:diagnostics_channel` under these names.
 *
 * The library itself prints nothing. A message is made only while somebody listens.
 */
import type { StreamCloseReason, StreamRejectReason } from "./instruments.ts";
/** Which kind of stream, and of which group. */
export interface StreamOrigin {
    readonly kind: "sse" | "ws";
    readonly streams: string;
    /** What it is counted under among others of its client. */
    readonly address: string | undefined;
}
/** Message of `sluice.streams.opened`. */
export interface StreamOpened extends StreamOrigin {
    /** What the client said that it has seen last; only of event streams. */
    readonly lastEventId: string | undefined;
}
/** Message of `sluice.streams.closed`. */
export interface StreamClosed extends StreamOrigin {
    readonly reason: StreamCloseReason;
    /** Its life in milliseconds. */
    readonly ageMs: number;
    /** What waited for the client, and is gone. */
    readonly unsentBytes: number;
}
/** Message of `sluice.streams.rejected`. */
export interface StreamRejected extends StreamOrigin {
    readonly reason: StreamRejectReason;
}
/** A channel of one kind of message. */
declare class Topic<Message> {
    #private;
    constructor(name: string);
    /** Calls `describe` and publishes what it returns, if anybody listens. */
    publish(describe: () => Message): void;
}
export declare const streamOpened: Topic<StreamOpened>;
export declare const streamClosed: Topic<StreamClosed>;
export declare const streamRejected: Topic<StreamRejected>;
export {};

// streams/instruments.d.ts

/**
 * The instruments of streams: one set of names for event streams (`sse_`) and one for WebSockets (`ws_`).
 *
 * They are counted where the state changes. Addresses, paths and keys are no labels: whoever connects could make a
 * series of each.
 */
import type { Registry } from "../core/instruments.ts";
import type { DropReason } from "./backlog.ts";
import { Tally } from "./tally.ts";
declare const rejectReasons: readonly ["limit", "address", "draining", "origin", "path", "handshake"];
declare const closeReasons: readonly ["client", "ended", "aborted", "overflow", "stalled", "max_age", "drain", "context", "protocol"];
/** Why a stream or a WebSocket was not taken. The last three are of WebSockets alone. */
export type StreamRejectReason = (typeof rejectReasons)[number];
/**
 * Why a stream or a WebSocket is over: its client left, it was ended or aborted by the program, its client was too far
 * behind or took nothing, it was old, its server went away, the context of its request ended, or what came was no
 * WebSocket message that is allowed.
 */
export type StreamCloseReason = (typeof closeReasons)[number];
/** What a group counts. */
export declare class StreamInstruments {
    #private;
    /** Bytes that wait for clients, beyond what is on its way to the kernel. */
    bufferedBytes: number;
    /** Those that are open, or in the course of being closed. */
    active: number;
    openedCount: number;
    sentCount: number;
    replayedCount: number;
    gapCount: number;
    readonly rejected: Tally<StreamRejectReason>;
    readonly closed: Tally<StreamCloseReason>;
    readonly dropped: Tally<DropReason>;
    constructor(registry: Registry, kind: "sse" | "ws", { name, limits }: {
        readonly name: string;
        readonly limits: Readonly<Record<"total" | "address", number>>;
    });
    opened(): void;
    over(reason: StreamCloseReason): void;
    sent(): void;
    replayed(): void;
    gap(): void;
    /** Takes the levels out of the metrics; the counts stay. */
    [Symbol.dispose](): void;
}
export {};

// streams/open-streams.d.ts

/**
 * The streams of a group that are open, and how they end together.
 *
 * They are ended some at a time, so that others have their turn in between, and cut after a grace. Where the server is
 * guarded (`core/served.ts`), its drain is that of the streams that came to it.
 */
import { type DeadlineWheel } from "../core/deadline-wheel.ts";
import type { Lifecycle } from "../core/lifecycle.ts";
/** What can be ended. */
export interface Endable {
    /** Of the guarded server that it came to. */
    readonly lifecycle: Lifecycle | undefined;
    /** Ends it now. */
    cut(reason: "drain"): void;
}
/** How a drain went. */
export interface StreamsDrainReport {
    readonly tookMs: number;
    /** Streams that ended with all that waited for them. */
    readonly ended: number;
    /** Streams whose clients did not read in time. */
    readonly cut: number;
}
/** How a group ends its streams. */
export interface EndingSettings<Stream> {
    readonly wheel: DeadlineWheel;
    /** How long a stream has for its end, in milliseconds. */
    readonly grace: number;
    /** Begins the end of one. */
    readonly end: (stream: Stream) => void;
}
/** Invariant: holds what was added and not deleted; `#underWay` are the endings that wait for some of it. */
export declare class OpenStreams<Stream extends Endable> {
    #private;
    constructor(settings: EndingSettings<Stream>);
    get size(): number;
    [Symbol.iterator](): Iterator<Stream>;
    /** Takes one that is open. With its server it ends by itself. */
    add(stream: Stream): void;
    /** One is over. */
    delete(stream: Stream): void;
    /** Ends all for which `isMeant` holds, and resolves when they are over: at the end of the grace at the latest. */
    end(isMeant: (stream: Stream) => boolean): Promise<StreamsDrainReport>;
}

// streams/sse-channel-options.d.ts

/** Every option of a channel of events, with its meaning, its default and its range. */
import { type Duration, type OptionTable, type Size } from "../core/options.ts";
/** How many of the last events are kept for clients that come again. Whichever limit is reached first holds. */
export interface SseHistoryOptions {
    /**
     * Most events. 0 keeps none: a client that has missed any is told that there is a gap.
     *
     * Too low shows as `sse_gaps_total`: it has to hold what is sent while a client is away, a few seconds at least.
     *
     * @default 1000
     * @range 0 to 1000000
     */
    readonly maxEvents?: number;
    /**
     * How old an event may be.
     *
     * @default "5m"
     * @range above 0 to Infinity
     */
    readonly maxAge?: Duration;
    /**
     * Most bytes, as they stand on the wire.
     *
     * @default "16mb"
     * @range 0 to Infinity
     */
    readonly maxBytes?: Size;
}
/** What a channel keeps. */
export interface SseChannelOptions {
    /** Its last events, for clients that come again. */
    readonly history?: SseHistoryOptions;
}
/** The same, complete. Times in milliseconds. */
export interface ResolvedSseHistoryOptions {
    readonly maxEvents: number;
    readonly maxAge: number;
    readonly maxBytes: number;
}
/** The same, complete. */
export interface ResolvedSseChannelOptions {
    readonly history: ResolvedSseHistoryOptions;
}
export declare const sseChannelOptions: OptionTable<SseChannelOptions, ResolvedSseChannelOptions>;

// streams/sse-channel.d.ts

/**
 * Events for many: each is made into bytes once and handed to all, and the last of them are kept for who comes again.
 *
 * An event without an id of its own gets one that names this channel and counts: an id of an earlier process is not
 * taken for one of this. A client that has seen nothing yet is told where the channel stands, so that it can resume even
 * if its connection breaks before the first event.
 *
 * One write costs some 20 us, nearly all of it the kernel's: ten thousand in one go would keep the process from everything
 * else for a fifth of a second. So an event goes out to some hundreds of clients in each turn, and all that has been sent
 * meanwhile goes out together in the next pass.
 */
import { type SseEvent } from "./sse-encoder.ts";
import { type SseChannelOptions } from "./sse-channel-options.ts";
import type { Membership, SseStream } from "./sse-stream.ts";
/** An event for all clients of a channel. */
export interface ChannelEvent extends SseEvent {
    /** What `latest-only` goes by, such as the symbol of a price; without one, the name of the event. */
    readonly key?: string | undefined;
}
/** A channel at one moment. */
export interface SseChannelStats {
    readonly streams: number;
    /** Events sent so far. */
    readonly events: number;
    readonly history: {
        readonly events: number;
        readonly bytes: number;
        readonly limits: {
            readonly maxEvents: number;
            readonly maxAge: number;
            readonly maxBytes: number;
        };
    };
}
/**
 * Invariants: `#streams` has those that joined and are not over, each with the number of the last event that it has had,
 * or needs not have. `#left` is set while a pass is under way, which brings `#batch` to those that it has not visited;
 * what is sent meanwhile is `#pending`. While `#goesOn` is false, neither is left.
 */
export declare class SseChannel implements Membership {
    #private;
    constructor(options?: SseChannelOptions);
    /** How many clients it has. */
    get size(): number;
    /** Sends an event to all clients, and returns its id. Who is behind gets it later, or not at all, by its own policy. */
    send(event: ChannelEvent): string;
    /**
     * Lets a stream have all events from here on, and before them those that its client has missed since `after`; `sse()`
     * does it for its `channel`. Of several channels only one can be resumed, since a client has one last id.
     */
    add(stream: SseStream, after?: string): void;
    /** Takes a stream off, which stays open. */
    leave(stream: SseStream): void;
    /** @internal Brings it all that has been sent so far. */
    flush(stream: SseStream): void;
    /** Ends the streams of all clients. */
    end(): void;
    stats(): SseChannelStats;
}

// streams/sse-encoder.d.ts

/**
 * Events as they stand on the wire: `text/event-stream` of the WHATWG HTML standard, section 9.2.
 *
 * An event is made into bytes once, and those are shared by all who get it. What comes from a user cannot become another
 * field or another event: line ends in data begin another `data:` line, and in a name, an id or a comment they are taken
 * out. So is NUL: a client ignores an id that holds one, and would then resume from the wrong place.
 */
/** One event, before it is bytes. */
export interface SseEvent {
    /**
     * What the client gets as `event.data`: text as it is, anything else as JSON. Its line ends all become LF, since the
     * format knows no others. Without data no event is dispatched, and only the id is noted.
     */
    readonly data?: unknown;
    /** The name under which the client listens; without one: `message`. CR, LF and NUL are taken out. */
    readonly event?: string | undefined;
    /** What the client sends as `Last-Event-ID` when it comes again. CR, LF and NUL are taken out. */
    readonly id?: string | undefined;
}
/** Bytes of an event, by the standard. */
export declare function encodeEvent({ data, event, id }: SseEvent): Buffer;
/** A line that no client sees: it keeps the connection alive, and shows that it is. */
export declare function encodeComment(text: string): Buffer;
/** How long the client waits before it comes again, in milliseconds. */
export declare function encodeRetry(ms: number): Buffer;
/** What is left of a name or an id that stands on one line. */
export declare function cleanField(raw: string): string;

// streams/sse-options.d.ts

/** Every option of one event stream, with its meaning, its default and its range. */
import type { OutgoingHttpHeaders } from "node:http";
import { type Duration, type OptionTable, type Size } from "../core/options.ts";
import type { OverflowPolicy } from "./backlog.ts";
import type { SseChannel } from "./sse-channel.ts";
import type { Streams } from "./streams.ts";
/** How one client is served. */
export interface SseOptions {
    /**
     * The channel whose events the client gets, from where it left off (`Last-Event-ID`).
     *
     * @default none: only what is sent to this stream
     */
    readonly channel?: SseChannel;
    /**
     * The group that the stream belongs to: its limits, its drain, its statistics.
     *
     * @default one for the whole process, see `defaultStreams()`
     */
    readonly streams?: Streams;
    /**
     * Most bytes that may wait for this client. Beyond, `overflow` says what happens.
     *
     * What Node holds for the connection counts (64 KB at least, before anything waits here), except that the newest
     * event always stays where the oldest may be left out. What the kernel holds does not count. Too low shows as clients
     * that come again after each burst.
     *
     * @default "1mb"
     * @range 1 to Infinity
     * @metric sse_buffer_bytes
     */
    readonly maxBufferedBytes?: Size;
    /**
     * What happens to a client that is further behind: it is disconnected, and resumes by its `Last-Event-ID`; it misses the oldest
     * events, and is told how many by an event `gap`; or it gets only the latest event of each key.
     *
     * @default "disconnect"
     * @metric sse_dropped_total
     */
    readonly overflow?: OverflowPolicy;
    /**
     * How long nothing may be sent before a comment is, so that nobody on the way takes the stream for dead. Up to a
     * fifth less, drawn for each stream, or all would have theirs at once.
     *
     * @default "15s"
     * @range above 0 to Infinity
     */
    readonly heartbeat?: Duration;
    /**
     * How long a client may take nothing although something waits for it; then it is cut. A peer that is gone without a
     * word takes nothing either.
     *
     * @default "30s"
     * @range above 0 to Infinity
     * @metric sse_closed_total{reason="stalled"}
     */
    readonly stallTimeout?: Duration;
    /**
     * What the client is told to wait before it comes again after an end, up to half of that more, drawn for each stream.
     *
     * @default "2s"
     * @range above 0 to 1 h
     */
    readonly retry?: Duration;
    /**
     * Longest life of the connection, down to a fifth less, drawn for each stream. Then it ends, and the client comes again: so that
     * clients spread anew over servers that were added, and no connection outlives a deploy.
     *
     * @default "30m"
     * @range above 0 to Infinity
     * @metric sse_closed_total{reason="max_age"}
     */
    readonly maxAge?: Duration;
    /**
     * Further headers of the answer. What was set on the response before counts too.
     *
     * @default none
     */
    readonly headers?: OutgoingHttpHeaders;
}
/** The same, complete. Times in milliseconds. */
export interface ResolvedSseOptions {
    readonly channel: SseChannel | undefined;
    readonly streams: Streams | undefined;
    readonly maxBufferedBytes: number;
    readonly overflow: OverflowPolicy;
    readonly heartbeat: number;
    readonly stallTimeout: number;
    readonly retry: number;
    readonly maxAge: number;
    readonly headers: OutgoingHttpHeaders;
}
export declare const sseOptions: OptionTable<SseOptions, ResolvedSseOptions>;

// streams/sse-stream.d.ts

/**
 * One event stream: the answer to one request, open for as long as its client stays.
 *
 * Whoever sends is never made to wait, and whoever reads slowly makes nothing grow: what Node does not take at once waits
 * in a bounded backlog. One timer looks after the rest: the heartbeat, the client that takes nothing, the age. It stands
 * on `node:http`'s own response, of HTTP/1 or of HTTP/2's compatibility API, and knows of a guarded server only what
 * `core/served.ts` has.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Context } from "../core/context.ts";
import { type DeadlineWheel } from "../core/deadline-wheel.ts";
import type { Lifecycle } from "../core/lifecycle.ts";
import type { StreamCloseReason, StreamInstruments } from "./instruments.ts";
import { type SseEvent } from "./sse-encoder.ts";
import type { Replayed } from "./sse-history.ts";
import type { ResolvedSseOptions } from "./sse-options.ts";
/** What a stream needs of its group. */
export interface StreamHost {
    readonly name: string;
    readonly wheel: DeadlineWheel;
    readonly instruments: StreamInstruments;
    onClosed(stream: SseStream): void;
}
/** What a stream is made of. */
export interface StreamParts {
    readonly host: StreamHost;
    readonly req: IncomingMessage;
    readonly res: ServerResponse;
    readonly options: ResolvedSseOptions;
    /** What it is counted under. */
    readonly address: string | undefined;
    /** Whether it begins at all: it was refused, or its client has left before. */
    readonly fate: "begins" | "refused" | "gone";
}
/** Something that has a list of streams, and wants to know when one of them is over. */
export interface Membership {
    /** It is about to end: the last chance to send. */
    flush(stream: SseStream): void;
    leave(stream: SseStream): void;
}
/** `ending` writes what waits, and takes nothing more. */
export type SseState = "open" | "ending" | "closed";
/**
 * Invariants: while it is `open`, and neither behind nor replaying, the backlog is empty. `#isBehind` says that Node has
 * refused to take more until `drain`. `#finish` is the only place that makes it `closed`, once.
 */
export declare class SseStream {
    #private;
    /** What the client has seen last, as it says; empty if it says nothing. */
    readonly lastEventId: string;
    /** Of the guarded server that the request came to. */
    readonly lifecycle: Lifecycle | undefined;
    /** What it is counted under among others of its client. */
    readonly address: string | undefined;
    constructor({ host, req, res, options, address, fate }: StreamParts);
    get state(): SseState;
    /** Why it is over; `undefined` while nobody has ended it. */
    get closeReason(): StreamCloseReason | undefined;
    /** Bytes that wait for the client here and in Node. */
    get bufferedBytes(): number;
    /** Done as soon as nothing more can be sent, whatever the reason: whatever feeds the stream stops by this. */
    get context(): Context;
    /**
     * Sends an event, or text as the data of one. What the client does not take at once waits, within the limit. It
     * never throws for what a client does: `false` says that nothing more can be sent.
     */
    send(event: SseEvent | string): boolean;
    /** Sends a line that no client sees. */
    comment(text: string): boolean;
    /**
     * Resolves to `true` once nothing waits for the client, and to `false` when the stream is over: what makes a producer
     * as slow as its reader.
     */
    ready(): Promise<boolean>;
    /** Ends it once what waits is written. Later calls do nothing. */
    end(): void;
    /** Ends it now, and what waits is lost. */
    abort(): void;
    /** @internal */
    endFor(reason: StreamCloseReason, retryMs?: number): void;
    /** @internal */
    cut(reason: StreamCloseReason): void;
    /** @internal Bytes that may be shared. `key` is what `latest-only` goes by. */
    push(frame: Buffer, key: string): boolean;
    /** @internal Joins a channel: it is told of the end, and of nothing else. */
    join(membership: Membership): void;
    /** @internal Reads along at the client's pace, before anything else is sent. */
    replay(source: Iterator<Replayed, void>): void;
    /** @internal Whether events of its channel reach it by what it replays. */
    get isReplaying(): boolean;
    /** @internal Tells the client that it has missed something. */
    tellGap(reason: "expired" | "unknown" | "overflow", missed?: number): void;
    /** @internal */
    onDrain(): void;
    /** @internal */
    onClose(): void;
    /** @internal Looks what the time has brought. */
    onLook(): void;
}
/** Whether a guarded server has noticed before we have. */
export declare function isClientGone(cause: unknown): boolean;

// streams/sse.d.ts

/** `sse`: the answer to a request that becomes an event stream. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { SseOptions } from "./sse-options.ts";
import type { SseStream } from "./sse-stream.ts";
import { Streams } from "./streams.ts";
/** The group of all streams that are given no other. Made when first asked for. */
export declare function defaultStreams(): Streams;
/**
 * Answers a request with an event stream, on any server of `node:http` or `node:http2`: see {@link SseOptions}. Under a
 * framework it takes what Node made: `reply.raw` of Fastify after `reply.hijack()`, `ctx.res` of Koa after
 * `ctx.respond = false`, `c.env.outgoing` of Hono.
 *
 * One that is refused, or whose client has left, is returned `closed`; nothing has to be done about it.
 */
export declare function sse(req: IncomingMessage, res: ServerResponse, options?: SseOptions): SseStream;

// streams/streams-options.d.ts

/** Every option of a group of event streams, with its meaning, its default and its range. */
import type { IncomingMessage } from "node:http";
import { type Registry } from "../core/instruments.ts";
import { type Duration, type OptionTable } from "../core/options.ts";
/** How the streams of a group end when their server goes away. */
export interface StreamsDrainOptions {
    /**
     * Longest time that a client is told to wait before it comes again. Each is told a time of its own from a tenth of
     * that on, or all would come to the next server at once.
     *
     * @default "10s"
     * @range above 0 to 1 h
     */
    readonly retry?: Duration;
    /**
     * How long a client may take to read what waits for it; then it is cut. Less than the grace of the server.
     *
     * @default "5s"
     * @range above 0 to 1 h
     */
    readonly grace?: Duration;
}
/** What a group of streams bounds. */
export interface StreamsOptions {
    /**
     * What the group is called in metrics.
     *
     * @default "streams"
     */
    readonly name?: string;
    /**
     * Most streams at once. What comes beyond is refused as `refusal` says.
     *
     * An idle stream takes some 20 KB. Too low shows as `sse_rejected_total{reason="limit"}`.
     *
     * @default 10000
     * @range 0 to Infinity
     * @metric sse_connections_limit
     */
    readonly maxStreams?: number;
    /**
     * Most streams of one address at once. A page opened in many tabs has a stream for each.
     *
     * @default Infinity
     * @range 0 to Infinity
     * @metric sse_rejected_total{reason="address"}
     */
    readonly maxStreamsPerAddress?: number;
    /**
     * What `maxStreamsPerAddress` counts by, such as a user or the client's address behind a proxy. `undefined` is not
     * counted.
     *
     * @default the address of the connection, of an IPv6 one its network of 64 bits
     */
    readonly addressOf?: (req: IncomingMessage) => string | undefined;
    /**
     * How a stream over a limit is refused.
     *
     * `"retry"` is an event stream that ends at once with `retry: 10000` to `30000`: a browser's `EventSource` takes any
     * other status for the end of everything, and does not come again until the page is loaded anew. `"status"` is 503
     * with `Retry-After`, for clients that know it. While the server drains it is always the former.
     *
     * @default "retry"
     */
    readonly refusal?: "retry" | "status";
    /** How streams end when their server goes away. */
    readonly drain?: StreamsDrainOptions;
    /**
     * Where the group registers its instruments.
     *
     * @default the registry of `sluice/core`
     */
    readonly registry?: Registry;
}
/** The same, complete. Times in milliseconds. */
export interface ResolvedStreamsDrainOptions {
    readonly retry: number;
    readonly grace: number;
}
/** The same, complete. */
export interface ResolvedStreamsOptions {
    readonly name: string;
    readonly maxStreams: number;
    readonly maxStreamsPerAddress: number;
    readonly addressOf: (req: IncomingMessage) => string | undefined;
    readonly refusal: "retry" | "status";
    readonly drain: ResolvedStreamsDrainOptions;
    readonly registry: Registry;
}
export declare const streamsOptions: OptionTable<StreamsOptions, ResolvedStreamsOptions>;

// streams/streams.d.ts

/**
 * The event streams of a process: how many there may be, and how they end when their server goes away.
 *
 * A guarded server tells by itself that it drains (`core/served.ts`); for another one `drain()` is called. Each client is
 * told to wait for a time of its own before it comes again: ten thousand of them at once would be the end of the next
 * server.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { DeadlineWheel } from "../core/deadline-wheel.ts";
import { type LifecycleState } from "../core/lifecycle.ts";
import type { DropReason } from "./backlog.ts";
import { StreamInstruments, type StreamCloseReason, type StreamRejectReason } from "./instruments.ts";
import { type StreamsDrainReport } from "./open-streams.ts";
import { type SseOptions } from "./sse-options.ts";
import { SseStream, type StreamHost } from "./sse-stream.ts";
import { type StreamsOptions } from "./streams-options.ts";
/** A group of streams at one moment. Levels first, then totals since the start. */
export interface StreamsStats {
    readonly name: string;
    readonly state: LifecycleState;
    readonly active: number;
    /** Bytes that wait for clients that read slowly. */
    readonly bufferedBytes: number;
    readonly limits: {
        readonly maxStreams: number;
        readonly maxStreamsPerAddress: number;
    };
    readonly opened: number;
    readonly rejected: Readonly<Record<StreamRejectReason, number>>;
    readonly closed: Readonly<Record<StreamCloseReason, number>>;
    /** Events and comments handed to streams. */
    readonly sent: number;
    readonly dropped: Readonly<Record<DropReason, number>>;
    readonly replayed: number;
    readonly gaps: number;
}
/** Invariant: `#open` has the streams that are not closed; each is counted under its address. */
export declare class Streams implements StreamHost, AsyncDisposable {
    #private;
    readonly name: string;
    /** @internal */
    readonly wheel: DeadlineWheel;
    /** @internal */
    readonly instruments: StreamInstruments;
    constructor(options?: StreamsOptions);
    /**
     * Answers a request with an event stream. One that is refused, or whose client has left, is returned `closed`; nothing
     * has to be done about it.
     */
    sse(req: IncomingMessage, res: ServerResponse, options?: SseOptions): SseStream;
    /** Whether it is going away. */
    get draining(): boolean;
    /**
     * Ends all streams, each with a time to wait before it comes again, and cuts after the grace those whose clients do not
     * read. Whoever comes from here on is told to come again elsewhere. A later call gets the first one's promise.
     */
    drain(): Promise<StreamsDrainReport>;
    [Symbol.asyncDispose](): Promise<void>;
    stats(): StreamsStats;
    /** @internal */
    onClosed(stream: SseStream): void;
}

// streams/upgrade-rules.d.ts

/** Which request for a WebSocket is one that is served here, by what its header says. */
import type { IncomingMessage } from "node:http";
import type { StreamRejectReason } from "./instruments.ts";
import type { ResolvedWebSocketsOptions } from "./web-sockets-options.ts";
/** Why a request is answered with a status instead of an upgrade. */
export interface UpgradeRefusal {
    readonly reason: StreamRejectReason;
    readonly status: 400 | 403 | 404 | 503;
    readonly message: string;
}
/** Whether the request is for this path. */
export declare function isForPath({ url }: IncomingMessage, path: string | undefined): boolean;
type Rules = Pick<ResolvedWebSocketsOptions, "origins" | "protocols">;
/** What is wrong with the request, if anything. */
export declare function checkUpgradeRules(req: IncomingMessage, { origins, protocols }: Rules): UpgradeRefusal | undefined;
/** The first one that the client asks for, in its order of preference. */
export declare function chooseProtocol(offered: Iterable<string>, spoken: readonly string[]): string | undefined;
export {};

// streams/web-sockets-options.d.ts

/** Every option of WebSockets, with its meaning, its default and its range. */
import type { IncomingMessage } from "node:http";
import { type Registry } from "../core/instruments.ts";
import { type Duration, type OptionTable, type Size } from "../core/options.ts";
import type { OverflowPolicy } from "./backlog.ts";
/** How WebSockets end when their server goes away. */
export interface WebSocketsDrainOptions {
    /**
     * How long a client may take to read what waits for it, and to answer the close with code 1001; then it is cut. Less
     * than the grace of the server.
     *
     * @default "5s"
     * @range above 0 to 1 h
     */
    readonly grace?: Duration;
}
/** Which WebSockets are taken, and what each may use. */
export interface WebSocketsOptions {
    /**
     * What they are called in metrics.
     *
     * @default "websockets"
     */
    readonly name?: string;
    /**
     * The path that is served, without its query. Several on one server have paths of their own; what no one serves is
     * answered with 404.
     *
     * @default none: every path
     */
    readonly path?: string;
    /**
     * Which pages may connect. A browser sends the user's cookies from whatever page it is on, so without this check any
     * site could speak in the user's name. `"same"` are pages whose origin has the host that the request was sent to; a
     * list has origins such as `"https://shop.example"`. A client without `Origin` is no browser, and is taken.
     *
     * @default "same"
     * @metric ws_rejected_total{reason="origin"}
     */
    readonly origins?: "same" | "any" | readonly string[];
    /**
     * Subprotocols that are spoken here. The first that a client asks for and that is among them is chosen; a client that
     * asks for others alone is answered with 400.
     *
     * @default none: none is chosen
     */
    readonly protocols?: readonly string[];
    /**
     * Most connections at once. One beyond is closed with 1013 (try again later), which a page can read; a hundred of those
     * at once, then 503.
     *
     * @default 10000
     * @range 0 to Infinity
     * @metric ws_connections_limit
     */
    readonly maxConns?: number;
    /**
     * Most connections of one address at once.
     *
     * @default Infinity
     * @range 0 to Infinity
     * @metric ws_rejected_total{reason="address"}
     */
    readonly maxConnsPerAddress?: number;
    /**
     * What `maxConnsPerAddress` counts by. `undefined` is not counted.
     *
     * @default the address of the connection, of an IPv6 one its network of 64 bits
     */
    readonly addressOf?: (req: IncomingMessage) => string | undefined;
    /**
     * How often a client is pinged, up to a fifth earlier, drawn for each. One from which nothing has come for two pings
     * is cut.
     *
     * @default "30s"
     * @range above 0 to Infinity
     * @metric ws_closed_total{reason="stalled"}
     */
    readonly heartbeat?: Duration;
    /**
     * Most bytes that may wait for one client. Beyond, `overflow` says what happens. What Node holds for the connection
     * counts, what the kernel holds does not.
     *
     * @default "1mb"
     * @range 1 to Infinity
     * @metric ws_buffer_bytes
     */
    readonly maxBufferedBytes?: Size;
    /**
     * What happens to a client that is further behind: it is closed with 1013; it misses the oldest messages; or it gets
     * only the latest of each key.
     *
     * @default "disconnect"
     * @metric ws_dropped_total
     */
    readonly overflow?: OverflowPolicy;
    /**
     * Largest message that a client may send; then it is closed with 1009. It is in memory as a whole.
     *
     * @default "1mb"
     * @range 1 to Infinity
     */
    readonly maxPayload?: Size;
    /** How they end when their server goes away. */
    readonly drain?: WebSocketsDrainOptions;
    /**
     * Where the instruments are registered.
     *
     * @default the registry of `sluice/core`
     */
    readonly registry?: Registry;
}
/** The same, complete. Times in milliseconds. */
export interface ResolvedWebSocketsDrainOptions {
    readonly grace: number;
}
/** The same, complete. */
export interface ResolvedWebSocketsOptions {
    readonly name: string;
    readonly path: string | undefined;
    readonly origins: "same" | "any" | readonly string[];
    readonly protocols: readonly string[];
    readonly maxConns: number;
    readonly maxConnsPerAddress: number;
    readonly addressOf: (req: IncomingMessage) => string | undefined;
    readonly heartbeat: number;
    readonly maxBufferedBytes: number;
    readonly overflow: OverflowPolicy;
    readonly maxPayload: number;
    readonly drain: ResolvedWebSocketsDrainOptions;
    readonly registry: Registry;
}
export declare const webSocketsOptions: OptionTable<WebSocketsOptions, ResolvedWebSocketsOptions>;

// streams/web-sockets.d.ts

/**
 * The WebSockets of one server and path: which are taken, how many, and how they end. The protocol itself is spoken by an
 * adapter (`sluice/adapters/ws`).
 */
import type { IncomingMessage } from "node:http";
import { DeadlineWheel } from "../core/deadline-wheel.ts";
import { type LifecycleState } from "../core/lifecycle.ts";
import type { DropReason } from "./backlog.ts";
import { BoundedWebSocket, type MessageOptions, type WebSocketHost, type WebSocketPort } from "./bounded-web-socket.ts";
import { StreamInstruments, type StreamCloseReason, type StreamRejectReason } from "./instruments.ts";
import { type StreamsDrainReport } from "./open-streams.ts";
import { type UpgradeRefusal } from "./upgrade-rules.ts";
import { type ResolvedWebSocketsOptions, type WebSocketsOptions } from "./web-sockets-options.ts";
/** WebSockets at one moment. Levels first, then totals since the start. */
export interface WebSocketsStats {
    readonly name: string;
    readonly state: LifecycleState;
    readonly active: number;
    /** Bytes that wait for clients that read slowly. */
    readonly bufferedBytes: number;
    readonly limits: {
        readonly maxConns: number;
        readonly maxConnsPerAddress: number;
    };
    readonly opened: number;
    readonly rejected: Readonly<Record<StreamRejectReason, number>>;
    readonly closed: Readonly<Record<StreamCloseReason, number>>;
    /** Messages handed to connections. */
    readonly sent: number;
    readonly dropped: Readonly<Record<DropReason, number>>;
}
/** What becomes of a request: refused with a status, told to try again later once it is open, or taken. */
export type UpgradeDecision = UpgradeRefusal | "later" | "take";
/** Invariant: `#open` has the connections that are not closed; each is counted under its address. */
export declare class WebSockets<Socket extends WebSocketPort = WebSocketPort> implements WebSocketHost<Socket>, AsyncDisposable {
    #private;
    /** @internal */
    readonly options: ResolvedWebSocketsOptions;
    /** @internal */
    readonly wheel: DeadlineWheel;
    /** @internal */
    readonly instruments: StreamInstruments;
    /** Of `server`, which may be guarded, now or later. */
    constructor(server: object, options?: WebSocketsOptions);
    /** Whether it is going away. */
    get draining(): boolean;
    /** The connections that are open. */
    [Symbol.iterator](): Iterator<BoundedWebSocket<Socket>>;
    /** Sends a message to all. Who is behind gets it later, or not at all, by the policy. */
    broadcast(data: string | Uint8Array, { key }?: MessageOptions): void;
    /**
     * Closes all with 1001 and cuts after the grace those that do not answer. Whoever comes from here on is refused. A
     * later call gets the first one's promise.
     */
    drain(): Promise<StreamsDrainReport>;
    [Symbol.asyncDispose](): Promise<void>;
    stats(): WebSocketsStats;
    /** For an adapter: whether a request is for these. */
    isFor(req: IncomingMessage): boolean;
    /** For an adapter: what becomes of a request. Who has to try again later is told so by `told`. */
    decide(req: IncomingMessage): UpgradeDecision;
    /** For an adapter: one that had to try again later is gone. */
    told(): void;
    /** For an adapter: counts a request that is no WebSocket's. */
    reject(reason: StreamRejectReason, req: IncomingMessage): void;
    /** For an adapter: takes a connection that is open, in the context of its request. */
    open(socket: Socket, req: IncomingMessage): BoundedWebSocket<Socket>;
    /** @internal */
    onClosed(connection: BoundedWebSocket<Socket>): void;
}

// streams/tally.d.ts

/** Counts by kind, of one group and in the metrics at the same time. */
import type { Counter } from "../core/instruments.ts";
export declare class Tally<Kind extends string> {
    #private;
    constructor(kinds: readonly Kind[], counterOf: (kind: Kind) => Counter);
    add(kind: Kind, n?: number): void;
    /** A copy. */
    read(): Readonly<Record<Kind, number>>;
}

// streams/sse-history.d.ts

/**
 * The last events of a channel, so that a client that comes again gets those that it has missed.
 *
 * It is bounded by number, age and bytes. A client is not handed a copy: it reads along at its own pace, and if what it
 * would read next has gone meanwhile, it is told that there is a gap. Whoever needs more than this keeps it in a
 * database, and begins from there when it is told.
 */
/** How much is kept. Times in milliseconds. */
export interface HistoryLimits {
    readonly maxEvents: number;
    readonly maxAge: number;
    readonly maxBytes: number;
}
/** What a client that comes again gets: a frame to write, or word of events that are not kept any more. */
export type Replayed = {
    readonly frame: Buffer;
} | {
    readonly missed: number;
};
/**
 * Events have numbers, beginning with 1; what was before them all is number 0, and has an id too.
 *
 * Invariants: `#kept` holds the events `#first` to `#last`; `#numbers` has the number of each, and of the one before the
 * first, from which one can still go on without a gap.
 */
export declare class SseHistory {
    #private;
    constructor(limits: HistoryLimits, beginning: string);
    get size(): number;
    get bytes(): number;
    add(id: string, frame: Buffer): void;
    /** The number of the event with this id, `undefined` if it is not known any more. */
    find(id: string): number | undefined;
    /** The number of the newest event. */
    get newest(): number;
    /** Its id. */
    get newestId(): string;
    /** The number before that of the oldest event that is kept. */
    get beforeOldest(): number;
    /** All events after this number, also those that are added while it is read; ends when there are no more. */
    after(number: number): Generator<Replayed, void, undefined>;
    /** Forgets what is too old; done whenever something is added or looked for, so that there is no timer. */
    forgetOld(): void;
}

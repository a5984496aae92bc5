// The interface of sluice/tasks, printed by `npm run api`. Do not edit.

// tasks/index.d.ts

/** Work that may wait: after the response in this process, or in a queue that outlives it. */
export { requestIdKey } from "./envelope.ts";
export { EnvelopeError, EventLoopHeldError, JobVanishedError, LeaseLostError, PayloadError, Permanent, RetryAfter, StoreCannotError, StoreFullError, StoreUnavailableError, TaskAbandonedError, TaskRefusedError, TasksDrainingError, TaskTimeoutError, type RefusalReason, } from "./errors.ts";
export type { DeadLetter, Job, JobHandler } from "./job.ts";
export { Queue, type DeadLetters, type JobToAdd, type ScheduleHandle } from "./queue.ts";
export type { AddResult, AttemptOutcome, DeadReason } from "./queue-instruments.ts";
export type { AddOptions, BackoffOptions, JobOptions, QueueOptions, RateLimitOptions, ScheduleOptions, } from "./queue-options.ts";
export type { QueueStats } from "./queue-stats.ts";
export type { ReportContext, Reporter } from "./reporter.ts";
export type { ResponseLike } from "./response-end.ts";
export type { ClaimedJob, Claims, JobSource } from "./stores/leased-consumer.ts";
export { remoteCaps, remoteStore, type RemoteEngine, type RemoteQueue } from "./stores/remote-store.ts";
export type { AddedJob, Consumer, DeadJob, DeadSelection, Delivery, JobFailure, NewJob, QueueLevels, QueueSettings, Settled, Store, StoreCaps, StoreHealth, StoreHost, } from "./store.ts";
export { memory } from "./stores/memory.ts";
export type { MemoryOptions } from "./stores/memory-options.ts";
export type { TaskOutcome, TaskState } from "./task-kinds.ts";
export type { AfterOptions, TaskOptions } from "./task-options.ts";
export type { TaskEnd, TaskFunction, TaskHandle } from "./task-run.ts";
export type { LeftOver } from "./task-runner.ts";
export { Tasks, type DrainReport } from "./tasks.ts";
export type { TasksDrainOptions, TasksOptions } from "./tasks-options.ts";
export type { TaskKindStats, TasksStats } from "./tasks-stats.ts";
export type { TracedAttempt, TracedWork, Tracing } from "./tracing.ts";
export type { SqliteOptions } from "./stores/sqlite-options.ts";
export { sqlite } from "./stores/sqlite.ts";

// tasks/envelope.d.ts

/**
 * What a job looks like in a store: JSON text of `{ v: 1, headers, data }`.
 *
 * The headers are what the runtime carries along, above all the trace that the job belongs to. A store does not look
 * inside, and what another program has put into the queue is refused here, with words that tell what it is.
 */
import { type ContextKey } from "../core/context.ts";
/** The id of the request that something is done for, if the program has one: set it with `withValue`; jobs and reports carry it. */
export declare const requestIdKey: ContextKey<string>;
/** What travels with a job besides its data. */
export interface JobHeaders {
    /** When it was added: milliseconds since 1970, by the clock of whoever added it. */
    readonly enqueuedAt: number;
    /** W3C trace context of whoever added it. */
    readonly traceparent?: string;
    readonly "x-request-id"?: string;
}
/** What is in the body of a job. */
export interface Envelope {
    readonly headers: JobHeaders;
    readonly data: unknown;
}
/** @throws PayloadError if `data` is no JSON, or the whole is larger than `maxBytes`. */
export declare function encodeEnvelope(queue: string, envelope: Envelope, maxBytes: number): string;
/** @throws EnvelopeError if it is not what {@link encodeEnvelope} writes. */
export declare function decodeEnvelope(body: string): Envelope;

// tasks/errors.d.ts

/** What can go wrong with tasks, queues and their stores. What a task itself throws is reported, never rethrown. */
import { SluiceError } from "../core/errors.ts";
import { type Duration } from "../core/options.ts";
/** The engine behind a store did not answer in time, or is not there. Nothing is known to be lost; the call can be made again. */
export declare class StoreUnavailableError extends SluiceError {
    readonly code = "ERR_STORE_UNAVAILABLE";
    readonly store: string;
    constructor(store: string, message: string, options?: ErrorOptions);
}
/** The store has no room: its disk or its limit is reached. What it had taken before is not affected. */
export declare class StoreFullError extends SluiceError {
    readonly code = "ERR_STORE_FULL";
    readonly store: string;
    constructor(store: string, message: string, options?: ErrorOptions);
}
/** The store cannot do what was asked for, and the runtime cannot do it instead. Its `caps` say so from the start. */
export declare class StoreCannotError extends SluiceError {
    readonly code = "ERR_STORE_CANNOT";
    readonly store: string;
    constructor(store: string, message: string);
}
/** Why a task got no place, or lost it. */
export type RefusalReason = "queue_full" | "waiting_full" | "dropped" | "draining";
/** A task was not run: there was no place for it. */
export declare class TaskRefusedError extends SluiceError {
    readonly code = "ERR_TASK_REFUSED";
    readonly reason: RefusalReason;
    constructor(reason: RefusalReason, message: string);
}
/** A task or an attempt at a job was not over at its deadline. What it threw when it was told so is the `cause`. */
export declare class TaskTimeoutError extends SluiceError {
    readonly code = "ERR_TASK_TIMEOUT";
    readonly timeoutMs: number;
    /** Whether it went on after its signal, and `drain.abort` later too. */
    readonly isStuck: boolean;
    constructor(name: string, limits: {
        readonly timeoutMs: number;
        readonly abortMs?: number;
    }, options?: ErrorOptions);
}
/** A drain ended before this task did, or before it began. */
export declare class TaskAbandonedError extends SluiceError {
    readonly code = "ERR_TASK_ABANDONED";
}
/** The event loop stood still while a task ran: nobody was answered in that time. */
export declare class EventLoopHeldError extends SluiceError {
    readonly code = "ERR_EVENT_LOOP_HELD";
    readonly heldMs: number;
    constructor(name: string, heldMs: number);
}
/** Something new was asked of tasks that are being drained. */
export declare class TasksDrainingError extends SluiceError {
    readonly code = "ERR_TASKS_DRAINING";
}
/** Thrown by a handler: trying again is of no use. The job is dead at once. */
export declare class Permanent extends SluiceError {
    readonly code = "ERR_JOB_PERMANENT";
}
/** A year: no store is asked to keep a job for longer. */
export declare const longestDelayMs: number;
/** Thrown by a handler: try again, but not before this time has passed. It counts as an attempt. */
export declare class RetryAfter extends SluiceError {
    readonly code = "ERR_JOB_RETRY_AFTER";
    readonly delayMs: number;
    constructor(delay: Duration, options?: ErrorOptions);
}
/** The store gave the job to somebody else while it was worked on here. The cause with which the job's context ends. */
export declare class LeaseLostError extends SluiceError {
    readonly code = "ERR_LEASE_LOST";
    constructor(queue: string, id: string);
}
/** What was taken from a queue is no job of ours: its body cannot be read. */
export declare class EnvelopeError extends SluiceError {
    readonly code = "ERR_JOB_ENVELOPE";
}
/** What was to be added to a queue is no JSON, or too large. */
export declare class PayloadError extends SluiceError {
    readonly code = "ERR_JOB_PAYLOAD";
}
/** A job was taken as often as it may be, and its takers were never heard of again. It may be what kills them. */
export declare class JobVanishedError extends SluiceError {
    readonly code = "ERR_JOB_VANISHED";
}

// tasks/job.d.ts

/** A job as its handler sees it. */
import type { Context } from "../core/context.ts";
import type { JobHeaders } from "./envelope.ts";
import type { DeadJob, Delivery, JobFailure } from "./store.ts";
/** One attempt at a job. */
export interface Job<T> {
    readonly id: string;
    readonly queue: string;
    readonly data: T;
    /** 1 for the first. */
    readonly attempt: number;
    /** Most attempts that there will be. */
    readonly attempts: number;
    /** When it was added: milliseconds since 1970. */
    readonly enqueuedAt: number;
    readonly headers: JobHeaders;
    /** With the attempt's deadline and the trace of whoever added the job. */
    readonly context: Context;
    /** Aborts at the deadline, when the lease is lost, and in a drain. Pass it on to whatever the handler waits for. */
    readonly signal: AbortSignal;
}
/** Does a job. Throws what is to be tried again, or `Permanent`, or `RetryAfter`. */
export type JobHandler<T> = (job: Job<T>) => unknown;
/** A job that will not be tried again by itself. */
export interface DeadLetter<T> {
    readonly id: string;
    /** `undefined` if its body was no job of ours. */
    readonly data: T | undefined;
    /** As it is in the store. */
    readonly body: string;
    readonly attempts: number;
    readonly failure: JobFailure;
    readonly diedAt: Date;
}
/** How a job is made. */
export interface JobParts {
    readonly delivery: Delivery;
    readonly attempts: number;
    readonly data: unknown;
    readonly headers: JobHeaders;
    readonly context: Context;
}
/** The signal is made when first asked for. */
export declare class AttemptedJob implements Job<unknown> {
    readonly id: string;
    readonly queue: string;
    readonly data: unknown;
    readonly attempt: number;
    readonly attempts: number;
    readonly headers: JobHeaders;
    readonly context: Context;
    constructor({ delivery, attempts, data, headers, context }: JobParts);
    get enqueuedAt(): number;
    get signal(): AbortSignal;
}
/** What is kept of an error with a job. It does not throw, whatever was thrown. */
export declare function toFailure(error: unknown): JobFailure;
/** The dead job with its data, if it can be read. */
export declare function toDeadLetter<T>({ id, body, attempts, failure, diedAt }: DeadJob, data: T | undefined): DeadLetter<T>;

// tasks/queue-instruments.d.ts

/** What is counted of one queue: in the registry, and for `stats()`. */
import { type Counter, type Gauge, type Histogram, type Registry } from "../core/instruments.ts";
declare const addResults: readonly ["added", "duplicate", "failed"];
declare const attemptOutcomes: readonly ["ok", "error", "timeout", "cancelled", "lost", "released", "malformed", "vanished"];
declare const deadReasons: readonly ["attempts", "permanent", "malformed", "vanished"];
/** What became of a job that was to be added. `failed`: that is not known, or it was not. */
export type AddResult = (typeof addResults)[number];
/**
 * How an attempt ended. `cancelled`: by the drain. `lost`: its lease was gone. `released`: it was not begun, and given
 * back. `malformed`: it was no job of ours. `vanished`: it had no attempts left, and its takers were never heard of.
 */
export type AttemptOutcome = (typeof attemptOutcomes)[number];
/** Why a job is dead. `vanished`: its takers were never heard of again. */
export type DeadReason = (typeof deadReasons)[number];
/** The counts of one kind of event, and the counters that they are also found in. */
declare class Tally<Kind extends string> {
    #private;
    constructor(kinds: readonly Kind[], counterOf: (kind: Kind) => Counter);
    add(kind: Kind, n?: number): void;
    /** A copy. */
    read(): Readonly<Record<Kind, number>>;
}
/** A number with its gauge. */
declare class Level {
    #private;
    value: number;
    constructor(gauge: Gauge);
    add(n: number): void;
}
/** A number that only grows, with its counter. */
declare class Count {
    #private;
    value: number;
    constructor(counter: Counter);
    add(): void;
}
/** All series of one queue. */
export declare class QueueInstruments {
    readonly added: Tally<AddResult>;
    readonly attempts: Tally<AttemptOutcome>;
    readonly dead: Tally<DeadReason>;
    readonly running: Level;
    readonly stuck: Level;
    readonly retried: Count;
    readonly leasesLost: Count;
    readonly settleFailures: Count;
    readonly duration: Histogram;
    readonly wait: Histogram;
    constructor(registry: Registry, queue: string);
}
export {};

// tasks/queue-options.d.ts

/**
 * Every option of a queue, of its jobs and of its schedules, with its meaning, its default and its range.
 *
 * A time is a `Duration`: milliseconds, or text such as `"5s"`. `Infinity` means no limit; 0 is an error for a time.
 */
import { type Duration, type OptionTable, type Size } from "../core/options.ts";
/** How long a failed job waits until it is tried again. */
export interface BackoffOptions {
    /**
     * The longest wait before the second attempt. It doubles with each further one.
     *
     * @default "1s"
     * @range above 0 to Infinity
     */
    readonly from?: Duration;
    /**
     * The longest wait at all.
     *
     * @default "5m"
     * @range above 0 to Infinity
     */
    readonly to?: Duration;
    /**
     * `"full"`: a random time up to the longest, so that jobs that failed together do not come back together. `"none"`:
     * the longest itself.
     *
     * @default "full"
     */
    readonly jitter?: "full" | "none";
}
/** How many jobs one process begins in a time. */
export interface RateLimitOptions {
    /**
     * Most jobs begun in `per`. So many can be begun at once after a pause.
     *
     * It holds for each process: with four of them, give each a quarter.
     *
     * @default 100
     * @range 1 to 1000000
     */
    readonly limit?: number;
    /**
     * The time that `limit` is for.
     *
     * @default "1s"
     * @range above 0 to 24 h
     */
    readonly per?: Duration;
}
/** What a queue may be told. Give all processes the same. */
export interface QueueOptions {
    /**
     * Most jobs of this queue that this process works on at once.
     *
     * @default 16
     * @range 1 to 10000
     * @metric jobs_running
     */
    readonly concurrency?: number;
    /**
     * Most attempts at one job. After the last, it is dead. An attempt whose process vanished counts.
     *
     * @default 5
     * @range 1 to 1000
     * @metric jobs_dead_total
     */
    readonly attempts?: number;
    /** How long a failed job waits until it is tried again. */
    readonly backoff?: BackoffOptions;
    /**
     * Longest time for one attempt. Then its signal aborts, and the attempt has failed, whatever the handler does.
     *
     * @default "30s"
     * @range above 0 to Infinity
     * @metric jobs_attempts_total{outcome="timeout"}
     */
    readonly timeout?: Duration;
    /**
     * Longest time for `add` and its like, the wait for an engine that is gone included; unless the call says otherwise.
     *
     * A request that adds a job waits for it: this is what an engine that is down costs a request.
     *
     * @default "5s"
     * @range above 0 to 10 m
     */
    readonly addTimeout?: Duration;
    /**
     * Most calls of `add` and its like that wait for the engine at once. Further ones fail at once.
     *
     * @default 10000
     * @range 1 to Infinity
     */
    readonly maxAdding?: number;
    /**
     * Largest body of a job, as JSON in UTF-8 with its headers.
     *
     * @default "256kb"
     * @range 256 bytes to Infinity; an engine may have a limit of its own (1 MB in NATS)
     */
    readonly maxPayload?: Size;
    /**
     * How long a process may be silent before its jobs go to another. The store renews the lease by itself.
     *
     * Too short shows as jobs that run twice when the event loop stands still; too long as jobs that wait after a crash.
     *
     * @default "30s"
     * @range 1 s to 1 h
     * @metric jobs_leases_lost_total
     */
    readonly lease?: Duration;
    /**
     * Most dead jobs that are kept. Beyond, the oldest are discarded.
     *
     * @default 10000
     * @range 0 to Infinity
     */
    readonly maxDead?: number;
    /**
     * How long dead jobs are kept.
     *
     * @default "336h"
     * @range above 0 to Infinity
     */
    readonly deadFor?: Duration;
    /**
     * How many jobs this process begins in a time.
     *
     * @default none
     */
    readonly rateLimit?: RateLimitOptions;
}
/** What can be said of a call that adds. */
export interface AddOptions {
    /**
     * Jobs of one key are one job: a second one is a duplicate until the first is done or dead (or within a window of
     * time, as the store can). Up to 200 characters.
     *
     * @default none
     */
    readonly key?: string;
    /**
     * How long it waits before it is ready.
     *
     * @default none, ready at once
     * @range above 0 to 8760 h
     */
    readonly delay?: Duration;
    /**
     * Smaller is earlier.
     *
     * @default 0
     * @range -100 to 100
     */
    readonly priority?: number;
    /**
     * Longest time until the call settles.
     *
     * @default addTimeout of the queue
     * @range above 0 to 10 m
     */
    readonly timeout?: Duration;
}
/** What can be said of one of several jobs. */
export type JobOptions = Omit<AddOptions, "timeout">;
/** What can be said of a schedule. */
export interface ScheduleOptions {
    /**
     * Tells apart schedules of one queue that have the same pattern. All processes give the same name.
     *
     * @default the pattern
     */
    readonly name?: string;
    /**
     * Where the pattern's hours are, such as `"Europe/Berlin"`.
     *
     * @default "UTC"
     */
    readonly timezone?: string;
    /**
     * As of a job.
     *
     * @default 0
     * @range -100 to 100
     */
    readonly priority?: number;
}
/** {@link BackoffOptions} checked, with times in milliseconds. */
export interface ResolvedBackoff {
    readonly from: number;
    readonly to: number;
    readonly jitter: "full" | "none";
}
/** {@link RateLimitOptions} checked, with times in milliseconds. */
export interface ResolvedRateLimit {
    readonly limit: number;
    readonly per: number;
}
/** {@link QueueOptions} checked, with times in milliseconds. */
export interface ResolvedQueueOptions {
    readonly concurrency: number;
    readonly attempts: number;
    readonly backoff: ResolvedBackoff;
    readonly timeout: number;
    readonly addTimeout: number;
    readonly maxAdding: number;
    readonly maxPayload: number;
    readonly lease: number;
    readonly maxDead: number;
    readonly deadFor: number;
    readonly rateLimit: ResolvedRateLimit | undefined;
}
/** {@link AddOptions} checked, with times in milliseconds. */
export interface ResolvedAddOptions {
    readonly key: string | undefined;
    readonly delay: number | undefined;
    readonly priority: number;
    readonly timeout: number | undefined;
}
/** {@link ScheduleOptions} checked. */
export interface ResolvedScheduleOptions {
    readonly name: string | undefined;
    readonly timezone: string;
    readonly priority: number;
}
export declare const queueOptions: OptionTable<QueueOptions, ResolvedQueueOptions>;
export declare const addOptions: OptionTable<AddOptions, ResolvedAddOptions>;
export declare const scheduleOptions: OptionTable<ScheduleOptions, ResolvedScheduleOptions>;

// tasks/queue-stats.d.ts

/** What a queue looks like in this process at one moment: immutable plain numbers. */
import type { AddResult, AttemptOutcome, DeadReason, QueueInstruments } from "./queue-instruments.ts";
import type { ResolvedQueueOptions } from "./queue-options.ts";
/** One queue, as far as this process goes. Levels first, then totals since the start. */
export interface QueueStats {
    readonly name: string;
    readonly isPaused: boolean;
    readonly running: number;
    /** Over their deadline, deaf to their signal, and still running. */
    readonly stuck: number;
    readonly concurrency: number;
    readonly added: Readonly<Record<AddResult, number>>;
    readonly attempts: Readonly<Record<AttemptOutcome, number>>;
    readonly dead: Readonly<Record<DeadReason, number>>;
    readonly retried: number;
    readonly leasesLost: number;
    readonly settleFailures: number;
}
export declare function describeQueue(name: string, options: ResolvedQueueOptions, instruments: QueueInstruments, isPaused: boolean): QueueStats;

// tasks/queue.d.ts

/**
 * A queue whose jobs outlive the process.
 *
 * The policy is here (how often, how long, how much at once); that nothing is lost is the store's part. The same code
 * runs on every store: what a store cannot do is refused where it is asked for, with the name of one that can.
 */
import { type Context } from "../core/context.ts";
import type { DeadlineWheel } from "../core/deadline-wheel.ts";
import { type Duration } from "../core/options.ts";
import { type DeadLetter, type JobHandler } from "./job.ts";
import { type AddOptions, type JobOptions, type QueueOptions, type ScheduleOptions } from "./queue-options.ts";
import { type QueueStats } from "./queue-stats.ts";
import { QueueWorker } from "./queue-worker.ts";
import type { Reports } from "./reporter.ts";
import type { AddedJob, DeadSelection, QueueLevels } from "./store.ts";
import type { StoreLink } from "./store-link.ts";
import type { ResolvedTasksOptions } from "./tasks-options.ts";
/** One of several jobs that are added together. */
export interface JobToAdd<T> extends JobOptions {
    readonly data: T;
}
/** Dead jobs of a queue. */
export interface DeadLetters<T> {
    /** Newest first; `before` is the id after which the last page ended. */
    list(page?: {
        readonly limit?: number;
        readonly before?: string;
    }): Promise<readonly DeadLetter<T>[]>;
    /** Makes them ready again with a fresh count of attempts. Resolves to how many. */
    redrive(which: DeadSelection): Promise<number>;
    /** Forgets them for good. Resolves to how many. */
    discard(which: DeadSelection): Promise<number>;
}
/** Jobs that this process adds by the clock. */
export interface ScheduleHandle extends Disposable {
    /** The next time; `undefined` if there is none any more. */
    readonly nextAt: Date | undefined;
}
/** What the queues of one `Tasks` share. */
export interface QueueHost {
    readonly options: ResolvedTasksOptions;
    readonly link: StoreLink;
    readonly reports: Reports;
    readonly root: Context;
    readonly wheel: DeadlineWheel;
}
/** How a queue is made. */
export interface QueueSettings<T> {
    readonly host: QueueHost;
    readonly name: string;
    readonly options: QueueOptions | undefined;
    /** Without one, this process only adds. */
    readonly handler: JobHandler<T> | undefined;
}
/** Made by `tasks.queue(...)`. */
export declare class Queue<T> {
    #private;
    readonly name: string;
    readonly dead: DeadLetters<T>;
    /** @internal */
    readonly worker: QueueWorker | undefined;
    /** @internal */
    constructor({ host, name, options, handler }: QueueSettings<T>);
    /**
     * Adds a job. Resolves once it is durable, as far as the store is.
     *
     * It settles within its timeout, also while the engine is gone. A `StoreUnavailableError` says that it is not known
     * whether the job was added: adding it again may make two of it, unless it has a key.
     *
     * @throws PayloadError, StoreCannotError, StoreUnavailableError, StoreFullError, TasksDrainingError, OptionError
     */
    add(data: T, options?: AddOptions): Promise<AddedJob>;
    /** Adds jobs together: many times faster than one by one. Either all are added or it rejects. See {@link add}. */
    addAll(jobs: readonly JobToAdd<T>[], options?: {
        readonly timeout?: Duration;
    }): Promise<readonly AddedJob[]>;
    /**
     * Adds a job within a transaction of the caller's: it is there exactly if the transaction is committed.
     *
     * @throws StoreCannotError if the store does not share a database with the caller, and as {@link add} does.
     */
    addWithin(transaction: unknown, data: T, options?: AddOptions): Promise<AddedJob>;
    /**
     * Adds a job at the times of a cron pattern: five fields, or six with seconds first.
     *
     * Every process may plan the same schedule; each job is added once. See `docs/guide/tasks.md`.
     *
     * @throws OptionError if it is no pattern.
     */
    schedule(pattern: string, data: T, options?: ScheduleOptions): ScheduleHandle;
    /** No further jobs for this process until `resume`; those under way go on. Other processes are not affected. */
    pause(): void;
    resume(): void;
    /** How much is in the queue, as the store sees it. */
    levels(): Promise<QueueLevels>;
    /** What this process did. */
    stats(): QueueStats;
    /** @internal Ends the schedules, and is no longer seen by whoever collects. */
    close(): void;
}

// tasks/reporter.d.ts

/**
 * To whom failures are reported, and how often.
 *
 * A failing dependency makes the same error a thousand times a second, and an error tracker that is flooded loses the
 * one that matters (and costs money). So each kind of failure is reported a few times a minute, with a count of what was
 * left out. An attempt that will be tried again is no report, nor is what was cancelled.
 */
import type { Registry } from "../core/instruments.ts";
/** What an error is about. */
export interface ReportContext {
    /** `store`: the engine behind the queues, apart from any job. */
    readonly mechanism: "task" | "job" | "store";
    readonly level: "error" | "warning";
    /** Always true: nothing was left to crash the process. */
    readonly handled: true;
    readonly task?: string;
    readonly queue?: string;
    readonly jobId?: string;
    readonly attempt?: number;
    readonly requestId?: string;
    readonly traceparent?: string;
    /** What makes two reports the same kind. */
    readonly fingerprint: readonly string[];
    /** Reports of this kind that were left out since the last one. */
    readonly suppressed: number;
}
/** Where failures go: Sentry, a log, or both. Calls do not throw; what they throw is counted and dropped. */
export interface Reporter {
    report(error: unknown, about: ReportContext): void;
    /** Sends what is still held back. Resolves to whether all was sent within `timeoutMs`. */
    flush(timeoutMs: number): Promise<boolean>;
}
/** A report before it is known whether it will be made. */
export type Report = Omit<ReportContext, "handled" | "fingerprint" | "suppressed">;
/** How {@link Reports} is set up. */
export interface ReportsOptions {
    readonly onError: ((error: unknown, about: ReportContext) => void) | undefined;
    readonly reporter: Reporter | undefined;
    readonly maxReportsPerMinute: number;
    readonly registry: Registry;
}
/** Invariant: `#windows` has at most `maxKinds` entries and the one that the others share. */
export declare class Reports {
    #private;
    constructor(options: ReportsOptions);
    /** Tells whoever wants to know. It does not throw. */
    add(error: unknown, report: Report): void;
    /** Resolves to whether all reports have gone out. It does not reject, and takes no longer than `timeoutMs`. */
    flush(timeoutMs: number): Promise<boolean>;
}

// tasks/response-end.d.ts

/**
 * Calls back when a response has ended, whichever way: once, and with one listener for all who ask.
 *
 * Node emits `close` on every response, after `finish` if there was one; what only looks like a response may emit one of
 * them. More than ten listeners would make Node print a warning, so those who ask for the same response share theirs. Nothing here refers to the response, but the response
 * refers to those who wait.
 */
/** What is used of a response of `node:http` or `node:http2`. */
export interface ResponseLike {
    readonly writableEnded: boolean;
    readonly writableFinished?: boolean;
    readonly closed?: boolean;
    readonly destroyed?: boolean;
    /** Of HTTP/2. */
    readonly stream?: {
        readonly closed?: boolean;
        readonly rstCode?: number | undefined;
    } | null | undefined;
    on(event: "finish" | "close", listener: () => void): unknown;
}
/** Somebody who waits for a response to end. */
export interface ResponseFollower {
    /** `delivered`: all of it was handed to the kernel before the connection ended. */
    onResponseEnd(delivered: boolean): void;
}
/** Tells `follower` once when `res` has ended; at once if it has already. */
export declare function followResponse(res: ResponseLike, follower: ResponseFollower): void;

// tasks/store.d.ts

/**
 * Where jobs live until they are done.
 *
 * The runtime owns policy: how many attempts, how long each, what waits how long between them, what is reported. A store
 * owns durability: what it has taken is not lost, and is handed to one taker at a time. The line between them is drawn
 * so that a store can be an embedded file, a Redis, a PostgreSQL or a stream, and a queue does not know which.
 *
 * Delivery is at least once. A job is handed out under a lease, which the store renews by itself while the job is not
 * settled; where a lease is lost all the same (the process stood still, the engine was gone for too long), the store says
 * so by a signal, and another process may be doing the job already.
 */
/** What a store can do by itself. What it cannot, the runtime supplies or refuses: see `docs/guide/tasks.md`. */
export interface StoreCaps {
    /** Jobs can wait until a time before they are ready. */
    readonly delay: boolean;
    /** Ready jobs are handed out by priority. */
    readonly priority: boolean;
    /** A second job of the same key is a duplicate until the first is done or dead, for a window of time, or never. */
    readonly dedup: "until-done" | "window" | false;
    /** Jobs can be added within a transaction of the caller's. */
    readonly transactions: boolean;
    /** Who can share the queues: threads and servers of one process, processes on one machine, or machines. */
    readonly sharedBy: "process" | "machine" | "network";
    /** Whether an added job outlives the process. */
    readonly durable: boolean;
}
/** What is told of a queue before it is used. Times in milliseconds. */
export interface QueueSettings {
    /** How long a taker may be silent before its jobs go to another. */
    readonly leaseMs: number;
    /** Dead jobs beyond this number are discarded, oldest first. */
    readonly maxDead: number;
    /** Dead jobs older than this are discarded. */
    readonly deadForMs: number;
}
/** A job on its way into a store. */
export interface NewJob {
    /** A UUID of version 7, made by the runtime: adding the same id again is a duplicate, so an add of unknown outcome can be tried again. */
    readonly id: string;
    readonly queue: string;
    /** JSON text of the envelope: see `envelope.ts`. A store does not look inside. */
    readonly body: string;
    /** Jobs of one queue with one key are one job, as far as `StoreCaps.dedup` goes. */
    readonly key?: string;
    /** Milliseconds until it is ready. */
    readonly delayMs: number;
    /** Smaller is earlier; 0 unless asked for. -100 to 100. */
    readonly priority: number;
}
/** What has become of an added job. */
export interface AddedJob {
    /** Of the job that was there first, if this one is a duplicate and the store knows it. */
    readonly id: string;
    readonly isDuplicate: boolean;
}
/** Why an attempt failed, as it is kept with the job. */
export interface JobFailure {
    readonly name: string;
    readonly message: string;
    readonly stack?: string;
}
/** `lost`: the lease had gone to somebody else, and nothing was changed. */
export type Settled = "settled" | "lost";
/**
 * One job, handed to this process.
 *
 * Exactly one of `done`, `retry`, `dead` and `release` is called. They resolve when the store has it on record, and
 * reject only if the store cannot tell, after its own timeout and tries: then the same one is called again, a few times.
 * If none succeeds the job will come again when its lease is over, and no longer counts as unsettled here by then.
 */
export interface Delivery {
    readonly id: string;
    readonly queue: string;
    readonly body: string;
    /** 1 for the first. Deliveries whose taker vanished count. */
    readonly attempt: number;
    readonly priority: number;
    /** Aborts when the lease is lost. Made when first asked for. */
    readonly leaseLost: AbortSignal;
    done(): Promise<Settled>;
    /** Ready again after `delayMs`. */
    retry(delayMs: number, failure: JobFailure): Promise<Settled>;
    dead(failure: JobFailure): Promise<Settled>;
    /** Back as it was, for somebody else: ready at once, and the attempt does not count. */
    release(): Promise<Settled>;
}
/** Takes jobs of one queue for this process. */
export interface Consumer {
    /** No further deliveries until `resume`; those made stay. */
    pause(): void;
    resume(): void;
    /** No further deliveries ever. Resolves when none will come; those made can still be settled. */
    stop(): Promise<void>;
}
/** How much is in a queue. */
export interface QueueLevels {
    readonly ready: number;
    readonly delayed: number;
    /** Handed out and not settled, to whichever process. */
    readonly active: number;
    readonly dead: number;
    /** For how long the oldest ready job has been ready; 0 if there is none. */
    readonly oldestReadyMs: number;
}
/** A job that will not be tried again by itself. */
export interface DeadJob {
    readonly id: string;
    readonly queue: string;
    readonly body: string;
    readonly attempts: number;
    readonly failure: JobFailure;
    /** Milliseconds since 1970. */
    readonly diedAt: number;
}
/** Which dead jobs: these, or all. */
export type DeadSelection = readonly string[] | "all";
/** How a store is doing. */
export interface StoreHealth {
    readonly isUp: boolean;
    /** Of one small question to the engine, in milliseconds. */
    readonly roundTripMs: number;
    /** What is wrong, in words. */
    readonly detail?: string;
}
/** What the runtime gives a store when it starts it. */
export interface StoreHost {
    /** Something failed that no call can report: a lost connection, a failed renewal. The store goes on trying. */
    onError(error: Error): void;
}
/**
 * A place for jobs.
 *
 * Every call settles within its `timeoutMs`, or the store's own limit where there is none, whatever the engine does:
 * with a `StoreUnavailableError` if the engine does not answer.
 */
export interface Store {
    /** `memory`, `sqlite`, `bullmq`, `pg-boss`, `jetstream`: the label of its metrics. */
    readonly name: string;
    readonly caps: StoreCaps;
    /**
     * Connects, and brings its tables up to date. Called before all else, and again for as long as it rejects: the engine
     * may come up later than the process.
     */
    start(host: StoreHost): Promise<void>;
    /** Makes the queue known to the engine. Called before the queue's first use in this process, and again if it rejects. */
    open(queue: string, settings: QueueSettings): Promise<void>;
    /** Resolves when all are durable, in the order given. */
    add(jobs: readonly NewJob[], timeoutMs: number): Promise<readonly AddedJob[]>;
    /**
     * Adds within a transaction that the caller has begun and will end. What `transaction` is, the store says.
     * Only with `caps.transactions`.
     */
    addWithin?(transaction: unknown, jobs: readonly NewJob[]): Promise<readonly AddedJob[]>;
    /** Hands out jobs, never more than `concurrency` unsettled ones. `take` does not throw. */
    consume(queue: string, concurrency: number, take: (delivery: Delivery) => void): Promise<Consumer>;
    levels(queue: string): Promise<QueueLevels>;
    /** Newest first, at most `limit`, those before `before` (an id) if given. */
    listDead(queue: string, page: {
        readonly limit: number;
        readonly before?: string;
    }): Promise<readonly DeadJob[]>;
    /** Makes dead jobs ready again with a fresh count of attempts. Resolves to how many. */
    redrive(queue: string, which: DeadSelection): Promise<number>;
    /** Forgets dead jobs for good. Resolves to how many. */
    discard(queue: string, which: DeadSelection): Promise<number>;
    health(timeoutMs: number): Promise<StoreHealth>;
    /** Gives back what is not settled, and lets go of the engine; within `timeoutMs`. */
    stop(timeoutMs: number): Promise<void>;
}

// tasks/stores/leased-consumer.d.ts

/**
 * The taking of jobs from an engine that hands them out under a lease: what is the same for all of them.
 *
 * It asks the engine for as many jobs as there are places, renews their leases, says when one is lost, and tries the end
 * of a job again while the engine is away. What an engine's own client has for this is left aside: each has other ideas
 * of how long to wait, what to do on shutdown and who counts attempts.
 */
import type { Consumer, Delivery, JobFailure, Settled } from "../store.ts";
/** A job as an engine hands it out, with whatever the engine needs to know it again. */
export interface ClaimedJob {
    readonly id: string;
    readonly body: string;
    readonly attempt: number;
    readonly priority: number;
}
/** What a claim has brought. */
export interface Claims<Job extends ClaimedJob> {
    readonly jobs: readonly Job[];
    /** In how many milliseconds the next delayed job is due, if the engine knows. */
    readonly dueInMs?: number;
}
/** An engine, seen by one consumer of one queue. Calls reject if the engine fails; ends resolve to whether they counted. */
export interface JobSource<Job extends ClaimedJob = ClaimedJob> {
    /** At most `count` ready jobs. Fewer mean that there are no more. */
    claim(count: number): Promise<Claims<Job>>;
    /** Settles when there may be more, or after a few seconds. */
    waitForMore(): Promise<unknown>;
    /** Nobody waits here from now on: whatever comes is to be told to others. */
    rest?(): void;
    /** The opposite of `rest`. */
    rouse?(): void;
    /** One end for each of them; in one go, if the engine can. */
    done(jobs: readonly Job[]): readonly Promise<Settled>[];
    retry(job: Job, delayMs: number, failure: JobFailure): Promise<Settled>;
    dead(job: Job, failure: JobFailure): Promise<Settled>;
    release(job: Job): Promise<Settled>;
    /** Renews the leases, and resolves to the ids of those that are lost. */
    renew(jobs: readonly Job[]): Promise<readonly string[]>;
    /** What has to be done now and then for the queue: jobs of dead takers, dead jobs that are too old. */
    maintain(): Promise<void>;
    /** Lets go of what the consumer alone has used. */
    close?(): Promise<void>;
}
/** What a consumer has from its store. */
export interface ConsumerSetup {
    readonly queue: string;
    readonly leaseMs: number;
    /** How long one command may take. */
    readonly commandMs: number;
    readonly concurrency: number;
    /** As an error of the store. */
    readonly toError: (error: unknown, what: string) => Error;
    readonly onError: (error: Error) => void;
}
/** How a delivery ends. */
type End<Job extends ClaimedJob> = (job: Job) => Promise<Settled>;
/** Invariant: it is among its consumer's `held` until it is settled, or the consumer has closed. */
declare class LeasedDelivery<Job extends ClaimedJob> implements Delivery {
    #private;
    readonly job: Job;
    /** Whether it has been said how it ends. */
    isSettling: boolean;
    /** Not any more, once the engine could not be told how it ends. */
    isRenewed: boolean;
    /** On the monotonic clock. */
    leasedUntilMs: number;
    constructor(consumer: LeasedConsumer<Job>, job: Job, leasedUntilMs: number);
    get id(): string;
    get queue(): string;
    get body(): string;
    get attempt(): number;
    get priority(): number;
    get leaseLost(): AbortSignal;
    lose(): void;
    done(): Promise<Settled>;
    retry(delayMs: number, failure: JobFailure): Promise<Settled>;
    dead(failure: JobFailure): Promise<Settled>;
    release(): Promise<Settled>;
}
/**
 * Invariant: `#held` has at most `concurrency` deliveries. One loop claims; `#wake` is called whenever it may have to look
 * again: a place is free, the consumer goes on or has stopped.
 */
export declare class LeasedConsumer<Job extends ClaimedJob> implements Consumer {
    #private;
    readonly source: JobSource<Job>;
    readonly setup: ConsumerSetup;
    constructor(source: JobSource<Job>, setup: ConsumerSetup, take: (delivery: Delivery) => void);
    get isClosed(): boolean;
    pause(): void;
    resume(): void;
    /** What is claimed just now is given back before it resolves, if the engine answers in time. */
    stop(): Promise<void>;
    /** What is not settled goes back, as far as the engine can be told. Nothing can be settled any more. */
    giveUp(): Promise<void>;
    /** Lets go of the engine, whatever is still held. */
    close(): Promise<void>;
    settle(delivery: LeasedDelivery<Job>, end: End<Job>): Promise<Settled>;
    /** Those that are done while the engine is told of others are told together: one commit for many. */
    finish(job: Job): Promise<Settled>;
}
export {};

// tasks/stores/memory-options.d.ts

/** The options of the store in memory. */
import { type OptionTable } from "../../core/index.ts";
/** What {@link memory} takes. */
export interface MemoryOptions {
    /**
     * Most jobs in the store at one time, over all queues, dead ones aside.
     *
     * A job beyond it is refused with a `StoreFullError`. Too low shows as adds that fail while handlers keep up; too
     * high as a heap that grows when they do not.
     *
     * @default 100000
     * @range 1 to Infinity
     */
    readonly maxJobs?: number;
}
/** {@link MemoryOptions} with every default filled in. */
export interface ResolvedMemoryOptions {
    readonly maxJobs: number;
}
export declare const memoryOptions: OptionTable<MemoryOptions, ResolvedMemoryOptions>;

// tasks/stores/memory.d.ts

/**
 * The store for tests, and for jobs that may be lost with the process.
 *
 * It does what the other stores do, in the same order and with the same words, but nothing in it outlives the process.
 * A lease is never lost here: whoever holds a job is in this process, and so is the store.
 */
import type { Store } from "../store.ts";
import { type MemoryOptions } from "./memory-options.ts";
/**
 * Jobs in the memory of this process, gone when it ends.
 *
 * @throws OptionError for an option that is unknown or out of range.
 */
export declare function memory(options?: MemoryOptions): Store;

// tasks/stores/remote-store.d.ts

/**
 * A store on an engine elsewhere: what is the same for all of them. An adapter brings the engine.
 *
 * Every call to the engine has a limit here, whatever its client does while the engine is away, and every failure is one
 * of the store's errors.
 */
import type { AddedJob, DeadJob, DeadSelection, NewJob, QueueLevels, QueueSettings, Store, StoreCaps } from "../store.ts";
import { type JobSource } from "./leased-consumer.ts";
/** One queue of an engine. Calls reject with whatever the engine's client rejects with. */
export interface RemoteQueue {
    settings: QueueSettings;
    add(jobs: readonly NewJob[], timeoutMs: number): Promise<readonly AddedJob[]>;
    addWithin?(transaction: unknown, jobs: readonly NewJob[]): Promise<readonly AddedJob[]>;
    levels(): Promise<QueueLevels>;
    listDead(limit: number, before: string | undefined): Promise<readonly DeadJob[]>;
    redrive(which: DeadSelection): Promise<number>;
    discard(which: DeadSelection): Promise<number>;
    /** A way to its jobs for one consumer. */
    source(): JobSource;
}
/** An engine, as its adapter sees it. */
export interface RemoteEngine {
    readonly name: string;
    /** As people call it. */
    readonly title: string;
    readonly caps: StoreCaps;
    /** How long the engine may take for a command. */
    readonly commandMs: number;
    connect(onError: (error: unknown) => void): Promise<void>;
    open(queue: string, settings: QueueSettings): Promise<RemoteQueue>;
    /** One small question. */
    ping(): Promise<unknown>;
    /** Whether the error says that there is no room. */
    isFull(error: unknown): boolean;
    close(): Promise<void>;
}
/** What an engine with a memory of its own can do, if nothing is said against it. */
export declare const remoteCaps: StoreCaps;
/** @internal For the adapters, and for whoever writes one. */
export declare function remoteStore(engine: RemoteEngine): Store;

// tasks/stores/sqlite-options.d.ts

/** Every option of the SQLite store, with its meaning, its default and its range. */
import { type Duration, type OptionTable, type Size } from "../../core/options.ts";
/** Where the jobs are kept, and how. */
export interface SqliteOptions {
    /**
     * The file of the database; it is made if there is none, readable by its owner alone.
     *
     * It may be the database of the application: all tables of sluice begin with `sluice_`, and jobs can then be added in
     * the application's own transactions. It is switched to a write-ahead log (`-wal` and `-shm` beside it), so it must be on a
     * disk of this machine, and its folder must be there and writable. A file that cannot be used is an error of `start`.
     *
     * @default none; it must be given
     */
    readonly path: string;
    /**
     * How sure an added job is. `"full"`: on the disk, whatever happens to the machine. `"normal"`: it outlives the
     * process, but a power failure can take the last of them.
     *
     * `"normal"` saves the wait for the disk, 0.1 to 10 ms for each commit; where that is what limits a queue, `add` takes as
     * long as one sync of the disk and the worker thread is mostly idle.
     *
     * @default "full"
     */
    readonly synchronous?: "full" | "normal";
    /**
     * Largest size of the file, without its log.
     *
     * At the limit `add` fails with `ERR_STORE_FULL`; jobs are still done, which makes room again. Too low shows as that error
     * while the disk has room; too high, as a full disk.
     *
     * @default "4gb"
     * @range 1mb to Infinity
     */
    readonly maxBytes?: Size;
    /**
     * Room on the disk that is not given to new jobs.
     *
     * With less of it free, `add` fails with `ERR_STORE_FULL`. The rest is for what is done: also the end of a job has to be
     * written, and a disk that is full to the last byte takes none. Free room within the file counts too.
     *
     * @default "16mb"
     * @range 0 to Infinity
     */
    readonly minFreeBytes?: Size;
    /**
     * Largest size of what was given to `add` and is not on record yet.
     *
     * Beyond it `add` fails at once with `ERR_STORE_FULL`, since whatever comes in faster than the disk takes it would fill
     * the memory. Too low shows as that error in bursts.
     *
     * @default "64mb"
     * @range 1mb to Infinity
     */
    readonly maxPendingBytes?: Size;
    /**
     * Longest wait for the file where a call has no limit of its own: for `start`, for the settling of a job, for questions.
     *
     * Beyond it the call fails with `ERR_STORE_UNAVAILABLE`. A job whose settling was too late is still settled as soon as
     * the file can be written.
     *
     * @default "10s"
     * @range above 0
     */
    readonly timeout?: Duration;
    /**
     * How often an idle consumer looks whether another process has added jobs.
     *
     * It is the longest that a job of another process lies there unseen; what this process adds is seen at once. A look
     * costs about 10 us.
     *
     * @default "50ms"
     * @range above 0 to 60000
     */
    readonly pollInterval?: Duration;
}
/** The options with every default filled in, times in milliseconds. */
export interface ResolvedSqliteOptions {
    readonly path: string;
    readonly synchronous: "full" | "normal";
    readonly maxBytes: number;
    readonly minFreeBytes: number;
    readonly maxPendingBytes: number;
    readonly timeout: number;
    readonly pollInterval: number;
}
export declare const sqliteOptions: OptionTable<SqliteOptions, ResolvedSqliteOptions>;

// tasks/stores/sqlite.d.ts

/**
 * Jobs in a SQLite file: what needs no server, and outlives the process and the machine's power.
 *
 * Node's own `node:sqlite` waits for the disk, so it runs in a worker thread, and the main thread only sends and receives.
 * All that a turn of the loop brings is one message, and all that the worker finds there is one transaction, with one sync
 * of the disk. Several processes of a machine can share a file. What it does not do: reach other machines.
 */
import { type SqliteOptions } from "./sqlite-options.ts";
import type { Store } from "../store.ts";
/**
 * A store in a file of this machine; nothing is opened before it is started.
 *
 * `addWithin` takes the `DatabaseSync` of the same file in which the caller has begun a transaction.
 *
 * @throws OptionError
 */
export declare function sqlite(options: SqliteOptions): Store;

// tasks/task-kinds.d.ts

/**
 * What is counted of tasks, by their name.
 *
 * A name is a label, so it must be one of few: names beyond the bound share `_OTHER`. Each task holds its kind, and a
 * change of its state costs a few additions.
 */
import { type Counter, type Family, type GaugeFamily, type Histogram, type Registry } from "../core/instruments.ts";
declare const outcomes: readonly ["ok", "error", "timeout", "cancelled", "rejected", "dropped", "skipped", "abandoned"];
/**
 * How a task ended.
 *
 * - `ok`, `error`: by itself.
 * - `timeout`: its deadline had passed and its signal was aborted, whatever it did then.
 * - `cancelled`: by its handle, or by a shutdown; or it threw what it was cancelled with.
 * - `rejected`: there was no place for it. `dropped`: it lost its place to a newer one.
 * - `skipped`: it was to run only for an answer that arrived, and the client left.
 * - `abandoned`: a drain ended before it did.
 */
export type TaskOutcome = (typeof outcomes)[number];
/** Where a task is. `waiting`: for its response to end, or for a place in the queue. `stuck`: over for everybody but itself. */
export type TaskState = "waiting" | "queued" | "running" | "stuck" | "ended";
type Level = Exclude<TaskState, "ended">;
/** The families of all kinds; looked up at the start, since a name that is taken by something else is an error. */
declare class TaskFamilies {
    readonly levels: Readonly<Record<Level, GaugeFamily>>;
    readonly total: Family<Counter>;
    readonly held: Family<Counter>;
    readonly duration: Family<Histogram>;
    readonly wait: Family<Histogram>;
    constructor(registry: Registry);
}
/** The tasks of one name. */
export declare class TaskKind {
    #private;
    readonly name: string;
    readonly levels: Record<TaskState, number>;
    readonly outcomes: Record<TaskOutcome, number>;
    heldCount: number;
    constructor({ levels, total, held, duration, wait }: TaskFamilies, name: string);
    /** One task goes from one state to another; `undefined` is before the first. */
    move(from: TaskState | undefined, to: TaskState): void;
    started(waitedMs: number): void;
    ended(outcome: TaskOutcome): void;
    ran(durationMs: number): void;
    held(): void;
}
/** All kinds of one `Tasks`. */
export declare class TaskKinds {
    #private;
    constructor(registry: Registry);
    find(name: string): TaskKind;
    all(): readonly TaskKind[];
}
export {};

// tasks/task-options.d.ts

/** Every option of one task, with its meaning, its default and its range. */
import { type Duration, type OptionTable } from "../core/options.ts";
/** What can be said of a task that waits for a response. */
export interface AfterOptions {
    /**
     * Longest time for the task to run.
     *
     * Then its signal aborts; a task that ends within `drain.abort` after that has the outcome `timeout`, and so has one
     * that does not, which is also counted as stuck. Time in the queue does not count. Too short shows as the outcome
     * `timeout` of tasks that would have ended well.
     *
     * @default that of the Tasks
     * @range above 0 to Infinity
     * @metric background_tasks_total{outcome="timeout"}
     */
    readonly timeout?: Duration;
    /**
     * Whether to leave the task out if the client left before all of its answer was handed to the kernel.
     *
     * Its outcome is then `skipped`.
     *
     * @default false
     */
    readonly onlyIfDelivered?: boolean;
}
/** What can be said of any task. */
export type TaskOptions = Omit<AfterOptions, "onlyIfDelivered">;
/** {@link AfterOptions} checked, with times in milliseconds. */
export interface ResolvedTaskOptions {
    readonly timeout: number | undefined;
    readonly onlyIfDelivered: boolean;
}
export declare const taskOptions: OptionTable<TaskOptions, Pick<ResolvedTaskOptions, "timeout">>;
export declare const afterOptions: OptionTable<AfterOptions, ResolvedTaskOptions>;

// tasks/task-run.d.ts

/**
 * One task, from the call that asked for it to its end; what its caller holds of it.
 *
 * Nothing here leads back to the request: values are carried over by a detached context, and everything else is the
 * task's own function. What that function closes over is the caller's affair.
 */
import type { Context, OwnedContext } from "../core/context.ts";
import { RingNode } from "../core/ring.ts";
import type { ResponseFollower } from "./response-end.ts";
import type { TracedWork } from "./tracing.ts";
import type { TaskKind, TaskOutcome, TaskState } from "./task-kinds.ts";
/** What a task does. It gets no request and no response: both are over, or will be. */
export type TaskFunction = (context: Context) => unknown;
/** How a task ended. Times in milliseconds. */
export interface TaskEnd {
    readonly outcome: TaskOutcome;
    /** What it threw, or why it was not run; `undefined` if it ended well. */
    readonly error: unknown;
    /** How long it ran; 0 if it did not. */
    readonly durationMs: number;
    /** How long it could have run and did not. */
    readonly waitedMs: number;
    /** The longest time for which the event loop stood still while it ran, if that was more than `maxHold`; else 0. */
    readonly heldMs: number;
}
/** What the caller of `after` and `run` holds. Nothing has to be done with it. */
export interface TaskHandle {
    readonly name: string;
    readonly state: TaskState;
    /** Resolves to whether it got a place: at once, unless it waits for its response or for room. Never rejects. */
    readonly accepted: Promise<boolean>;
    /** Resolves when it is over, however it ended. Never rejects. */
    readonly done: Promise<TaskEnd>;
    /** Takes it out of the queue, or aborts its signal with this as the reason. Once it is over it does nothing. */
    cancel(reason?: unknown): void;
}
/** Who moves tasks on. */
export interface RunOwner {
    submit(run: TaskRun): void;
    skip(run: TaskRun): void;
    cancel(run: TaskRun, reason: unknown): void;
}
/** How a run is made. */
export interface RunSettings {
    readonly owner: RunOwner;
    readonly kind: TaskKind;
    readonly timeoutMs: number;
    readonly onlyIfDelivered: boolean;
    readonly fn: TaskFunction;
    /** The values of whoever asked, without their limits. */
    readonly values: Context;
}
/** Fields are the runner's: see `TaskRunner`, which alone changes them. */
export declare class TaskRun extends RingNode implements TaskHandle, ResponseFollower {
    #private;
    readonly owner: RunOwner;
    readonly kind: TaskKind;
    readonly timeoutMs: number;
    readonly onlyIfDelivered: boolean;
    /** Gone once it has run, with all that it closes over. */
    fn: TaskFunction | undefined;
    readonly values: Context;
    /** While it runs. */
    context: OwnedContext | undefined;
    state: TaskState;
    /** When it could have run. */
    readyAt: number;
    startedAt: number;
    heldMs: number;
    /** Why its context ended while it ran, if it did. */
    cut: {
        readonly outcome: "timeout" | "cancelled";
        readonly cause: unknown;
    } | undefined;
    isAccepted: boolean;
    /** Whether it waits for room in the queue, and not for its response. */
    isCaller: boolean;
    /** Its span, for those who trace. */
    work: TracedWork | undefined;
    /** Tells when its context ends while it runs. */
    watch: Disposable | undefined;
    end: TaskEnd | undefined;
    constructor(settings: RunSettings);
    get name(): string;
    get accepted(): Promise<boolean>;
    get done(): Promise<TaskEnd>;
    cancel(reason?: unknown): void;
    onResponseEnd(delivered: boolean): void;
    /** Tells those who asked that it has a place. */
    accept(): void;
    /** Tells those who asked how it ended, and lets go of all that is not needed any more. */
    close(end: TaskEnd): void;
}

// tasks/task-runner.d.ts

/**
 * Which task runs now, which waits, which is not run at all.
 *
 * Tasks are started from `setImmediate`, a few at a time: after the answers that are ready to go out, never in the stack
 * of a request, and never in its async scope. A promise that never settles would otherwise hold the request's memory for
 * ever, and so would a timer; therefore all that is kept here is made outside.
 */
import { type RefusalReason } from "./errors.ts";
import type { Reports } from "./reporter.ts";
import type { TaskState } from "./task-kinds.ts";
import { TaskRun, type RunOwner } from "./task-run.ts";
import type { ResolvedTasksOptions } from "./tasks-options.ts";
/** What is still there when a drain is over. */
export interface LeftOver {
    readonly name: string;
    readonly state: TaskState;
    readonly count: number;
}
/**
 * Invariants: a task is in the ring of its state, and `#enter` is the only place that changes it; `waiting` and `queued`
 * are within their bounds; `running` (with the stuck ones that keep their places) is at most `maxRunning`; while a task
 * is queued and a place is free, a pump is planned.
 */
export declare class TaskRunner implements RunOwner {
    #private;
    constructor(options: ResolvedTasksOptions, reports: Reports);
    /** How many are in each state; ended ones are all that ever ended. */
    get levels(): Readonly<Record<TaskState, number>>;
    /** Of those waiting, how many wait for room in the queue. */
    get callerCount(): number;
    /** How long the first in the queue has been ready, in milliseconds. */
    get oldestQueuedMs(): number;
    /** Takes it on. It waits until `submit`, `skip` or `refuse` says what comes of it. */
    add(run: TaskRun): void;
    /** Whether there is room for those who wait for their response, the last one included. */
    get mayWait(): boolean;
    /** It can run. */
    submit(run: TaskRun): void;
    skip(run: TaskRun): void;
    /** It will not be run. */
    refuse(run: TaskRun, reason: RefusalReason): void;
    /** It was not asked for in a way that can be understood. */
    refuseMisuse(run: TaskRun, error: unknown): void;
    cancel(run: TaskRun, reason: unknown): void;
    /** Resolves when nothing runs, is queued or waits, or after `timeoutMs`. Stuck tasks are not waited for. */
    settle(timeoutMs: number): Promise<void>;
    /** Gives up what has not begun, and aborts the signals of what has. Answers what was given up. */
    cutAll(): LeftOver[];
    /** Answers what still runs, and ends it in the eyes of everybody else. */
    abandonAll(): LeftOver[];
}

// tasks/tasks-options.d.ts

/**
 * Every option of `Tasks`, with its meaning, its default and its range.
 *
 * A time is a `Duration`: milliseconds, or text such as `"5s"`. `Infinity` means no limit; 0 is an error for a time.
 */
import { type Registry } from "../core/instruments.ts";
import { type Duration, type OptionTable } from "../core/options.ts";
import type { Reporter, ReportContext } from "./reporter.ts";
import type { Store } from "./store.ts";
import { type Tracing } from "./tracing.ts";
/** How tasks go away. */
export interface TasksDrainOptions {
    /**
     * How long a drain waits for what runs and for what is queued.
     *
     * @default "10s"
     * @range above 0 to Infinity
     */
    readonly grace?: Duration;
    /**
     * How long a task has to end once its signal has aborted: at the end of the grace, and at its own deadline.
     *
     * What still runs then is abandoned and named, or at its own deadline counted as stuck.
     *
     * @default "2s"
     * @range above 0 to Infinity
     * @metric background_tasks_stuck
     */
    readonly abort?: Duration;
    /**
     * How long the store has to give back its jobs and let go of its engine; the reporter has as long to flush.
     *
     * @default "5s"
     * @range above 0 to Infinity
     */
    readonly stop?: Duration;
}
/** What `Tasks` may be told. */
export interface TasksOptions {
    /**
     * Most tasks that run at once.
     *
     * The others wait in the queue. Too low shows as a growing `background_task_wait_seconds`, too high as tasks that
     * take the time of requests. The jobs of queues have limits of their own.
     *
     * @default 256
     * @range 1 to Infinity
     * @metric background_tasks_active
     */
    readonly maxRunning?: number;
    /**
     * Most tasks that are ready and wait for their turn. What comes of the next one, `overflow` says.
     *
     * @default 10000
     * @range 0 to Infinity
     * @metric background_tasks_queued
     */
    readonly maxQueued?: number;
    /**
     * Most tasks that wait for their response to end, or with `overflow: "caller-waits"` for a place in the queue.
     *
     * The next one is rejected. It is not part of `maxQueued`, since 10,000 event streams may each have a task.
     *
     * @default 10000
     * @range 0 to Infinity
     * @metric background_tasks_waiting
     */
    readonly maxWaiting?: number;
    /**
     * What comes of a task for which the queue has no place.
     *
     * `"reject"`: it is not run. `"drop-oldest"`: it takes the place of the one that has waited longest. `"caller-waits"`:
     * it gets the next place that becomes free, and its handle's `accepted` resolves then; a producer that awaits it goes
     * no faster than the tasks do, and one that does not is bounded by `maxWaiting`.
     *
     * @default "reject"
     * @metric background_tasks_total{outcome="rejected"}
     */
    readonly overflow?: "reject" | "drop-oldest" | "caller-waits";
    /**
     * Longest time for a task to run, unless its own `timeout` says otherwise.
     *
     * @default "30s"
     * @range above 0 to Infinity
     */
    readonly timeout?: Duration;
    /**
     * What becomes of the place of a task or of an attempt at a job that is stuck: over its deadline and deaf to its signal.
     *
     * `"keep"`: it keeps its place until it ends, so that no more than `maxRunning` ever run; enough of them stop all
     * others, which the gauge shows. `"release"`: another one may run beside it, as long as there are no more stuck than
     * `maxRunning`; what it holds (memory, connections) is held all the same.
     *
     * @default "keep"
     * @metric background_tasks_stuck
     */
    readonly stuck?: "keep" | "release";
    /**
     * Longest time for which the event loop may stand still while a task runs. Beyond, it is counted and reported.
     *
     * It cannot be cut: JavaScript runs to the end of its turn.
     *
     * @default "100ms"
     * @range above 0 to Infinity
     * @metric background_tasks_held_total
     */
    readonly maxHold?: Duration;
    /** How tasks go away. */
    readonly drain?: TasksDrainOptions;
    /**
     * Where jobs of queues live: `sqlite(...)`, `memory()`, or that of an adapter. Without one there are no queues.
     *
     * @default none
     */
    readonly store?: Store;
    /**
     * Told of each final failure, as `reporter` is. For those who only want to log.
     *
     * @default none
     */
    readonly onError?: (error: unknown, about: ReportContext) => void;
    /**
     * Where final failures are reported: `sentryReporter(...)`, `pinoReporter(...)`, or your own.
     *
     * @default none
     */
    readonly reporter?: Reporter;
    /**
     * Where spans come from: `openTelemetryTracing(...)`.
     *
     * @default none
     */
    readonly tracing?: Tracing;
    /**
     * Most reports of one kind (same task or queue, same error) in a minute. Further ones are counted and left out.
     *
     * @default 10
     * @range 1 to Infinity
     * @metric background_reports_total{result="suppressed"}
     */
    readonly maxReportsPerMinute?: number;
    /**
     * Where the instruments are registered.
     *
     * @default the registry of the process
     */
    readonly registry?: Registry;
}
/** {@link TasksOptions} checked, with times in milliseconds. */
export interface ResolvedTasksOptions {
    readonly maxRunning: number;
    readonly maxQueued: number;
    readonly maxWaiting: number;
    readonly overflow: "reject" | "drop-oldest" | "caller-waits";
    readonly timeout: number;
    readonly stuck: "keep" | "release";
    readonly maxHold: number;
    readonly drain: {
        readonly grace: number;
        readonly abort: number;
        readonly stop: number;
    };
    readonly store: Store | undefined;
    readonly onError: ((error: unknown, about: ReportContext) => void) | undefined;
    readonly reporter: Reporter | undefined;
    readonly tracing: Tracing;
    readonly maxReportsPerMinute: number;
    readonly registry: Registry;
}
export declare const tasksOptions: OptionTable<TasksOptions, ResolvedTasksOptions>;

// tasks/tasks-stats.d.ts

/**
 * What tasks look like at one moment: immutable plain numbers, limits beside levels.
 *
 * Every count is kept where its state changes.
 */
import type { LifecycleState } from "../core/lifecycle.ts";
import type { QueueStats } from "./queue-stats.ts";
import type { TaskKinds, TaskOutcome } from "./task-kinds.ts";
import type { TaskRunner } from "./task-runner.ts";
import type { ResolvedTasksOptions } from "./tasks-options.ts";
/** Tasks of one name. Levels first, then totals since the start. */
export interface TaskKindStats {
    readonly name: string;
    readonly waiting: number;
    readonly queued: number;
    readonly running: number;
    readonly stuck: number;
    /** Times that the event loop stood still while one of them ran. */
    readonly held: number;
    readonly outcomes: Readonly<Record<TaskOutcome, number>>;
}
/** Tasks at one moment. */
export interface TasksStats {
    readonly state: LifecycleState;
    /** Waiting for their response to end, or for room in the queue. */
    readonly waiting: number;
    /** Of these, those that wait for room. */
    readonly waitingForRoom: number;
    readonly queued: number;
    /** How long the first in the queue has been ready, in milliseconds. */
    readonly oldestQueued: number;
    readonly running: number;
    /** Over their deadline, deaf to their signal, and still running. */
    readonly stuck: number;
    readonly limits: {
        readonly maxRunning: number;
        readonly maxQueued: number;
        readonly maxWaiting: number;
    };
    readonly tasks: readonly TaskKindStats[];
    readonly queues: readonly QueueStats[];
}
/** What {@link TasksStats} are read from. */
export interface TasksParts {
    readonly options: ResolvedTasksOptions;
    readonly state: LifecycleState;
    readonly runner: TaskRunner;
    readonly kinds: TaskKinds;
    readonly queues: readonly {
        stats(): QueueStats;
    }[];
}
export declare function describeTasks({ options, state, runner, kinds, queues }: TasksParts): TasksStats;

// tasks/tasks.d.ts

/**
 * Work that may wait: after the response, beside it, or in a queue that outlives the process.
 *
 * A promise that nobody awaits crashes the process when it rejects, and is cut off by the next deploy; a `setTimeout` in
 * a handler keeps its request in memory. Here such work has a name, a deadline, a bound on how much of it there is, an
 * outcome that is counted, and a drain that waits for it. It is not a worker pool: tasks share the event loop with the
 * requests.
 */
import { type LifecycleState } from "../core/lifecycle.ts";
import type { JobHandler } from "./job.ts";
import type { QueueOptions } from "./queue-options.ts";
import { Queue } from "./queue.ts";
import { type ResponseLike } from "./response-end.ts";
import { type AfterOptions, type TaskOptions } from "./task-options.ts";
import { type TaskFunction, type TaskHandle } from "./task-run.ts";
import { type LeftOver } from "./task-runner.ts";
import { type TasksOptions } from "./tasks-options.ts";
import { type TasksStats } from "./tasks-stats.ts";
/** What became of a drain. */
export interface DrainReport {
    readonly durationMs: number;
    /** What was not over when the time was: by name and state. Empty if all went well. */
    readonly abandoned: readonly LeftOver[];
    /** Why the store did not stop well, if so. What was not settled comes again when its lease is over. */
    readonly storeError: unknown;
    /** Whether all reports have gone out. */
    readonly isFlushed: boolean;
}
/** Runs tasks, within bounds. One for the whole process will do. */
export declare class Tasks implements AsyncDisposable {
    #private;
    /** @throws OptionError if an option is unknown or out of range. */
    constructor(options?: TasksOptions);
    get state(): LifecycleState;
    /**
     * Runs `fn` once `res` has ended: all of it was sent, or its client left.
     *
     * It never throws and never rejects: what goes wrong, misuse included, is the outcome of the task, and is reported.
     * `fn` gets a context with the values of the current one, a deadline of its own, and nothing of the request.
     */
    after(res: ResponseLike, name: string, options: AfterOptions | undefined, fn: TaskFunction): TaskHandle;
    /** Runs `fn` soon, beside whatever is being done now. As {@link after}, it never throws and never rejects. */
    run(name: string, options: TaskOptions | undefined, fn: TaskFunction): TaskHandle;
    /**
     * A queue in the store. With a handler, this process takes jobs of it from now on; without one, it only adds.
     *
     * @throws OptionError if there is no store, an option is unknown or out of range, or the name is taken or malformed.
     */
    queue<T>(name: string, options?: QueueOptions, handler?: JobHandler<T>): Queue<T>;
    /** What can be seen at this moment. */
    stats(): TasksStats;
    /**
     * Refuses what is new, waits for what there is, aborts the signals of what remains, and gives up what is left.
     *
     * It takes no longer than `drain.grace`, `drain.abort` and twice `drain.stop` together. A later call gets the first
     * one's report.
     */
    drain(): Promise<DrainReport>;
    [Symbol.asyncDispose](): Promise<void>;
}

// tasks/tracing.d.ts

/**
 * Where spans come from, for those who trace: the adapter for OpenTelemetry fits here.
 *
 * The runtime knows only the W3C `traceparent` that it carries; what a span is, the adapter knows.
 */
/** A piece of work under way. */
export interface TracedWork {
    /** Carried on to what the work causes, if there is one. */
    readonly traceparent?: string | undefined;
    /** Calls `fn` so that what it does belongs to the span. */
    run<T>(fn: () => T): T;
    /** It is over. `error` if it failed. Called once. */
    end(outcome: string, error?: unknown): void;
}
/** What an attempt is about. */
export interface TracedAttempt {
    readonly queue: string;
    readonly id: string;
    readonly attempt: number;
    /** Of whoever added the job. */
    readonly traceparent?: string | undefined;
}
/** Makes spans. Calls do not throw. */
export interface Tracing {
    /** The traceparent of the span that is active now: a task runs outside of it, and is told. */
    current(): string | undefined;
    /** Jobs are being added to a queue. `parent` is the traceparent of whoever does it. */
    startAdd(queue: string, parent: string | undefined): TracedWork;
    /** A job is being done. */
    startAttempt(attempt: TracedAttempt): TracedWork;
    /** A task runs. `parent` is the traceparent of whoever asked for it. */
    startTask(name: string, parent: string | undefined): TracedWork;
}
/** Of those who do not trace. */
export declare const noTracing: Tracing;

// tasks/queue-worker.d.ts

/**
 * Takes jobs of one queue for this process, and sees to it that not too many run.
 *
 * The store keeps the number of unsettled jobs within the concurrency. What it cannot know is kept here: handlers that go
 * on although their job is settled (they are stuck), the rate limit, and whoever pauses the queue. In each case the store
 * is asked to pause; what it has handed out by then goes back, which does not count as an attempt.
 */
import { type AttemptHost } from "./job-attempt.ts";
import type { LeftOver } from "./task-runner.ts";
import type { StoreLink } from "./store-link.ts";
/** Why nothing is taken at present. */
type PauseReason = "user" | "rate" | "stuck";
/** What a worker is made of. */
export interface WorkerSettings {
    readonly host: Omit<AttemptHost, "onSettled" | "onOver">;
    readonly link: StoreLink;
    /** What becomes of the place of a stuck handler. */
    readonly stuck: "keep" | "release";
    /** Resolves when the queue is open. */
    readonly opened: Promise<void>;
}
/**
 * Invariants: every delivery is given back or is in `#attempts` until its handler is over and the store knows what became
 * of it; the consumer is paused exactly when `#pauses` is not empty.
 */
export declare class QueueWorker {
    #private;
    constructor(settings: WorkerSettings);
    get isPaused(): boolean;
    pause(reason?: PauseReason): void;
    resume(reason?: PauseReason): void;
    /** No further jobs. Resolves when the store has understood. */
    stop(): Promise<void>;
    /** Resolves when no handler runs, or after `timeoutMs`. Stuck ones are not waited for. */
    settle(timeoutMs: number): Promise<void>;
    cancelAll(): void;
    /** Gives back all that is not settled, and answers what still runs. */
    abandonAll(): LeftOver[];
}
export {};

// tasks/store-link.d.ts

/**
 * The way to a store: started when first needed, started again while its engine is not there, and never waited for without
 * a limit.
 *
 * Whether the store keeps to its own limits is not relied upon: what a caller was promised is kept here.
 */
import type { Reports } from "./reporter.ts";
import type { QueueSettings, Store } from "./store.ts";
/** How a store call is bounded. */
export interface CallLimit {
    /** What was to be done, for the error: "add a job to ...". */
    readonly what: string;
    readonly timeoutMs: number;
    /** What has to come first: the queue is open. */
    readonly after: Promise<void>;
}
/**
 * Invariant: `start` of the store is never under way twice, and is not called again once it has resolved; after `close`
 * no further call reaches the store but its `stop`.
 */
export declare class StoreLink {
    #private;
    readonly store: Store;
    constructor(store: Store, reports: Reports);
    /** What the engine said last, if it failed. */
    get lastError(): unknown;
    /** Resolves when the store has started and knows the queue. It may take as long as the engine is gone. */
    open(queue: string, settings: QueueSettings): Promise<void>;
    /** Calls until it succeeds, with growing pauses. Rejects once the link is closed. */
    persist<T>(call: () => Promise<T>): Promise<T>;
    /**
     * Calls once `limit.after` is resolved, with what is left of the time. Settles within the time, whatever the store does.
     *
     * @throws StoreUnavailableError if the time is over.
     */
    call<T>(limit: CallLimit, call: (leftMs: number) => Promise<T>): Promise<T>;
    /** Wakes whoever waits for the engine; nothing is tried any more. */
    close(): void;
    /** Stops the store, if it was ever started. Resolves within the time, to what went wrong. */
    stop(timeoutMs: number): Promise<unknown>;
}

// tasks/job-attempt.d.ts

/**
 * One attempt at one job: from the store's hand to the store's hand.
 *
 * Whatever the handler does, exactly one call tells the store what became of the job. That call is made again a few times
 * if it fails; after that the job comes again when its lease is over, which is what "at least once" means.
 */
import { type Context } from "../core/context.ts";
import type { DeadlineWheel } from "../core/deadline-wheel.ts";
import { RingNode } from "../core/ring.ts";
import { type JobHandler } from "./job.ts";
import type { QueueInstruments } from "./queue-instruments.ts";
import type { ResolvedQueueOptions } from "./queue-options.ts";
import type { Reports } from "./reporter.ts";
import type { Delivery } from "./store.ts";
import type { Tracing } from "./tracing.ts";
/** What the attempts of one queue share. */
export interface AttemptHost {
    readonly queue: string;
    readonly store: string;
    readonly options: ResolvedQueueOptions;
    readonly abortMs: number;
    readonly handler: JobHandler<never>;
    readonly root: Context;
    readonly wheel: DeadlineWheel;
    readonly instruments: QueueInstruments;
    readonly reports: Reports;
    readonly tracing: Tracing;
    /** The store knows what became of it, or never will; its handler may still be at it. */
    onSettled(attempt: JobAttempt): void;
    /** Its handler is over, and the store knows. */
    onOver(attempt: JobAttempt): void;
}
/**
 * Invariant: `#settle` is called exactly once; the handler may run on after it, which is then stuck.
 */
export declare class JobAttempt extends RingNode {
    #private;
    readonly delivery: Delivery;
    /** Whether its place was given up while its handler went on. The worker's. */
    isLeft: boolean;
    constructor(host: AttemptHost, delivery: Delivery);
    /** Whether its handler is over. */
    get isHandled(): boolean;
    /** For how long the handler has run, in milliseconds. */
    get ageMs(): number;
    start(): void;
    /** The process is going away. */
    cancel(): void;
    /** The handler goes on, and nobody waits for it any more: somebody else may have the job. */
    abandon(): void;
}

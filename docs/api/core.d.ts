// The interface of sluice/core, printed by `npm run api`. Do not edit.

// core/index.d.ts

/** The words and primitives that all parts share. */
export { now, systemClock, turnNow, type Clock } from "./clock.ts";
export { background, context, ContextError, contextKey, createContext, createRoot, outside, RequestContexts, shutdown, traceparentKey, type Context, type ContextCode, type ContextKey, type ContextLimits, type OwnedContext, type RequestContext, type RequestOwner, } from "./context.ts";
export { DeadlineWheel, WheelTimer, type DeadlineWheelOptions } from "./deadline-wheel.ts";
export { OptionError, SluiceError } from "./errors.ts";
export { connectionBounds, Counter, durationBounds, Gauge, Histogram, InstrumentError, instruments, queueBounds, Registry, type CollectedFamily, type CounterFamily, type Family, type GaugeFamily, type HistogramOptions, type HistogramSample, type ObservableFamily, type Sample, } from "./instruments.ts";
export { Lifecycle, type LifecycleState } from "./lifecycle.ts";
export { bytes, choice, count, duration, flag, given, group, optional, parseDuration, ratio, resolveOptions, text, type Duration, type GivenOptions, type OptionRule, type OptionTable, type Size, } from "./options.ts";
export { Semaphore, SemaphoreFullError, type Permit } from "./semaphore.ts";
export { lifecycleOf, servedBy, servedOf, setLifecycle, type Served } from "./served.ts";

// core/clock.d.ts

/**
 * Monotonic time, and the two ways of core to be called later.
 *
 * All deadlines are points on this clock: it never jumps, unlike the wall clock. What is scheduled here keeps no
 * process alive and pins no request in memory. Tests hand their own `Clock` to what they test.
 */
/** Time as a part of core sees it. */
export interface Clock {
    /** Milliseconds since an arbitrary moment, never decreasing. */
    now(): number;
    /** Calls `wake` once after `delayMs`. The function returned calls it off. */
    wakeAfter(delayMs: number, wake: () => void): () => void;
    /** Calls `wake` once the I/O that is ready now has been handled. The function returned calls it off. */
    wakeAfterPoll(wake: () => void): () => void;
}
/** Milliseconds on the monotonic clock of this process. */
export declare function now(): number;
/**
 * The time at which it was first asked for in this turn: until the stack is empty, the clock is read once.
 *
 * A look at the clock costs up to 0.2 us where the kernel has to be asked, and what one packet brings (a response's
 * header, its body, its end) has come at one time.
 */
export declare function turnNow(): number;
/** The process's own time. */
export declare const systemClock: Clock;

// core/context.d.ts

/**
 * What a request carries through every call made for it: when it must be finished, whether it still matters, and a
 * few values such as its trace id.
 *
 * Go's context for Node, as a tree of our own: `AbortSignal.any` keeps a kilobyte for each combined signal as long as
 * the longest-lived source lives, and every `AbortSignal.timeout` pins its request. Here a child leaves its parent in
 * O(1) when it is disposed of, and signals and timers exist only once somebody looks at them. The current context
 * travels by AsyncLocalStorage; passing it by hand works as well. It does not stop anything by itself: whoever waits
 * listens to it.
 */
import type { ContextCode } from "./context-error.ts";
import { type Duration } from "./options.ts";
export { ContextError, type ContextCode } from "./context-error.ts";
export { outside } from "./outside.ts";
/** Names a value in a context. Two keys of the same name are two keys. */
export interface ContextKey<T> {
    readonly name: string;
    /** Never set: it carries the type of the value. */
    readonly type?: (value: T) => T;
}
/** Limits of a child. Each can only shorten what the parent allows. */
export interface ContextLimits {
    /** How long from now until the deadline. */
    readonly timeout?: Duration;
    /** The deadline itself, in milliseconds on the monotonic clock (`performance.now()`). */
    readonly deadline?: number;
    /** Ends the child, with its reason as the cause. */
    readonly signal?: AbortSignal;
}
/** A deadline, a cancellation and values, inherited by children. */
export interface Context {
    /** Aborts when the context is done, with `cause` as its reason. Made when first asked for. */
    readonly signal: AbortSignal;
    /** The deadline in milliseconds on the monotonic clock (`performance.now()`); `Infinity` when there is none. */
    readonly deadline: number;
    /** Whether it is over: deadline passed, cancelled, disposed of, or its parent is done. */
    readonly done: boolean;
    /** Why it is done: a {@link ContextError}, or whatever was given as the reason. `undefined` until then. */
    readonly cause: unknown;
    /** Milliseconds left until the deadline, at least 0; `Infinity` when there is none. */
    remaining(): number;
    /**
     * A context within this one: done when this one is, or earlier by its own limits. Dispose of it when its work is
     * over (`using`), which also ends what was started below it.
     */
    child(limits?: ContextLimits): OwnedContext;
    /** A context that keeps the values and outlives this one: only its own timeout and a shutdown end it. */
    detach(limits: {
        readonly timeout: Duration;
    }): OwnedContext;
    /**
     * A context that keeps the values and none of the limits: only a shutdown ends it. For what begins later, and may have
     * to wait until then; it needs no disposal, and keeps nothing of a request in memory but its values.
     */
    values(): Context;
    /** The value of the nearest `withValue` above. */
    value<T>(key: ContextKey<T>): T | undefined;
    /** This context with one value more. It is done when this one is and needs no disposal. */
    withValue<T>(key: ContextKey<T>, value: T): Context;
    /** Calls `fn` with this as the current {@link context}, also in everything `fn` awaits and starts. */
    run<T, Args extends readonly unknown[]>(fn: (...args: Args) => T, ...args: Args): T;
    /**
     * Calls `fn` once with the cause when the context is done, in the order of registration; on a fresh microtask if it
     * is done already. What `fn` throws becomes an uncaught exception. It runs in the async scope of whatever ended the
     * context. Dispose of the registration when it is no longer needed.
     */
    onDone(fn: (cause: unknown) => void): Disposable;
}
/** A context as its maker holds it: it can be ended. */
export interface OwnedContext extends Context, Disposable {
    /** Ends it now, and all below it. Later calls do nothing. Without a cause: `ERR_CANCELLED`. */
    cancel(cause?: unknown): void;
}
/** The root of all contexts: no deadline, no values, never done. */
export declare const background: Context;
/** The context of the request (or task) that is being worked on; {@link background} outside of any. */
export declare function context(): Context;
/** A context under the background, whatever is being worked on now: for whoever accepts requests. */
export declare function createContext(limits?: ContextLimits): OwnedContext;
/**
 * A root for one server or task runner: contexts detached below it live on beside their request, but not beyond this
 * root.
 */
export declare function createRoot(): OwnedContext;
/** Whoever serves the request of a context, and knows what its deadline is. */
export interface RequestOwner {
    /** The deadline that holds now: the one there was, or a later one if that has become pointless. */
    reconsiderDeadline(before: number): number;
}
/** A request's context as its server holds it. */
export interface RequestContext extends Context {
    /** Ends it now, and all below it. Later calls do nothing. */
    end(code: ContextCode): void;
    /** Moves its deadline; contexts below that were bounded by it get the time too. */
    putOff(deadline: number): void;
    /**
     * Makes it the current one until the present callback of the runtime returns. For a caller who knows that the
     * runtime puts its own back: `run` costs twice as much.
     */
    enter(): void;
    /** The request is over and nothing went wrong: what still runs in its context is left alone and keeps nothing alive. */
    release(): void;
}
/** All requests of one server: what ends them together. Contexts detached from a request are not among them. */
export declare class RequestContexts {
    #private;
    /** A context for one request, done at `deadline` unless `owner` puts it off. */
    create(deadline: number, owner: RequestOwner, traceparent: string | undefined): RequestContext;
    /** Ends all that are not released; further ones can be made. */
    endAll(code: ContextCode): void;
}
/** Ends every context there is, those detached included. The background itself stays usable. */
export declare function shutdown(cause?: unknown): void;
/** A new key for `withValue`. */
export declare function contextKey<T>(name: string): ContextKey<T>;
/** The W3C `traceparent` of the request, as received or made: sent on with every call. */
export declare const traceparentKey: ContextKey<string>;

// core/deadline-wheel.d.ts

/**
 * One coarse timer for thousands of deadlines.
 *
 * Nearly every deadline of a server is cancelled before it is reached, so arming and cancelling must cost next to
 * nothing and firing may cost something. Arming therefore does not even read the clock (60 ns on some machines): the
 * timer waits in a ring of new ones until the next wake-up, half a tick later at most, and most are cancelled by then.
 * Those that remain move to a hashed wheel, where each slot holds the timers due at its tick, whatever the revolution.
 * A native timer is set only for the next slot in use, so a wheel with nothing due soon does not wake the process.
 * It is not for precision: a deadline is met up to one tick late.
 *
 * Thousands of deadlines may be due at once, and what comes of one takes a tenth of a millisecond where it cuts a
 * connection. So they fire in slices, and between two slices the event loop does what else there is to do.
 */
import { type Clock } from "./clock.ts";
import { RingNode } from "./ring.ts";
/**
 * What the wheel keeps of a timer. It is not the timer itself, since the wheel is slowed down threefold if its nodes
 * are of as many classes as there are kinds of timers.
 */
declare class WheelNode extends RingNode {
    readonly timer: WheelTimer;
    delayMs: number;
    /** The step at which it is due; `notArmed` or `notPlaced` before. */
    dueAt: number;
    constructor(timer: WheelTimer);
}
/** A deadline that can be armed on a {@link DeadlineWheel}. Extend it; arming and cancelling allocate nothing. */
export declare abstract class WheelTimer {
    /** @internal */
    readonly wheelNode: WheelNode;
    /** Whether it is waiting for its deadline. `false` again once `onDeadline` runs. */
    get armed(): boolean;
    /** Called once the deadline has passed. What it throws becomes an uncaught exception; other timers still fire. */
    abstract onDeadline(): void;
}
/** How a {@link DeadlineWheel} keeps time. */
export interface DeadlineWheelOptions {
    /**
     * The most, in milliseconds, that a deadline is met too late on an idle event loop.
     *
     * @default 10
     */
    readonly tickMs?: number;
    /** @internal */
    readonly clock?: Clock;
}
/**
 * Time goes in steps of half a tick: a timer loses up to one step while it is new, and up to one in its slot.
 *
 * Invariants: an armed timer is in `#fresh` with `dueAt === notPlaced`, or in slot `dueAt & slotMask` with
 * `dueAt > #step`, or in `#due`. While `size > 0` a wake-up is planned for `#wakeAtMs`: on the next turn if a slice has
 * left something in `#due`, within a step if there are new timers, not later than the earliest slot in use, and within
 * a revolution. `#sweep` is the only place that fires.
 */
export declare class DeadlineWheel {
    #private;
    constructor(options?: DeadlineWheelOptions);
    /** How many timers are armed. */
    get size(): number;
    /** Calls `timer.onDeadline` after `delayMs`, never earlier. Armed already, it starts anew; `Infinity` cancels. */
    arm(timer: WheelTimer, delayMs: number): void;
    /** Forgets the deadline. Not armed, it does nothing. */
    cancel(timer: WheelTimer): void;
    /** Cancels all timers; none of them fires. The wheel may be used again. */
    close(): void;
}
export {};

// core/errors.d.ts

/**
 * The errors that hold for every part.
 *
 * A caller matches on `code`, which is part of the public interface; the message is not, and may be improved at
 * any time. A message carries the numbers of the moment and the next step, because whoever reads it has an
 * incident and not a debugger. An error of Node or undici that people already match on is kept as `cause`.
 */
/** Every error that this package throws by itself. */
export declare abstract class SluiceError extends Error {
    /** Stable, upper case, starts with `ERR_`. */
    abstract readonly code: `ERR_${string}`;
    get name(): string;
}
/** An option was misspelt or out of range. Thrown where options are taken, never later. */
export declare class OptionError extends SluiceError {
    readonly code = "ERR_OPTION";
    /** Path of the option, for example `Transport.retry.attempts`. */
    readonly option: string;
    constructor(option: string, reason: string);
}

// core/instruments.d.ts

/**
 * Counters, gauges and histograms that cost tens of nanoseconds, so that nobody is tempted to leave them out.
 *
 * What makes metrics dear is finding the series of a set of labels, not counting: so a series is looked up once with
 * `labels()` and then held. Values live in typed arrays, and nothing is rendered here; Prometheus, OpenTelemetry and
 * the page each make their own text of `collect()`. Labels are bounded, since one made of user input would otherwise
 * grow until the process dies.
 */
import { SluiceError } from "./errors.ts";
/** An instrument was declared or used in a way that its renderings could not tell apart. A mistake in the program. */
export declare class InstrumentError extends SluiceError {
    readonly code = "ERR_INSTRUMENT";
}
/** Bounds for the duration of requests, in seconds: those of OpenTelemetry's `http.*.request.duration`. */
export declare const durationBounds: readonly number[];
/** Bounds for the life of connections, in seconds: those of OpenTelemetry's `http.client.connection.duration`. */
export declare const connectionBounds: readonly number[];
/** Bounds for the time spent in a queue, in seconds: those of .NET's `http.client.request.time_in_queue`, and 0.1 ms. */
export declare const queueBounds: readonly number[];
/** Methods of HTTP that may become a label value; the rest could be anything and become `_OTHER` (OpenTelemetry's rule). */
export declare const knownMethods: ReadonlySet<string>;
/** A number that only grows. */
export declare class Counter {
    #private;
    get value(): number;
    /** Adds `n`, by default 1. A negative `n` or `NaN` is left out: readers take a falling counter for a restart. */
    add(n?: number): void;
}
/** A number that goes up and down. */
export declare class Gauge {
    #private;
    get value(): number;
    set(value: number): void;
    add(n: number): void;
}
/**
 * How often values fell into each of a few ranges.
 *
 * Invariant: `counts[i]` counts values in (`bounds[i - 1]`, `bounds[i]`], the last one those above all bounds; `count`
 * is their sum.
 */
export declare class Histogram {
    #private;
    readonly bounds: Float64Array;
    /** Not cumulative; one more than there are bounds. */
    readonly counts: Float64Array;
    constructor(bounds: Float64Array);
    get count(): number;
    get sum(): number;
    /** Counts `value`. `NaN` is left out: it would make the sum `NaN` for ever. */
    record(value: number): void;
    /**
     * The value below which the share `q` (0 to 1) of all values lies, interpolated within its range as Prometheus'
     * `histogram_quantile` does: the first range begins at 0, and above all bounds the highest bound is the answer.
     * `NaN` while nothing is recorded.
     */
    quantile(q: number): number;
}
/** One series of a counter or gauge. `labels` stand in the order of the family's `labelNames`. */
export interface Sample {
    readonly labels: readonly string[];
    readonly value: number;
}
/** One series of a histogram. `counts` are those of {@link Histogram}: not cumulative. */
export interface HistogramSample {
    readonly labels: readonly string[];
    readonly bounds: Float64Array;
    readonly counts: Float64Array;
    readonly sum: number;
    readonly count: number;
}
interface FamilyHead {
    readonly name: string;
    readonly help: string;
    readonly labelNames: readonly string[];
}
/** A family at the moment of `collect()`. */
export type CollectedFamily = (FamilyHead & {
    readonly type: "counter" | "gauge";
    readonly samples: readonly Sample[];
}) | (FamilyHead & {
    readonly type: "histogram";
    readonly samples: readonly HistogramSample[];
});
/** All series of one name. */
export interface Family<Instrument> extends FamilyHead {
    /**
     * The series of these label values, in the order of `labelNames`; the same one each time. Look it up once and hold
     * it. Beyond `maxSeries` all further values share one series, whose labels are `_OTHER`.
     */
    labels(...values: readonly string[]): Instrument;
    /** Forgets a series, so that it is no longer collected and its place is free again. */
    delete(...values: readonly string[]): void;
}
/** Gauges and counters can be read at the moment of collection instead of being kept up to date. */
export interface ObservableFamily<Instrument> extends Family<Instrument> {
    /**
     * Calls `read` at each collection; it reports any number of values. Values of the same labels are added up, also
     * with those that were set or counted. Dispose of the registration when what is read goes away. What is reported of a
     * counter never falls.
     */
    observe(read: (report: (value: number, ...labels: readonly string[]) => void) => void): Disposable;
}
export type GaugeFamily = ObservableFamily<Gauge>;
export type CounterFamily = ObservableFamily<Counter>;
/** How to make a histogram. */
export interface HistogramOptions extends FamilyOptions {
    /** Upper ends of the ranges, ascending. */
    readonly bounds: readonly number[];
    readonly labelNames?: readonly string[];
}
/** What a family may be given besides its name. */
export interface FamilyOptions {
    /**
     * Most series kept for the family; all others share `_OTHER`.
     *
     * @default that of the registry
     */
    readonly maxSeries?: number;
}
/**
 * All families of one program, by name.
 *
 * Invariant: a name has one type, one list of labels and one list of bounds for as long as the registry lives.
 */
export declare class Registry {
    #private;
    constructor(options?: FamilyOptions);
    /** @throws InstrumentError if the name is not one, or is taken by something else. */
    counter(name: string, help: string, labelNames?: readonly string[], options?: FamilyOptions): CounterFamily;
    /** @throws InstrumentError if the name is not one, or is taken by something else. */
    gauge(name: string, help: string, labelNames?: readonly string[], options?: FamilyOptions): GaugeFamily;
    /** @throws InstrumentError if the name is not one or is taken by something else, or the bounds do not ascend. */
    histogram(name: string, help: string, options: HistogramOptions): Family<Histogram>;
    /** All families and their values at this moment, in the order of their making. */
    collect(): Generator<CollectedFamily>;
}
/** Where parts register their instruments unless they are given another registry. */
export declare const instruments: Registry;
export {};

// core/lifecycle.d.ts

/**
 * The three states of whatever takes work: serving, draining, drained.
 *
 * Whatever is drained stops in the same way: it refuses new work, lets the present work end, and is done. Only the order
 * of states lives here; what draining means is the owner's.
 */
/** `draining` refuses new work while the present work ends. There is no way back. */
export type LifecycleState = "serving" | "draining" | "drained";
/**
 * Invariant: the state only moves forward, `drain`'s work runs once, and the state is `drained` exactly when the
 * promise of `drain` is settled, also if the work failed.
 */
export declare class Lifecycle {
    #private;
    get state(): LifecycleState;
    /** Tells the listeners, runs `work`, and resolves or rejects as it does. A later call gets the first one's promise. */
    drain(work: () => Promise<void> | void): Promise<void>;
    /** Calls `fn` once when draining begins; on a fresh microtask if it has begun. */
    onDrain(fn: () => void): Disposable;
}

// core/options.d.ts

/**
 * Option tables: each option's default, check and stored form, written once.
 *
 * A misspelt limit that is silently ignored is found months later, in an outage, so an unknown key is an error that
 * names the nearest real one. Documentation, `--help` and the page are printed from the same tables. This is not a
 * schema library: it knows only the few kinds of value that the parts take.
 */
/** A length of time: milliseconds as a number, or a number with its unit, such as `"90s"`. */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h"}`;
/** A size: bytes as a number, or a number with its unit, such as `"16kb"` (1 kb = 1024 bytes). */
export type Size = number | `${number}${"b" | "kb" | "mb" | "gb"}`;
/** How one option is defaulted and checked. `parse` returns the stored form or throws a `RangeError` or `TypeError`. */
export interface OptionRule<Given, Stored> {
    readonly fallback: Stored;
    readonly parse: (given: Given) => Stored;
}
/** One rule for every key of `Options`; a forgotten key does not compile. */
export type OptionTable<Options, Resolved extends {
    [Key in keyof Options]-?: unknown;
}> = {
    readonly [Key in keyof Options]-?: OptionRule<NonNullable<Options[Key]>, Resolved[Key]>;
};
/** Options as a caller may write them: an explicit `undefined` counts as not given, whatever the compiler's settings. */
export type GivenOptions<Options> = {
    readonly [Key in keyof Options]: Options[Key] | undefined;
};
/**
 * Checks `given` against `table` and fills in what is missing; `undefined` and `null` count as missing.
 *
 * Only own properties are read, each once: neither a polluted prototype nor a getter can slip a value past the check.
 *
 * @throws OptionError naming `owner.key`; for an unknown key also the nearest real one.
 */
export declare function resolveOptions<Options extends object, Resolved extends {
    [Key in keyof Options]-?: unknown;
}>(owner: string, table: OptionTable<Options, Resolved>, raw: Options | undefined): Readonly<Resolved>;
/**
 * Milliseconds of a duration; `Infinity` means never.
 *
 * @throws RangeError for 0, a negative or unreadable length. Go reads 0 as "no timeout" in some fields and as "the
 * default" in others; here it is refused.
 */
export declare function parseDuration(raw: Duration): number;
/** A whole number of things, from `min` (default 0) to `max`; without `max`, `Infinity` means no limit. */
export declare function count(rule: {
    readonly fallback: number;
    readonly min?: number;
    readonly max?: number;
}): OptionRule<number, number>;
/** A length of time above 0, stored in milliseconds; `Infinity` means never, unless `max` forbids it. */
export declare function duration(rule: {
    readonly fallback: number;
    readonly max?: number;
}): OptionRule<Duration, number>;
/** A number of bytes, rounded down to a whole one; `Infinity` means no limit. */
export declare function bytes(rule: {
    readonly fallback: number;
    readonly min?: number;
}): OptionRule<Size, number>;
/** A share from 0 to 1. */
export declare function ratio(rule: {
    readonly fallback: number;
}): OptionRule<number, number>;
/** `true` or `false`; what is only truthy, such as `"false"`, is refused. */
export declare function flag(rule: {
    readonly fallback: boolean;
}): OptionRule<boolean, boolean>;
/** One of a few words. */
export declare function choice<const Value extends string>(rule: {
    readonly fallback: NoInfer<Value>;
    readonly values: readonly Value[];
}): OptionRule<Value, Value>;
/** A string that is not empty. */
export declare function text(rule: {
    readonly fallback: string;
}): OptionRule<string, string>;
/** A function or object that is kept as it is. `check` throws a `RangeError` or `TypeError` if it will not do. */
export declare function given<Value>(rule: {
    readonly fallback: Value;
    readonly check?: (value: Value) => void;
}): OptionRule<Value, Value>;
/** Options within an option. `owner` is the whole path, for example `Transport.retry`. */
export declare function group<Options extends object, Resolved extends {
    [Key in keyof Options]-?: unknown;
}>(owner: string, table: OptionTable<Options, Resolved>): OptionRule<Options, Readonly<Resolved>>;
/** The same rule, but `undefined` when the option is absent. */
export declare function optional<Given, Stored>(rule: OptionRule<Given, Stored>): OptionRule<Given, Stored | undefined>;

// core/semaphore.d.ts

/**
 * At most so many at a time, and a bounded queue for the others.
 *
 * A queue without a bound only moves an overload from the CPU into the memory, so the length of the queue is part of
 * the semaphore. It does not time its waiters out: pass a signal.
 */
import { SluiceError } from "./errors.ts";
/** A permit that gives itself back when its scope ends, however it ends. */
export interface Permit extends Disposable {
    /** Gives the permit back now. A second call does nothing. */
    release(): void;
}
/** All permits are out and the queue is full. Whatever was to be done was not begun. */
export declare class SemaphoreFullError extends SluiceError {
    readonly code = "ERR_SEMAPHORE_FULL";
    constructor(limit: number, maxWaiting: number);
}
/**
 * Hands out at most `limit` permits at a time, first come, first served.
 *
 * Invariant: `waiting > 0` implies `inUse >= limit`; above it only after the limit was lowered. `waiting` never
 * exceeds `maxWaiting`. `#settle` is the only place that grants a waiter.
 */
export declare class Semaphore {
    #private;
    /** `limit` and `maxWaiting`: whole numbers from 0 up, or `Infinity`. Without `maxWaiting` the queue is unlimited. */
    constructor(limit: number, options?: {
        readonly maxWaiting?: number;
    });
    get inUse(): number;
    get waiting(): number;
    get maxWaiting(): number;
    get limit(): number;
    /** A higher limit lets waiters in at once; a lower one takes effect as permits come back. */
    set limit(limit: number);
    /** A permit now, or `undefined`. */
    tryAcquire(): Permit | undefined;
    /**
     * Resolves once a permit is free. Rejects with `signal.reason` if aborted first.
     *
     * @throws SemaphoreFullError if `maxWaiting` wait already.
     */
    acquire(signal?: AbortSignal): Promise<Permit>;
}

// core/served.d.ts

/**
 * What a server offers to whoever answers one of its requests with something that lasts.
 *
 * Event streams and WebSockets have to know when their server goes away, and are no usual answers to its deadlines. They
 * live in another part than the server, and neither knows the other: this is where they meet. On a server that nobody
 * guards there is nothing here, and the streams do without.
 */
import type { Context } from "./context.ts";
import type { Lifecycle } from "./lifecycle.ts";
/** A request-answer of a guarded server, as the answer's writer sees it. */
export interface Served {
    /** Of the request. */
    readonly context: Context | undefined;
    /** Of the server. */
    readonly lifecycle: Lifecycle;
    /**
     * From here on this answer has its own rules: no deadline of the server's, no slowest rate, no place of the limit on
     * concurrency. Whoever calls it bounds what waits for a client, and how long.
     */
    takeOver(): void;
}
/** Where a response keeps the request-answer that it belongs to. */
export declare const servedBy: unique symbol;
/** What the guarded server of this response offers; `undefined` if the response is not one of a guarded server. */
export declare function servedOf(response: object): Served | undefined;
/** Of a guarded server; `undefined` for another one. */
export declare function lifecycleOf(server: object): Lifecycle | undefined;
/** For whoever guards a server. */
export declare function setLifecycle(server: object, lifecycle: Lifecycle): void;

// core/context-error.d.ts

/** Why a context is done, when it was ended by us and not by a reason that somebody gave. */
import { SluiceError } from "./errors.ts";
/** The ways in which a context ends. */
export type ContextCode = "ERR_CLIENT_GONE" | "ERR_DEADLINE_EXCEEDED" | "ERR_CANCELLED" | "ERR_SHUTTING_DOWN";
/** The cause of a done {@link Context} and the reason of its signal. */
export declare class ContextError extends SluiceError {
    readonly code: ContextCode;
    constructor(code: ContextCode, message?: string);
}

// core/outside.d.ts

/**
 * A way out of the async scope of the request that happens to be running.
 *
 * A timer, socket or promise made inside a request remembers that request's AsyncLocalStorage values for as long as it
 * lives; a pooled connection would pin its first request for ever. What outlives a request is therefore made here.
 */
/** Calls `fn` in the async scope in which this module was loaded, and returns what it returns. */
export declare const outside: <R>(fn: () => R) => R;
/** Throws `error` as an uncaught exception on a fresh turn, so that one bad callback does not stop its neighbours. */
export declare function throwLater(error: unknown): void;

// core/ring.d.ts

/**
 * A doubly linked ring whose nodes are the things themselves.
 *
 * Queues here lose members from the middle all the time (a cancelled timer, an aborted waiter), and must do so in O(1)
 * and without garbage. A `Set` would do it too, but finding its oldest member walks over those already deleted.
 */
/**
 * One member of at most one ring. A ring is a bare node that stands for "before the first, after the last".
 *
 * Invariant: `node.ringNext.ringPrev === node` and `node.ringPrev.ringNext === node`; a node alone points to itself.
 */
export declare class RingNode {
    /** @internal */
    ringNext: RingNode;
    /** @internal */
    ringPrev: RingNode;
}
/** Whether the node is in a ring; of a ring's own node: whether the ring has members. */
export declare function isLinked(node: RingNode): boolean;
/** Puts a node that is in no ring at the end of `ring`. */
export declare function append(ring: RingNode, node: RingNode): void;
/** Takes the node out of its ring, if it is in one. */
export declare function unlink(node: RingNode): void;

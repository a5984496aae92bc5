// The interface of sluice/observe, printed by `npm run api`. Do not edit.

// observe/index.d.ts

/** What the parts of a service do, in the forms that tools read. */
export { chooseFormat, contentTypes, renderExposition, renderFamilies, type ExpositionFormat } from "./exposition.ts";
export { ProfileBuilder, type ProfileFrame, type ProfileHead, type ProfileLabels, type ValueType } from "./pprof.ts";
export { cpuIntervalMicros, heapIntervalBytes, HeapSampler, ProfileBusyError, profileCpu } from "./profiler.ts";
export { observeRuntime } from "./runtime.ts";
export { fromCpuProfile, fromHeapProfile, type CpuProfile, type HeapProfile } from "./v8-profiles.ts";

// observe/exposition.d.ts

/**
 * Instruments as the text that Prometheus reads: its own format 0.0.4, and OpenMetrics 1.0.0.
 *
 * Both say the same of a family in lines. They differ in how a counter is called (OpenMetrics drops `_total` where it
 * declares it), in how numbers and bounds are written, and in that OpenMetrics ends with a mark, so that half a page is
 * not taken for a whole one. Nothing is kept between two renderings but the text of label sets, which is most of it.
 */
import type { CollectedFamily, Registry } from "../core/instruments.ts";
/** Which of the two formats. */
export type ExpositionFormat = "prometheus" | "openmetrics";
/** What goes into the header `Content-Type`. */
export declare const contentTypes: Readonly<Record<ExpositionFormat, string>>;
/**
 * The format that a scraper asks for. Prometheus names its own one as the last choice and prefers OpenMetrics; browsers and
 * curl ask for neither, and get what people can read everywhere.
 */
export declare function chooseFormat(accept: string | undefined): ExpositionFormat;
/** All families of a registry as one text. */
export declare function renderExposition(registry: Registry, format?: ExpositionFormat): string;
/** The same in pieces, a family each: for who lets others have their turn between them. */
export declare function renderFamilies(families: Iterable<CollectedFamily>, format: ExpositionFormat): Generator<string, void, undefined>;

// observe/pprof.d.ts

/**
 * Profiles in the form that `go tool pprof` and everything around it reads: profile.proto, gzipped.
 *
 * The schema is that of github.com/google/pprof, proto/profile.proto; the numbers below are its field numbers. Strings
 * stand once in a table and are named by their place in it, as are functions and locations by their ids. The encoder is
 * here and not a package's since it is shorter than the dependency would be to explain.
 */
/** What is measured: `cpu` in `nanoseconds`. */
export interface ValueType {
    readonly type: string;
    readonly unit: string;
}
/** One place in a stack. `line` counts from 1; 0 is not known. */
export interface ProfileFrame {
    readonly name: string;
    readonly file: string;
    readonly line: number;
}
/** What a profile is of, beside its samples. */
export interface ProfileHead {
    readonly valueTypes: readonly ValueType[];
    readonly period?: {
        readonly type: ValueType;
        readonly value: number;
    };
    /** Milliseconds since 1970. */
    readonly startedAt?: number;
    readonly durationMs?: number;
}
/** By which samples can be told apart: `go tool pprof -tags`. */
export type ProfileLabels = Readonly<Record<string, string | {
    readonly value: number;
    readonly unit: string;
}>>;
/** Invariant: what has an id is in `#profile` already, or in the string table, which is written last. */
export declare class ProfileBuilder {
    #private;
    constructor({ valueTypes, period, startedAt, durationMs }: ProfileHead);
    /** Adds a sample: its stack from the innermost frame outwards, and one value for each type. */
    add(stack: readonly ProfileFrame[], values: readonly number[], labels?: ProfileLabels): void;
    /** The finished file. Nothing can be added any more. */
    finish(): Promise<Buffer>;
}

// observe/profiler.d.ts

/**
 * The profilers of V8, by an inspector session within the process: no port is opened, and both lines of Node have it.
 *
 * A CPU profile slows down what it measures, and two at a time would measure one another, so there is one at a time for
 * the whole process. Allocations are sampled from `startSampling` on, as Go does from the start of a process: a heap
 * profile can only show what was taken while somebody looked.
 */
import { SluiceError } from "../core/errors.ts";
import type { CpuProfile, HeapProfile } from "./v8-profiles.ts";
/** A profile of that kind is being made already. */
export declare class ProfileBusyError extends SluiceError {
    readonly code = "ERR_PROFILE_BUSY";
}
/** Microseconds from one look at the stack to the next. */
export declare const cpuIntervalMicros = 1000;
/** Bytes between two allocations that are looked at: Go's `runtime.MemProfileRate`. */
export declare const heapIntervalBytes = 524288;
/**
 * Looks at the stack for so long, or until the signal aborts, which rejects.
 *
 * @throws ProfileBusyError if somebody else does
 */
export declare function profileCpu(durationMs: number, signal: AbortSignal): Promise<CpuProfile>;
/**
 * Samples allocations from its making until it is closed. V8 has one sampler: there is one of these for a process.
 *
 * Invariant: `#session` samples what is held, unless `#isLent`, when it samples all that is taken.
 */
export declare class HeapSampler {
    #private;
    /** @throws ProfileBusyError if there is one already */
    constructor();
    /** What has been taken since it was made and is still held. `collect` first frees what can be freed. */
    read({ collect }?: {
        readonly collect?: boolean;
    }): Promise<HeapProfile>;
    /**
     * What is taken from now on for so long, also what is freed again. V8 cannot keep both lists: what is held is
     * sampled anew from then on.
     */
    readAllocations(durationMs: number, signal: AbortSignal): Promise<HeapProfile>;
    close(): Promise<void>;
}

// observe/runtime.d.ts

/**
 * What the process and its runtime are doing, among the instruments: event loop, garbage collection, memory, descriptors.
 *
 * Names are those of OpenTelemetry for Node and V8 in Prometheus' form, and Prometheus' own for a process. Levels are read
 * when somebody collects. Two things can only be seen while they happen: how late the event loop is, by a timer that is
 * due every 20 ms, and how long the collector takes, by an observer. `monitorEventLoopDelay` of Node is not used: its
 * default counts its own 10 ms with every delay, and a stall of a second is one sample among a hundred (nodejs/node#34661).
 */
import type { Registry } from "../core/instruments.ts";
/** Adds the instruments of this process to a registry, until it is disposed of. Once for each registry. */
export declare function observeRuntime(registry: Registry): Disposable;

// observe/v8-profiles.d.ts

/**
 * What V8's profilers give, as profiles that `go tool pprof` reads.
 *
 * V8 tells a tree of calls, with places counted from 0, and samples that point into it. Lines are those of the source
 * that was written: where Node keeps source maps (`--enable-source-maps`), generated lines are led back.
 */
import { ProfileBuilder } from "./pprof.ts";
interface CallFrame {
    readonly functionName: string;
    readonly url: string;
    readonly lineNumber: number;
    readonly columnNumber: number;
}
interface CpuNode {
    readonly id: number;
    readonly callFrame: CallFrame;
    readonly children?: readonly number[] | undefined;
}
/** A `.cpuprofile`: times in microseconds. */
export interface CpuProfile {
    readonly nodes: readonly CpuNode[];
    readonly startTime: number;
    readonly endTime: number;
    readonly samples?: readonly number[] | undefined;
    readonly timeDeltas?: readonly number[] | undefined;
}
interface HeapNode {
    readonly callFrame: CallFrame;
    readonly selfSize: number;
    readonly children?: readonly HeapNode[] | undefined;
}
/** A `.heapprofile`. */
export interface HeapProfile {
    readonly head: HeapNode;
}
/** CPU time by stack. Idle time is left out. */
export declare function fromCpuProfile(profile: CpuProfile, { intervalMicros, startedAt }: {
    readonly intervalMicros: number;
    readonly startedAt: number;
}): ProfileBuilder;
/** Bytes that were taken and are still held, by the stack that took them. */
export declare function fromHeapProfile({ head }: HeapProfile, { intervalBytes, startedAt }: {
    readonly intervalBytes: number;
    readonly startedAt: number;
}): ProfileBuilder;
export {};

/**
 * Every option of `Tasks`, with its meaning, its default and its range.
 *
 * A time is a `Duration`: milliseconds, or text such as `"5s"`. `Infinity` means no limit; 0 is an error for a time.
 */

import { instruments, type Registry } from "../core/instruments.ts";
import { choice, count, duration, given, group, type Duration, type OptionTable } from "../core/options.ts";
import type { Reporter, ReportContext } from "./reporter.ts";
import type { Store } from "./store.ts";
import { noTracing, type Tracing } from "./tracing.ts";

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
  readonly drain: { readonly grace: number; readonly abort: number; readonly stop: number };
  readonly store: Store | undefined;
  readonly onError: ((error: unknown, about: ReportContext) => void) | undefined;
  readonly reporter: Reporter | undefined;
  readonly tracing: Tracing;
  readonly maxReportsPerMinute: number;
  readonly registry: Registry;
}

export const tasksOptions: OptionTable<TasksOptions, ResolvedTasksOptions> = {
  maxRunning: count({ fallback: 256, min: 1 }),
  maxQueued: count({ fallback: 10_000 }),
  maxWaiting: count({ fallback: 10_000 }),
  overflow: choice({ fallback: "reject", values: ["reject", "drop-oldest", "caller-waits"] }),
  timeout: duration({ fallback: 30_000 }),
  stuck: choice({ fallback: "keep", values: ["keep", "release"] }),
  maxHold: duration({ fallback: 100 }),
  drain: group<TasksDrainOptions, ResolvedTasksOptions["drain"]>("Tasks.drain", {
    grace: duration({ fallback: 10_000 }),
    abort: duration({ fallback: 2_000 }),
    stop: duration({ fallback: 5_000 }),
  }),
  store: given<Store | undefined>({ fallback: undefined, check: beStore }),
  onError: given<TasksOptions["onError"]>({ fallback: undefined, check: beFunction }),
  reporter: given<Reporter | undefined>({ fallback: undefined, check: beReporter }),
  tracing: given<Tracing>({ fallback: noTracing }),
  maxReportsPerMinute: count({ fallback: 10, min: 1 }),
  registry: given<Registry>({ fallback: instruments }),
};

function beFunction(value: unknown): void {
  if (typeof value !== "function") throw new TypeError(`must be a function; got ${typeof value}`);
}

function beStore(store: Store | undefined): void {
  if (typeof store?.add === "function" && typeof store.consume === "function") return;
  throw new TypeError("must be a store, such as sqlite({ path }) or memory()");
}

function beReporter(reporter: Reporter | undefined): void {
  if (typeof reporter?.report === "function" && typeof reporter.flush === "function") return;
  throw new TypeError("must have the methods report and flush, as sentryReporter(...) and pinoReporter(...) do");
}

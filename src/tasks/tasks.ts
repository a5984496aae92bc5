/**
 * Work that may wait: after the response, beside it, or in a queue that outlives the process.
 *
 * A promise that nobody awaits crashes the process when it rejects, and is cut off by the next deploy; a `setTimeout` in
 * a handler keeps its request in memory. Here such work has a name, a deadline, a bound on how much of it there is, an
 * outcome that is counted, and a drain that waits for it. It is not a worker pool: tasks share the event loop with the
 * requests.
 */

import { now } from "../core/clock.ts";
import { context, createRoot, traceparentKey, type Context } from "../core/context.ts";
import { DeadlineWheel } from "../core/deadline-wheel.ts";
import { OptionError } from "../core/errors.ts";
import { Lifecycle, type LifecycleState } from "../core/lifecycle.ts";
import { resolveOptions } from "../core/options.ts";
import { TasksDrainingError } from "./errors.ts";
import type { JobHandler } from "./job.ts";
import type { QueueOptions } from "./queue-options.ts";
import { Queue, type QueueHost } from "./queue.ts";
import { Reports } from "./reporter.ts";
import { followResponse, type ResponseLike } from "./response-end.ts";
import { StoreLink } from "./store-link.ts";
import { TaskKinds } from "./task-kinds.ts";
import {
  afterOptions,
  taskOptions,
  type AfterOptions,
  type ResolvedTaskOptions,
  type TaskOptions,
} from "./task-options.ts";
import { TaskRun, type TaskFunction, type TaskHandle } from "./task-run.ts";
import { TaskRunner, type LeftOver } from "./task-runner.ts";
import { tasksOptions, type ResolvedTasksOptions, type TasksOptions } from "./tasks-options.ts";
import { describeTasks, type TasksStats } from "./tasks-stats.ts";
import { noTracing } from "./tracing.ts";

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

const nothingDrained: DrainReport = Object.freeze({
  durationMs: 0,
  abandoned: [],
  storeError: undefined,
  isFlushed: true,
});

const noOptions: ResolvedTaskOptions = Object.freeze({ timeout: undefined, onlyIfDelivered: false });

/** What was asked for, unchecked. */
interface Asked {
  readonly name: string;
  readonly fn: TaskFunction;
  readonly resolve: () => ResolvedTaskOptions;
}

/** A queue, whatever its data. */
type OpenQueue = Pick<Queue<unknown>, "worker" | "close" | "stats">;

/** Runs tasks, within bounds. One for the whole process will do. */
export class Tasks implements AsyncDisposable {
  readonly #options: ResolvedTasksOptions;
  readonly #lifecycle = new Lifecycle();
  readonly #reports: Reports;
  readonly #kinds: TaskKinds;
  readonly #runner: TaskRunner;
  readonly #limits: Disposable;
  readonly #queueHost: QueueHost | undefined;
  readonly #queues = new Map<string, OpenQueue>();
  #drained: DrainReport | undefined;

  /** @throws OptionError if an option is unknown or out of range. */
  constructor(options?: TasksOptions) {
    this.#options = resolveOptions<TasksOptions, ResolvedTasksOptions>("Tasks", tasksOptions, options);
    this.#reports = new Reports(this.#options);
    this.#kinds = new TaskKinds(this.#options.registry);
    this.#runner = new TaskRunner(this.#options, this.#reports);
    const { store, maxRunning, maxQueued, maxWaiting, registry } = this.#options;
    this.#limits = registry
      .gauge("background_tasks_limit", "Most tasks that run, are queued, or wait for their response.", ["scope"])
      .observe((report) => {
        report(maxRunning, "running");
        report(maxQueued, "queued");
        report(maxWaiting, "waiting");
      });
    if (store === undefined) return;
    this.#queueHost = {
      options: this.#options,
      link: new StoreLink(store, this.#reports),
      reports: this.#reports,
      root: createRoot(),
      wheel: new DeadlineWheel(),
    };
  }

  get state(): LifecycleState {
    return this.#lifecycle.state;
  }

  /**
   * Runs `fn` once `res` has ended: all of it was sent, or its client left.
   *
   * It never throws and never rejects: what goes wrong, misuse included, is the outcome of the task, and is reported.
   * `fn` gets a context with the values of the current one, a deadline of its own, and nothing of the request.
   */
  after(res: ResponseLike, name: string, options: AfterOptions | undefined, fn: TaskFunction): TaskHandle {
    return this.#begin({ name, fn, resolve: () => resolveOptions("Task", afterOptions, options) }, (run) => {
      if (this.#runner.mayWait) followResponse(res, run);
      else this.#runner.refuse(run, "waiting_full");
    });
  }

  /** Runs `fn` soon, beside whatever is being done now. As {@link after}, it never throws and never rejects. */
  run(name: string, options: TaskOptions | undefined, fn: TaskFunction): TaskHandle {
    return this.#begin(
      { name, fn, resolve: () => ({ ...noOptions, ...resolveOptions("Task", taskOptions, options) }) },
      (run) => this.#runner.submit(run),
    );
  }

  /**
   * A queue in the store. With a handler, this process takes jobs of it from now on; without one, it only adds.
   *
   * @throws OptionError if there is no store, an option is unknown or out of range, or the name is taken or malformed.
   */
  queue<T>(name: string, options?: QueueOptions, handler?: JobHandler<T>): Queue<T> {
    if (this.#queueHost === undefined) {
      throw new OptionError(
        "Tasks.store",
        "is needed for a queue: new Tasks({ store: sqlite({ path }) }), or memory()",
      );
    }
    if (!/^[a-zA-Z0-9_-]{1,64}$/.test(name)) {
      throw new OptionError("Queue.name", `must be 1 to 64 letters, digits, "-" and "_"; got ${JSON.stringify(name)}`);
    }
    if (this.#queues.has(name))
      throw new OptionError("Queue.name", `must be new; there is a queue ${JSON.stringify(name)} already`);
    if (this.#lifecycle.state !== "serving")
      throw new TasksDrainingError("The tasks are drained: there are no new queues.");
    const queue = new Queue<T>({ host: this.#queueHost, name, options, handler });
    this.#queues.set(name, queue);
    return queue;
  }

  /** What can be seen at this moment. */
  stats(): TasksStats {
    return describeTasks({
      options: this.#options,
      state: this.#lifecycle.state,
      runner: this.#runner,
      kinds: this.#kinds,
      queues: [...this.#queues.values()],
    });
  }

  /**
   * Refuses what is new, waits for what there is, aborts the signals of what remains, and gives up what is left.
   *
   * It takes no longer than `drain.grace`, `drain.abort` and twice `drain.stop` together. A later call gets the first
   * one's report.
   */
  async drain(): Promise<DrainReport> {
    await this.#lifecycle.drain(() => this.#drain());
    return this.#drained ?? nothingDrained;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain();
  }

  async #drain(): Promise<void> {
    const beganAt = now();
    const { grace, abort, stop } = this.#options.drain;
    const queues = [...this.#queues.values()];
    const workers = queues.flatMap(({ worker }) => worker ?? []);
    for (const queue of queues) queue.close();
    // Not waited for: what comes after it is given back.
    for (const worker of workers) worker.stop().catch((error: unknown) => this.#reportStore(error));
    const settle = (timeoutMs: number): Promise<unknown> =>
      Promise.all([this.#runner, ...workers].map((each) => each.settle(timeoutMs)));
    await settle(grace);
    const notBegun = this.#runner.cutAll();
    for (const worker of workers) worker.cancelAll();
    await settle(abort);
    const abandoned = [...notBegun, ...this.#runner.abandonAll(), ...workers.flatMap((worker) => worker.abandonAll())];
    const storeError = await this.#queueHost?.link.stop(stop);
    if (storeError !== undefined) this.#reportStore(storeError);
    this.#limits[Symbol.dispose]();
    const isFlushed = await this.#reports.flush(stop);
    this.#drained = Object.freeze({ durationMs: now() - beganAt, abandoned, storeError, isFlushed });
  }

  #reportStore(error: unknown): void {
    this.#reports.add(error, { mechanism: "store", level: "error" });
  }

  /** The values of whoever asks, and none of their limits. */
  #valuesNow(): Context {
    const { tracing } = this.#options;
    const traceparent = tracing === noTracing ? undefined : tracing.current();
    const current = traceparent === undefined ? context() : context().withValue(traceparentKey, traceparent);
    return current.values();
  }

  #begin(asked: Asked, start: (run: TaskRun) => void): TaskHandle {
    const { name, fn, resolve } = asked;
    let options = noOptions;
    let misuse: unknown;
    try {
      if (typeof name !== "string" || name === "")
        throw new OptionError("Task.name", "must be a string that is not empty");
      if (typeof fn !== "function")
        throw new OptionError(`Task ${name}`, "must be given a function as its last argument");
      options = resolve();
    } catch (error) {
      misuse = error;
    }
    const run = new TaskRun({
      owner: this.#runner,
      kind: this.#kinds.find(typeof name === "string" ? name : "_OTHER"),
      timeoutMs: options.timeout ?? this.#options.timeout,
      onlyIfDelivered: options.onlyIfDelivered,
      fn,
      values: this.#valuesNow(),
    });
    this.#runner.add(run);
    if (misuse !== undefined) this.#runner.refuseMisuse(run, misuse);
    else if (this.#lifecycle.state !== "serving") this.#runner.refuse(run, "draining");
    else start(run);
    return run;
  }
}

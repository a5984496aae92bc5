/**
 * A queue whose jobs outlive the process.
 *
 * The policy is here (how often, how long, how much at once); that nothing is lost is the store's part. The same code
 * runs on every store: what a store cannot do is refused where it is asked for, with the name of one that can.
 */

import { context, traceparentKey, type Context } from "../core/context.ts";
import type { DeadlineWheel } from "../core/deadline-wheel.ts";
import { resolveOptions, type Duration } from "../core/options.ts";
import { outside } from "../core/outside.ts";
import { decodeEnvelope, encodeEnvelope, requestIdKey, type JobHeaders } from "./envelope.ts";
import { StoreCannotError, StoreUnavailableError } from "./errors.ts";
import { newJobId } from "./job-id.ts";
import { toDeadLetter, type DeadLetter, type JobHandler } from "./job.ts";
import { LevelGauges } from "./queue-levels.ts";
import { QueueInstruments } from "./queue-instruments.ts";
import {
  addOptions,
  queueOptions,
  scheduleOptions,
  type AddOptions,
  type JobOptions,
  type QueueOptions,
  type ResolvedAddOptions,
  type ResolvedQueueOptions,
  type ResolvedScheduleOptions,
  type ScheduleOptions,
} from "./queue-options.ts";
import { describeQueue, type QueueStats } from "./queue-stats.ts";
import { QueueWorker } from "./queue-worker.ts";
import type { Reports } from "./reporter.ts";
import { Schedule } from "./schedules.ts";
import type { AddedJob, DeadSelection, NewJob, QueueLevels } from "./store.ts";
import type { StoreLink } from "./store-link.ts";
import type { ResolvedTasksOptions } from "./tasks-options.ts";

/** One of several jobs that are added together. */
export interface JobToAdd<T> extends JobOptions {
  readonly data: T;
}

/** Dead jobs of a queue. */
export interface DeadLetters<T> {
  /** Newest first; `before` is the id after which the last page ended. */
  list(page?: { readonly limit?: number; readonly before?: string }): Promise<readonly DeadLetter<T>[]>;
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
export class Queue<T> {
  readonly name: string;
  readonly dead: DeadLetters<T>;
  /** @internal */
  readonly worker: QueueWorker | undefined;
  readonly #host: QueueHost;
  readonly #options: ResolvedQueueOptions;
  readonly #instruments: QueueInstruments;
  readonly #opened: Promise<void>;
  readonly #levels: LevelGauges;
  readonly #schedules = new Set<Schedule>();
  #adding = 0;

  /** @internal */
  constructor({ host, name, options, handler }: QueueSettings<T>) {
    this.name = name;
    this.#host = host;
    const { link, reports, root, wheel } = host;
    this.#options = resolveOptions<QueueOptions, ResolvedQueueOptions>("Queue", queueOptions, options);
    this.#instruments = new QueueInstruments(host.options.registry, name);
    const { lease, maxDead, deadFor } = this.#options;
    this.#opened = outside(() => link.open(name, { leaseMs: lease, maxDead, deadForMs: deadFor }));
    // It rejects only when the link is closed; whoever waits for it hears of that.
    this.#opened.catch(() => {});
    this.#levels = new LevelGauges(host.options.registry, name, () => this.levels());
    this.dead = this.#makeDeadLetters();
    if (handler === undefined) return;
    this.worker = new QueueWorker({
      host: {
        queue: name,
        store: link.store.name,
        options: this.#options,
        abortMs: host.options.drain.abort,
        handler,
        root,
        wheel,
        instruments: this.#instruments,
        reports,
        tracing: host.options.tracing,
      },
      link,
      stuck: host.options.stuck,
      opened: this.#opened,
    });
  }

  /**
   * Adds a job. Resolves once it is durable, as far as the store is.
   *
   * It settles within its timeout, also while the engine is gone. A `StoreUnavailableError` says that it is not known
   * whether the job was added: adding it again may make two of it, unless it has a key.
   *
   * @throws PayloadError, StoreCannotError, StoreUnavailableError, StoreFullError, TasksDrainingError, OptionError
   */
  async add(data: T, options?: AddOptions): Promise<AddedJob> {
    const given = resolveOptions<AddOptions, ResolvedAddOptions>("add", addOptions, options);
    const [added] = await this.#add(given.timeout, (traceparent) => [this.#newJob(data, given, traceparent)]);
    return this.#expectResult(added);
  }

  /** Adds jobs together: many times faster than one by one. Either all are added or it rejects. See {@link add}. */
  async addAll(
    jobs: readonly JobToAdd<T>[],
    options: { readonly timeout?: Duration } = {},
  ): Promise<readonly AddedJob[]> {
    const { timeout } = resolveOptions<AddOptions, ResolvedAddOptions>("addAll", addOptions, options);
    if (jobs.length === 0) return [];
    return this.#add(timeout, (traceparent) =>
      jobs.map(({ data, ...rest }) =>
        this.#newJob(data, resolveOptions<JobOptions, ResolvedAddOptions>("addAll", addOptions, rest), traceparent),
      ),
    );
  }

  /**
   * Adds a job within a transaction of the caller's: it is there exactly if the transaction is committed.
   *
   * @throws StoreCannotError if the store does not share a database with the caller, and as {@link add} does.
   */
  async addWithin(transaction: unknown, data: T, options?: AddOptions): Promise<AddedJob> {
    const { store } = this.#host.link;
    const given = resolveOptions<AddOptions, ResolvedAddOptions>("addWithin", addOptions, options);
    if (!store.caps.transactions || store.addWithin === undefined) {
      throw new StoreCannotError(
        store.name,
        `${store.name} cannot add within a transaction. A store in your own database can: sqlite, or pg-boss with PostgreSQL.`,
      );
    }
    const [added] = await this.#add(
      given.timeout,
      (traceparent) => [this.#newJob(data, given, traceparent)],
      async (jobs) => (await store.addWithin?.(transaction, jobs)) ?? [],
    );
    return this.#expectResult(added);
  }

  /**
   * Adds a job at the times of a cron pattern: five fields, or six with seconds first.
   *
   * Every process may plan the same schedule; each job is added once. See `docs/guide/tasks.md`.
   *
   * @throws OptionError if it is no pattern.
   */
  schedule(pattern: string, data: T, options?: ScheduleOptions): ScheduleHandle {
    const { name, timezone, priority } = resolveOptions<ScheduleOptions, ResolvedScheduleOptions>(
      "schedule",
      scheduleOptions,
      options,
    );
    const { delay: canDelay, priority: hasPriority } = this.#host.link.store.caps;
    if (priority !== 0 && !hasPriority) throw this.#cannot("priority");
    const given: ResolvedAddOptions = { key: undefined, delay: undefined, priority, timeout: undefined };
    const schedule = new Schedule({
      queue: this.name,
      name: name ?? pattern,
      pattern,
      timezone,
      canDelay,
      add: async ({ id, delayMs }) => {
        try {
          await this.#add(undefined, () => [
            { ...this.#newJob(data, given, undefined), id, delayMs: canDelay ? delayMs : 0 },
          ]);
        } catch (error) {
          // There is no caller who could hear of it.
          this.#host.reports.add(error, { mechanism: "store", level: "error", queue: this.name });
          throw error;
        }
      },
    });
    this.#schedules.add(schedule);
    return schedule;
  }

  /** No further jobs for this process until `resume`; those under way go on. Other processes are not affected. */
  pause(): void {
    this.worker?.pause();
  }

  resume(): void {
    this.worker?.resume();
  }

  /** How much is in the queue, as the store sees it. */
  levels(): Promise<QueueLevels> {
    return this.#ask("read the levels of", () => this.#host.link.store.levels(this.name));
  }

  /** What this process did. */
  stats(): QueueStats {
    return describeQueue(this.name, this.#options, this.#instruments, this.worker?.isPaused ?? false);
  }

  /** @internal Ends the schedules, and is no longer seen by whoever collects. */
  close(): void {
    this.#levels[Symbol.dispose]();
    for (const schedule of this.#schedules) schedule[Symbol.dispose]();
    this.#schedules.clear();
  }

  #newJob(data: T, options: ResolvedAddOptions, traceparent: string | undefined): NewJob {
    const { key, delay = 0, priority } = options;
    const { caps } = this.#host.link.store;
    if (delay > 0 && !caps.delay) throw this.#cannot("delay");
    if (priority !== 0 && !caps.priority) throw this.#cannot("priority");
    if (key !== undefined && caps.dedup === false) throw this.#cannot("key");
    const requestId = context().value(requestIdKey);
    const headers: JobHeaders = {
      enqueuedAt: Date.now(),
      ...(traceparent !== undefined && { traceparent }),
      ...(requestId !== undefined && { "x-request-id": requestId }),
    };
    const body = encodeEnvelope(this.name, { headers, data }, this.#options.maxPayload);
    return { id: newJobId(), queue: this.name, body, delayMs: delay, priority, ...(key !== undefined && { key }) };
  }

  async #add(
    timeoutMs: number | undefined,
    make: (traceparent: string | undefined) => readonly NewJob[],
    send?: (jobs: readonly NewJob[]) => Promise<readonly AddedJob[]>,
  ): Promise<readonly AddedJob[]> {
    const { link, options } = this.#host;
    const parent = context().value(traceparentKey);
    const work = options.tracing.startAdd(this.name, parent);
    let count = 1;
    try {
      const jobs = make(work.traceparent ?? parent);
      count = jobs.length;
      const added = await this.#call("add a job to", timeoutMs ?? this.#options.addTimeout, (leftMs) =>
        work.run(() => (send === undefined ? link.store.add(jobs, leftMs) : send(jobs))),
      );
      const duplicates = added.filter(({ isDuplicate }) => isDuplicate).length;
      this.#instruments.added.add("added", count - duplicates);
      this.#instruments.added.add("duplicate", duplicates);
      work.end("added");
      return added;
    } catch (error) {
      this.#instruments.added.add("failed", count);
      work.end("failed", error);
      throw error;
    }
  }

  async #call<R>(deed: string, timeoutMs: number, call: (leftMs: number) => Promise<R>): Promise<R> {
    const { link } = this.#host;
    const { maxAdding } = this.#options;
    if (this.#adding >= maxAdding) {
      throw new StoreUnavailableError(
        link.store.name,
        `Could not ${deed} ${JSON.stringify(this.name)}: ${maxAdding} calls wait for ${link.store.name} already.`,
        { cause: link.lastError },
      );
    }
    this.#adding += 1;
    try {
      return await link.call({ what: `${deed} ${JSON.stringify(this.name)}`, timeoutMs, after: this.#opened }, call);
    } finally {
      this.#adding -= 1;
    }
  }

  #ask<R>(deed: string, call: () => Promise<R>): Promise<R> {
    return this.#call(deed, this.#options.addTimeout, call);
  }

  #expectResult(added: AddedJob | undefined): AddedJob {
    if (added !== undefined) return added;
    const { name } = this.#host.link.store;
    throw new StoreUnavailableError(name, `${name} did not say what became of the job.`);
  }

  #cannot(what: "delay" | "priority" | "key"): StoreCannotError {
    const { name } = this.#host.link.store;
    return new StoreCannotError(name, `${name} knows no ${what} of a job. Leave it out, or use another store.`);
  }

  #makeDeadLetters(): DeadLetters<T> {
    const { store } = this.#host.link;
    return {
      list: async ({ limit = 100, before } = {}) => {
        const page = { limit, ...(before !== undefined && { before }) };
        const jobs = await this.#ask("list the dead jobs of", () => store.listDead(this.name, page));
        // Put there by a producer of the queue's own type, and not checked.
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion
        return jobs.map((job) => toDeadLetter(job, readData(job.body) as T | undefined));
      },
      redrive: (which) => this.#ask("redrive dead jobs of", () => store.redrive(this.name, which)),
      discard: (which) => this.#ask("discard dead jobs of", () => store.discard(this.name, which)),
    };
  }
}

/** `undefined` if it cannot be read. */
function readData(body: string): unknown {
  try {
    return decodeEnvelope(body).data;
  } catch {
    return undefined;
  }
}

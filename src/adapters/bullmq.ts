/**
 * Queues on Redis, Valkey or PostgreSQL, through BullMQ 6.
 *
 * BullMQ's `Queue` and `Worker` bring policies of their own (an `add` that waits for ever while Redis is away, a `close`
 * without an end, one attempt, finished jobs that are kept), so this adapter stands one level below, on the engine
 * operations that both of them are made of (`IQueueBackend`). What lies in the engine is BullMQ's own format: its
 * dashboards show it, and its schedulers run beside it.
 *
 * One connection carries what is asked and added; each consumer has two more, one of them to wait on.
 */

import { randomUUID } from "node:crypto";
import { createPostgresBackend, createRedisBackend, type IQueueBackend, type JobJson } from "bullmq";
import { OptionError, resolveOptions } from "../core/index.ts";
import {
  remoteCaps,
  remoteStore,
  type AddedJob,
  type ClaimedJob,
  type Claims,
  type DeadJob,
  type DeadSelection,
  type JobFailure,
  type JobSource,
  type NewJob,
  type QueueLevels,
  type QueueSettings,
  type RemoteEngine,
  type RemoteQueue,
  type Settled,
  type Store,
  type StoreCaps,
} from "../tasks/index.ts";
import { bullmqOptions, type BullmqOptions, type ResolvedBullmqOptions } from "./bullmq/bullmq-options.ts";

export type { BullmqOptions };

/** How long a consumer waits for news before it looks by itself. */
const blockSeconds = 3;
/** A connection over which nothing has come for this long, though something was asked, is given up. */
const deadSocketMs = 10_000;
/** Ids looked at in one step of a walk over dead jobs. */
const pageSize = 500;
/** BullMQ's 0 comes before all other priorities, so ours begin above it. */
const priorityShift = 101;

/** Codes of BullMQ for a job that is gone, not locked, not active, or locked by another. */
const lostCodes: ReadonlySet<unknown> = new Set([-1, -2, -3, -6]);

/**
 * Jobs in Redis, Valkey or PostgreSQL, by BullMQ 6, which has to be installed, with `ioredis` or `pg`.
 *
 * ```ts
 * const tasks = new Tasks({ store: bullmq({ url: "redis://queue.internal:6379" }) });
 * ```
 * @throws OptionError for an option that is unknown or out of range.
 */
export function bullmq(options?: BullmqOptions): Store {
  const resolved = resolveOptions<BullmqOptions, ResolvedBullmqOptions>("bullmq", bullmqOptions, options);
  return remoteStore(new BullmqEngine(createConnector(resolved), resolved.commandTimeout));
}

/** Makes backends of one engine, and knows how it differs from the other one. */
interface Connector {
  readonly isPostgres: boolean;
  /** `locks` are for those that hand out jobs. */
  connect(queue: string, locks?: object): IQueueBackend;
}

function createConnector(options: ResolvedBullmqOptions): Connector {
  const scheme = /^(\w+):/.exec(options.url)?.[1] ?? "";
  if (["redis", "rediss", "valkey", "valkeys"].includes(scheme)) return connectRedis(options);
  if (["postgres", "postgresql"].includes(scheme)) return connectPostgres(options);
  throw new OptionError("bullmq.url", `must begin with redis:, rediss:, valkey:, postgres: or postgresql:`);
}

function connectRedis({ url, connection, prefix, commandTimeout }: ResolvedBullmqOptions): Connector {
  const redis = {
    connectTimeout: commandTimeout,
    keepAlive: deadSocketMs,
    retryStrategy: (times: number): number => Math.min(times * 100, 1_000),
    ...connection,
    url: url.replace(/^valkey/, "redis"),
    // Without a connection a command fails at once, instead of waiting for one.
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    socketTimeout: deadSocketMs,
  };
  // The check of the version prints to the console.
  const options = { connection: redis, prefix, skipVersionCheck: true };
  return {
    isPostgres: false,
    connect: (queue, locks) =>
      createRedisBackend(queue, { ...options, ...locks }, { withBlockingConnection: locks !== undefined }),
  };
}

function connectPostgres({ url, connection, prefix, commandTimeout }: ResolvedBullmqOptions): Connector {
  const postgres = {
    connectionTimeoutMillis: commandTimeout,
    query_timeout: deadSocketMs,
    keepAlive: true,
    ...connection,
    connectionString: url,
    schema: prefix,
    migrate: true,
  };
  return {
    isPostgres: true,
    connect: (queue, locks) =>
      createPostgresBackend(queue, { connection: postgres, ...locks }, { withBlockingConnection: locks !== undefined }),
  };
}

function codeOf(error: unknown): unknown {
  return typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
}

/** BullMQ keeps `:` to itself; what else is in a name is nobody's concern. */
function encodeName(queue: string): string {
  return queue.replaceAll(/[%:]/g, encodeURIComponent);
}

function failureFields({ name, message, stack }: JobFailure): { failedReason: string; stacktrace: string } {
  return { failedReason: message, stacktrace: JSON.stringify(stack === undefined ? [name] : [name, stack]) };
}

/** Jobs of other BullMQ programs have a list of stacks only. */
function readFailure({ failedReason = "", stacktrace }: Partial<JobJson>): JobFailure {
  const [name, stack]: unknown[] = JSON.parse(stacktrace || "[]");
  return {
    name: typeof name === "string" ? name : "Error",
    message: failedReason,
    ...(typeof stack === "string" && { stack }),
  };
}

/** Attempts behind a job. Its progress, which BullMQ leaves to its users, has those that a redrive has forgiven. */
function countAttempts({ attemptsMade, stalledCounter, progress }: JobJson): number {
  return attemptsMade + stalledCounter - (typeof progress === "number" ? progress : 0);
}

/** One open queue: the engine's operations on it. */
class BullmqQueue implements RemoteQueue {
  readonly name: string;
  readonly backend: IQueueBackend;
  readonly engine: BullmqEngine;
  settings: QueueSettings;

  constructor(name: string, settings: QueueSettings, engine: BullmqEngine) {
    this.name = name;
    this.settings = settings;
    this.backend = engine.control.forQueue(encodeName(name));
    this.engine = engine;
  }

  source(): BullmqSource {
    return new BullmqSource(this);
  }

  bodyOf({ data }: JobJson): string {
    // PostgreSQL would keep the value of a JSON text and not the text, so there it is a string inside.
    const value: unknown = this.engine.connector.isPostgres ? JSON.parse(data) : data;
    return typeof value === "string" ? value : data;
  }

  async add(jobs: readonly NewJob[]): Promise<AddedJob[]> {
    // BullMQ does not tell a job that was there from one that is new. In Redis these commands go out just ahead of the
    // others on the same connection, and cost no time of their own.
    const looks = Promise.all(jobs.map(({ id }) => this.backend.getJobData(id)));
    if (this.engine.connector.isPostgres) await looks;
    const adding = this.backend.addJobs(jobs.map((job) => ({ job: this.#toJson(job), jobId: job.id })));
    const [found, ids] = await Promise.all([looks, adding]);
    const seen = new Set<string>();
    return jobs.map((job, index) => {
      const id = ids[index] ?? job.id;
      const isDuplicate = id !== job.id || found[index] !== undefined || seen.has(job.id);
      seen.add(job.id);
      return { id, isDuplicate };
    });
  }

  #toJson({ id, body, key, delayMs, priority }: NewJob): JobJson {
    return {
      id,
      name: this.name,
      data: this.engine.connector.isPostgres ? JSON.stringify(body) : body,
      opts: {
        attempts: 1,
        priority: priority + priorityShift,
        ...(delayMs > 0 && { delay: Math.ceil(delayMs) }),
        ...(key !== undefined && { deduplication: { id: key } }),
      },
      timestamp: Date.now(),
      progress: 0,
      attemptsMade: 0,
      attemptsStarted: 0,
      stalledCounter: 0,
      failedReason: "",
      returnvalue: "",
      ...(key !== undefined && { deduplicationId: key }),
    };
  }

  async levels(): Promise<QueueLevels> {
    const { backend } = this;
    const [counts, [[first] = []]] = await Promise.all([
      backend.getCounts(["wait", "prioritized", "delayed", "active", "failed"]),
      backend.getRanges(["prioritized"], 0, 0, true),
    ]);
    const [wait = 0, prioritized = 0, delayed = 0, active = 0, dead = 0] = counts;
    // The next one to be handed out stands for the oldest.
    const oldest = first === undefined ? undefined : await backend.getJobData(first);
    const since = oldest && (oldest.processedOn ?? oldest.timestamp + (oldest.opts.delay ?? 0));
    return {
      ready: wait + prioritized,
      delayed,
      active,
      dead,
      oldestReadyMs: since === undefined ? 0 : Math.max(0, Date.now() - since),
    };
  }

  /** BullMQ looks at the age of dead jobs only when another one dies. */
  async clearDead(): Promise<void> {
    const { deadForMs } = this.settings;
    if (deadForMs < Infinity) await this.backend.cleanJobsByState("failed", Date.now() - deadForMs, 1_000);
  }

  async listDead(limit: number, before: string | undefined): Promise<DeadJob[]> {
    await this.clearDead();
    const ids: string[] = [];
    let isBehind = before === undefined;
    for await (const id of this.#deadIds()) {
      if (isBehind) ids.push(id);
      if (ids.length >= limit) break;
      isBehind ||= id === before;
    }
    const found = await Promise.all(ids.map((id) => this.backend.getJobData(id)));
    return found.flatMap((json, index) =>
      json === undefined
        ? []
        : [
            {
              id: ids[index] ?? json.id,
              queue: this.name,
              body: this.bodyOf(json),
              attempts: countAttempts(json),
              failure: readFailure(json),
              diedAt: json.finishedOn ?? 0,
            },
          ],
    );
  }

  /** Newest first. */
  async *#deadIds(): AsyncGenerator<string> {
    for (let start = 0; ; start += pageSize) {
      // oxlint-disable-next-line no-await-in-loop -- page by page
      const [ids = []] = await this.backend.getRanges(["failed"], start, start + pageSize - 1, false);
      yield* ids;
      if (ids.length < pageSize) return;
    }
  }

  redrive(which: DeadSelection): Promise<number> {
    return this.#forDead(which, async (id) => {
      const json = await this.backend.getJobData(id);
      if (json === undefined) return false;
      // What is reset below leaves out the takers that have vanished.
      await this.backend.updateProgress(id, json.stalledCounter);
      await this.backend.retryFinishedJob(jobOf(id), "failed", { resetAttemptsMade: true, resetAttemptsStarted: true });
      return true;
    });
  }

  discard(which: DeadSelection): Promise<number> {
    return this.#forDead(which, async (id) => (await this.backend.remove(id, false)) === 1);
  }

  /** Calls `move` for the dead jobs among those asked for, and counts those that it has moved. */
  async #forDead(which: DeadSelection, move: (id: string) => Promise<boolean>): Promise<number> {
    const ids = which === "all" ? await Array.fromAsync(this.#deadIds()) : which;
    const moveOne = async (id: string): Promise<boolean> => {
      try {
        return (await this.backend.isJobInState("failed", id)) && (await move(id));
      } catch (error) {
        // Somebody else was faster.
        if (lostCodes.has(codeOf(error))) return false;
        throw error;
      }
    };
    const moved = await Promise.all(ids.map(moveOne));
    return moved.filter(Boolean).length;
  }
}

/** BullMQ's own class of a job, as far as the operations look at it that are called here. */
function jobOf(id: string): Parameters<IQueueBackend["retryFinishedJob"]>[0] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
  return { id, opts: { attempts: 1 } } as Parameters<IQueueBackend["retryFinishedJob"]>[0];
}

interface BullmqJob extends ClaimedJob {
  /** Of its lock, and of no other. */
  readonly token: string;
}

/** The way of one consumer to the jobs of a queue, over connections of its own. */
class BullmqSource implements JobSource<BullmqJob> {
  readonly #queue: BullmqQueue;
  readonly #backend: IQueueBackend;
  readonly #settings: QueueSettings;
  /** The blocking connection is taken down and up again one after the other: BullMQ's client loses it otherwise. */
  #turning: Promise<void> = Promise.resolve();

  constructor(queue: BullmqQueue) {
    this.#queue = queue;
    this.#settings = queue.settings;
    const locks = {
      lockDuration: queue.settings.leaseMs,
      stalledInterval: Math.ceil(queue.settings.leaseMs / 3),
      // Whether a job that kills its takers is tried again is for the runtime to say.
      maxStalledCount: 2 ** 30,
    };
    this.#backend = queue.engine.connector.connect(encodeName(queue.name), locks);
    this.#backend.on("error", queue.engine.onError);
  }

  async claim(count: number): Promise<Claims<BullmqJob>> {
    const claims = await Promise.allSettled(Array.from({ length: count }, () => this.#claimOne()));
    const found = claims.flatMap((claim) => (claim.status === "fulfilled" ? [claim.value] : []));
    const jobs = found.filter((each) => typeof each !== "number");
    const failed = claims.find((claim) => claim.status === "rejected");
    if (failed !== undefined && jobs.length === 0) throw failed.reason;
    const dueAt = found.findLast((each) => typeof each === "number") ?? 0;
    return { jobs, ...(dueAt > 0 && { dueInMs: dueAt - Date.now() }) };
  }

  /** A job, or the time at which the next delayed one is due, or 0. */
  async #claimOne(): Promise<BullmqJob | number> {
    const token = randomUUID();
    const claimed: readonly unknown[] = await this.#backend.moveToActive(token);
    const [found, id, , dueAt] = claimed;
    if (!isJob(found)) return typeof dueAt === "number" ? dueAt : 0;
    const { opts } = found;
    return {
      id: typeof id === "string" ? id : found.id,
      body: this.#queue.bodyOf(found),
      attempt: countAttempts(found) + 1,
      // Other programs leave it out.
      priority: opts.priority ? opts.priority - priorityShift : 0,
      token,
    };
  }

  async waitForMore(): Promise<void> {
    await this.#turning;
    await this.#backend.waitForJob(blockSeconds);
  }

  /** One that waits would be told of the next job, and nobody else would. */
  rest(): void {
    this.#turning = this.#turning.then(() => this.#backend.disconnectBlocking(true)).catch(() => {});
  }

  rouse(): void {
    this.#turning = this.#turning.then(() => this.#backend.reconnectBlocking()).catch(() => {});
  }

  done(jobs: readonly BullmqJob[]): Promise<Settled>[] {
    return jobs.map(({ id, token }) => settled(this.#backend.moveToCompleted(jobOf(id), null, true, token, false)));
  }

  retry({ id, token }: BullmqJob, delayMs: number, failure: JobFailure): Promise<Settled> {
    const fieldsToUpdate = failureFields(failure);
    return settled(
      delayMs > 0
        ? this.#backend.moveToDelayed(id, Date.now(), Math.ceil(delayMs), token, { fieldsToUpdate })
        : this.#backend.retryJob(id, false, token, { fieldsToUpdate }),
    );
  }

  dead({ id, token }: BullmqJob, failure: JobFailure): Promise<Settled> {
    const { maxDead } = this.#queue.settings;
    // `true` is to forget at once, `false` to keep all.
    const keep = maxDead === Infinity || maxDead === 0 ? maxDead === 0 : { count: maxDead };
    const fields = failureFields(failure);
    return settled(this.#backend.moveToFailed(jobOf(id), fields.failedReason, keep, token, false, fields));
  }

  async release({ id, token }: BullmqJob): Promise<Settled> {
    // In PostgreSQL, giving back what another one has is no error, and does nothing.
    if (this.#queue.engine.connector.isPostgres) {
      if ((await this.#backend.extendLock(id, token, this.#settings.leaseMs)) !== 1) return "lost";
    }
    return settled(this.#backend.moveJobFromActiveToWait(id, token));
  }

  renew(jobs: readonly BullmqJob[]): Promise<readonly string[]> {
    const ids = jobs.map(({ id }) => id);
    const tokens = jobs.map(({ token }) => token);
    return this.#backend.extendLocks(ids, tokens, this.#settings.leaseMs);
  }

  async maintain(): Promise<void> {
    await Promise.all([this.#backend.moveStalledJobsToWait(), this.#queue.clearDead()]);
  }

  close(): Promise<void> {
    return this.#backend.close(true);
  }
}

function isJob(found: unknown): found is JobJson {
  return typeof found === "object" && found !== null && "opts" in found;
}

async function settled(ending: Promise<unknown>): Promise<Settled> {
  try {
    await ending;
    return "settled";
  } catch (error) {
    if (lostCodes.has(codeOf(error))) return "lost";
    throw error;
  }
}

/** Invariant: between `connect` and `close`, `control` is the connection on which all queues ask and add. */
class BullmqEngine implements RemoteEngine {
  readonly name = "bullmq";
  readonly title: string;
  readonly caps: StoreCaps = remoteCaps;
  readonly commandMs: number;
  readonly connector: Connector;
  onError: (error: unknown) => void = () => {};
  #control: IQueueBackend | undefined;

  constructor(connector: Connector, commandMs: number) {
    this.connector = connector;
    this.commandMs = commandMs;
    this.title = connector.isPostgres ? "PostgreSQL behind BullMQ" : "Redis behind BullMQ";
  }

  get control(): IQueueBackend {
    if (this.#control === undefined) throw new Error("there is no connection");
    return this.#control;
  }

  async connect(onError: (error: unknown) => void): Promise<void> {
    this.onError = onError;
    this.#control = this.connector.connect("sluice");
    this.#control.on("error", onError);
    await this.#control.waitUntilReady();
  }

  async open(queue: string, settings: QueueSettings): Promise<RemoteQueue> {
    return new BullmqQueue(queue, settings, this);
  }

  ping(): Promise<unknown> {
    return this.control.hasQueueMetaField("paused");
  }

  /** Redis at its `maxmemory`; PostgreSQL's disk_full. */
  isFull(error: unknown): boolean {
    return codeOf(error) === "53100" || (error instanceof Error && /^OOM\b/.test(error.message));
  }

  async close(): Promise<void> {
    await this.#control?.close(true);
  }
}

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
  listDead(queue: string, page: { readonly limit: number; readonly before?: string }): Promise<readonly DeadJob[]>;
  /** Makes dead jobs ready again with a fresh count of attempts. Resolves to how many. */
  redrive(queue: string, which: DeadSelection): Promise<number>;
  /** Forgets dead jobs for good. Resolves to how many. */
  discard(queue: string, which: DeadSelection): Promise<number>;
  health(timeoutMs: number): Promise<StoreHealth>;
  /** Gives back what is not settled, and lets go of the engine; within `timeoutMs`. */
  stop(timeoutMs: number): Promise<void>;
}

/**
 * A store on an engine elsewhere: what is the same for all of them. An adapter brings the engine.
 *
 * Every call to the engine has a limit here, whatever its client does while the engine is away, and every failure is one
 * of the store's errors.
 */

import { now, outside } from "../../core/index.ts";
import { StoreFullError, StoreUnavailableError } from "../errors.ts";
import type {
  AddedJob,
  Consumer,
  DeadJob,
  DeadSelection,
  Delivery,
  NewJob,
  QueueLevels,
  QueueSettings,
  Store,
  StoreCaps,
  StoreHealth,
  StoreHost,
} from "../store.ts";
import { LeasedConsumer, type ClaimedJob, type ConsumerSetup, type JobSource } from "./leased-consumer.ts";
import { inTime } from "./in-time.ts";

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
export const remoteCaps: StoreCaps = Object.freeze({
  delay: true,
  priority: true,
  dedup: "until-done",
  transactions: false,
  sharedBy: "network",
  durable: true,
});

/** @internal For the adapters, and for whoever writes one. */
export function remoteStore(engine: RemoteEngine): Store {
  return new RemoteStore(engine);
}

/** Invariant: a queue is in `#queues` from when it is open until the store stops, and a consumer in `#consumers`. */
class RemoteStore implements Store {
  readonly name: string;
  readonly caps: StoreCaps;
  readonly addWithin?: (transaction: unknown, jobs: readonly NewJob[]) => Promise<readonly AddedJob[]>;
  readonly #engine: RemoteEngine;
  readonly #queues = new Map<string, RemoteQueue>();
  readonly #consumers = new Set<LeasedConsumer<ClaimedJob>>();
  #host: StoreHost = { onError: () => {} };
  #isRunning = false;

  constructor(engine: RemoteEngine) {
    this.#engine = engine;
    this.name = engine.name;
    this.caps = engine.caps;
    if (engine.caps.transactions) this.addWithin = (transaction, jobs) => this.#addWithin(transaction, jobs);
  }

  async start(host: StoreHost): Promise<void> {
    this.#host = host;
    const engine = this.#engine;
    try {
      const connecting = outside(() => engine.connect((error) => this.#report(error, "be reached")));
      await this.#ask("be reached", connecting, startTimes * engine.commandMs);
    } catch (error) {
      engine.close().catch(() => {});
      throw error;
    }
    this.#isRunning = true;
  }

  async open(name: string, settings: QueueSettings): Promise<void> {
    this.#assertRunning();
    const queue = this.#queues.get(name);
    if (queue === undefined) {
      this.#queues.set(name, await this.#ask("open a queue", this.#engine.open(name, settings)));
    } else {
      queue.settings = settings;
    }
  }

  async add(jobs: readonly NewJob[], timeoutMs: number): Promise<readonly AddedJob[]> {
    return this.#ask(
      "add jobs",
      this.#addEach(jobs, (queue, each) => queue.add(each, timeoutMs)),
      timeoutMs,
    );
  }

  async #addWithin(transaction: unknown, jobs: readonly NewJob[]): Promise<readonly AddedJob[]> {
    const add = async (queue: RemoteQueue, each: readonly NewJob[]): Promise<readonly AddedJob[]> =>
      (await queue.addWithin?.(transaction, each)) ?? [];
    return this.#ask("add jobs", this.#addEach(jobs, add));
  }

  /** Queue by queue; the answers are in the order of `jobs`. */
  async #addEach(
    jobs: readonly NewJob[],
    add: (queue: RemoteQueue, jobs: readonly NewJob[]) => Promise<readonly AddedJob[]>,
  ): Promise<readonly AddedJob[]> {
    const answers = new Map<NewJob, AddedJob[]>();
    for (const [queue, each] of Map.groupBy(jobs, (job) => this.#queueOf(job.queue))) {
      // oxlint-disable-next-line no-await-in-loop -- a transaction takes one command after the other
      const added = await add(queue, each);
      each.forEach((job, index) => {
        const answer = added[index] ?? { id: job.id, isDuplicate: false };
        const known = answers.get(job);
        if (known === undefined) answers.set(job, [answer]);
        else known.push(answer);
      });
    }
    // The same object may have been given twice.
    return jobs.map((job) => answers.get(job)?.shift() ?? { id: job.id, isDuplicate: true });
  }

  async consume(name: string, concurrency: number, take: (delivery: Delivery) => void): Promise<Consumer> {
    const queue = this.#queueOf(name);
    const setup: ConsumerSetup = {
      queue: name,
      leaseMs: queue.settings.leaseMs,
      commandMs: this.#engine.commandMs,
      concurrency,
      toError: (error, what) => this.#toError(error, what),
      onError: (error) => this.#host.onError(error),
    };
    const consumer = outside(() => new LeasedConsumer(queue.source(), setup, take));
    for (const other of this.#consumers) if (other.isClosed) this.#consumers.delete(other);
    this.#consumers.add(consumer);
    return consumer;
  }

  async levels(name: string): Promise<QueueLevels> {
    return this.#ask("count jobs", this.#queueOf(name).levels());
  }

  async listDead(
    name: string,
    page: { readonly limit: number; readonly before?: string },
  ): Promise<readonly DeadJob[]> {
    return this.#ask("list dead jobs", this.#queueOf(name).listDead(page.limit, page.before));
  }

  async redrive(name: string, which: DeadSelection): Promise<number> {
    return this.#ask("redrive dead jobs", this.#queueOf(name).redrive(which), longTimes * this.#engine.commandMs);
  }

  async discard(name: string, which: DeadSelection): Promise<number> {
    return this.#ask("discard dead jobs", this.#queueOf(name).discard(which), longTimes * this.#engine.commandMs);
  }

  async health(timeoutMs: number): Promise<StoreHealth> {
    const fromMs = now();
    try {
      this.#assertRunning();
      await this.#ask("answer", this.#engine.ping(), timeoutMs);
      return { isUp: true, roundTripMs: now() - fromMs };
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      return { isUp: false, roundTripMs: now() - fromMs, detail };
    }
  }

  async stop(timeoutMs: number): Promise<void> {
    if (!this.#isRunning) return;
    this.#isRunning = false;
    const untilMs = now() + timeoutMs;
    const consumers = [...this.#consumers];
    const bounded = (work: Promise<unknown>): Promise<unknown> => inTime(work, untilMs - now()).catch(() => {});
    await bounded(Promise.all(consumers.map((consumer) => consumer.giveUp())));
    await bounded(Promise.allSettled(consumers.map((consumer) => consumer.close())));
    await bounded(this.#engine.close());
    this.#consumers.clear();
    this.#queues.clear();
  }

  async #ask<Value>(what: string, asking: Promise<Value>, timeoutMs: number = this.#engine.commandMs): Promise<Value> {
    try {
      return await inTime(asking, timeoutMs);
    } catch (error) {
      throw this.#toError(error, what);
    }
  }

  #toError(error: unknown, what: string): Error {
    if (error instanceof StoreUnavailableError || error instanceof RangeError) return error;
    const { name, title } = this.#engine;
    const reason = error instanceof Error ? error.message || error.name : String(error);
    return this.#engine.isFull(error)
      ? new StoreFullError(name, `${title} has no room: ${reason}. What it has is safe.`, { cause: error })
      : new StoreUnavailableError(name, `${title} could not ${what}: ${reason}.`, { cause: error });
  }

  #report(error: unknown, what: string): void {
    this.#host.onError(this.#toError(error, what));
  }

  #assertRunning(): void {
    if (this.#isRunning) return;
    throw new StoreUnavailableError(this.name, `The store on ${this.#engine.title} is stopped, or was never started.`);
  }

  #queueOf(name: string): RemoteQueue {
    this.#assertRunning();
    const queue = this.#queues.get(name);
    if (queue === undefined) throw new RangeError(`queue ${JSON.stringify(name)} is not open: call open() first`);
    return queue;
  }
}

/** A start, which may have tables to make, may take so many times as long as a command. */
const startTimes = 2;
/** So may a move of many dead jobs. */
const longTimes = 4;

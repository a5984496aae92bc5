/**
 * The store for tests, and for jobs that may be lost with the process.
 *
 * It does what the other stores do, in the same order and with the same words, but nothing in it outlives the process.
 * A lease is never lost here: whoever holds a job is in this process, and so is the store.
 */

import { resolveOptions } from "../../core/index.ts";
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
} from "../store.ts";
import { MemoryConsumer } from "./memory-delivery.ts";
import { memoryOptions, type MemoryOptions, type ResolvedMemoryOptions } from "./memory-options.ts";
import { MemoryQueue, type MemoryRoom } from "./memory-queue.ts";

const caps: StoreCaps = Object.freeze({
  delay: true,
  priority: true,
  dedup: "until-done",
  transactions: false,
  sharedBy: "process",
  durable: false,
});

/**
 * Jobs in the memory of this process, gone when it ends.
 *
 * @throws OptionError for an option that is unknown or out of range.
 */
export function memory(options?: MemoryOptions): Store {
  return new MemoryStore(resolveOptions<MemoryOptions, ResolvedMemoryOptions>("memory", memoryOptions, options));
}

/** Invariant: `#room.left` is `maxJobs` less the jobs of all queues that are not dead. */
class MemoryStore implements Store {
  readonly name = "memory";
  readonly caps: StoreCaps = caps;
  readonly #maxJobs: number;
  readonly #room: MemoryRoom;
  readonly #queues = new Map<string, MemoryQueue>();
  #isRunning = false;

  constructor({ maxJobs }: ResolvedMemoryOptions) {
    this.#maxJobs = maxJobs;
    this.#room = { left: maxJobs };
  }

  async start(): Promise<void> {
    this.#isRunning = true;
  }

  async open(name: string, settings: QueueSettings): Promise<void> {
    const queue = this.#queues.get(name);
    if (queue === undefined) this.#queues.set(name, new MemoryQueue(name, settings, this.#room));
    else queue.settings = settings;
  }

  async add(jobs: readonly NewJob[]): Promise<readonly AddedJob[]> {
    const targets = jobs.map((job) => this.#queueOf(job.queue));
    if (jobs.length > this.#room.left) {
      const fresh = jobs.filter((job, index) => targets[index]?.findTwin(job) === undefined).length;
      if (fresh > this.#room.left) {
        throw new StoreFullError(
          this.name,
          `The store in memory holds ${this.#maxJobs - this.#room.left} jobs of at most ${this.#maxJobs}, and was given ${fresh} more. ` +
            "Add more slowly, raise maxJobs, or use a store that keeps its jobs elsewhere.",
        );
      }
    }
    return jobs.map((job) => this.#queueOf(job.queue).add(job));
  }

  async consume(queue: string, concurrency: number, take: (delivery: Delivery) => void): Promise<Consumer> {
    const target = this.#queueOf(queue);
    const consumer = new MemoryConsumer(target, concurrency, take);
    target.attach(consumer);
    return consumer;
  }

  async levels(queue: string): Promise<QueueLevels> {
    return this.#queueOf(queue).levels();
  }

  async listDead(
    queue: string,
    page: { readonly limit: number; readonly before?: string },
  ): Promise<readonly DeadJob[]> {
    return this.#queueOf(queue).listDead(page.limit, page.before);
  }

  async redrive(queue: string, which: DeadSelection): Promise<number> {
    return this.#queueOf(queue).redrive(which);
  }

  async discard(queue: string, which: DeadSelection): Promise<number> {
    return this.#queueOf(queue).discard(which);
  }

  async health(): Promise<StoreHealth> {
    return this.#isRunning
      ? { isUp: true, roundTripMs: 0 }
      : { isUp: false, roundTripMs: 0, detail: "The store is not started, or stopped." };
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    for (const queue of this.#queues.values()) queue.close();
  }

  #queueOf(name: string): MemoryQueue {
    if (!this.#isRunning) {
      throw new StoreUnavailableError(
        this.name,
        "The store in memory is not running: it was stopped, or never started.",
      );
    }
    const queue = this.#queues.get(name);
    if (queue === undefined) throw new RangeError(`queue ${JSON.stringify(name)} is not open: call open() first`);
    return queue;
  }
}

/**
 * Jobs in a SQLite file: what needs no server, and outlives the process and the machine's power.
 *
 * Node's own `node:sqlite` waits for the disk, so it runs in a worker thread, and the main thread only sends and receives.
 * All that a turn of the loop brings is one message, and all that the worker finds there is one transaction, with one sync
 * of the disk. Several processes of a machine can share a file. What it does not do: reach other machines.
 */

import { resolve } from "node:path";
import { OptionError } from "../../core/errors.ts";
import { outside } from "../../core/outside.ts";
import { resolveOptions } from "../../core/options.ts";
import { StoreUnavailableError } from "../errors.ts";
import { sqliteOptions, type ResolvedSqliteOptions, type SqliteOptions } from "./sqlite-options.ts";
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
import { addInTransaction } from "./sqlite-add-within.ts";
import { SqliteConsumer } from "./sqlite-consumer.ts";
import { SqliteLink } from "./sqlite-link.ts";
import { deliveryFields, type Report } from "./sqlite-protocol.ts";

/**
 * A store in a file of this machine; nothing is opened before it is started.
 *
 * `addWithin` takes the `DatabaseSync` of the same file in which the caller has begun a transaction.
 *
 * @throws OptionError
 */
export function sqlite(options: SqliteOptions): Store {
  const resolved = resolveOptions<SqliteOptions, ResolvedSqliteOptions>("sqlite", sqliteOptions, options);
  if (resolved.path === "") throw new OptionError("sqlite.path", "must be given: the name of a file");
  return new SqliteStore({ ...resolved, path: resolve(resolved.path) });
}

interface OpenQueue {
  readonly number: number;
  readonly settings: QueueSettings;
}

/** Invariant: `#consumers` has those that are not stopped, or have unsettled deliveries. */
class SqliteStore implements Store {
  readonly name = "sqlite";
  readonly caps: StoreCaps = {
    delay: true,
    priority: true,
    dedup: "until-done",
    transactions: true,
    sharedBy: "machine",
    durable: true,
  };
  readonly #options: ResolvedSqliteOptions;
  readonly #link: SqliteLink;
  readonly #queues = new Map<string, OpenQueue>();
  readonly #consumers = new Map<number, SqliteConsumer>();
  #lastConsumer = 0;
  #host: StoreHost | undefined;

  constructor(options: ResolvedSqliteOptions) {
    const { path, synchronous, maxBytes, minFreeBytes, maxPendingBytes, timeout, pollInterval } = options;
    this.#options = options;
    this.#link = new SqliteLink(
      {
        path,
        synchronous,
        maxBytes,
        minFreeBytes,
        maxPendingBytes,
        timeoutMs: timeout,
        startTimeoutMs: timeout,
        pollMs: pollInterval,
      },
      {
        onFlush: () => this.#consumers.forEach((consumer) => consumer.ask()),
        onDeliveries: (deliveries) => this.#onDeliveries(deliveries),
        onLost: (takers) => takers.forEach((taker) => this.#consumers.forEach((consumer) => consumer.onLost(taker))),
        onTrouble: (error) => this.#host?.onError(error),
        onEnd: () => this.#consumers.forEach((consumer) => consumer.abandon()),
      },
    );
  }

  async start(host: StoreHost): Promise<void> {
    this.#host = host;
    await this.#link.start();
  }

  async open(queue: string, settings: QueueSettings): Promise<void> {
    const { maxDead, deadForMs } = settings;
    const number = await this.#link.ask({ kind: "open", queue, maxDead, deadForMs });
    this.#queues.set(queue, { number, settings });
  }

  async add(jobs: readonly NewJob[], timeoutMs: number): Promise<readonly AddedJob[]> {
    return this.#link.add(jobs, (name) => this.#queue(name).number, timeoutMs);
  }

  async addWithin(transaction: unknown, jobs: readonly NewJob[]): Promise<readonly AddedJob[]> {
    return addInTransaction(transaction, this.#options.path, jobs, (name) => this.#queue(name).number);
  }

  async consume(queue: string, concurrency: number, take: (delivery: Delivery) => void): Promise<Consumer> {
    const { number, settings } = this.#queue(queue);
    const consumer = (this.#lastConsumer += 1);
    await this.#link.ask({ kind: "consume", consumer, queue: number, leaseMs: settings.leaseMs });
    const onEnd = (): void => void this.#consumers.delete(consumer);
    const made = new SqliteConsumer(
      { consumer, queue: number, queueName: queue, concurrency, take, onEnd },
      this.#link,
    );
    this.#consumers.set(consumer, made);
    this.#link.planFlush();
    return made;
  }

  async levels(queue: string): Promise<QueueLevels> {
    return this.#link.ask({ kind: "levels", queue: this.#queue(queue).number });
  }

  async listDead(
    queue: string,
    page: { readonly limit: number; readonly before?: string },
  ): Promise<readonly DeadJob[]> {
    const { limit, before } = page;
    return this.#link.ask({ kind: "list-dead", queue: this.#queue(queue).number, limit, before });
  }

  async redrive(queue: string, which: DeadSelection): Promise<number> {
    return this.#link.ask({ kind: "redrive", queue: this.#queue(queue).number, which });
  }

  async discard(queue: string, which: DeadSelection): Promise<number> {
    return this.#link.ask({ kind: "discard", queue: this.#queue(queue).number, which });
  }

  async health(timeoutMs: number): Promise<StoreHealth> {
    const begin = performance.now();
    try {
      await this.#link.ask({ kind: "ping" }, timeoutMs);
      const detail = this.#link.trouble;
      const roundTripMs = performance.now() - begin;
      return detail === undefined ? { isUp: true, roundTripMs } : { isUp: false, roundTripMs, detail };
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      return { isUp: false, roundTripMs: performance.now() - begin, detail };
    }
  }

  async stop(timeoutMs: number): Promise<void> {
    if (!this.#link.isUp) return;
    for (const consumer of this.#consumers.values()) consumer.pause();
    try {
      await this.#link.ask({ kind: "stop" }, timeoutMs);
    } catch (error) {
      // What could not be given back comes back when its lease is over. There is nobody left to be told by a rejection.
      if (error instanceof Error) this.#host?.onError(error);
    }
    for (const consumer of this.#consumers.values()) consumer.abandon();
    await this.#link.end();
  }

  #queue(name: string): OpenQueue {
    const queue = this.#queues.get(name);
    if (queue !== undefined) return queue;
    throw new StoreUnavailableError("sqlite", `The queue "${name}" was not opened in this process; call open first.`);
  }

  #onDeliveries(fields: Report["deliveries"]): void {
    for (let at = 0; at < fields.length; at += deliveryFields) {
      this.#consumers.get(Number(fields[at]))?.onJob({
        taker: Number(fields[at + 1]),
        seq: Number(fields[at + 2]),
        id: String(fields[at + 3]),
        body: String(fields[at + 4]),
        attempt: Number(fields[at + 5]),
        priority: Number(fields[at + 6]),
      });
    }
    // Whose context a delivery would otherwise run in is chance.
    outside(() => this.#consumers.forEach((consumer) => consumer.handOn()));
  }
}

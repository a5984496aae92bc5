/**
 * The way to a store: started when first needed, started again while its engine is not there, and never waited for without
 * a limit.
 *
 * Whether the store keeps to its own limits is not relied upon: what a caller was promised is kept here.
 */

import { now } from "../core/clock.ts";
import { outside } from "../core/outside.ts";
import { StoreUnavailableError, TasksDrainingError } from "./errors.ts";
import type { Reports } from "./reporter.ts";
import type { QueueSettings, Store } from "./store.ts";
import { within } from "./within.ts";

const firstRetryMs = 100;
const lastRetryMs = 2_000;

/** How a store call is bounded. */
export interface CallLimit {
  /** What was to be done, for the error: "add a job to ...". */
  readonly what: string;
  readonly timeoutMs: number;
  /** What has to come first: the queue is open. */
  readonly after: Promise<void>;
}

/**
 * Invariant: `start` of the store is never under way twice, and is not called again once it has resolved; after `close`
 * no further call reaches the store but its `stop`.
 */
export class StoreLink {
  readonly store: Store;
  readonly #reports: Reports;
  #started: Promise<void> | undefined;
  #lastError: unknown;
  #isClosed = false;
  readonly #sleepers = new Set<() => void>();

  constructor(store: Store, reports: Reports) {
    this.store = store;
    this.#reports = reports;
  }

  /** What the engine said last, if it failed. */
  get lastError(): unknown {
    return this.#lastError;
  }

  /** Resolves when the store has started and knows the queue. It may take as long as the engine is gone. */
  async open(queue: string, settings: QueueSettings): Promise<void> {
    this.#started ??= this.persist(() => this.store.start({ onError: (error) => this.#onError(error) }));
    await this.#started;
    await this.persist(() => this.store.open(queue, settings));
  }

  /** Calls until it succeeds, with growing pauses. Rejects once the link is closed. */
  async persist<T>(call: () => Promise<T>): Promise<T> {
    for (let pauseMs = firstRetryMs; !this.#isClosed; pauseMs = Math.min(lastRetryMs, pauseMs * 2)) {
      try {
        // One after the other: each is a try.
        // oxlint-disable-next-line no-await-in-loop
        return await outside(call);
      } catch (error) {
        this.#onError(error);
        // oxlint-disable-next-line no-await-in-loop
        await this.#sleep(pauseMs);
      }
    }
    throw new TasksDrainingError("The tasks are drained: their store has stopped.");
  }

  /**
   * Calls once `limit.after` is resolved, with what is left of the time. Settles within the time, whatever the store does.
   *
   * @throws StoreUnavailableError if the time is over.
   */
  async call<T>(limit: CallLimit, call: (leftMs: number) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new TasksDrainingError(`Could not ${limit.what}: the tasks are drained.`);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const deadline = now() + limit.timeoutMs;
    // It holds the process: somebody waits for the answer.
    const timer = outside(() => setTimeout(() => reject(this.#explainTimeout(limit)), limit.timeoutMs));
    // The store has a little less, so that its own error, which knows more, comes first.
    const leftMs = (): number => Math.max(1, deadline - now() - Math.min(50, limit.timeoutMs / 10));
    // Whoever was told that it failed must not find it done when the engine comes up at last.
    let isOver = false;
    limit.after.then(() => (isOver ? undefined : call(leftMs()).then(resolve, reject))).catch(reject);
    try {
      return await promise;
    } finally {
      isOver = true;
      clearTimeout(timer);
    }
  }

  /** Wakes whoever waits for the engine; nothing is tried any more. */
  close(): void {
    this.#isClosed = true;
    for (const wake of this.#sleepers) wake();
  }

  /** Stops the store, if it was ever started. Resolves within the time, to what went wrong. */
  async stop(timeoutMs: number): Promise<unknown> {
    this.close();
    if (this.#started === undefined) return undefined;
    const late = new StoreUnavailableError(this.store.name, `The store did not stop within ${timeoutMs} ms.`);
    const stopped = outside(() => this.store.stop(timeoutMs)).then(
      () => undefined,
      (error: unknown) => error,
    );
    return within(stopped, timeoutMs, late);
  }

  #onError(error: unknown): void {
    this.#lastError = error;
    this.#reports.add(error, { mechanism: "store", level: "error" });
  }

  #explainTimeout({ what, timeoutMs }: CallLimit): StoreUnavailableError {
    const { name } = this.store;
    const reason = this.#lastError instanceof Error ? ` Its last error: ${this.#lastError.message}` : "";
    return new StoreUnavailableError(
      name,
      `Could not ${what} within ${timeoutMs} ms: ${name} did not answer. It may have been done all the same.${reason}`,
      { cause: this.#lastError },
    );
  }

  #sleep(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = outside(() => setTimeout(resolve, ms).unref());
    const wake = (): void => {
      clearTimeout(timer);
      resolve();
    };
    this.#sleepers.add(wake);
    return promise.finally(() => this.#sleepers.delete(wake));
  }
}

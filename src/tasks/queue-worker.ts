/**
 * Takes jobs of one queue for this process, and sees to it that not too many run.
 *
 * The store keeps the number of unsettled jobs within the concurrency. What it cannot know is kept here: handlers that go
 * on although their job is settled (they are stuck), the rate limit, and whoever pauses the queue. In each case the store
 * is asked to pause; what it has handed out by then goes back, which does not count as an attempt.
 */

import { outside } from "../core/outside.ts";
import { append, RingNode, unlink } from "../core/ring.ts";
import { JobAttempt, type AttemptHost } from "./job-attempt.ts";
import { RateGate } from "./rate-gate.ts";
import type { LeftOver } from "./task-runner.ts";
import type { Consumer, Delivery } from "./store.ts";
import type { StoreLink } from "./store-link.ts";
import { within } from "./within.ts";

/** Why nothing is taken at present. */
type PauseReason = "user" | "rate" | "stuck";

/** What a worker is made of. */
export interface WorkerSettings {
  readonly host: Omit<AttemptHost, "onSettled" | "onOver">;
  readonly link: StoreLink;
  /** What becomes of the place of a stuck handler. */
  readonly stuck: "keep" | "release";
  /** Resolves when the queue is open. */
  readonly opened: Promise<void>;
}

/**
 * Invariants: every delivery is given back or is in `#attempts` until its handler is over and the store knows what became
 * of it; the consumer is paused exactly when `#pauses` is not empty.
 */
export class QueueWorker {
  readonly #settings: WorkerSettings;
  readonly #host: AttemptHost;
  readonly #rate: RateGate | undefined;
  readonly #attempts = new RingNode();
  readonly #pauses = new Set<PauseReason>();
  #running = 0;
  /** Handlers that go on although their job is settled. */
  #stuck = 0;
  #consumer: Consumer | undefined;
  #isStopping = false;
  #onIdle: (() => void) | undefined;

  constructor(settings: WorkerSettings) {
    this.#settings = settings;
    this.#host = {
      ...settings.host,
      onSettled: (attempt) => this.#onSettled(attempt),
      onOver: (attempt) => this.#onOver(attempt),
    };
    const { rateLimit } = settings.host.options;
    this.#rate = rateLimit === undefined ? undefined : new RateGate(rateLimit);
    void this.#consume();
  }

  get isPaused(): boolean {
    return this.#pauses.has("user");
  }

  pause(reason: PauseReason = "user"): void {
    this.#pauses.add(reason);
    this.#consumer?.pause();
  }

  resume(reason: PauseReason = "user"): void {
    if (!this.#pauses.delete(reason) || this.#pauses.size > 0) return;
    this.#consumer?.resume();
  }

  /** No further jobs. Resolves when the store has understood. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#consumer?.stop();
  }

  /** Resolves when no handler runs, or after `timeoutMs`. Stuck ones are not waited for. */
  async settle(timeoutMs: number): Promise<void> {
    if (this.#running === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onIdle = resolve;
    await within(promise, timeoutMs, undefined);
    this.#onIdle = undefined;
  }

  cancelAll(): void {
    for (const attempt of this.#list()) attempt.cancel();
  }

  /** Gives back all that is not settled, and answers what still runs. */
  abandonAll(): LeftOver[] {
    const attempts = this.#list();
    for (const attempt of attempts) attempt.abandon();
    const { queue } = this.#host;
    return attempts.length === 0 ? [] : [{ name: queue, state: "running", count: attempts.length }];
  }

  async #consume(): Promise<void> {
    const { link, opened, host } = this.#settings;
    try {
      await opened;
      const consumer = await link.persist(() =>
        link.store.consume(host.queue, host.options.concurrency, (delivery) => this.#take(delivery)),
      );
      this.#consumer = consumer;
      if (this.#pauses.size > 0) consumer.pause();
      if (this.#isStopping) await consumer.stop();
    } catch {
      // Only when the link is closed: nothing is to be consumed any more.
    }
  }

  #take(delivery: Delivery): void {
    outside(() => {
      if (this.#mayBegin()) this.#begin(delivery);
      else this.#giveBack(delivery);
    });
  }

  #mayBegin(): boolean {
    if (this.#isStopping || this.#pauses.has("user")) return false;
    return !this.#isFullOfStuck() && this.#takeToken();
  }

  #takeToken(): boolean {
    if (this.#rate === undefined) return true;
    const hasToken = this.#rate.tryTake();
    const { waitMs } = this.#rate;
    if (waitMs > 0 && !this.#pauses.has("rate")) {
      this.pause("rate");
      outside(() => setTimeout(() => this.resume("rate"), waitMs).unref());
    }
    return hasToken;
  }

  #giveBack(delivery: Delivery): void {
    this.#host.instruments.attempts.add("released");
    // If the store cannot be told, the job comes again when its lease is over.
    delivery.release().catch(() => this.#host.instruments.settleFailures.add());
  }

  #begin(delivery: Delivery): void {
    const attempt = new JobAttempt(this.#host, delivery);
    append(this.#attempts, attempt);
    this.#running += 1;
    this.#host.instruments.running.add(1);
    attempt.start();
  }

  #onSettled(attempt: JobAttempt): void {
    this.#running -= 1;
    this.#host.instruments.running.add(-1);
    if (!attempt.isHandled) {
      this.#stuck += 1;
      attempt.isLeft = true;
    }
    this.#gate();
    if (this.#running === 0) this.#onIdle?.();
  }

  #onOver(attempt: JobAttempt): void {
    unlink(attempt);
    if (!attempt.isLeft) return;
    this.#stuck -= 1;
    this.#gate();
  }

  /** Asks for no jobs that there is no place for: the store knows nothing of those that are stuck. */
  #gate(): void {
    if (this.#isFullOfStuck()) this.pause("stuck");
    else this.resume("stuck");
  }

  #isFullOfStuck(): boolean {
    return this.#stuck > 0 && this.#running + this.#keptPlaces() >= this.#host.options.concurrency;
  }

  #keptPlaces(): number {
    const { stuck } = this.#settings;
    return stuck === "keep" ? this.#stuck : Math.max(0, this.#stuck - this.#host.options.concurrency);
  }

  #list(): JobAttempt[] {
    const attempts: JobAttempt[] = [];
    const ring = this.#attempts;
    for (let node = ring.ringNext; node !== ring; node = node.ringNext) {
      if (node instanceof JobAttempt) attempts.push(node);
    }
    return attempts;
  }
}

/** What a taker sees of the store in memory: the job that it holds, and the handle on what it is given. */

import type { Consumer, Delivery, JobFailure, Settled } from "../store.ts";
import type { MemoryJob, MemoryQueue } from "./memory-queue.ts";

/** The queue knows whether it is still held: `settle` answers "lost" to all but the first. */
export class MemoryDelivery implements Delivery {
  readonly job: MemoryJob;
  readonly consumer: MemoryConsumer;
  readonly attempt: number;
  readonly #owner: MemoryQueue;
  #lost: AbortController | undefined;
  #isLost = false;

  constructor(owner: MemoryQueue, job: MemoryJob, consumer: MemoryConsumer) {
    this.#owner = owner;
    this.job = job;
    this.consumer = consumer;
    this.attempt = job.attempts;
  }

  get id(): string {
    return this.job.id;
  }

  get queue(): string {
    return this.#owner.name;
  }

  get body(): string {
    return this.job.body;
  }

  get priority(): number {
    return this.job.priority;
  }

  get leaseLost(): AbortSignal {
    if (this.#lost === undefined) {
      this.#lost = new AbortController();
      if (this.#isLost) this.#lost.abort();
    }
    return this.#lost.signal;
  }

  /** The store has taken the job back. */
  lose(): void {
    this.#isLost = true;
    this.#lost?.abort();
  }

  async done(): Promise<Settled> {
    return this.#owner.settle(this, (job) => this.#owner.forget(job));
  }

  async retry(delayMs: number): Promise<Settled> {
    return this.#owner.settle(this, (job) => this.#owner.putBack(job, delayMs));
  }

  async dead(failure: JobFailure): Promise<Settled> {
    return this.#owner.settle(this, (job) => this.#owner.bury(job, failure));
  }

  async release(): Promise<Settled> {
    return this.#owner.settle(this, (job) => this.#owner.giveBack(job));
  }
}

/** Invariant: `active` deliveries of the queue are with this consumer, at most `concurrency`. */
export class MemoryConsumer implements Consumer {
  readonly #queue: MemoryQueue;
  readonly #concurrency: number;
  readonly #take: (delivery: Delivery) => void;
  #isPaused = false;
  active = 0;

  constructor(queue: MemoryQueue, concurrency: number, take: (delivery: Delivery) => void) {
    this.#queue = queue;
    this.#concurrency = concurrency;
    this.#take = take;
  }

  get hasRoom(): boolean {
    return !this.#isPaused && this.active < this.#concurrency;
  }

  take(delivery: MemoryDelivery): void {
    this.#take(delivery);
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#queue.planPump();
  }

  async stop(): Promise<void> {
    this.#isPaused = true;
    this.#queue.detach(this);
  }
}

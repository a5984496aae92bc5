/** The main thread's side of a consumer of the SQLite store: asks the worker for jobs, and hands them to their taker. */

import { SluiceError } from "../../core/errors.ts";
import type { Consumer, Delivery, JobFailure, Settled } from "../store.ts";
import type { SqliteLink } from "./sqlite-link.ts";
import { settleKinds, type SettleKind } from "./sqlite-protocol.ts";

/** Why a delivery's `leaseLost` is aborted: its process stood still, or could not write, for longer than the lease. */
export class LeaseLostError extends SluiceError {
  readonly code = "ERR_LEASE_LOST";
}

/** Longest text of a failure that is kept with a dead job. */
const failureCharacters = 16_384;

/** A job as it comes from the worker. */
export interface TakenJob {
  readonly taker: number;
  readonly seq: number;
  readonly id: string;
  readonly body: string;
  readonly attempt: number;
  readonly priority: number;
}

/** What a consumer is made of. */
export interface ConsumerSettings {
  readonly consumer: number;
  readonly queue: number;
  readonly queueName: string;
  readonly concurrency: number;
  readonly take: (delivery: Delivery) => void;
  /** The consumer is stopped, and its last delivery is settled. */
  readonly onEnd: () => void;
}

/**
 * Invariant: `#handed` has what was handed to `take` and is not settled, never more than `concurrency`; `#ready` has what came
 * from the worker before there was a place for it. What was asked for and has not come is `#asked`.
 *
 * A job is asked for in the same message in which the end of another is told: one transaction does both, and its report
 * brings the place and the job for it. So nothing is taken ahead, which another process could be doing.
 */
export class SqliteConsumer implements Consumer {
  readonly #settings: ConsumerSettings;
  readonly #link: SqliteLink;
  readonly #handed = new Set<SqliteDelivery>();
  #ready: SqliteDelivery[] = [];
  #asked = 0;
  /** How many of `#handed` the worker has been told the end of. */
  #settling = 0;
  #isPaused = false;
  #stopped: Promise<void> | undefined;

  constructor(settings: ConsumerSettings, link: SqliteLink) {
    this.#settings = settings;
    this.#link = link;
    this.#link.hold();
  }

  pause(): void {
    this.#isPaused = true;
    this.#takeNoMore();
  }

  resume(): void {
    this.#isPaused = false;
    this.#link.planFlush();
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#takeNoMore();
    this.#link.release();
    this.#endIfDone();
    await this.#link.ask({ kind: "stop-consumer", consumer: this.#settings.consumer });
  }

  /** Asks for as many jobs as there are places, those counted in which will be free with the next report. */
  ask(): void {
    if (this.#isPaused || this.#stopped !== undefined) return;
    const busy = this.#handed.size - this.#settling + this.#ready.length + this.#asked;
    const free = this.#settings.concurrency - busy;
    if (free <= 0) return;
    this.#asked += free;
    this.#link.want(this.#settings.consumer, free);
  }

  onJob(job: TakenJob): void {
    this.#asked = Math.max(0, this.#asked - 1);
    const delivery = new SqliteDelivery(job, this);
    if (this.#isPaused || this.#stopped !== undefined) giveBack(delivery);
    else this.#ready.push(delivery);
  }

  /** Hands on what has come, as far as there are places. */
  handOn(): void {
    while (this.#handed.size < this.#settings.concurrency && !this.#isPaused && this.#stopped === undefined) {
      // Before it is taken: whoever takes it may pause, and then what is still here goes back.
      const delivery = this.#ready.shift();
      if (delivery === undefined) return;
      this.#handed.add(delivery);
      this.#settings.take(delivery);
    }
  }

  onLost(taker: number): void {
    this.#ready = this.#ready.filter((delivery) => delivery.job.taker !== taker);
    const message = `The lease on jobs of "${this.#settings.queueName}" ran out while this process held them; another may be doing them.`;
    for (const delivery of this.#handed) {
      if (delivery.job.taker === taker) delivery.lose(new LeaseLostError(message));
    }
    this.#link.planFlush();
  }

  /** The store is stopped, and the worker has given back what was not settled. */
  abandon(): void {
    this.#stopped ??= Promise.resolve();
    this.#ready = [];
    const message = `The store was stopped while a job of "${this.#settings.queueName}" was not settled; it was given back.`;
    for (const delivery of this.#handed) delivery.lose(new LeaseLostError(message));
  }

  get queueName(): string {
    return this.#settings.queueName;
  }

  /** For its deliveries: tells the worker the end of one. */
  settle(delivery: SqliteDelivery, kind: SettleKind, delayMs: number, failure: string | null): Promise<Settled> {
    const { taker, seq } = delivery.job;
    this.#settling += this.#handed.has(delivery) ? 1 : 0;
    return new Promise((resolve) => {
      this.#link.settle({ queue: this.#settings.queue, taker, seq, kind, delayMs, failure }, (isSettled) => {
        if (this.#handed.delete(delivery)) this.#settling -= 1;
        resolve(isSettled ? "settled" : "lost");
        this.#endIfDone();
      });
    });
  }

  /** For its deliveries: whoever had it is done with it, and the worker need not know. */
  forget(delivery: SqliteDelivery): void {
    if (!this.#handed.delete(delivery)) return;
    this.#link.planFlush();
    this.#endIfDone();
  }

  /** Within the store's own limit of time. */
  within<T>(promise: Promise<T>): Promise<T> {
    return this.#link.within(promise);
  }

  #takeNoMore(): void {
    this.#asked = 0;
    this.#link.want(this.#settings.consumer, -1);
    for (const delivery of this.#ready.splice(0)) giveBack(delivery);
  }

  #endIfDone(): void {
    if (this.#stopped !== undefined && this.#handed.size === 0) this.#settings.onEnd();
  }
}

/** The worker carries it out whenever it can; nobody waits for that. */
function giveBack(delivery: SqliteDelivery): void {
  delivery.release().catch(() => {});
}

/**
 * One job in the hands of this process.
 *
 * The worker is told its end once, and goes on until it is on record, whoever still waits for that. A second call is too late,
 * unless the first one's time was over before the worker could tell: then it waits for the same, whatever it asks for.
 */
class SqliteDelivery implements Delivery {
  readonly job: TakenJob;
  readonly #consumer: SqliteConsumer;
  #outcome: Promise<Settled> | undefined;
  /** Somebody waits for the outcome, or has it. */
  #isTold = false;
  #lost: LeaseLostError | undefined;
  #controller: AbortController | undefined;

  constructor(job: TakenJob, consumer: SqliteConsumer) {
    this.job = job;
    this.#consumer = consumer;
  }

  get id(): string {
    return this.job.id;
  }

  get queue(): string {
    return this.#consumer.queueName;
  }

  get body(): string {
    return this.job.body;
  }

  get attempt(): number {
    return this.job.attempt;
  }

  get priority(): number {
    return this.job.priority;
  }

  get leaseLost(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#lost !== undefined) this.#controller.abort(this.#lost);
    return this.#controller.signal;
  }

  done(): Promise<Settled> {
    return this.#settle(settleKinds.done);
  }

  retry(delayMs: number, _failure: JobFailure): Promise<Settled> {
    // What an attempt failed of is the reporter's to keep; the store keeps what a job died of.
    return this.#settle(settleKinds.retry, delayMs);
  }

  dead({ name, message, stack }: JobFailure): Promise<Settled> {
    const kept = {
      name: name.slice(0, failureCharacters),
      message: message.slice(0, failureCharacters),
      ...(stack === undefined ? {} : { stack: stack.slice(0, failureCharacters) }),
    };
    return this.#settle(settleKinds.dead, 0, JSON.stringify(kept));
  }

  release(): Promise<Settled> {
    return this.#settle(settleKinds.release);
  }

  /** Its lease is gone: whatever its end will be, it changes nothing any more. */
  lose(reason: LeaseLostError): void {
    this.#lost ??= reason;
    this.#controller?.abort(this.#lost);
  }

  async #settle(kind: SettleKind, delayMs = 0, failure: string | null = null): Promise<Settled> {
    if (this.#isTold) return "lost";
    this.#isTold = true;
    if (this.#outcome === undefined && this.#lost !== undefined) {
      this.#consumer.forget(this);
      return "lost";
    }
    this.#outcome ??= this.#consumer.settle(this, kind, delayMs, failure);
    try {
      return await this.#consumer.within(this.#outcome);
    } catch (error) {
      this.#isTold = false;
      throw error;
    }
  }
}

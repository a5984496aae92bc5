/**
 * The taking of jobs from an engine that hands them out under a lease: what is the same for all of them.
 *
 * It asks the engine for as many jobs as there are places, renews their leases, says when one is lost, and tries the end
 * of a job again while the engine is away. What an engine's own client has for this is left aside: each has other ideas
 * of how long to wait, what to do on shutdown and who counts attempts.
 */

import { now, systemClock } from "../../core/index.ts";
import type { Consumer, Delivery, JobFailure, Settled } from "../store.ts";
import { inTime } from "./in-time.ts";

/** A job as an engine hands it out, with whatever the engine needs to know it again. */
export interface ClaimedJob {
  readonly id: string;
  readonly body: string;
  readonly attempt: number;
  readonly priority: number;
}

/** What a claim has brought. */
export interface Claims<Job extends ClaimedJob> {
  readonly jobs: readonly Job[];
  /** In how many milliseconds the next delayed job is due, if the engine knows. */
  readonly dueInMs?: number;
}

/** An engine, seen by one consumer of one queue. Calls reject if the engine fails; ends resolve to whether they counted. */
export interface JobSource<Job extends ClaimedJob = ClaimedJob> {
  /** At most `count` ready jobs. Fewer mean that there are no more. */
  claim(count: number): Promise<Claims<Job>>;
  /** Settles when there may be more, or after a few seconds. */
  waitForMore(): Promise<unknown>;
  /** Nobody waits here from now on: whatever comes is to be told to others. */
  rest?(): void;
  /** The opposite of `rest`. */
  rouse?(): void;
  /** One end for each of them; in one go, if the engine can. */
  done(jobs: readonly Job[]): readonly Promise<Settled>[];
  retry(job: Job, delayMs: number, failure: JobFailure): Promise<Settled>;
  dead(job: Job, failure: JobFailure): Promise<Settled>;
  release(job: Job): Promise<Settled>;
  /** Renews the leases, and resolves to the ids of those that are lost. */
  renew(jobs: readonly Job[]): Promise<readonly string[]>;
  /** What has to be done now and then for the queue: jobs of dead takers, dead jobs that are too old. */
  maintain(): Promise<void>;
  /** Lets go of what the consumer alone has used. */
  close?(): Promise<void>;
}

/** What a consumer has from its store. */
export interface ConsumerSetup {
  readonly queue: string;
  readonly leaseMs: number;
  /** How long one command may take. */
  readonly commandMs: number;
  readonly concurrency: number;
  /** As an error of the store. */
  readonly toError: (error: unknown, what: string) => Error;
  readonly onError: (error: Error) => void;
}

interface Finished<Job> {
  readonly job: Job;
  readonly resolve: (settled: Settled) => void;
  readonly reject: (error: unknown) => void;
}

/** How a delivery ends. */
type End<Job extends ClaimedJob> = (job: Job) => Promise<Settled>;

/** Invariant: it is among its consumer's `held` until it is settled, or the consumer has closed. */
class LeasedDelivery<Job extends ClaimedJob> implements Delivery {
  readonly job: Job;
  readonly #consumer: LeasedConsumer<Job>;
  #controller: AbortController | undefined;
  #isLost = false;
  /** Whether it has been said how it ends. */
  isSettling = false;
  /** Not any more, once the engine could not be told how it ends. */
  isRenewed = true;
  /** On the monotonic clock. */
  leasedUntilMs: number;

  constructor(consumer: LeasedConsumer<Job>, job: Job, leasedUntilMs: number) {
    this.#consumer = consumer;
    this.job = job;
    this.leasedUntilMs = leasedUntilMs;
  }

  get id(): string {
    return this.job.id;
  }

  get queue(): string {
    return this.#consumer.setup.queue;
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
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#isLost) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  lose(): void {
    this.#isLost = true;
    this.#controller?.abort();
  }

  done(): Promise<Settled> {
    return this.#consumer.settle(this, (job) => this.#consumer.finish(job));
  }

  retry(delayMs: number, failure: JobFailure): Promise<Settled> {
    const words = cleanFailure(failure);
    return this.#consumer.settle(this, (job) => this.#consumer.source.retry(job, delayMs, words));
  }

  dead(failure: JobFailure): Promise<Settled> {
    const words = cleanFailure(failure);
    return this.#consumer.settle(this, (job) => this.#consumer.source.dead(job, words));
  }

  release(): Promise<Settled> {
    return this.#consumer.settle(this, (job) => this.#consumer.source.release(job));
  }
}

function clean(words: string): string {
  return words.toWellFormed().replaceAll("\0", "\u{fffd}");
}

/** Not every engine takes zeros or lone surrogates into its text; what an error says is made of anything. */
function cleanFailure({ name, message, stack }: JobFailure): JobFailure {
  const failure = { name: clean(name), message: clean(message) };
  return stack === undefined ? failure : { ...failure, stack: clean(stack) };
}

/** Most jobs asked for at one time. */
const maxClaims = 64;
/** How long to wait after a failure before the engine is asked again. */
const failureMs = 250;

/**
 * Invariant: `#held` has at most `concurrency` deliveries. One loop claims; `#wake` is called whenever it may have to look
 * again: a place is free, the consumer goes on or has stopped.
 */
export class LeasedConsumer<Job extends ClaimedJob> implements Consumer {
  readonly source: JobSource<Job>;
  readonly setup: ConsumerSetup;
  readonly #take: (delivery: Delivery) => void;
  readonly #held = new Set<LeasedDelivery<Job>>();
  #state: "taking" | "paused" | "stopped" = "taking";
  /** Done, and not told to the engine yet. */
  #finished: Finished<Job>[] = [];
  #isTelling = false;
  /** How many jobs to ask for: where there is one there may be two, and so on; an empty queue is asked for one. */
  #appetite = 1;
  #wake: () => void = () => {};
  #waiting: Promise<unknown> | undefined;
  #callOffTick: (() => void) | undefined;
  #closing: Promise<void> | undefined;
  readonly #looping: Promise<void>;

  constructor(source: JobSource<Job>, setup: ConsumerSetup, take: (delivery: Delivery) => void) {
    this.source = source;
    this.setup = setup;
    this.#take = take;
    this.#planTick();
    this.#looping = this.#run();
  }

  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  pause(): void {
    if (this.#state !== "taking") return;
    this.#state = "paused";
    this.source.rest?.();
    this.#wake();
  }

  resume(): void {
    if (this.#state !== "paused") return;
    this.#state = "taking";
    this.source.rouse?.();
    this.#wake();
  }

  /** What is claimed just now is given back before it resolves, if the engine answers in time. */
  async stop(): Promise<void> {
    if (this.#state !== "stopped") {
      this.#state = "stopped";
      this.source.rest?.();
      this.#wake();
    }
    await inTime(this.#looping, this.setup.commandMs).catch(() => {});
    this.#closeIfIdle();
  }

  /** What is not settled goes back, as far as the engine can be told. Nothing can be settled any more. */
  async giveUp(): Promise<void> {
    const stopping = this.stop();
    const open = [...this.#held].filter(({ isSettling }) => !isSettling);
    for (const delivery of open) {
      delivery.isSettling = true;
      delivery.lose();
    }
    await Promise.allSettled([stopping, ...open.map(({ job }) => this.source.release(job))]);
  }

  /** Lets go of the engine, whatever is still held. */
  close(): Promise<void> {
    this.#callOffTick?.();
    this.#held.clear();
    this.#closing ??= this.source.close?.() ?? Promise.resolve();
    return this.#closing;
  }

  async settle(delivery: LeasedDelivery<Job>, end: End<Job>): Promise<Settled> {
    if (delivery.isSettling) return "lost";
    delivery.isSettling = true;
    try {
      const settled = await this.#persist(() => end(delivery.job));
      this.#letGo(delivery);
      return settled;
    } catch (error) {
      // It may be said again. If it is not, the job goes to somebody else when its lease is over.
      delivery.isSettling = false;
      delivery.isRenewed = false;
      throw this.setup.toError(error, "take the end of a job");
    }
  }

  /** Tries for twice the time of a command: a short absence of the engine is not worth a second run of the job. */
  async #persist(ask: () => Promise<Settled>): Promise<Settled> {
    const untilMs = now() + 2 * this.setup.commandMs;
    for (;;) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- try after try
        return await inTime(ask(), untilMs - now());
      } catch (error) {
        if (untilMs - now() < failureMs) throw error;
      }
      // oxlint-disable-next-line no-await-in-loop -- see above
      await sleep(failureMs);
    }
  }

  #letGo(delivery: LeasedDelivery<Job>): void {
    this.#held.delete(delivery);
    this.#wake();
    this.#closeIfIdle();
  }

  /** Those that are done while the engine is told of others are told together: one commit for many. */
  finish(job: Job): Promise<Settled> {
    const { promise, resolve, reject } = Promise.withResolvers<Settled>();
    this.#finished.push({ job, resolve, reject });
    if (!this.#isTelling) void this.#tellFinished();
    return promise;
  }

  async #tellFinished(): Promise<void> {
    this.#isTelling = true;
    // Handlers that were started together may end together.
    await Promise.resolve();
    while (this.#finished.length > 0) {
      const batch = this.#finished.splice(0, maxClaims);
      const ends = this.source.done(batch.map(({ job }) => job));
      for (const [index, { resolve, reject }] of batch.entries()) ends[index]?.then(resolve, reject);
      try {
        // oxlint-disable-next-line no-await-in-loop -- one batch after the other
        await inTime(Promise.allSettled(ends), this.setup.commandMs);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#isTelling = false;
  }

  #closeIfIdle(): void {
    if (this.#state === "stopped" && this.#held.size === 0) this.close().catch(() => {});
  }

  async #run(): Promise<void> {
    while (this.#state !== "stopped") {
      const { promise: woken, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      try {
        // oxlint-disable-next-line no-await-in-loop -- one look after the other
        await this.#look(woken);
      } catch (error) {
        this.#report(error, "hand out jobs");
        // oxlint-disable-next-line no-await-in-loop -- see above
        await Promise.race([sleep(failureMs), woken]);
      }
    }
  }

  /** Claims what there are places for; then waits until there may be more. */
  async #look(woken: Promise<void>): Promise<void> {
    const dueInMs = await this.#fill();
    if (this.#state !== "taking" || this.#held.size >= this.setup.concurrency) {
      await woken;
      return;
    }
    this.#waiting ??= this.source.waitForMore().finally(() => {
      this.#waiting = undefined;
    });
    const { promise: due, resolve } = Promise.withResolvers<void>();
    const callOff = dueInMs < maxTimerMs ? systemClock.wakeAfter(Math.max(1, dueInMs), resolve) : undefined;
    await Promise.race([this.#waiting, due, woken]).finally(() => callOff?.());
  }

  /** Resolves to how soon the next delayed job is due, as far as that is known. */
  async #fill(): Promise<number> {
    while (this.#state === "taking") {
      const limit = Math.min(this.#appetite, this.setup.concurrency - this.#held.size);
      if (limit <= 0) return Infinity;
      const untilMs = now() + this.setup.leaseMs;
      // oxlint-disable-next-line no-await-in-loop -- one claim after the other
      const { jobs, dueInMs = Infinity } = await this.source.claim(limit);
      for (const job of jobs) this.#handOut(job, untilMs);
      this.#appetite = jobs.length < limit ? 1 : Math.min(2 * this.#appetite, maxClaims);
      if (jobs.length < limit) return dueInMs;
    }
    return Infinity;
  }

  #handOut(job: Job, leasedUntilMs: number): void {
    if (this.#state !== "taking") {
      this.source.release(job).catch((error: unknown) => this.#report(error, "take a job back"));
      return;
    }
    const delivery = new LeasedDelivery(this, job, leasedUntilMs);
    this.#held.add(delivery);
    this.#take(delivery);
  }

  #planTick(): void {
    this.#callOffTick = systemClock.wakeAfter(Math.min(this.setup.leaseMs / 3, maxTimerMs), () => void this.#tick());
  }

  async #tick(): Promise<void> {
    const { commandMs } = this.setup;
    try {
      await this.#renew();
      if (this.#state !== "stopped") await inTime(this.source.maintain(), commandMs);
    } catch (error) {
      this.#report(error, "renew leases");
    }
    if (this.#closing === undefined) this.#planTick();
  }

  async #renew(): Promise<void> {
    const open = [...this.#held].filter(({ isSettling }) => !isSettling);
    for (const delivery of open.filter(({ leasedUntilMs }) => leasedUntilMs < now())) {
      delivery.lose();
      if (!delivery.isRenewed) this.#letGo(delivery);
    }
    const renewable = open.filter(({ isRenewed }) => isRenewed);
    if (renewable.length === 0) return;
    const untilMs = now() + this.setup.leaseMs;
    const renewing = this.source.renew(renewable.map(({ job }) => job));
    const lost = new Set(await inTime(renewing, this.setup.commandMs));
    for (const delivery of renewable) {
      if (!lost.has(delivery.id)) delivery.leasedUntilMs = untilMs;
      else if (!delivery.isSettling) delivery.lose();
    }
  }

  #report(error: unknown, what: string): void {
    if (this.#closing === undefined) this.setup.onError(this.setup.toError(error, what));
  }
}

/** The longest delay that a timer of Node's takes. */
const maxTimerMs = 2 ** 31 - 1;

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    systemClock.wakeAfter(ms, resolve);
  });
}

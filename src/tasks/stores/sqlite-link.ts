/**
 * The main thread's side of the line to the worker: gathers what a turn of the loop has to say into one message, and settles
 * each call when the worker has reported on it, or when its time is up.
 *
 * Adds go over a few orders at a time, so that a million of them neither fill the worker's inbox nor hold the loop up
 * while they are packed; the rest waits here, up to a limit. Settles, wants and questions are few enough to go at once.
 */

import { Worker } from "node:worker_threads";
import { DeadlineWheel, WheelTimer } from "../../core/deadline-wheel.ts";
import { outside } from "../../core/outside.ts";
import { StoreFullError, StoreUnavailableError } from "../errors.ts";
import type { AddedJob, NewJob } from "../store.ts";
import { sharedNow } from "./sqlite-protocol.ts";
import type {
  AddOrder,
  AddReport,
  Answers,
  Failure,
  Orders,
  Question,
  Report,
  SettleOrder,
  WorkerSettings,
} from "./sqlite-protocol.ts";

/** Jobs and characters in one order of adds: 0.1 ms to pack and send. */
const jobsInOrder = 250;
const charactersInOrder = 1_048_576;
/** Jobs that the worker has at a time: those in its transaction, and those that the next one is made of. */
const jobsOnTheWay = 1_000;

/** What the link hands on to the consumers. */
export interface LinkEvents {
  /** Before a message is made: the last moment to ask for jobs. */
  readonly onFlush: () => void;
  /** Jobs for consumers, as the report has them. */
  readonly onDeliveries: (deliveries: Report["deliveries"]) => void;
  readonly onLost: (takers: readonly number[]) => void;
  readonly onTrouble: (error: Error) => void;
  /** The worker has ended though nobody has asked for that: whatever it had taken is not held any more. */
  readonly onEnd: () => void;
}

export interface LinkSettings extends WorkerSettings {
  readonly maxPendingBytes: number;
  readonly timeoutMs: number;
}

/** A promise that somebody waits for, for a limited time. */
class Pending<T> extends WheelTimer {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
  readonly #onLate: () => Error;
  /** Its time was up before it was settled. */
  isLate = false;

  constructor(onLate: () => Error) {
    super();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.promise = promise;
    this.resolve = resolve;
    this.reject = reject;
    this.#onLate = onLate;
  }

  override onDeadline(): void {
    this.isLate = true;
    this.reject(this.#onLate());
  }
}

/** One call of `add`: done when all its orders are. */
interface AddCall {
  readonly jobs: readonly NewJob[];
  readonly queues: ReadonlyMap<string, number>;
  readonly added: (AddedJob | undefined)[];
  readonly pending: Pending<readonly AddedJob[]>;
  readonly deadline: number;
  readonly bytes: number;
  /** Jobs not yet in an order, from here; orders not yet reported on. */
  next: number;
  ordersOut: number;
  failure: Error | undefined;
}

/**
 * Invariant: a call is in `#calls`, `#orders`, `#settles` or `#questions` until it is settled or the worker has reported
 * on it; `#pendingBytes` are those of the adds in them. The worker keeps the process alive exactly while something is
 * there or somebody holds it.
 */
export class SqliteLink {
  readonly #settings: LinkSettings;
  readonly #events: LinkEvents;
  readonly #wheel = new DeadlineWheel();
  readonly #calls: AddCall[] = [];
  readonly #orders = new Map<number, { readonly call: AddCall; readonly from: number; readonly to: number }>();
  readonly #questions = new Map<number, Pending<unknown>>();
  /** Told to the worker and not reported on, oldest first: the worker keeps the order. */
  #settles: ((isSettled: boolean) => void)[] = [];
  #toSettle: (string | number | null)[] = [];
  #toWant: number[] = [];
  #toAsk: { readonly order: number; readonly question: Question }[] = [];
  #worker: Worker | undefined;
  /** Why nothing can be asked of the worker: not started, stopped, or ended by itself. */
  #ended: Error | undefined;
  #trouble: Failure | undefined;
  #pendingBytes = 0;
  #jobsOut = 0;
  #order = 0;
  #holds = 0;
  #isFlushPlanned = false;

  constructor(settings: LinkSettings, events: LinkEvents) {
    this.#settings = settings;
    this.#events = events;
    this.#ended = new StoreUnavailableError(
      "sqlite",
      `The store on ${settings.path} is not started; call start first.`,
    );
  }

  /** Starts the worker; resolves when it has opened the file. */
  start(): Promise<void> {
    const { path, synchronous, maxBytes, minFreeBytes, startTimeoutMs, pollMs } = this.#settings;
    const started = new Pending<void>(() => this.#lateError(startTimeoutMs));
    const workerData: WorkerSettings = { path, synchronous, maxBytes, minFreeBytes, startTimeoutMs, pollMs };
    this.#wheel.arm(started, startTimeoutMs + 1_000);
    // Of this process's own options none is of use to it; `--import` would even load the program's hooks.
    const worker = outside(() => new Worker(workerFile, { name: "sluice-sqlite", workerData, execArgv: [] }));
    this.#worker = worker;
    this.#ended = undefined;
    worker.on("message", (report: Report) => {
      if (report.started === true) started.resolve();
      else if (report.started === false) {
        const error = this.#errorFrom(report.trouble);
        started.reject(error);
        this.#fail(error);
      } else this.#onReport(report);
    });
    const onEnd = (error: unknown): void => {
      // One that could not start ends by itself; by then there may be another.
      if (this.#worker === worker) this.#onEnd(started, error);
    };
    worker.on("error", onEnd);
    worker.on("exit", (code) => onEnd(new Error(`its thread ended with ${code}`)));
    return started.promise.finally(() => {
      this.#wheel.cancel(started);
      this.#keepAlive();
    });
  }

  /** Ends the worker, whatever it is doing, and fails whatever waits for it. */
  async end(): Promise<void> {
    const worker = this.#worker;
    this.#fail(new StoreUnavailableError("sqlite", `The store on ${this.#settings.path} is stopped.`));
    worker?.ref();
    await worker?.terminate();
  }

  /** While held, the worker keeps the process alive. */
  hold(): void {
    this.#holds += 1;
    this.#keepAlive();
  }

  release(): void {
    this.#holds -= 1;
    this.#keepAlive();
  }

  /** Whether there is a worker to be asked. */
  get isUp(): boolean {
    return this.#ended === undefined;
  }

  /** What is wrong with the file, if that lasts. */
  get trouble(): string | undefined {
    return this.#trouble?.message;
  }

  /** @throws what `queueNumber` throws. */
  add(jobs: readonly NewJob[], queueNumber: (name: string) => number, timeoutMs: number): Promise<readonly AddedJob[]> {
    const { path, maxPendingBytes } = this.#settings;
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (jobs.length === 0) return Promise.resolve([]);
    let bytes = 0;
    const queues = new Map<string, number>();
    for (const { body, queue } of jobs) {
      bytes += body.length;
      if (!queues.has(queue)) queues.set(queue, queueNumber(queue));
    }
    if (this.#pendingBytes + bytes > maxPendingBytes && this.#pendingBytes > 0) {
      const message =
        `${jobs.length} jobs of ${bytes} bytes were not taken: ${this.#pendingBytes} of at most ${maxPendingBytes} bytes ` +
        `already wait to be written to ${path}. Add more slowly, or raise maxPendingBytes.`;
      return Promise.reject(new StoreFullError("sqlite", message));
    }
    const pending = new Pending<readonly AddedJob[]>(() => this.#lateError(timeoutMs));
    const deadline = sharedNow() + timeoutMs;
    const added = Array.from<AddedJob | undefined>({ length: jobs.length });
    const call: AddCall = { jobs, queues, added, pending, deadline, bytes, next: 0, ordersOut: 0, failure: undefined };
    this.#wheel.arm(pending, timeoutMs);
    this.#pendingBytes += bytes;
    this.#calls.push(call);
    this.planFlush();
    return pending.promise;
  }

  /** Calls back with whether the lease was still there; there is no limit of time. */
  settle({ queue, taker, seq, kind, delayMs, failure }: SettleOrder, onSettled: (isSettled: boolean) => void): void {
    if (this.#ended !== undefined) {
      onSettled(false);
      return;
    }
    this.#toSettle.push(queue, taker, seq, kind, delayMs, failure);
    this.#settles.push(onSettled);
    this.planFlush();
  }

  /** As `promise`, but rejects after the store's own limit. */
  within<T>(promise: Promise<T>): Promise<T> {
    const { timeoutMs } = this.#settings;
    const pending = new Pending<T>(() => this.#lateError(timeoutMs));
    this.#wheel.arm(pending, timeoutMs);
    promise.then(pending.resolve, pending.reject);
    return pending.promise.finally(() => this.#wheel.cancel(pending));
  }

  want(consumer: number, more: number): void {
    this.#toWant.push(consumer, more);
    this.planFlush();
  }

  ask<Kind extends Question["kind"]>(
    question: Extract<Question, { kind: Kind }>,
    timeoutMs: number = this.#settings.timeoutMs,
  ): Promise<Answers[Kind]> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const order = (this.#order += 1);
    const pending = new Pending<Answers[Kind]>(() => this.#lateError(timeoutMs));
    this.#wheel.arm(pending, timeoutMs);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the worker answers each kind with its own type
    this.#questions.set(order, pending as unknown as Pending<unknown>);
    this.#toAsk.push({ order, question });
    this.planFlush();
    return pending.promise.finally(() => {
      this.#wheel.cancel(pending);
      this.#questions.delete(order);
      this.#keepAlive();
    });
  }

  /** Sees to it that a message is made at the end of this turn. */
  planFlush(): void {
    if (this.#isFlushPlanned) return;
    this.#isFlushPlanned = true;
    // After the events of this turn of the loop; whatever they add goes in the same message.
    outside(() => setImmediate(this.#flush));
  }

  readonly #flush = (): void => {
    if (this.#ended !== undefined) return;
    this.#events.onFlush();
    this.#isFlushPlanned = false;
    const adds = this.#packAdds();
    const [settles, wants, questions] = [this.#toSettle, this.#toWant, this.#toAsk];
    [this.#toSettle, this.#toWant, this.#toAsk] = [[], [], []];
    this.#keepAlive();
    if (adds.length + settles.length + wants.length + questions.length === 0) return;
    const orders: Orders = { adds, settles, wants, questions };
    this.#worker?.postMessage(orders);
  };

  /** As many orders as may be on their way. A call that has been given up is not packed any further. */
  #packAdds(): AddOrder[] {
    const packed: AddOrder[] = [];
    let done = 0;
    for (const call of this.#calls) {
      while (call.next < call.jobs.length && !call.pending.isLate && this.#jobsOut < jobsOnTheWay) {
        packed.push(this.#packOrder(call));
      }
      if (call.next < call.jobs.length && !call.pending.isLate) break;
      done += 1;
      this.#settleCall(call);
    }
    this.#calls.splice(0, done);
    return packed;
  }

  #packOrder(call: AddCall): AddOrder {
    const order = (this.#order += 1);
    const fields: (string | number | null)[] = [];
    const from = call.next;
    const end = Math.min(call.jobs.length, from + jobsInOrder);
    let characters = 0;
    while (call.next < end && characters < charactersInOrder) {
      const job = call.jobs[call.next];
      call.next += 1;
      if (job === undefined) break;
      const { id, queue, body, key, delayMs, priority } = job;
      fields.push(id, call.queues.get(queue) ?? 0, body, key ?? null, delayMs, priority);
      characters += body.length;
    }
    call.ordersOut += 1;
    this.#jobsOut += call.next - from;
    this.#orders.set(order, { call, from, to: call.next });
    return { order, deadline: call.deadline, jobs: fields };
  }

  #onReport({ added, settled, deliveries, lost, answers, trouble }: Report): void {
    for (const report of added) this.#onAdded(report);
    const settles = this.#settles;
    this.#settles = settles.slice(settled.length);
    for (const [index, isSettled] of settled.entries()) settles[index]?.(isSettled);
    for (const { order, value, failure } of answers) {
      const pending = this.#questions.get(order);
      if (failure === undefined) pending?.resolve(value);
      else pending?.reject(this.#errorFrom(failure));
    }
    if (lost.length > 0) this.#events.onLost(lost);
    if (deliveries.length > 0) this.#events.onDeliveries(deliveries);
    if (trouble !== undefined) {
      this.#trouble = trouble ?? undefined;
      if (trouble !== null) this.#events.onTrouble(this.#errorFrom(trouble));
    }
    if (this.#calls.length > 0) this.planFlush();
    else this.#keepAlive();
  }

  #onAdded({ order, duplicates, failure }: AddReport): void {
    const found = this.#orders.get(order);
    if (found === undefined) return;
    const { call, from, to } = found;
    this.#orders.delete(order);
    this.#jobsOut -= to - from;
    call.ordersOut -= 1;
    if (failure !== undefined) call.failure ??= this.#errorFrom(failure);
    for (let at = 0; at < duplicates.length; at += 2) {
      call.added[from + Number(duplicates[at])] = { id: String(duplicates[at + 1]), isDuplicate: true };
    }
    if (call.next === call.jobs.length || call.pending.isLate) this.#settleCall(call);
  }

  /** Settles a call all of whose orders are out and reported on. */
  #settleCall(call: AddCall): void {
    if (call.ordersOut > 0) return;
    this.#pendingBytes -= call.bytes;
    this.#wheel.cancel(call.pending);
    if (call.failure === undefined) {
      call.pending.resolve(call.jobs.map(({ id }, index) => call.added[index] ?? { id, isDuplicate: false }));
    } else call.pending.reject(call.failure);
  }

  #onEnd(started: Pending<void>, error: unknown): void {
    if (this.#ended !== undefined) return;
    const message = `The worker thread of the store on ${this.#settings.path} has ended. Start the process again.`;
    const failure = new StoreUnavailableError("sqlite", message, { cause: error });
    started.reject(failure);
    this.#fail(failure);
    this.#events.onTrouble(failure);
    this.#events.onEnd();
  }

  #fail(error: Error): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#wheel.close();
    for (const { call } of this.#orders.values()) call.pending.reject(error);
    for (const { pending } of this.#calls.splice(0)) pending.reject(error);
    for (const pending of this.#questions.values()) pending.reject(error);
    for (const settle of this.#settles.splice(0)) settle(false);
    this.#orders.clear();
    this.#holds = 0;
    this.#keepAlive();
  }

  #lateError(timeoutMs: number): StoreUnavailableError {
    const { path } = this.#settings;
    const why = this.#trouble?.message ?? "the disk is slow, or the machine is busy";
    const bytes = `${this.#pendingBytes} bytes of jobs wait to be written`;
    return new StoreUnavailableError("sqlite", `${path} did not take it within ${timeoutMs} ms (${bytes}): ${why}.`);
  }

  #errorFrom(failure: Failure | null | undefined): Error {
    const { code = "unavailable", message = "unknown" } = failure ?? {};
    return code === "full" ? new StoreFullError("sqlite", message) : new StoreUnavailableError("sqlite", message);
  }

  #keepAlive(): void {
    const waiting = this.#calls.length + this.#orders.size + this.#questions.size + this.#settles.length;
    if (waiting + this.#holds > 0) this.#worker?.ref();
    else this.#worker?.unref();
  }
}

/** Beside this file, from source as well as built. */
const workerFile = new URL(`./sqlite-worker${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url);

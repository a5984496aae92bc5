/**
 * One attempt at one job: from the store's hand to the store's hand.
 *
 * Whatever the handler does, exactly one call tells the store what became of the job. That call is made again a few times
 * if it fails; after that the job comes again when its lease is over, which is what "at least once" means.
 */

import { now } from "../core/clock.ts";
import { ContextError, traceparentKey, type Context, type OwnedContext } from "../core/context.ts";
import type { DeadlineWheel } from "../core/deadline-wheel.ts";
import { outside } from "../core/outside.ts";
import { RingNode } from "../core/ring.ts";
import { backoffMs } from "./backoff.ts";
import { CallTimer } from "./call-timer.ts";
import { attemptEnded } from "./channels.ts";
import { decodeEnvelope, requestIdKey, type Envelope } from "./envelope.ts";
import {
  JobVanishedError,
  LeaseLostError,
  Permanent,
  RetryAfter,
  StoreUnavailableError,
  TaskTimeoutError,
  longestDelayMs,
} from "./errors.ts";
import { AttemptedJob, toFailure, type JobHandler } from "./job.ts";
import type { AttemptOutcome, DeadReason, QueueInstruments } from "./queue-instruments.ts";
import type { ResolvedQueueOptions } from "./queue-options.ts";
import type { Reports } from "./reporter.ts";
import type { Delivery, Settled } from "./store.ts";
import type { TracedWork, Tracing } from "./tracing.ts";

/** What the attempts of one queue share. */
export interface AttemptHost {
  readonly queue: string;
  readonly store: string;
  readonly options: ResolvedQueueOptions;
  readonly abortMs: number;
  readonly handler: JobHandler<never>;
  readonly root: Context;
  readonly wheel: DeadlineWheel;
  readonly instruments: QueueInstruments;
  readonly reports: Reports;
  readonly tracing: Tracing;
  /** The store knows what became of it, or never will; its handler may still be at it. */
  onSettled(attempt: JobAttempt): void;
  /** Its handler is over, and the store knows. */
  onOver(attempt: JobAttempt): void;
}

/** What is told to the store. */
type Verdict =
  | { readonly kind: "done" }
  | { readonly kind: "retry"; readonly delayMs: number; readonly error: unknown }
  | { readonly kind: "dead"; readonly reason: DeadReason; readonly error: unknown }
  | { readonly kind: "release" };

/** How a handler ended. */
type HandlerResult = { readonly isOk: true } | { readonly isOk: false; readonly thrown: unknown };

interface Judgement {
  readonly verdict: Verdict;
  readonly outcome: AttemptOutcome;
}

const settleTries = 5;
const firstSettlePauseMs = 100;

/**
 * Invariant: `#settle` is called exactly once; the handler may run on after it, which is then stuck.
 */
export class JobAttempt extends RingNode {
  readonly delivery: Delivery;
  /** Whether its place was given up while its handler went on. The worker's. */
  isLeft = false;
  readonly #host: AttemptHost;
  #envelope: Envelope | undefined;
  #context: OwnedContext | undefined;
  #watch: Disposable | undefined;
  #work: TracedWork | undefined;
  #startedAt = 0;
  /** Why its context ended while the handler ran. */
  #cut: unknown;
  #isHandled = false;
  #isStuck = false;
  #isSettling = false;
  #isSettled = false;

  constructor(host: AttemptHost, delivery: Delivery) {
    super();
    this.#host = host;
    this.delivery = delivery;
  }

  /** Whether its handler is over. */
  get isHandled(): boolean {
    return this.#isHandled;
  }

  /** For how long the handler has run, in milliseconds. */
  get ageMs(): number {
    return now() - this.#startedAt;
  }

  start(): void {
    const { delivery } = this;
    const { options, instruments } = this.#host;
    this.#startedAt = now();
    try {
      this.#envelope = decodeEnvelope(delivery.body);
    } catch (error) {
      this.#endUnbegun("malformed", error);
      return;
    }
    if (delivery.attempt > options.attempts) {
      this.#endUnbegun("vanished", this.#explainVanished());
      return;
    }
    // By two clocks of two machines.
    if (delivery.attempt === 1)
      instruments.wait.record(Math.max(0, Date.now() - this.#envelope.headers.enqueuedAt) / 1_000);
    this.#call(this.#envelope);
  }

  /** The process is going away. */
  cancel(): void {
    this.#context?.cancel(new ContextError("ERR_SHUTTING_DOWN"));
  }

  /** The handler goes on, and nobody waits for it any more: somebody else may have the job. */
  abandon(): void {
    if (!this.#isSettling) void this.#settle({ kind: "release" }, "cancelled");
  }

  #call({ headers, data }: Envelope): void {
    const { delivery } = this;
    const { options, root, tracing, queue, handler } = this.#host;
    const { id, attempt } = delivery;
    const work = tracing.startAttempt({ queue, id, attempt, traceparent: headers.traceparent });
    this.#work = work;
    const traceparent = work.traceparent ?? headers.traceparent;
    const requestId = headers["x-request-id"];
    const traced = traceparent === undefined ? root : root.withValue(traceparentKey, traceparent);
    const context = (requestId === undefined ? traced : traced.withValue(requestIdKey, requestId)).child({
      timeout: options.timeout,
    });
    this.#context = context;
    this.#watch = context.onDone((cause) => this.#onCut(cause));
    this.#followLease(context);
    const job = new AttemptedJob({ delivery, attempts: options.attempts, data, headers, context });
    // What is in the store was put there by a producer of the queue's own type, and is not checked.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const call = async (): Promise<void> => void (await handler(job as never));
    work
      .run(() => context.run(call))
      .then(
        () => this.#onHandled({ isOk: true }),
        (thrown: unknown) => this.#onHandled({ isOk: false, thrown }),
      );
  }

  #followLease(context: OwnedContext): void {
    const { leaseLost, id } = this.delivery;
    const lose = (): void => context.cancel(new LeaseLostError(this.#host.queue, id));
    if (leaseLost.aborted) lose();
    else leaseLost.addEventListener("abort", lose, { once: true });
  }

  /** The context has ended and the handler has not. */
  #onCut(cause: unknown): void {
    this.#cut = cause;
    const { wheel, abortMs } = this.#host;
    wheel.arm(new CallTimer(() => this.#onStuck()), abortMs);
  }

  #onStuck(): void {
    if (this.#isHandled || this.#isSettling) return;
    this.#isStuck = true;
    this.#host.instruments.stuck.add(1);
    const { verdict, outcome } = this.#judge(undefined);
    void this.#settle(verdict, outcome);
  }

  #onHandled(result: HandlerResult): void {
    this.#isHandled = true;
    this.#watch?.[Symbol.dispose]();
    this.#context?.[Symbol.dispose]();
    if (this.#isStuck) this.#host.instruments.stuck.add(-1);
    if (this.#isSettling) {
      this.#endIfOver();
      return;
    }
    const { verdict, outcome } = this.#judge(result);
    void this.#settle(verdict, outcome);
  }

  /** What comes of the job. `result` is `undefined` if the handler is stuck. */
  #judge(result: HandlerResult | undefined): Judgement {
    const cut = this.#cut;
    if (cut === undefined) {
      if (result?.isOk !== false) return { verdict: { kind: "done" }, outcome: "ok" };
      return { verdict: this.#afterFailure(result.thrown), outcome: "error" };
    }
    if (cut instanceof LeaseLostError) {
      // Late but done: if the store still takes it, nobody has to do it again.
      return { verdict: result?.isOk === true ? { kind: "done" } : { kind: "release" }, outcome: "lost" };
    }
    if (cut instanceof ContextError && cut.code === "ERR_DEADLINE_EXCEEDED") {
      const { options, abortMs, queue } = this.#host;
      const limits = { timeoutMs: options.timeout, ...(result === undefined && { abortMs }) };
      const cause = result?.isOk === false ? result.thrown : cut;
      return { verdict: this.#afterFailure(new TaskTimeoutError(queue, limits, { cause })), outcome: "timeout" };
    }
    // Whether a handler that returns after its signal has done its work or left it, nobody knows: so it is done again.
    return { verdict: { kind: "release" }, outcome: "cancelled" };
  }

  #afterFailure(error: unknown): Verdict {
    const { attempts, backoff } = this.#host.options;
    const { attempt } = this.delivery;
    if (error instanceof Permanent) return { kind: "dead", reason: "permanent", error };
    if (attempt >= attempts) return { kind: "dead", reason: "attempts", error };
    const delayMs = error instanceof RetryAfter ? error.delayMs : backoffMs(backoff, attempt);
    return { kind: "retry", delayMs, error };
  }

  #endUnbegun(reason: "malformed" | "vanished", error: unknown): void {
    this.#isHandled = true;
    void this.#settle({ kind: "dead", reason, error }, reason);
  }

  /** Tells the store. It does not reject. */
  async #settle(verdict: Verdict, outcome: AttemptOutcome): Promise<void> {
    this.#isSettling = true;
    const { instruments } = this.#host;
    const durationMs = this.ageMs;
    instruments.attempts.add(outcome);
    instruments.duration.record(durationMs / 1_000);
    const settled = await this.#tellStore(verdict);
    if (settled === "lost" || outcome === "lost") instruments.leasesLost.add();
    else if (settled === "settled") this.#note(verdict);
    const error = "error" in verdict ? verdict.error : undefined;
    this.#work?.end(outcome, error);
    if (attemptEnded.isFollowed) {
      const { id, attempt } = this.delivery;
      const { queue } = this.#host;
      attemptEnded.publish({ queue, id, attempt, outcome, next: verdict.kind, settled, durationMs, error });
    }
    this.#isSettled = true;
    this.#host.onSettled(this);
    this.#endIfOver();
  }

  #endIfOver(): void {
    if (this.#isHandled && this.#isSettled) this.#host.onOver(this);
  }

  /** `undefined` if the store could not be told. */
  async #tellStore(verdict: Verdict): Promise<Settled | undefined> {
    const { instruments, reports, store, queue } = this.#host;
    let pauseMs = firstSettlePauseMs;
    for (let left = settleTries; ; left -= 1) {
      try {
        // One try after the other.
        // oxlint-disable-next-line no-await-in-loop
        return await outside(() => tell(this.delivery, verdict));
      } catch (cause) {
        instruments.settleFailures.add();
        if (left === 1) {
          const { id } = this.delivery;
          const message = `Job ${id} of ${JSON.stringify(queue)} has ended (${verdict.kind}), and ${store} could not be told: it will come again.`;
          reports.add(new StoreUnavailableError(store, message, { cause }), {
            mechanism: "store",
            level: "error",
            queue,
            jobId: id,
          });
          return undefined;
        }
        // oxlint-disable-next-line no-await-in-loop
        await sleep(pauseMs);
        pauseMs *= 2;
      }
    }
  }

  /** Counts what the store has on record now, and reports what will not be tried again. */
  #note(verdict: Verdict): void {
    const { instruments, reports, queue } = this.#host;
    if (verdict.kind === "retry") instruments.retried.add();
    if (verdict.kind !== "dead") return;
    instruments.dead.add(verdict.reason);
    const { id, attempt } = this.delivery;
    const headers = this.#envelope?.headers;
    reports.add(verdict.error, {
      mechanism: "job",
      level: "error",
      queue,
      jobId: id,
      attempt,
      ...(headers?.traceparent !== undefined && { traceparent: headers.traceparent }),
      ...(headers?.["x-request-id"] !== undefined && { requestId: headers["x-request-id"] }),
    });
  }

  #explainVanished(): JobVanishedError {
    const { attempt, id } = this.delivery;
    return new JobVanishedError(
      `Job ${id} of ${JSON.stringify(this.#host.queue)} was taken ${attempt - 1} times and never settled, which is all ` +
        "its attempts. It may be what kills its process (memory, a native crash): look at it before you redrive it.",
    );
  }
}

function tell(delivery: Delivery, verdict: Verdict): Promise<Settled> {
  switch (verdict.kind) {
    case "done":
      return delivery.done();
    case "retry":
      return delivery.retry(Math.min(verdict.delayMs, longestDelayMs), toFailure(verdict.error));
    case "dead":
      return delivery.dead(toFailure(verdict.error));
    default:
      return delivery.release();
  }
}

function sleep(ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  outside(() => setTimeout(resolve, ms).unref());
  return promise;
}

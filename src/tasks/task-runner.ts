/**
 * Which task runs now, which waits, which is not run at all.
 *
 * Tasks are started from `setImmediate`, a few at a time: after the answers that are ready to go out, never in the stack
 * of a request, and never in its async scope. A promise that never settles would otherwise hold the request's memory for
 * ever, and so would a timer; therefore all that is kept here is made outside.
 */

import { now, turnNow } from "../core/clock.ts";
import { ContextError, traceparentKey, type OwnedContext } from "../core/context.ts";
import { DeadlineWheel } from "../core/deadline-wheel.ts";
import { outside } from "../core/outside.ts";
import { append, isLinked, RingNode, unlink } from "../core/ring.ts";
import { CallTimer } from "./call-timer.ts";
import { taskEnded } from "./channels.ts";
import { requestIdKey } from "./envelope.ts";
import {
  EventLoopHeldError,
  TaskAbandonedError,
  TaskRefusedError,
  TaskTimeoutError,
  type RefusalReason,
} from "./errors.ts";
import { LoopWatch } from "./loop-watch.ts";
import type { Reports } from "./reporter.ts";
import type { TaskOutcome, TaskState } from "./task-kinds.ts";
import { TaskRun, type RunOwner, type TaskEnd } from "./task-run.ts";
import type { ResolvedTasksOptions } from "./tasks-options.ts";
import { noTracing } from "./tracing.ts";
import { within } from "./within.ts";

/** Longest time for which tasks are started before the loop turns: what came in meanwhile is more urgent. */
const maxPumpMs = 10;

/** What is still there when a drain is over. */
export interface LeftOver {
  readonly name: string;
  readonly state: TaskState;
  readonly count: number;
}

/**
 * Invariants: a task is in the ring of its state, and `#enter` is the only place that changes it; `waiting` and `queued`
 * are within their bounds; `running` (with the stuck ones that keep their places) is at most `maxRunning`; while a task
 * is queued and a place is free, a pump is planned.
 */
export class TaskRunner implements RunOwner {
  readonly #options: ResolvedTasksOptions;
  readonly #reports: Reports;
  readonly #rings: Readonly<Record<Exclude<TaskState, "ended">, RingNode>> = {
    waiting: new RingNode(),
    queued: new RingNode(),
    running: new RingNode(),
    stuck: new RingNode(),
  };
  /** Those of `waiting` that are ready and wait for room; in a ring of their own. */
  readonly #callers = new RingNode();
  readonly #levels: Record<TaskState, number> = { waiting: 0, queued: 0, running: 0, stuck: 0, ended: 0 };
  readonly #wheel = new DeadlineWheel();
  readonly #watch: LoopWatch;
  #callerCount = 0;
  #isPumpPlanned = false;
  #onIdle: (() => void) | undefined;

  constructor(options: ResolvedTasksOptions, reports: Reports) {
    this.#options = options;
    this.#reports = reports;
    this.#watch = new LoopWatch(
      () => this.#levels.running > 0,
      (lateMs) => this.#onLateTick(lateMs),
    );
  }

  /** How many are in each state; ended ones are all that ever ended. */
  get levels(): Readonly<Record<TaskState, number>> {
    return this.#levels;
  }

  /** Of those waiting, how many wait for room in the queue. */
  get callerCount(): number {
    return this.#callerCount;
  }

  /** How long the first in the queue has been ready, in milliseconds. */
  get oldestQueuedMs(): number {
    const first = this.#rings.queued.ringNext;
    return first instanceof TaskRun ? now() - first.readyAt : 0;
  }

  /** Takes it on. It waits until `submit`, `skip` or `refuse` says what comes of it. */
  add(run: TaskRun): void {
    run.kind.move(undefined, "waiting");
    this.#levels.waiting += 1;
    append(this.#rings.waiting, run);
  }

  /** Whether there is room for those who wait for their response, the last one included. */
  get mayWait(): boolean {
    return this.#levels.waiting <= this.#options.maxWaiting;
  }

  /** It can run. */
  submit(run: TaskRun): void {
    if (run.state !== "waiting") return;
    run.readyAt = turnNow();
    if (this.#hasRoom()) this.#accept(run);
    else if (this.#options.overflow === "caller-waits") this.#letCallerWait(run);
    else if (this.#options.overflow === "reject" || !isLinked(this.#rings.queued)) this.refuse(run, "queue_full");
    else {
      const oldest = this.#rings.queued.ringNext;
      if (oldest instanceof TaskRun) this.refuse(oldest, "dropped");
      this.#accept(run);
    }
  }

  skip(run: TaskRun): void {
    if (run.state === "waiting") this.#end(run, "skipped", undefined);
  }

  /** It will not be run. */
  refuse(run: TaskRun, reason: RefusalReason): void {
    this.#end(run, reason === "dropped" ? "dropped" : "rejected", this.#explainRefusal(run, reason));
  }

  /** It was not asked for in a way that can be understood. */
  refuseMisuse(run: TaskRun, error: unknown): void {
    this.#end(run, "rejected", error);
  }

  cancel(run: TaskRun, reason: unknown): void {
    if (run.state === "running") run.context?.cancel(reason);
    else if (run.state === "waiting" || run.state === "queued") this.#end(run, "cancelled", reason);
  }

  /** Resolves when nothing runs, is queued or waits, or after `timeoutMs`. Stuck tasks are not waited for. */
  async settle(timeoutMs: number): Promise<void> {
    if (this.#isIdle()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onIdle = resolve;
    await within(promise, timeoutMs, undefined);
    this.#onIdle = undefined;
  }

  /** Gives up what has not begun, and aborts the signals of what has. Answers what was given up. */
  cutAll(): LeftOver[] {
    const left = this.#describe(["waiting", "queued"]);
    for (const ring of [this.#rings.waiting, this.#callers, this.#rings.queued]) {
      for (const run of listRuns(ring)) this.#end(run, "abandoned", abandoned(run, "had not begun"));
    }
    for (const run of listRuns(this.#rings.running)) run.context?.cancel(new ContextError("ERR_SHUTTING_DOWN"));
    return left;
  }

  /** Answers what still runs, and ends it in the eyes of everybody else. */
  abandonAll(): LeftOver[] {
    const left = this.#describe(["running", "stuck"]);
    for (const run of listRuns(this.#rings.running)) this.#end(run, "abandoned", abandoned(run, "still runs"));
    this.#watch.stop();
    this.#wheel.close();
    return left;
  }

  #isIdle(): boolean {
    const { waiting, queued, running } = this.#levels;
    return waiting + queued + running === 0;
  }

  #hasRoom(): boolean {
    return this.#levels.queued < this.#options.maxQueued + this.#freePlaces();
  }

  #freePlaces(): number {
    const { running, stuck } = this.#levels;
    const { maxRunning } = this.#options;
    const kept = this.#options.stuck === "keep" ? stuck : Math.max(0, stuck - maxRunning);
    return Math.max(0, maxRunning - running - kept);
  }

  #accept(run: TaskRun): void {
    this.#enter(run, "queued");
    run.accept();
    this.#planPump();
  }

  #letCallerWait(run: TaskRun): void {
    if (!this.mayWait) {
      this.refuse(run, "waiting_full");
      return;
    }
    unlink(run);
    append(this.#callers, run);
    this.#callerCount += 1;
    run.isCaller = true;
  }

  #planPump(): void {
    if (this.#isPumpPlanned || this.#freePlaces() === 0) return;
    this.#isPumpPlanned = true;
    outside(() => setImmediate(this.#pump));
  }

  readonly #pump = (): void => {
    this.#isPumpPlanned = false;
    const beganAt = now();
    let at = beganAt;
    while (isLinked(this.#rings.queued) && this.#freePlaces() > 0 && at - beganAt < maxPumpMs) {
      const first = this.#rings.queued.ringNext;
      if (!(first instanceof TaskRun)) break;
      this.#start(first, at);
      at = now();
      if (first.state === "running") this.#noteHold(first, at);
    }
    this.#admitCallers();
    if (isLinked(this.#rings.queued)) this.#planPump();
  };

  #admitCallers(): void {
    while (isLinked(this.#callers) && this.#hasRoom()) {
      const first = this.#callers.ringNext;
      if (first instanceof TaskRun) this.#accept(first);
    }
  }

  #start(run: TaskRun, at: number): void {
    const { fn, values } = run;
    if (fn === undefined) return;
    if (values.done) {
      this.#end(run, "cancelled", values.cause);
      return;
    }
    this.#enter(run, "running");
    run.startedAt = at;
    run.kind.started(at - run.readyAt);
    this.#watch.begin(at);
    const { tracing } = this.#options;
    const work = tracing === noTracing ? undefined : tracing.startTask(run.name, values.value(traceparentKey));
    run.work = work;
    const traceparent = work?.traceparent;
    const traced = traceparent === undefined ? values : values.withValue(traceparentKey, traceparent);
    const context = traced.child({ deadline: at + run.timeoutMs });
    run.context = context;
    try {
      const result = work === undefined ? context.run(fn, context) : work.run(() => context.run(fn, context));
      if (isThenable(result)) this.#follow(run, context, result);
      else this.#finish(run, "ok", undefined);
    } catch (error) {
      this.#finish(run, "error", error);
    }
  }

  #follow(run: TaskRun, context: OwnedContext, result: PromiseLike<unknown>): void {
    run.watch = context.onDone((cause) => this.#onCut(run, cause));
    Promise.resolve(result).then(
      () => this.#finish(run, "ok", undefined),
      (error: unknown) => this.#finish(run, "error", error),
    );
  }

  /** Its context has ended and it has not. */
  #onCut(run: TaskRun, cause: unknown): void {
    const isDeadline = cause instanceof ContextError && cause.code === "ERR_DEADLINE_EXCEEDED";
    run.cut = { outcome: isDeadline ? "timeout" : "cancelled", cause };
    this.#wheel.arm(new CallTimer(() => this.#onStuck(run)), this.#options.drain.abort);
  }

  #onStuck(run: TaskRun): void {
    if (run.state !== "running" || run.cut === undefined) return;
    const limits = { timeoutMs: run.timeoutMs, abortMs: this.#options.drain.abort };
    const { outcome, cause } = run.cut;
    this.#end(run, outcome, new TaskTimeoutError(run.name, limits, { cause }), "stuck");
  }

  /** Its function is over. */
  #finish(run: TaskRun, outcome: "ok" | "error", error: unknown): void {
    if (run.state === "stuck") {
      this.#enter(run, "ended");
      if (isLinked(this.#rings.queued)) this.#planPump();
      return;
    }
    if (run.state !== "running") return;
    if (run.cut === undefined) {
      this.#end(run, outcome === "error" && isCancellation(error) ? "cancelled" : outcome, error);
      return;
    }
    const cause = error ?? run.cut.cause;
    const isTimeout = run.cut.outcome === "timeout";
    this.#end(
      run,
      run.cut.outcome,
      isTimeout ? new TaskTimeoutError(run.name, { timeoutMs: run.timeoutMs }, { cause }) : cause,
    );
  }

  #end(run: TaskRun, outcome: TaskOutcome, error: unknown, state: "ended" | "stuck" = "ended"): void {
    const at = now();
    const hasRun = run.state === "running";
    if (hasRun) this.#noteHold(run, at);
    const readyFor = run.readyAt === 0 ? 0 : at - run.readyAt;
    const end: TaskEnd = Object.freeze({
      outcome,
      error,
      durationMs: hasRun ? at - run.startedAt : 0,
      waitedMs: hasRun ? run.startedAt - run.readyAt : readyFor,
      heldMs: run.heldMs,
    });
    this.#enter(run, state);
    run.kind.ended(outcome);
    if (hasRun) run.kind.ran(end.durationMs);
    run.work?.end(outcome, error);
    if (taskEnded.isFollowed) taskEnded.publish({ task: run.name, ...end });
    if (isFailure(outcome)) this.#report(run, error, "error");
    run.close(end);
    if (isLinked(this.#callers)) this.#admitCallers();
    if (isLinked(this.#rings.queued)) this.#planPump();
    if (this.#isIdle()) this.#onIdle?.();
  }

  /** The loop may have stood still until now, and this task was the last that ran. */
  #noteHold(run: TaskRun, at: number): void {
    const heldMs = this.#watch.lateAt(at);
    if (heldMs < this.#options.maxHold) return;
    this.#watch.excuse(at);
    this.#hold(run, heldMs, at);
  }

  #onLateTick(lateMs: number): void {
    if (lateMs < this.#options.maxHold) return;
    const at = now();
    for (const run of listRuns(this.#rings.running)) this.#hold(run, lateMs, at);
  }

  #hold(run: TaskRun, lateMs: number, at: number): void {
    const heldMs = Math.min(lateMs, at - run.startedAt);
    if (heldMs < this.#options.maxHold) return;
    run.heldMs = Math.max(run.heldMs, heldMs);
    run.kind.held();
    this.#report(run, new EventLoopHeldError(run.name, heldMs), "warning");
  }

  #report(run: TaskRun, error: unknown, level: "error" | "warning"): void {
    const requestId = run.values.value(requestIdKey);
    const traceparent = run.values.value(traceparentKey);
    this.#reports.add(error, {
      mechanism: "task",
      level,
      task: run.name,
      ...(requestId !== undefined && { requestId }),
      ...(traceparent !== undefined && { traceparent }),
    });
  }

  #explainRefusal(run: TaskRun, reason: RefusalReason): TaskRefusedError {
    const { maxRunning, maxQueued, maxWaiting } = this.#options;
    const { queued, running, waiting } = this.#levels;
    const name = JSON.stringify(run.name);
    const load = `${running} of ${maxRunning} run, ${queued} of ${maxQueued} are queued, ${waiting} of ${maxWaiting} wait`;
    const words: Readonly<Record<RefusalReason, string>> = {
      queue_full: `Task ${name} was not run: ${load}. Raise maxRunning or maxQueued, make tasks shorter, or put them into a queue.`,
      waiting_full: `Task ${name} was not run: ${load}. Find which responses do not end, or raise maxWaiting.`,
      dropped: `Task ${name} lost its place to a newer one: ${load}. Raise maxRunning or maxQueued, or make tasks shorter.`,
      draining: `Task ${name} was not run: its tasks are being drained.`,
    };
    return new TaskRefusedError(reason, words[reason]);
  }

  #describe(states: readonly Exclude<TaskState, "ended">[]): LeftOver[] {
    const left = new Map<string, LeftOver>();
    for (const state of states) {
      const rings = state === "waiting" ? [this.#rings.waiting, this.#callers] : [this.#rings[state]];
      for (const { name } of rings.flatMap((ring) => listRuns(ring))) {
        const key = `${state} ${name}`;
        left.set(key, { name, state, count: (left.get(key)?.count ?? 0) + 1 });
      }
    }
    return [...left.values()];
  }

  /** Every change of a task's state, and of the numbers that follow from it. */
  #enter(run: TaskRun, state: TaskState): void {
    run.kind.move(run.state, state);
    this.#levels[run.state] -= 1;
    this.#levels[state] += 1;
    if (run.isCaller) {
      run.isCaller = false;
      this.#callerCount -= 1;
    }
    run.state = state;
    unlink(run);
    if (state !== "ended") append(this.#rings[state], run);
    if (state === "ended" || state === "stuck") {
      run.watch?.[Symbol.dispose]();
      run.watch = undefined;
    }
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

/** Whether it is what somebody is told when the work is no longer wanted: no failure. */
function isCancellation(error: unknown): boolean {
  return error instanceof ContextError && error.code !== "ERR_DEADLINE_EXCEEDED";
}

function isFailure(outcome: TaskOutcome): boolean {
  return outcome !== "ok" && outcome !== "cancelled" && outcome !== "skipped";
}

function abandoned(run: TaskRun, state: string): TaskAbandonedError {
  return new TaskAbandonedError(
    `Task ${JSON.stringify(run.name)} ${state} at the end of a drain. Raise drain.grace, or make it shorter.`,
  );
}

/** A copy: whoever walks over it ends them. */
function listRuns(ring: RingNode): TaskRun[] {
  const runs: TaskRun[] = [];
  for (let node = ring.ringNext; node !== ring; node = node.ringNext) if (node instanceof TaskRun) runs.push(node);
  return runs;
}

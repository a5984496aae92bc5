/**
 * One task, from the call that asked for it to its end; what its caller holds of it.
 *
 * Nothing here leads back to the request: values are carried over by a detached context, and everything else is the
 * task's own function. What that function closes over is the caller's affair.
 */

import type { Context, OwnedContext } from "../core/context.ts";
import { RingNode } from "../core/ring.ts";
import type { ResponseFollower } from "./response-end.ts";
import type { TracedWork } from "./tracing.ts";
import type { TaskKind, TaskOutcome, TaskState } from "./task-kinds.ts";

/** What a task does. It gets no request and no response: both are over, or will be. */
export type TaskFunction = (context: Context) => unknown;

/** How a task ended. Times in milliseconds. */
export interface TaskEnd {
  readonly outcome: TaskOutcome;
  /** What it threw, or why it was not run; `undefined` if it ended well. */
  readonly error: unknown;
  /** How long it ran; 0 if it did not. */
  readonly durationMs: number;
  /** How long it could have run and did not. */
  readonly waitedMs: number;
  /** The longest time for which the event loop stood still while it ran, if that was more than `maxHold`; else 0. */
  readonly heldMs: number;
}

/** What the caller of `after` and `run` holds. Nothing has to be done with it. */
export interface TaskHandle {
  readonly name: string;
  readonly state: TaskState;
  /** Resolves to whether it got a place: at once, unless it waits for its response or for room. Never rejects. */
  readonly accepted: Promise<boolean>;
  /** Resolves when it is over, however it ended. Never rejects. */
  readonly done: Promise<TaskEnd>;
  /** Takes it out of the queue, or aborts its signal with this as the reason. Once it is over it does nothing. */
  cancel(reason?: unknown): void;
}

/** Who moves tasks on. */
export interface RunOwner {
  submit(run: TaskRun): void;
  skip(run: TaskRun): void;
  cancel(run: TaskRun, reason: unknown): void;
}

/** How a run is made. */
export interface RunSettings {
  readonly owner: RunOwner;
  readonly kind: TaskKind;
  readonly timeoutMs: number;
  readonly onlyIfDelivered: boolean;
  readonly fn: TaskFunction;
  /** The values of whoever asked, without their limits. */
  readonly values: Context;
}

/** Fields are the runner's: see `TaskRunner`, which alone changes them. */
export class TaskRun extends RingNode implements TaskHandle, ResponseFollower {
  readonly owner: RunOwner;
  readonly kind: TaskKind;
  readonly timeoutMs: number;
  readonly onlyIfDelivered: boolean;
  /** Gone once it has run, with all that it closes over. */
  fn: TaskFunction | undefined;
  readonly values: Context;
  /** While it runs. */
  context: OwnedContext | undefined;
  state: TaskState = "waiting";
  /** When it could have run. */
  readyAt = 0;
  startedAt = 0;
  heldMs = 0;
  /** Why its context ended while it ran, if it did. */
  cut: { readonly outcome: "timeout" | "cancelled"; readonly cause: unknown } | undefined;
  isAccepted = false;
  /** Whether it waits for room in the queue, and not for its response. */
  isCaller = false;
  /** Its span, for those who trace. */
  work: TracedWork | undefined;
  /** Tells when its context ends while it runs. */
  watch: Disposable | undefined;
  end: TaskEnd | undefined;
  #accepted: PromiseWithResolvers<boolean> | undefined;
  #done: PromiseWithResolvers<TaskEnd> | undefined;

  constructor(settings: RunSettings) {
    super();
    this.owner = settings.owner;
    this.kind = settings.kind;
    this.timeoutMs = settings.timeoutMs;
    this.onlyIfDelivered = settings.onlyIfDelivered;
    this.fn = settings.fn;
    this.values = settings.values;
  }

  get name(): string {
    return this.kind.name;
  }

  get accepted(): Promise<boolean> {
    if (this.isAccepted || this.end !== undefined) return Promise.resolve(this.isAccepted);
    this.#accepted ??= Promise.withResolvers();
    return this.#accepted.promise;
  }

  get done(): Promise<TaskEnd> {
    if (this.end !== undefined) return Promise.resolve(this.end);
    this.#done ??= Promise.withResolvers();
    return this.#done.promise;
  }

  cancel(reason?: unknown): void {
    this.owner.cancel(this, reason);
  }

  onResponseEnd(delivered: boolean): void {
    if (this.onlyIfDelivered && !delivered) this.owner.skip(this);
    else this.owner.submit(this);
  }

  /** Tells those who asked that it has a place. */
  accept(): void {
    this.isAccepted = true;
    this.#accepted?.resolve(true);
    this.#accepted = undefined;
  }

  /** Tells those who asked how it ended, and lets go of all that is not needed any more. */
  close(end: TaskEnd): void {
    this.end = end;
    this.fn = undefined;
    this.context?.[Symbol.dispose]();
    this.context = undefined;
    this.#accepted?.resolve(false);
    this.#accepted = undefined;
    this.#done?.resolve(end);
    this.#done = undefined;
  }
}

/** What can go wrong with tasks, queues and their stores. What a task itself throws is reported, never rethrown. */

import { SluiceError } from "../core/errors.ts";
import { parseDuration, type Duration } from "../core/options.ts";

/** The engine behind a store did not answer in time, or is not there. Nothing is known to be lost; the call can be made again. */
export class StoreUnavailableError extends SluiceError {
  readonly code = "ERR_STORE_UNAVAILABLE";
  readonly store: string;

  constructor(store: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.store = store;
  }
}

/** The store has no room: its disk or its limit is reached. What it had taken before is not affected. */
export class StoreFullError extends SluiceError {
  readonly code = "ERR_STORE_FULL";
  readonly store: string;

  constructor(store: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.store = store;
  }
}

/** The store cannot do what was asked for, and the runtime cannot do it instead. Its `caps` say so from the start. */
export class StoreCannotError extends SluiceError {
  readonly code = "ERR_STORE_CANNOT";
  readonly store: string;

  constructor(store: string, message: string) {
    super(message);
    this.store = store;
  }
}

/** Why a task got no place, or lost it. */
export type RefusalReason = "queue_full" | "waiting_full" | "dropped" | "draining";

/** A task was not run: there was no place for it. */
export class TaskRefusedError extends SluiceError {
  readonly code = "ERR_TASK_REFUSED";
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** A task or an attempt at a job was not over at its deadline. What it threw when it was told so is the `cause`. */
export class TaskTimeoutError extends SluiceError {
  readonly code = "ERR_TASK_TIMEOUT";
  readonly timeoutMs: number;
  /** Whether it went on after its signal, and `drain.abort` later too. */
  readonly isStuck: boolean;

  constructor(name: string, limits: { readonly timeoutMs: number; readonly abortMs?: number }, options?: ErrorOptions) {
    const { timeoutMs, abortMs } = limits;
    const ignored =
      abortMs === undefined
        ? "Give it more time, or make it do less."
        : `It ignored its signal for ${abortMs} ms and still runs. Pass \`signal\` on to what it waits for.`;
    super(`${JSON.stringify(name)} was not over after its ${timeoutMs} ms. ${ignored}`, options);
    this.timeoutMs = timeoutMs;
    this.isStuck = abortMs !== undefined;
  }
}

/** A drain ended before this task did, or before it began. */
export class TaskAbandonedError extends SluiceError {
  readonly code = "ERR_TASK_ABANDONED";
}

/** The event loop stood still while a task ran: nobody was answered in that time. */
export class EventLoopHeldError extends SluiceError {
  readonly code = "ERR_EVENT_LOOP_HELD";
  readonly heldMs: number;

  constructor(name: string, heldMs: number) {
    super(
      `The event loop stood still for ${Math.round(heldMs)} ms while ${JSON.stringify(name)} ran. ` +
        "Cut its work into pieces with an await between them, or give it to a worker thread.",
    );
    this.heldMs = heldMs;
  }
}

/** Something new was asked of tasks that are being drained. */
export class TasksDrainingError extends SluiceError {
  readonly code = "ERR_TASKS_DRAINING";
}

/** Thrown by a handler: trying again is of no use. The job is dead at once. */
export class Permanent extends SluiceError {
  readonly code = "ERR_JOB_PERMANENT";
}

/** A year: no store is asked to keep a job for longer. */
export const longestDelayMs: number = 8_760 * 3_600_000;

/** Thrown by a handler: try again, but not before this time has passed. It counts as an attempt. */
export class RetryAfter extends SluiceError {
  readonly code = "ERR_JOB_RETRY_AFTER";
  readonly delayMs: number;

  constructor(delay: Duration, options?: ErrorOptions) {
    // Often what somebody else has said, in a `Retry-After`.
    const delayMs = Math.min(parseDuration(delay), longestDelayMs);
    super(`Asked to be tried again after ${delayMs} ms.`, options);
    this.delayMs = delayMs;
  }
}

/** The store gave the job to somebody else while it was worked on here. The cause with which the job's context ends. */
export class LeaseLostError extends SluiceError {
  readonly code = "ERR_LEASE_LOST";

  constructor(queue: string, id: string) {
    super(
      `The lease on job ${id} of ${JSON.stringify(queue)} is lost: another process may be doing it already. ` +
        "Stop, and leave nothing half done. It happens when the event loop or the engine stands still for longer than `lease`.",
    );
  }
}

/** What was taken from a queue is no job of ours: its body cannot be read. */
export class EnvelopeError extends SluiceError {
  readonly code = "ERR_JOB_ENVELOPE";
}

/** What was to be added to a queue is no JSON, or too large. */
export class PayloadError extends SluiceError {
  readonly code = "ERR_JOB_PAYLOAD";
}

/** A job was taken as often as it may be, and its takers were never heard of again. It may be what kills them. */
export class JobVanishedError extends SluiceError {
  readonly code = "ERR_JOB_VANISHED";
}

/**
 * Jobs that are added by the clock.
 *
 * Every process plans every schedule, and adds the next job a little ahead of its time, delayed until then, with an id
 * made of the schedule and the time: the store keeps one of them. Added only when its time has come, it could be done by
 * the time a process with a slower clock adds it, and be done twice. A store that knows no delay gets it at its time; its
 * ids must then be remembered for longer than clocks differ. What falls into a time when no process ran, or into the first
 * second of the first one, is left out.
 */

import { Cron } from "croner";
import { outside } from "../core/outside.ts";
import { OptionError } from "../core/errors.ts";
import { jobIdOf } from "./job-id.ts";

/** Adds ahead by this, as far as the store knows a delay. */
const aheadMs = 60_000;
/** A time that is nearer than this when a process begins is left to the others: their job may be done before ours is added. */
const leadMs = 1_000;
/** A tick that could not be added is tried again, as long as it is not older than this. */
const retryMs = 1_000;
/** `setTimeout` cannot wait for longer than 2 ** 31 - 1 ms. */
const longestTimerMs = 2_147_483_647;

/** One job of a schedule that is to be added. */
export interface Tick {
  readonly id: string;
  readonly delayMs: number;
}

/** What a schedule is made of. */
export interface ScheduleSettings {
  readonly queue: string;
  readonly name: string;
  readonly pattern: string;
  readonly timezone: string;
  readonly canDelay: boolean;
  /** Adds the job. May reject: then it is tried again. */
  readonly add: (tick: Tick) => Promise<void>;
}

/** Invariant: until it is disposed of, one timer is set, or one `add` under way. */
export class Schedule implements Disposable {
  readonly #settings: ScheduleSettings;
  readonly #cron: Cron;
  #timer: NodeJS.Timeout | undefined;
  #isDisposed = false;

  /** @throws OptionError if the pattern is none. */
  constructor(settings: ScheduleSettings) {
    this.#settings = settings;
    try {
      this.#cron = new Cron(settings.pattern, { timezone: settings.timezone, paused: true });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new OptionError("Queue.schedule", `must be a cron pattern such as "0 3 * * *"; ${reason}`);
    }
    this.#planAfter(Date.now() + leadMs);
  }

  /** The next time; `undefined` if there is none any more. */
  get nextAt(): Date | undefined {
    return this.#cron.nextRun() ?? undefined;
  }

  /** Adds no further job. What was added ahead stays. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    clearTimeout(this.#timer);
  }

  #planAfter(ms: number): void {
    const next = this.#cron.nextRun(new Date(ms))?.getTime();
    if (next !== undefined) this.#wait(next);
  }

  /** Until it is time to add what is due at `dueAt`. */
  #wait(dueAt: number): void {
    if (this.#isDisposed) return;
    const ahead = this.#settings.canDelay ? aheadMs : 0;
    const leftMs = dueAt - ahead - Date.now();
    if (leftMs <= 0) {
      void this.#add(dueAt);
      return;
    }
    // By the wall clock, which may be set meanwhile: looked at once an hour at least.
    const waitMs = Math.min(leftMs, longestTimerMs, 3_600_000);
    this.#timer = outside(() => setTimeout(() => this.#wait(dueAt), waitMs).unref());
  }

  async #add(dueAt: number): Promise<void> {
    const { queue, name, add } = this.#settings;
    // The process stood still, or the clock was set forward: others have added it, and may have done it, so that its id says
    // nothing any more. What nobody has added is left out, as it is when no process runs.
    if (Date.now() - dueAt >= aheadMs) {
      this.#planAfter(Date.now());
      return;
    }
    try {
      await add({ id: jobIdOf(`${queue}\n${name}`, dueAt), delayMs: Math.max(0, dueAt - Date.now()) });
    } catch {
      // Counted and reported by the queue. Once drained there is no next time.
      if (this.#isDisposed) return;
      if (Date.now() - dueAt < aheadMs) {
        this.#timer = outside(() => setTimeout(() => void this.#add(dueAt), retryMs).unref());
        return;
      }
    }
    if (!this.#isDisposed) this.#planAfter(Math.max(dueAt, Date.now()));
  }
}

/**
 * Every option of a queue, of its jobs and of its schedules, with its meaning, its default and its range.
 *
 * A time is a `Duration`: milliseconds, or text such as `"5s"`. `Infinity` means no limit; 0 is an error for a time.
 */

import {
  bytes,
  choice,
  count,
  duration,
  given,
  group,
  optional,
  type Duration,
  type OptionTable,
  type Size,
} from "../core/options.ts";

/** How long a failed job waits until it is tried again. */
export interface BackoffOptions {
  /**
   * The longest wait before the second attempt. It doubles with each further one.
   *
   * @default "1s"
   * @range above 0 to Infinity
   */
  readonly from?: Duration;
  /**
   * The longest wait at all.
   *
   * @default "5m"
   * @range above 0 to Infinity
   */
  readonly to?: Duration;
  /**
   * `"full"`: a random time up to the longest, so that jobs that failed together do not come back together. `"none"`:
   * the longest itself.
   *
   * @default "full"
   */
  readonly jitter?: "full" | "none";
}

/** How many jobs one process begins in a time. */
export interface RateLimitOptions {
  /**
   * Most jobs begun in `per`. So many can be begun at once after a pause.
   *
   * It holds for each process: with four of them, give each a quarter.
   *
   * @default 100
   * @range 1 to 1000000
   */
  readonly limit?: number;
  /**
   * The time that `limit` is for.
   *
   * @default "1s"
   * @range above 0 to 24 h
   */
  readonly per?: Duration;
}

/** What a queue may be told. Give all processes the same. */
export interface QueueOptions {
  /**
   * Most jobs of this queue that this process works on at once.
   *
   * @default 16
   * @range 1 to 10000
   * @metric jobs_running
   */
  readonly concurrency?: number;
  /**
   * Most attempts at one job. After the last, it is dead. An attempt whose process vanished counts.
   *
   * @default 5
   * @range 1 to 1000
   * @metric jobs_dead_total
   */
  readonly attempts?: number;
  /** How long a failed job waits until it is tried again. */
  readonly backoff?: BackoffOptions;
  /**
   * Longest time for one attempt. Then its signal aborts, and the attempt has failed, whatever the handler does.
   *
   * @default "30s"
   * @range above 0 to Infinity
   * @metric jobs_attempts_total{outcome="timeout"}
   */
  readonly timeout?: Duration;
  /**
   * Longest time for `add` and its like, the wait for an engine that is gone included; unless the call says otherwise.
   *
   * A request that adds a job waits for it: this is what an engine that is down costs a request.
   *
   * @default "5s"
   * @range above 0 to 10 m
   */
  readonly addTimeout?: Duration;
  /**
   * Most calls of `add` and its like that wait for the engine at once. Further ones fail at once.
   *
   * @default 10000
   * @range 1 to Infinity
   */
  readonly maxAdding?: number;
  /**
   * Largest body of a job, as JSON in UTF-8 with its headers.
   *
   * @default "256kb"
   * @range 256 bytes to Infinity; an engine may have a limit of its own (1 MB in NATS)
   */
  readonly maxPayload?: Size;
  /**
   * How long a process may be silent before its jobs go to another. The store renews the lease by itself.
   *
   * Too short shows as jobs that run twice when the event loop stands still; too long as jobs that wait after a crash.
   *
   * @default "30s"
   * @range 1 s to 1 h
   * @metric jobs_leases_lost_total
   */
  readonly lease?: Duration;
  /**
   * Most dead jobs that are kept. Beyond, the oldest are discarded.
   *
   * @default 10000
   * @range 0 to Infinity
   */
  readonly maxDead?: number;
  /**
   * How long dead jobs are kept.
   *
   * @default "336h"
   * @range above 0 to Infinity
   */
  readonly deadFor?: Duration;
  /**
   * How many jobs this process begins in a time.
   *
   * @default none
   */
  readonly rateLimit?: RateLimitOptions;
}

/** What can be said of a call that adds. */
export interface AddOptions {
  /**
   * Jobs of one key are one job: a second one is a duplicate until the first is done or dead (or within a window of
   * time, as the store can). Up to 200 characters.
   *
   * @default none
   */
  readonly key?: string;
  /**
   * How long it waits before it is ready.
   *
   * @default none, ready at once
   * @range above 0 to 8760 h
   */
  readonly delay?: Duration;
  /**
   * Smaller is earlier.
   *
   * @default 0
   * @range -100 to 100
   */
  readonly priority?: number;
  /**
   * Longest time until the call settles.
   *
   * @default addTimeout of the queue
   * @range above 0 to 10 m
   */
  readonly timeout?: Duration;
}

/** What can be said of one of several jobs. */
export type JobOptions = Omit<AddOptions, "timeout">;

/** What can be said of a schedule. */
export interface ScheduleOptions {
  /**
   * Tells apart schedules of one queue that have the same pattern. All processes give the same name.
   *
   * @default the pattern
   */
  readonly name?: string;
  /**
   * Where the pattern's hours are, such as `"Europe/Berlin"`.
   *
   * @default "UTC"
   */
  readonly timezone?: string;
  /**
   * As of a job.
   *
   * @default 0
   * @range -100 to 100
   */
  readonly priority?: number;
}

/** {@link BackoffOptions} checked, with times in milliseconds. */
export interface ResolvedBackoff {
  readonly from: number;
  readonly to: number;
  readonly jitter: "full" | "none";
}

/** {@link RateLimitOptions} checked, with times in milliseconds. */
export interface ResolvedRateLimit {
  readonly limit: number;
  readonly per: number;
}

/** {@link QueueOptions} checked, with times in milliseconds. */
export interface ResolvedQueueOptions {
  readonly concurrency: number;
  readonly attempts: number;
  readonly backoff: ResolvedBackoff;
  readonly timeout: number;
  readonly addTimeout: number;
  readonly maxAdding: number;
  readonly maxPayload: number;
  readonly lease: number;
  readonly maxDead: number;
  readonly deadFor: number;
  readonly rateLimit: ResolvedRateLimit | undefined;
}

/** {@link AddOptions} checked, with times in milliseconds. */
export interface ResolvedAddOptions {
  readonly key: string | undefined;
  readonly delay: number | undefined;
  readonly priority: number;
  readonly timeout: number | undefined;
}

/** {@link ScheduleOptions} checked. */
export interface ResolvedScheduleOptions {
  readonly name: string | undefined;
  readonly timezone: string;
  readonly priority: number;
}

const hour = 3_600_000;

const leaseRule = duration({ fallback: 30_000, max: hour });

export const queueOptions: OptionTable<QueueOptions, ResolvedQueueOptions> = {
  concurrency: count({ fallback: 16, min: 1, max: 10_000 }),
  attempts: count({ fallback: 5, min: 1, max: 1_000 }),
  backoff: group<BackoffOptions, ResolvedBackoff>("Queue.backoff", {
    from: duration({ fallback: 1_000 }),
    to: duration({ fallback: 300_000 }),
    jitter: choice({ fallback: "full", values: ["full", "none"] }),
  }),
  timeout: duration({ fallback: 30_000 }),
  addTimeout: duration({ fallback: 5_000, max: hour / 6 }),
  maxAdding: count({ fallback: 10_000, min: 1 }),
  maxPayload: bytes({ fallback: 262_144, min: 256 }),
  lease: {
    fallback: leaseRule.fallback,
    parse(raw) {
      const ms = leaseRule.parse(raw);
      if (ms < 1_000) throw new RangeError(`must be at least 1 s: it is renewed a few times within; got ${ms} ms`);
      return ms;
    },
  },
  maxDead: count({ fallback: 10_000 }),
  deadFor: duration({ fallback: 336 * hour }),
  rateLimit: optional(
    group<RateLimitOptions, ResolvedRateLimit>("Queue.rateLimit", {
      limit: count({ fallback: 100, min: 1, max: 1_000_000 }),
      per: duration({ fallback: 1_000, max: 24 * hour }),
    }),
  ),
};

const keyRule = given<string>({ fallback: "", check: beKey });
const priorityRule = count({ fallback: 0, min: -100, max: 100 });

export const addOptions: OptionTable<AddOptions, ResolvedAddOptions> = {
  key: optional(keyRule),
  delay: optional(duration({ fallback: 0, max: 8_760 * hour })),
  priority: priorityRule,
  timeout: optional(duration({ fallback: 0, max: hour / 6 })),
};

export const scheduleOptions: OptionTable<ScheduleOptions, ResolvedScheduleOptions> = {
  name: optional(keyRule),
  timezone: given<string>({ fallback: "UTC", check: beTimezone }),
  priority: priorityRule,
};

function beKey(key: unknown): void {
  if (typeof key === "string" && key !== "" && key.length <= 200) return;
  throw new TypeError("must be a string of 1 to 200 characters");
}

function beTimezone(timezone: string): void {
  // Throws a RangeError that names what it does not know.
  new Intl.DateTimeFormat("en", { timeZone: timezone }).format();
}

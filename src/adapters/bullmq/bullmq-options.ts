/** The options of the store on BullMQ. */

import { duration, given, optional, text, type Duration, type OptionTable } from "../../core/index.ts";

/** What {@link bullmq} takes. */
export interface BullmqOptions {
  /**
   * Where the engine is: `redis://`, `rediss://`, `valkey://`, `postgres://` or `postgresql://`.
   *
   * @default "redis://127.0.0.1:6379"
   */
  readonly url?: string;
  /**
   * Further options of the driver: those of an `ioredis` client, or of a `pg` pool. Retries and timeouts of commands are
   * the store's own affair.
   *
   * @default none
   */
  readonly connection?: Readonly<Record<string, unknown>>;
  /**
   * What keys in Redis begin with; the name of the schema in PostgreSQL, which is made when it is not there.
   *
   * @default "sluice"
   */
  readonly prefix?: string;
  /**
   * How long the engine may take for one command, other than an `add`, which has a limit of its own.
   *
   * Beyond it the call fails with a `StoreUnavailableError`; the end of a job is tried again for twice this time. Too
   * short shows as errors while the engine is merely busy.
   *
   * @default "5s"
   * @range above 0 to 1 min
   */
  readonly commandTimeout?: Duration;
}

export interface ResolvedBullmqOptions {
  readonly url: string;
  readonly connection: Readonly<Record<string, unknown>> | undefined;
  readonly prefix: string;
  readonly commandTimeout: number;
}

export const bullmqOptions: OptionTable<BullmqOptions, ResolvedBullmqOptions> = {
  url: text({ fallback: "redis://127.0.0.1:6379" }),
  connection: optional(given<Readonly<Record<string, unknown>>>({ fallback: {} })),
  prefix: text({ fallback: "sluice" }),
  commandTimeout: duration({ fallback: 5_000, max: 60_000 }),
};

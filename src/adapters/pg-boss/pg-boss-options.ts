/** The options of the store on pg-boss. */

import { count, duration, given, optional, text, type Duration, type OptionTable } from "../../core/index.ts";

/** What {@link pgBoss} takes. */
export interface PgBossOptions {
  /**
   * Where the database is.
   *
   * @default "postgres://127.0.0.1:5432/postgres"
   */
  readonly url?: string;
  /**
   * Further options of the pool of `pg`, such as `ssl`.
   *
   * @default none
   */
  readonly connection?: Readonly<Record<string, unknown>>;
  /**
   * Schema of the tables, which is made when it is not there: letters, digits and `_`.
   *
   * @default "sluice"
   */
  readonly schema?: string;
  /**
   * Most connections of this process, next to one that listens.
   *
   * Too few show as adds that wait while the database is idle.
   *
   * @default 10
   * @range 1 to 1000
   */
  readonly maxConns?: number;
  /**
   * How long the database may take for one command, other than an `add`, which has a limit of its own.
   *
   * Beyond it the call fails with a `StoreUnavailableError`; the end of a job is tried again for twice this time. Too
   * short shows as errors while the database is merely busy.
   *
   * @default "5s"
   * @range above 0 to 1 min
   */
  readonly commandTimeout?: Duration;
  /**
   * How often a consumer looks for jobs whose delay is over. Of those without a delay it is told.
   *
   * Shorter means that delayed jobs are more punctual, for one small statement each time and in each consumer.
   *
   * @default "1s"
   * @range above 0 to 1 min
   */
  readonly pollInterval?: Duration;
}

export interface ResolvedPgBossOptions {
  readonly url: string;
  readonly connection: Readonly<Record<string, unknown>> | undefined;
  readonly schema: string;
  readonly maxConns: number;
  readonly commandTimeout: number;
  readonly pollInterval: number;
}

export const pgBossOptions: OptionTable<PgBossOptions, ResolvedPgBossOptions> = {
  url: text({ fallback: "postgres://127.0.0.1:5432/postgres" }),
  connection: optional(given<Readonly<Record<string, unknown>>>({ fallback: {} })),
  schema: text({ fallback: "sluice" }),
  maxConns: count({ fallback: 10, min: 1, max: 1_000 }),
  commandTimeout: duration({ fallback: 5_000, max: 60_000 }),
  pollInterval: duration({ fallback: 1_000, max: 60_000 }),
};

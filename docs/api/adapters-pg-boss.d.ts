// The interface of sluice/adapters/pg-boss, printed by `npm run api`. Do not edit.

// adapters/pg-boss.d.ts

/**
 * Queues on PostgreSQL, through pg-boss 12.
 *
 * pg-boss makes and migrates the tables, adds jobs (within the caller's own transaction, if asked) and tells of new ones.
 * Its workers are left aside, because they decide what is decided by the runtime here: how often a job is tried and when,
 * and what a stop does to those in hand. So jobs are claimed and ended by statements of this adapter, in pg-boss's own
 * table and states: its dashboard shows them.
 */
import { type Duration, type OptionTable } from "../core/index.ts";
import { type Store } from "../tasks/index.ts";
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
interface ResolvedPgBossOptions {
    readonly url: string;
    readonly connection: Readonly<Record<string, unknown>> | undefined;
    readonly schema: string;
    readonly maxConns: number;
    readonly commandTimeout: number;
    readonly pollInterval: number;
}
export declare const pgBossOptions: OptionTable<PgBossOptions, ResolvedPgBossOptions>;
/**
 * Jobs in PostgreSQL, by pg-boss 12, which has to be installed.
 *
 * What `addWithin` takes as a transaction is a client of `pg` on which the caller has said `begin`, or what pg-boss's own
 * `fromKnex`, `fromDrizzle` and so on make of another library's transaction.
 *
 * ```ts
 * const tasks = new Tasks({ store: pgBoss({ url: "postgres://db.internal/shop" }) });
 * ```
 * @throws OptionError for an option that is unknown or out of range.
 */
export declare function pgBoss(options?: PgBossOptions): Store;
export {};

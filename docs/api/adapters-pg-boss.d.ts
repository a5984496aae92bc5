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
import { type Store } from "../tasks/index.ts";
import { type PgBossOptions } from "./pg-boss/pg-boss-options.ts";
export type { PgBossOptions };
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

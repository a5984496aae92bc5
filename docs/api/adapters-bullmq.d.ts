// The interface of sluice/adapters/bullmq, printed by `npm run api`. Do not edit.

// adapters/bullmq.d.ts

/**
 * Queues on Redis, Valkey or PostgreSQL, through BullMQ 6.
 *
 * BullMQ's `Queue` and `Worker` bring policies of their own (an `add` that waits for ever while Redis is away, a `close`
 * without an end, one attempt, finished jobs that are kept), so this adapter stands one level below, on the engine
 * operations that both of them are made of (`IQueueBackend`). What lies in the engine is BullMQ's own format: its
 * dashboards show it, and its schedulers run beside it.
 *
 * One connection carries what is asked and added; each consumer has two more, one of them to wait on.
 */
import { type Store } from "../tasks/index.ts";
import { type BullmqOptions } from "./bullmq/bullmq-options.ts";
export type { BullmqOptions };
/**
 * Jobs in Redis, Valkey or PostgreSQL, by BullMQ 6, which has to be installed, with `ioredis` or `pg`.
 *
 * ```ts
 * const tasks = new Tasks({ store: bullmq({ url: "redis://queue.internal:6379" }) });
 * ```
 * @throws OptionError for an option that is unknown or out of range.
 */
export declare function bullmq(options?: BullmqOptions): Store;

// adapters/bullmq/bullmq-options.d.ts

/** The options of the store on BullMQ. */
import { type Duration, type OptionTable } from "../../core/index.ts";
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
export declare const bullmqOptions: OptionTable<BullmqOptions, ResolvedBullmqOptions>;

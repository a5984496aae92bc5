/** The options of the store in memory. */

import { count, type OptionTable } from "../../core/index.ts";

/** What {@link memory} takes. */
export interface MemoryOptions {
  /**
   * Most jobs in the store at one time, over all queues, dead ones aside.
   *
   * A job beyond it is refused with a `StoreFullError`. Too low shows as adds that fail while handlers keep up; too
   * high as a heap that grows when they do not.
   *
   * @default 100000
   * @range 1 to Infinity
   */
  readonly maxJobs?: number;
}

/** {@link MemoryOptions} with every default filled in. */
export interface ResolvedMemoryOptions {
  readonly maxJobs: number;
}

export const memoryOptions: OptionTable<MemoryOptions, ResolvedMemoryOptions> = {
  maxJobs: count({ fallback: 100_000, min: 1 }),
};

/** Every option of one task, with its meaning, its default and its range. */

import { duration, flag, optional, type Duration, type OptionTable } from "../core/options.ts";

/** What can be said of a task that waits for a response. */
export interface AfterOptions {
  /**
   * Longest time for the task to run.
   *
   * Then its signal aborts; a task that ends within `drain.abort` after that has the outcome `timeout`, and so has one
   * that does not, which is also counted as stuck. Time in the queue does not count. Too short shows as the outcome
   * `timeout` of tasks that would have ended well.
   *
   * @default that of the Tasks
   * @range above 0 to Infinity
   * @metric background_tasks_total{outcome="timeout"}
   */
  readonly timeout?: Duration;
  /**
   * Whether to leave the task out if the client left before all of its answer was handed to the kernel.
   *
   * Its outcome is then `skipped`.
   *
   * @default false
   */
  readonly onlyIfDelivered?: boolean;
}

/** What can be said of any task. */
export type TaskOptions = Omit<AfterOptions, "onlyIfDelivered">;

/** {@link AfterOptions} checked, with times in milliseconds. */
export interface ResolvedTaskOptions {
  readonly timeout: number | undefined;
  readonly onlyIfDelivered: boolean;
}

export const taskOptions: OptionTable<TaskOptions, Pick<ResolvedTaskOptions, "timeout">> = {
  timeout: optional(duration({ fallback: Infinity })),
};

export const afterOptions: OptionTable<AfterOptions, ResolvedTaskOptions> = {
  ...taskOptions,
  onlyIfDelivered: flag({ fallback: false }),
};

/**
 * What tasks look like at one moment: immutable plain numbers, limits beside levels.
 *
 * Every count is kept where its state changes.
 */

import type { LifecycleState } from "../core/lifecycle.ts";
import type { QueueStats } from "./queue-stats.ts";
import type { TaskKinds, TaskOutcome } from "./task-kinds.ts";
import type { TaskRunner } from "./task-runner.ts";
import type { ResolvedTasksOptions } from "./tasks-options.ts";

/** Tasks of one name. Levels first, then totals since the start. */
export interface TaskKindStats {
  readonly name: string;
  readonly waiting: number;
  readonly queued: number;
  readonly running: number;
  readonly stuck: number;
  /** Times that the event loop stood still while one of them ran. */
  readonly held: number;
  readonly outcomes: Readonly<Record<TaskOutcome, number>>;
}

/** Tasks at one moment. */
export interface TasksStats {
  readonly state: LifecycleState;
  /** Waiting for their response to end, or for room in the queue. */
  readonly waiting: number;
  /** Of these, those that wait for room. */
  readonly waitingForRoom: number;
  readonly queued: number;
  /** How long the first in the queue has been ready, in milliseconds. */
  readonly oldestQueued: number;
  readonly running: number;
  /** Over their deadline, deaf to their signal, and still running. */
  readonly stuck: number;
  readonly limits: { readonly maxRunning: number; readonly maxQueued: number; readonly maxWaiting: number };
  readonly tasks: readonly TaskKindStats[];
  readonly queues: readonly QueueStats[];
}

/** What {@link TasksStats} are read from. */
export interface TasksParts {
  readonly options: ResolvedTasksOptions;
  readonly state: LifecycleState;
  readonly runner: TaskRunner;
  readonly kinds: TaskKinds;
  readonly queues: readonly { stats(): QueueStats }[];
}

export function describeTasks({ options, state, runner, kinds, queues }: TasksParts): TasksStats {
  const { maxRunning, maxQueued, maxWaiting } = options;
  const { waiting, queued, running, stuck } = runner.levels;
  return Object.freeze({
    state,
    waiting,
    waitingForRoom: runner.callerCount,
    queued,
    oldestQueued: runner.oldestQueuedMs,
    running,
    stuck,
    limits: Object.freeze({ maxRunning, maxQueued, maxWaiting }),
    tasks: kinds.all().map(({ name, levels, heldCount, outcomes }) =>
      Object.freeze({
        name,
        waiting: levels.waiting,
        queued: levels.queued,
        running: levels.running,
        stuck: levels.stuck,
        held: heldCount,
        outcomes: Object.freeze({ ...outcomes }),
      }),
    ),
    queues: queues.map((queue) => queue.stats()),
  });
}

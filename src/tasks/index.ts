/** Work that may wait: after the response in this process, or in a queue that outlives it. */

export { requestIdKey } from "./envelope.ts";
export {
  EnvelopeError,
  EventLoopHeldError,
  JobVanishedError,
  LeaseLostError,
  PayloadError,
  Permanent,
  RetryAfter,
  StoreCannotError,
  StoreFullError,
  StoreUnavailableError,
  TaskAbandonedError,
  TaskRefusedError,
  TasksDrainingError,
  TaskTimeoutError,
  type RefusalReason,
} from "./errors.ts";
export type { DeadLetter, Job, JobHandler } from "./job.ts";
export { Queue, type DeadLetters, type JobToAdd, type ScheduleHandle } from "./queue.ts";
export type { AddResult, AttemptOutcome, DeadReason } from "./queue-instruments.ts";
export type {
  AddOptions,
  BackoffOptions,
  JobOptions,
  QueueOptions,
  RateLimitOptions,
  ScheduleOptions,
} from "./queue-options.ts";
export type { QueueStats } from "./queue-stats.ts";
export type { ReportContext, Reporter } from "./reporter.ts";
export type { ResponseLike } from "./response-end.ts";
export type { ClaimedJob, Claims, JobSource } from "./stores/leased-consumer.ts";
export { remoteCaps, remoteStore, type RemoteEngine, type RemoteQueue } from "./stores/remote-store.ts";
export type {
  AddedJob,
  Consumer,
  DeadJob,
  DeadSelection,
  Delivery,
  JobFailure,
  NewJob,
  QueueLevels,
  QueueSettings,
  Settled,
  Store,
  StoreCaps,
  StoreHealth,
  StoreHost,
} from "./store.ts";
export { memory } from "./stores/memory.ts";
export type { MemoryOptions } from "./stores/memory-options.ts";
export type { TaskOutcome, TaskState } from "./task-kinds.ts";
export type { AfterOptions, TaskOptions } from "./task-options.ts";
export type { TaskEnd, TaskFunction, TaskHandle } from "./task-run.ts";
export type { LeftOver } from "./task-runner.ts";
export { Tasks, type DrainReport } from "./tasks.ts";
export type { TasksDrainOptions, TasksOptions } from "./tasks-options.ts";
export type { TaskKindStats, TasksStats } from "./tasks-stats.ts";
export type { TracedAttempt, TracedWork, Tracing } from "./tracing.ts";
export type { SqliteOptions } from "./stores/sqlite-options.ts";
export { sqlite } from "./stores/sqlite.ts";

/** Work that may wait: after the response in this process, or in a queue that outlives it. */

export { StoreFullError, StoreUnavailableError } from "./errors.ts";
export { memory } from "./stores/memory.ts";
export type { MemoryOptions } from "./stores/memory-options.ts";
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

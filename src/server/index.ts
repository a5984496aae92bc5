/** A server that no client can hold, no overload takes down, and no deploy cuts. */

export { type BadRequestEvent, type BadRequestReason } from "./bad-request.ts";
export { controller, type ResponseController } from "./controller.ts";
export { type DrainReport } from "./drain.ts";
export { DrainedError, NotGuardedError, RequestRefusedError } from "./errors.ts";
export { guard, type Guarded } from "./guard.ts";
export { type RejectReason, type ShedReason, type TimeoutKind } from "./instruments.ts";
export { type LateWrite } from "./late-writes.ts";
export { type CloseReason, type ConnectionState } from "./server-core.ts";
export {
  type ConcurrencyOptions,
  type DataRateOptions,
  type DrainOptions,
  type ServerOptions,
} from "./server-options.ts";
export { type ServerStats } from "./server-stats.ts";
export { type GuardableServer } from "./take-over.ts";
export { createServer, type Handler, type ServerKind } from "./server.ts";

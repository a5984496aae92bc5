/** Outgoing HTTP: one `Transport` for the whole program. */

export type { CloseReason } from "./connection.ts";
export type { ProxyRule } from "./dial/proxy-rule.ts";
export {
  BodyTimeoutError,
  ClientError,
  DialTimeoutError,
  InterimResponsesError,
  PoolFullError,
  PoolTimeoutError,
  ProxyConnectError,
  RequestBodyTimeoutError,
  ResponseHeaderTimeoutError,
  TlsHandshakeTimeoutError,
  TooManyHostsError,
  TransportClosedError,
  type Phase,
  type PoolSnapshot,
} from "./errors.ts";
export type { ConnectionClosed, ConnectionOpened, LeakedBody, RequestReplayed } from "./channels.ts";
export type { DialTimings } from "./dial/dialer.ts";
export { ConcurrencyLimitError } from "./policies/concurrency-error.ts";
export type {
  BackoffOptions,
  BudgetOptions,
  ConcurrencyOptions,
  EjectionOptions,
  HedgeOptions,
  RetryOptions,
} from "./policies/options.ts";
export { Transport, type CloseOptions } from "./transport.ts";
export type {
  PropagationOptions,
  ReplayOptions,
  ResolvedTransportOptions,
  TransportOptions,
} from "./transport-options.ts";
export type { OriginStats, PoolCounts, TransportStats } from "./transport-stats.ts";

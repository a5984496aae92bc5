/** The words and primitives that all parts share. */

export { now, systemClock, turnNow, type Clock } from "./clock.ts";
export {
  background,
  context,
  ContextError,
  contextKey,
  createContext,
  createRoot,
  outside,
  RequestContexts,
  shutdown,
  traceparentKey,
  type Context,
  type ContextCode,
  type ContextKey,
  type ContextLimits,
  type OwnedContext,
  type RequestContext,
  type RequestOwner,
} from "./context.ts";
export { DeadlineWheel, WheelTimer, type DeadlineWheelOptions } from "./deadline-wheel.ts";
export { OptionError, SluiceError } from "./errors.ts";
export {
  connectionBounds,
  Counter,
  durationBounds,
  Gauge,
  Histogram,
  InstrumentError,
  instruments,
  queueBounds,
  Registry,
  type CollectedFamily,
  type CounterFamily,
  type Family,
  type GaugeFamily,
  type HistogramOptions,
  type HistogramSample,
  type ObservableFamily,
  type Sample,
} from "./instruments.ts";
export { Lifecycle, type LifecycleState } from "./lifecycle.ts";
export {
  bytes,
  choice,
  count,
  duration,
  flag,
  given,
  group,
  optional,
  parseDuration,
  ratio,
  resolveOptions,
  text,
  type Duration,
  type GivenOptions,
  type OptionRule,
  type OptionTable,
  type Size,
} from "./options.ts";
export { Semaphore, SemaphoreFullError, type Permit } from "./semaphore.ts";
export { lifecycleOf, servedBy, servedOf, setLifecycle, type Served } from "./served.ts";

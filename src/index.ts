/** The names a beginner needs. */

export { context, OptionError, SluiceError, type Context, type Duration } from "./core/index.ts";
export { Transport, type TransportOptions, type TransportStats } from "./client/index.ts";

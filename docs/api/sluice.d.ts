// The interface of sluice, printed by `npm run api`. Do not edit.

// index.d.ts

/** The names a beginner needs. */
export { context, OptionError, SluiceError, type Context, type Duration } from "./core/index.ts";
export { Transport, type TransportOptions, type TransportStats } from "./client/index.ts";

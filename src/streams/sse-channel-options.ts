/** Every option of a channel of events, with its meaning, its default and its range. */

import { bytes, count, duration, group, type Duration, type OptionTable, type Size } from "../core/options.ts";

/** How many of the last events are kept for clients that come again. Whichever limit is reached first holds. */
export interface SseHistoryOptions {
  /**
   * Most events. 0 keeps none: a client that has missed any is told that there is a gap.
   *
   * Too low shows as `sse_gaps_total`: it has to hold what is sent while a client is away, a few seconds at least.
   *
   * @default 1000
   * @range 0 to 1000000
   */
  readonly maxEvents?: number;
  /**
   * How old an event may be.
   *
   * @default "5m"
   * @range above 0 to Infinity
   */
  readonly maxAge?: Duration;
  /**
   * Most bytes, as they stand on the wire.
   *
   * @default "16mb"
   * @range 0 to Infinity
   */
  readonly maxBytes?: Size;
}

/** What a channel keeps. */
export interface SseChannelOptions {
  /** Its last events, for clients that come again. */
  readonly history?: SseHistoryOptions;
}

/** The same, complete. Times in milliseconds. */
export interface ResolvedSseHistoryOptions {
  readonly maxEvents: number;
  readonly maxAge: number;
  readonly maxBytes: number;
}

/** The same, complete. */
export interface ResolvedSseChannelOptions {
  readonly history: ResolvedSseHistoryOptions;
}

const historyOptions: OptionTable<SseHistoryOptions, ResolvedSseHistoryOptions> = {
  maxEvents: count({ fallback: 1_000, max: 1_000_000 }),
  maxAge: duration({ fallback: 300_000 }),
  maxBytes: bytes({ fallback: 16_777_216 }),
};

export const sseChannelOptions: OptionTable<SseChannelOptions, ResolvedSseChannelOptions> = {
  history: group<SseHistoryOptions, ResolvedSseHistoryOptions>("SseChannel.history", historyOptions),
};

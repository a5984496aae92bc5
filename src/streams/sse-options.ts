/** Every option of one event stream, with its meaning, its default and its range. */

import type { OutgoingHttpHeaders } from "node:http";
import { bytes, choice, duration, given, type Duration, type OptionTable, type Size } from "../core/options.ts";
import type { OverflowPolicy } from "./backlog.ts";
import type { SseChannel } from "./sse-channel.ts";
import type { Streams } from "./streams.ts";

/** How one client is served. */
export interface SseOptions {
  /**
   * The channel whose events the client gets, from where it left off (`Last-Event-ID`).
   *
   * @default none: only what is sent to this stream
   */
  readonly channel?: SseChannel;
  /**
   * The group that the stream belongs to: its limits, its drain, its statistics.
   *
   * @default one for the whole process, see `defaultStreams()`
   */
  readonly streams?: Streams;
  /**
   * Most bytes that may wait for this client. Beyond, `overflow` says what happens.
   *
   * What Node holds for the connection counts (64 KB at least, before anything waits here), except that the newest
   * event always stays where the oldest may be left out. What the kernel holds does not count. Too low shows as clients
   * that come again after each burst.
   *
   * @default "1mb"
   * @range 1 to Infinity
   * @metric sse_buffer_bytes
   */
  readonly maxBufferedBytes?: Size;
  /**
   * What happens to a client that is further behind: it is disconnected, and resumes by its `Last-Event-ID`; it misses the oldest
   * events, and is told how many by an event `gap`; or it gets only the latest event of each key.
   *
   * @default "disconnect"
   * @metric sse_dropped_total
   */
  readonly overflow?: OverflowPolicy;
  /**
   * How long nothing may be sent before a comment is, so that nobody on the way takes the stream for dead. Up to a
   * fifth less, drawn for each stream, or all would have theirs at once.
   *
   * @default "15s"
   * @range above 0 to Infinity
   */
  readonly heartbeat?: Duration;
  /**
   * How long a client may take nothing although something waits for it; then it is cut. A peer that is gone without a
   * word takes nothing either.
   *
   * @default "30s"
   * @range above 0 to Infinity
   * @metric sse_closed_total{reason="stalled"}
   */
  readonly stallTimeout?: Duration;
  /**
   * What the client is told to wait before it comes again after an end, up to half of that more, drawn for each stream.
   *
   * @default "2s"
   * @range above 0 to 1 h
   */
  readonly retry?: Duration;
  /**
   * Longest life of the connection, down to a fifth less, drawn for each stream. Then it ends, and the client comes again: so that
   * clients spread anew over servers that were added, and no connection outlives a deploy.
   *
   * @default "30m"
   * @range above 0 to Infinity
   * @metric sse_closed_total{reason="max_age"}
   */
  readonly maxAge?: Duration;
  /**
   * Further headers of the answer. What was set on the response before counts too.
   *
   * @default none
   */
  readonly headers?: OutgoingHttpHeaders;
}

/** The same, complete. Times in milliseconds. */
export interface ResolvedSseOptions {
  readonly channel: SseChannel | undefined;
  readonly streams: Streams | undefined;
  readonly maxBufferedBytes: number;
  readonly overflow: OverflowPolicy;
  readonly heartbeat: number;
  readonly stallTimeout: number;
  readonly retry: number;
  readonly maxAge: number;
  readonly headers: OutgoingHttpHeaders;
}

const hour = 3_600_000;

export const sseOptions: OptionTable<SseOptions, ResolvedSseOptions> = {
  channel: given<SseChannel | undefined>({ fallback: undefined }),
  streams: given<Streams | undefined>({ fallback: undefined }),
  maxBufferedBytes: bytes({ fallback: 1_048_576, min: 1 }),
  overflow: choice({ fallback: "disconnect", values: ["disconnect", "drop-oldest", "latest-only"] }),
  heartbeat: duration({ fallback: 15_000 }),
  stallTimeout: duration({ fallback: 30_000 }),
  retry: duration({ fallback: 2_000, max: hour }),
  maxAge: duration({ fallback: 1_800_000 }),
  headers: given<OutgoingHttpHeaders>({ fallback: {} }),
};

/** Every option of a group of event streams, with its meaning, its default and its range. */

import type { IncomingMessage } from "node:http";
import { instruments, type Registry } from "../core/instruments.ts";
import { choice, count, duration, given, group, text, type Duration, type OptionTable } from "../core/options.ts";
import { clientKeyOf } from "./per-address.ts";

/** How the streams of a group end when their server goes away. */
export interface StreamsDrainOptions {
  /**
   * Longest time that a client is told to wait before it comes again. Each is told a time of its own from a tenth of
   * that on, or all would come to the next server at once.
   *
   * @default "10s"
   * @range above 0 to 1 h
   */
  readonly retry?: Duration;
  /**
   * How long a client may take to read what waits for it; then it is cut. Less than the grace of the server.
   *
   * @default "5s"
   * @range above 0 to 1 h
   */
  readonly grace?: Duration;
}

/** What a group of streams bounds. */
export interface StreamsOptions {
  /**
   * What the group is called in metrics.
   *
   * @default "streams"
   */
  readonly name?: string;
  /**
   * Most streams at once. What comes beyond is refused as `refusal` says.
   *
   * An idle stream takes some 20 KB. Too low shows as `sse_rejected_total{reason="limit"}`.
   *
   * @default 10000
   * @range 0 to Infinity
   * @metric sse_connections_limit
   */
  readonly maxStreams?: number;
  /**
   * Most streams of one address at once. A page opened in many tabs has a stream for each.
   *
   * @default Infinity
   * @range 0 to Infinity
   * @metric sse_rejected_total{reason="address"}
   */
  readonly maxStreamsPerAddress?: number;
  /**
   * What `maxStreamsPerAddress` counts by, such as a user or the client's address behind a proxy. `undefined` is not
   * counted.
   *
   * @default the address of the connection, of an IPv6 one its network of 64 bits
   */
  readonly addressOf?: (req: IncomingMessage) => string | undefined;
  /**
   * How a stream over a limit is refused.
   *
   * `"retry"` is an event stream that ends at once with `retry: 10000` to `30000`: a browser's `EventSource` takes any
   * other status for the end of everything, and does not come again until the page is loaded anew. `"status"` is 503
   * with `Retry-After`, for clients that know it. While the server drains it is always the former.
   *
   * @default "retry"
   */
  readonly refusal?: "retry" | "status";
  /** How streams end when their server goes away. */
  readonly drain?: StreamsDrainOptions;
  /**
   * Where the group registers its instruments.
   *
   * @default the registry of `sluice/core`
   */
  readonly registry?: Registry;
}

/** The same, complete. Times in milliseconds. */
export interface ResolvedStreamsDrainOptions {
  readonly retry: number;
  readonly grace: number;
}

/** The same, complete. */
export interface ResolvedStreamsOptions {
  readonly name: string;
  readonly maxStreams: number;
  readonly maxStreamsPerAddress: number;
  readonly addressOf: (req: IncomingMessage) => string | undefined;
  readonly refusal: "retry" | "status";
  readonly drain: ResolvedStreamsDrainOptions;
  readonly registry: Registry;
}

const hour = 3_600_000;

const drainOptions: OptionTable<StreamsDrainOptions, ResolvedStreamsDrainOptions> = {
  retry: duration({ fallback: 10_000, max: hour }),
  grace: duration({ fallback: 5_000, max: hour }),
};

export const streamsOptions: OptionTable<StreamsOptions, ResolvedStreamsOptions> = {
  name: text({ fallback: "streams" }),
  maxStreams: count({ fallback: 10_000 }),
  maxStreamsPerAddress: count({ fallback: Infinity }),
  addressOf: given<(req: IncomingMessage) => string | undefined>({ fallback: clientKeyOf }),
  refusal: choice({ fallback: "retry", values: ["retry", "status"] }),
  drain: group<StreamsDrainOptions, ResolvedStreamsDrainOptions>("Streams.drain", drainOptions),
  registry: given<Registry>({ fallback: instruments }),
};

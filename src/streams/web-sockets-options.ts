/** Every option of WebSockets, with its meaning, its default and its range. */

import type { IncomingMessage } from "node:http";
import { instruments, type Registry } from "../core/instruments.ts";
import {
  bytes,
  choice,
  count,
  duration,
  given,
  group,
  optional,
  text,
  type Duration,
  type OptionTable,
  type Size,
} from "../core/options.ts";
import type { OverflowPolicy } from "./backlog.ts";
import { clientKeyOf } from "./per-address.ts";

/** How WebSockets end when their server goes away. */
export interface WebSocketsDrainOptions {
  /**
   * How long a client may take to read what waits for it, and to answer the close with code 1001; then it is cut. Less
   * than the grace of the server.
   *
   * @default "5s"
   * @range above 0 to 1 h
   */
  readonly grace?: Duration;
}

/** Which WebSockets are taken, and what each may use. */
export interface WebSocketsOptions {
  /**
   * What they are called in metrics.
   *
   * @default "websockets"
   */
  readonly name?: string;
  /**
   * The path that is served, without its query. Several on one server have paths of their own; what no one serves is
   * answered with 404.
   *
   * @default none: every path
   */
  readonly path?: string;
  /**
   * Which pages may connect. A browser sends the user's cookies from whatever page it is on, so without this check any
   * site could speak in the user's name. `"same"` are pages whose origin has the host that the request was sent to; a
   * list has origins such as `"https://shop.example"`. A client without `Origin` is no browser, and is taken.
   *
   * @default "same"
   * @metric ws_rejected_total{reason="origin"}
   */
  readonly origins?: "same" | "any" | readonly string[];
  /**
   * Subprotocols that are spoken here. The first that a client asks for and that is among them is chosen; a client that
   * asks for others alone is answered with 400.
   *
   * @default none: none is chosen
   */
  readonly protocols?: readonly string[];
  /**
   * Most connections at once. One beyond is closed with 1013 (try again later), which a page can read; a hundred of those
   * at once, then 503.
   *
   * @default 10000
   * @range 0 to Infinity
   * @metric ws_connections_limit
   */
  readonly maxConns?: number;
  /**
   * Most connections of one address at once.
   *
   * @default Infinity
   * @range 0 to Infinity
   * @metric ws_rejected_total{reason="address"}
   */
  readonly maxConnsPerAddress?: number;
  /**
   * What `maxConnsPerAddress` counts by. `undefined` is not counted.
   *
   * @default the address of the connection, of an IPv6 one its network of 64 bits
   */
  readonly addressOf?: (req: IncomingMessage) => string | undefined;
  /**
   * How often a client is pinged, up to a fifth earlier, drawn for each. One from which nothing has come for two pings
   * is cut.
   *
   * @default "30s"
   * @range above 0 to Infinity
   * @metric ws_closed_total{reason="stalled"}
   */
  readonly heartbeat?: Duration;
  /**
   * Most bytes that may wait for one client. Beyond, `overflow` says what happens. What Node holds for the connection
   * counts, what the kernel holds does not.
   *
   * @default "1mb"
   * @range 1 to Infinity
   * @metric ws_buffer_bytes
   */
  readonly maxBufferedBytes?: Size;
  /**
   * What happens to a client that is further behind: it is closed with 1013; it misses the oldest messages; or it gets
   * only the latest of each key.
   *
   * @default "disconnect"
   * @metric ws_dropped_total
   */
  readonly overflow?: OverflowPolicy;
  /**
   * Largest message that a client may send; then it is closed with 1009. It is in memory as a whole.
   *
   * @default "1mb"
   * @range 1 to Infinity
   */
  readonly maxPayload?: Size;
  /** How they end when their server goes away. */
  readonly drain?: WebSocketsDrainOptions;
  /**
   * Where the instruments are registered.
   *
   * @default the registry of `sluice/core`
   */
  readonly registry?: Registry;
}

/** The same, complete. Times in milliseconds. */
export interface ResolvedWebSocketsDrainOptions {
  readonly grace: number;
}

/** The same, complete. */
export interface ResolvedWebSocketsOptions {
  readonly name: string;
  readonly path: string | undefined;
  readonly origins: "same" | "any" | readonly string[];
  readonly protocols: readonly string[];
  readonly maxConns: number;
  readonly maxConnsPerAddress: number;
  readonly addressOf: (req: IncomingMessage) => string | undefined;
  readonly heartbeat: number;
  readonly maxBufferedBytes: number;
  readonly overflow: OverflowPolicy;
  readonly maxPayload: number;
  readonly drain: ResolvedWebSocketsDrainOptions;
  readonly registry: Registry;
}

const drainOptions: OptionTable<WebSocketsDrainOptions, ResolvedWebSocketsDrainOptions> = {
  grace: duration({ fallback: 5_000, max: 3_600_000 }),
};

export const webSocketsOptions: OptionTable<WebSocketsOptions, ResolvedWebSocketsOptions> = {
  name: text({ fallback: "websockets" }),
  path: optional(text({ fallback: "/" })),
  origins: given<"same" | "any" | readonly string[]>({ fallback: "same", check: checkOrigins }),
  protocols: given<readonly string[]>({ fallback: [] }),
  maxConns: count({ fallback: 10_000 }),
  maxConnsPerAddress: count({ fallback: Infinity }),
  addressOf: given<(req: IncomingMessage) => string | undefined>({ fallback: clientKeyOf }),
  heartbeat: duration({ fallback: 30_000 }),
  maxBufferedBytes: bytes({ fallback: 1_048_576, min: 1 }),
  overflow: choice({ fallback: "disconnect", values: ["disconnect", "drop-oldest", "latest-only"] }),
  maxPayload: bytes({ fallback: 1_048_576, min: 1 }),
  drain: group<WebSocketsDrainOptions, ResolvedWebSocketsDrainOptions>("WebSockets.drain", drainOptions),
  registry: given<Registry>({ fallback: instruments }),
};

function checkOrigins(origins: "same" | "any" | readonly string[]): void {
  if (origins === "same" || origins === "any") return;
  for (const origin of origins) {
    if (URL.parse(origin)?.origin === origin) continue;
    throw new RangeError(
      `must be "same", "any", or a list of origins such as "https://shop.example"; got ${JSON.stringify(origin)}`,
    );
  }
}

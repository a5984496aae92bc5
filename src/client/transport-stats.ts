/**
 * What a transport looks like at one moment: immutable plain numbers, limits beside levels.
 *
 * Every count is kept where its state changes; nothing here asks a connection anything.
 */

import { countReasons, type CloseReason } from "./connection.ts";
import type { Phase } from "./errors.ts";
import type { Pool } from "./pool.ts";

/** The counts that a transport and each of its origins have. Levels first, then totals since the start. */
export interface PoolCounts {
  /** Open connections that wait for reuse. */
  readonly idle: number;
  /** Open connections that carry a request. */
  readonly inUse: number;
  /** Dials under way. */
  readonly connecting: number;
  /** Requests that wait for a connection. */
  readonly waiting: number;
  /** Requests that hold a connection. */
  readonly inFlight: number;
  /** Connections handed to the user by an upgrade or `CONNECT`, and still open. They count against no limit. */
  readonly upgraded: number;
  /** Response bodies that nobody has read on from for `leakAfter`, or 30 s. */
  readonly unreadBodies: number;
  readonly opened: number;
  /** Requests that got a connection which had served before. */
  readonly reused: number;
  readonly closed: Readonly<Record<CloseReason, number>>;
  /** Requests sent again because their connection was stale. */
  readonly replays: number;
  /** Requests sent again by the `retry` option. */
  readonly retries: number;
  readonly timeouts: Readonly<Partial<Record<Phase, number>>>;
  /** How often a request waited because no connection was free: for one in use, or for a dial of its own. */
  readonly waitCount: number;
  /** How long they waited in all, in milliseconds. */
  readonly waitDuration: number;
  /** How long the one has waited that waits for longest, in milliseconds. */
  readonly oldestWait: number;
}

/** One origin at one moment. */
export interface OriginStats extends PoolCounts {
  readonly origin: string;
  /** The name asked for in the TLS handshake, when it is not the origin's: such requests share no connections with others. */
  readonly servername: string | undefined;
  /** Whether HTTP/2 is offered; it is not to `agent()`, so a TLS origin of both has two rows. */
  readonly http2: boolean;
  readonly limits: {
    readonly maxConnsPerHost: number;
    readonly maxIdleConnsPerHost: number;
    readonly maxWaitersPerHost: number;
  };
  readonly lastError: { readonly at: Date; readonly message: string } | undefined;
}

/** A transport at one moment. Totals include origins that have been forgotten since. */
export interface TransportStats extends PoolCounts {
  readonly name: string;
  readonly limits: { readonly maxConns: number; readonly maxIdleConns: number; readonly maxHosts: number };
  readonly origins: readonly OriginStats[];
}

/** Sums that can grow while origins come and go. */
export type Sums = { -readonly [Key in keyof PoolCounts]: PoolCounts[Key] } & {
  closed: Record<CloseReason, number>;
  timeouts: Partial<Record<Phase, number>>;
};

/** The counts of a pool, as they are now. */
export function describeOrigin(pool: Pool): OriginStats {
  const { maxConnsPerHost, maxIdleConnsPerHost, maxWaitersPerHost } = pool.limits;
  const { lastError } = pool;
  const sums = emptySums();
  addPool(sums, pool);
  return Object.freeze({
    origin: pool.origin,
    servername: pool.route.servername,
    http2: pool.route.http2,
    ...freezeCounts(sums),
    limits: Object.freeze({ maxConnsPerHost, maxIdleConnsPerHost, maxWaitersPerHost }),
    lastError: lastError && Object.freeze({ at: new Date(lastError.at), message: lastError.message }),
  });
}

/** The sums, from now on as they are. */
export function freezeCounts(sums: Sums): Readonly<PoolCounts> {
  Object.freeze(sums.closed);
  Object.freeze(sums.timeouts);
  return Object.freeze(sums);
}

export function emptySums(): Sums {
  return {
    idle: 0,
    inUse: 0,
    connecting: 0,
    waiting: 0,
    inFlight: 0,
    upgraded: 0,
    unreadBodies: 0,
    opened: 0,
    reused: 0,
    closed: countReasons(),
    replays: 0,
    retries: 0,
    timeouts: {},
    waitCount: 0,
    waitDuration: 0,
    oldestWait: 0,
  };
}

const plainCounts = [
  "idle",
  "inUse",
  "connecting",
  "waiting",
  "inFlight",
  "upgraded",
  "unreadBodies",
  "opened",
  "reused",
  "replays",
  "retries",
  "waitCount",
] as const;

/** Adds what a pool has counted, and its levels. */
export function addPool(sums: Sums, pool: Pool): void {
  for (const key of plainCounts) sums[key] += pool[key];
  for (const [reason, count] of countsOf(pool.closed)) sums.closed[reason] += count;
  for (const [phase, count] of countsOf(pool.timeouts)) sums.timeouts[phase] = (sums.timeouts[phase] ?? 0) + count;
  sums.waitDuration += pool.waitDurationMs;
  sums.oldestWait = Math.max(sums.oldestWait, pool.oldestWaitMs);
}

/** The entries of a record, with its keys as they are typed: records of counts have no others. */
function countsOf<Key extends string>(counts: Partial<Record<Key, number>>): [Key, number][] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
  return Object.entries(counts) as [Key, number][];
}

/**
 * The options of what prepares a transport for failure. All of it is off unless asked for.
 *
 * Extra tries and limits change what a server sees and what a caller may assume, so each is the user's decision; the
 * defaults below hold once the group is given. Each table stands as one group in the transport's own table.
 */

import { choice, count, duration, flag, group, ratio } from "../../core/options.ts";
import type { Duration, OptionRule, OptionTable } from "../../core/options.ts";
import type { OutlierEjectionOptions } from "./outlier-ejection.ts";
import type { RetryBudgetOptions } from "./retry-budget.ts";

/** How many extra tries there may be in all, in proportion to the traffic. See {@link RetryBudget}. */
export interface BudgetOptions {
  /**
   * Extra tries for each request of the window.
   *
   * When they are used up, a failure is handed to the caller at once. Too low shows as failures that a retry would
   * have healed; too high makes a server's outage worse by that share.
   *
   * @default 0.2 for retries, 0.1 for hedges
   * @range 0 to 1
   * @metric http_client_retries_refused_total{reason="budget_spent"}
   */
  readonly ratio?: number;
  /**
   * Extra tries for each second of the window, whatever the traffic.
   *
   * Without it a client that makes one request a minute could never retry.
   *
   * @default 10 for retries, 1 for hedges
   * @range 0 to Infinity
   */
  readonly minPerSecond?: number;
  /**
   * How far the budget looks back.
   *
   * @default "10s"
   * @range above 0 to 1 h
   */
  readonly ttl?: Duration;
}

/** How long to wait before each further try. */
export interface BackoffOptions {
  /**
   * Longest wait before the first retry; it doubles with each further one.
   *
   * @default "50ms"
   * @range above 0 to 1 h
   */
  readonly from?: Duration;
  /**
   * Where the doubling ends.
   *
   * @default "2s"
   * @range above 0 to 1 h
   */
  readonly to?: Duration;
  /**
   * `"full"` draws the wait from 0 to the longest, so that clients which failed together do not come back together;
   * `"none"` waits the longest each time.
   *
   * @default "full"
   */
  readonly jitter?: "full" | "none";
}

/** When a failed request is sent again. */
export interface RetryOptions {
  /**
   * Further tries after the first one.
   *
   * 0 turns retries off. Each adds its own time to what the caller waits; the budget bounds what all of them add to
   * the server's load.
   *
   * @default 0
   * @range 0 to 10
   * @metric http_client_retries_total
   */
  readonly attempts?: number;
  /**
   * Methods that may be sent twice. Another method is retried only with an `Idempotency-Key` header.
   *
   * A method that is listed wrongly shows as orders that were placed twice. RFC 9110 section 9.2.2 names the safe ones.
   *
   * @default ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"]
   */
  readonly methods?: readonly string[];
  /**
   * Answers that mean "try again".
   *
   * 429 is left out: whoever sends it asks for less, and a client that knows better adds it.
   *
   * @default [502, 503, 504]
   * @range 300 to 599
   */
  readonly statusCodes?: readonly number[];
  /**
   * Codes of errors that mean "try again", looked up on the error and on its `cause`.
   *
   * A full pool is left out, because the next try would wait in the same queue; so is a late response header, because
   * the server may still be at work on it.
   *
   * @default connections refused, reset, broken, unreachable or timed out, and temporary DNS failures
   */
  readonly errors?: readonly string[];
  /** How long to wait before each further try. */
  readonly backoff?: BackoffOptions;
  /**
   * Whether a `Retry-After` of the server makes the wait longer (RFC 9110 section 10.2.3).
   *
   * @default true
   */
  readonly respectRetryAfter?: boolean;
  /**
   * Longest `Retry-After` that is waited for. An answer that asks for more is handed to the caller instead, because
   * coming back earlier than asked is what the server cannot use.
   *
   * @default "30s"
   * @range above 0 to 1 h
   */
  readonly maxRetryAfter?: Duration;
  /** How many retries there may be in all, in proportion to the requests to that origin. */
  readonly budget?: BudgetOptions;
}

/** When a second, equal request is sent because the first one is slow. */
export interface HedgeOptions {
  /**
   * How long to wait for a response header before the second request; `"p95"` waits for as long as 95 of 100 requests
   * to that origin take.
   *
   * Too short doubles the load until the budget is spent; too long heals nothing. `"p95"` sends no hedge before 100
   * response times are known.
   *
   * @default "p95"
   * @range above 0 to 1 h, or "p95"
   * @metric http_client_hedges_total{outcome="sent"}
   */
  readonly delay?: Duration | "p95";
  /**
   * Further requests for one call.
   *
   * @default 1
   * @range 0 to 3, where 0 turns hedging off
   */
  readonly maxHedges?: number;
  /** How many hedges there may be in all, in proportion to the requests to that origin. */
  readonly budget?: BudgetOptions;
}

/** When an address of an origin is left alone for a while. */
export interface EjectionOptions {
  /**
   * Failures in a row (connection refused or reset, 5xx) after which an address is tried last.
   *
   * Too low ejects on everyday errors; too high sends a dead machine its share of requests for longer.
   *
   * @default 5
   * @range 1 up
   * @metric http_client_ejections_total
   */
  readonly consecutiveFailures?: number;
  /**
   * Length of the first ejection; the n-th is n times as long.
   *
   * @default "30s"
   * @range above 0 to 1 h
   */
  readonly baseTime?: Duration;
  /**
   * Longest ejection.
   *
   * @default "300s"
   * @range above 0 to 24 h
   */
  readonly maxTime?: Duration;
  /**
   * Largest share of an origin's addresses that may be out at once.
   *
   * When more of them fail, the fault is elsewhere, and taking them out would only crowd the rest.
   *
   * @default 0.5
   * @range 0 to 1
   */
  readonly maxEjected?: number;
}

/** How many requests may be in flight to one origin. */
export interface ConcurrencyOptions {
  /**
   * A number, or `"adaptive"` for a limit that follows the measured response times. See {@link AdaptiveLimit}.
   *
   * A request above it waits. Too low shows as waiting requests while the server is idle; too high as response times
   * that grow with the load.
   *
   * @default "adaptive"
   * @range 1 up, or "adaptive"
   * @metric http_client_concurrency_limit
   */
  readonly limit?: number | "adaptive";
  /**
   * The adaptive limit never goes below.
   *
   * @default 20
   * @range 1 up
   */
  readonly min?: number;
  /**
   * The adaptive limit never goes above.
   *
   * @default 200
   * @range 1 up
   */
  readonly max?: number;
  /**
   * Requests to one origin that may wait for the limit; one more fails at once.
   *
   * @default 1000
   * @range 0 up, or Infinity
   */
  readonly maxWaiting?: number;
  /**
   * Longest wait for the limit.
   *
   * @default "10s"
   * @range above 0, or Infinity
   */
  readonly waitTimeout?: Duration;
}

export interface ResolvedBackoffOptions {
  readonly from: number;
  readonly to: number;
  readonly jitter: "full" | "none";
}

export interface ResolvedRetryOptions {
  readonly attempts: number;
  readonly methods: readonly string[];
  readonly statusCodes: readonly number[];
  readonly errors: readonly string[];
  readonly backoff: ResolvedBackoffOptions;
  readonly respectRetryAfter: boolean;
  readonly maxRetryAfter: number;
  readonly budget: RetryBudgetOptions;
}

export interface ResolvedHedgeOptions {
  readonly delay: number | "p95";
  readonly maxHedges: number;
  readonly budget: RetryBudgetOptions;
}

export interface ResolvedConcurrencyOptions {
  readonly limit: number | "adaptive";
  readonly min: number;
  readonly max: number;
  readonly maxWaiting: number;
  readonly waitTimeout: number;
}

const hourMs = 3_600_000;

const idempotentMethods = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"];

const passingErrors = [
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EAI_AGAIN",
  "UND_ERR_SOCKET",
  "UND_ERR_CONNECT_TIMEOUT",
  "ERR_DIAL_TIMEOUT",
  "ERR_TLS_HANDSHAKE_TIMEOUT",
];

/** A list of its own, so that what the caller does to the array later changes nothing. */
function list<Item>(rule: {
  readonly fallback: readonly Item[];
  readonly what: string;
  readonly fits: (item: Item) => boolean;
}): OptionRule<readonly Item[], readonly Item[]> {
  return {
    fallback: rule.fallback,
    parse(items) {
      if (!Array.isArray(items)) throw new TypeError(`must be an array of ${rule.what}`);
      const wrong = items.find((item) => !rule.fits(item));
      if (wrong !== undefined) throw new RangeError(`must hold only ${rule.what}; got ${JSON.stringify(wrong)}`);
      return [...items];
    },
  };
}

/** The same rule with a check across the options of the group. `check` throws a `RangeError`. */
function checked<Given, Stored>(
  rule: OptionRule<Given, Stored>,
  check: (stored: Stored) => void,
): OptionRule<Given, Stored> {
  return {
    fallback: rule.fallback,
    parse(options) {
      const stored = rule.parse(options);
      check(stored);
      return stored;
    },
  };
}

/** A word that has its own meaning, or else what `rule` takes. */
function orWord<Word extends string, Given, Stored>(
  word: Word,
  rule: OptionRule<Given, Stored>,
): OptionRule<Given | Word, Stored | Word> {
  return {
    fallback: word,
    // The word is the only value that `rule` does not take; it refuses any other by itself.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    parse: (value) => (value === word ? word : rule.parse(value as Given)),
  };
}

function budgetOptions(fallback: RetryBudgetOptions): OptionTable<BudgetOptions, RetryBudgetOptions> {
  return {
    ratio: ratio({ fallback: fallback.ratio }),
    minPerSecond: count({ fallback: fallback.minPerSecond }),
    ttl: duration({ fallback: fallback.ttl, max: hourMs }),
  };
}

/** The budget of retries, which stale replays use as well. */
export const retryBudgetOptions: OptionTable<BudgetOptions, RetryBudgetOptions> = budgetOptions({
  ratio: 0.2,
  minPerSecond: 10,
  ttl: 10_000,
});

/** The budget of hedges: smaller, because a hedge is sent while the first request may still succeed. */
export const hedgeBudgetOptions: OptionTable<BudgetOptions, RetryBudgetOptions> = budgetOptions({
  ratio: 0.1,
  minPerSecond: 1,
  ttl: 10_000,
});

const backoffOptions: OptionTable<BackoffOptions, ResolvedBackoffOptions> = {
  from: duration({ fallback: 50, max: hourMs }),
  to: duration({ fallback: 2_000, max: hourMs }),
  jitter: choice({ fallback: "full", values: ["full", "none"] }),
};

export const retryOptions: OptionTable<RetryOptions, ResolvedRetryOptions> = {
  attempts: count({ fallback: 0, max: 10 }),
  methods: list({
    fallback: idempotentMethods,
    what: "methods in upper case",
    fits: (method) => typeof method === "string" && /^[A-Z-]+$/.test(method) && method !== "CONNECT",
  }),
  statusCodes: list({
    fallback: [502, 503, 504],
    what: "status codes from 300 to 599",
    fits: (status) => Number.isInteger(status) && status >= 300 && status <= 599,
  }),
  errors: list({
    fallback: passingErrors,
    what: "error codes",
    fits: (code) => typeof code === "string" && code !== "",
  }),
  backoff: checked(group("Transport.retry.backoff", backoffOptions), ({ from, to }) => {
    if (from > to) throw new RangeError(`must not end (to: ${to} ms) before it begins (from: ${from} ms)`);
  }),
  respectRetryAfter: flag({ fallback: true }),
  maxRetryAfter: duration({ fallback: 30_000, max: hourMs }),
  budget: group("Transport.retry.budget", retryBudgetOptions),
};

export const hedgeOptions: OptionTable<HedgeOptions, ResolvedHedgeOptions> = {
  delay: orWord("p95", duration({ fallback: hourMs, max: hourMs })),
  maxHedges: count({ fallback: 1, max: 3 }),
  budget: group("Transport.hedge.budget", hedgeBudgetOptions),
};

export const ejectionOptions: OptionTable<EjectionOptions, OutlierEjectionOptions> = {
  consecutiveFailures: count({ fallback: 5, min: 1 }),
  baseTime: duration({ fallback: 30_000, max: hourMs }),
  maxTime: duration({ fallback: 300_000, max: 24 * hourMs }),
  maxEjected: ratio({ fallback: 0.5 }),
};

export const concurrencyOptions: OptionTable<ConcurrencyOptions, ResolvedConcurrencyOptions> = {
  limit: orWord("adaptive", count({ fallback: Infinity, min: 1 })),
  min: count({ fallback: 20, min: 1 }),
  max: count({ fallback: 200, min: 1 }),
  maxWaiting: count({ fallback: 1_000 }),
  waitTimeout: duration({ fallback: 10_000 }),
};

/** The rule of the whole `concurrency` group, with the check that `min` is not above `max`. */
export const concurrencyRule: OptionRule<ConcurrencyOptions, Readonly<ResolvedConcurrencyOptions>> = checked(
  group("Transport.concurrency", concurrencyOptions),
  ({ min, max }) => {
    if (min > max) throw new RangeError(`must have a min (${min}) that is not above its max (${max})`);
  },
);

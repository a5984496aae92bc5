/** Every option of a store in JetStream, with its meaning, its default and its range. */

import type { NodeConnectionOptions } from "@nats-io/transport-node";
import { count, duration, given, type Duration, type OptionTable } from "../../core/index.ts";

/** Where the jobs are, and how they are kept. */
export interface JetStreamStoreOptions {
  /**
   * Addresses of the NATS servers, such as `"nats://queue-1:4222"`; several of one cluster are tried in turn.
   *
   * A lost connection is made anew without end. Wrong shows as `ERR_STORE_UNAVAILABLE` from `start`.
   *
   * @default "127.0.0.1:4222"
   */
  readonly servers?: string | readonly string[];
  /**
   * What else the connection needs: `tls`, `user` and `pass`, `token`, `authenticator`, `name`, `inboxPrefix`.
   *
   * @default none
   */
  readonly connection?: NodeConnectionOptions;
  /**
   * First word of all streams and subjects; those of one prefix share their queues.
   *
   * Letters, digits, `-` and `_`. Two applications with one prefix take each other's jobs.
   *
   * @default "sluice"
   */
  readonly prefix?: string;
  /**
   * Longest wait for an answer of the server, where the call has no limit of its own.
   *
   * Then the call fails with `ERR_STORE_UNAVAILABLE`. A connection that has been away for more than a second is not
   * waited for at all.
   *
   * @default "5s"
   * @range above 0 to 1 h
   */
  readonly callTimeout?: Duration;
  /**
   * For how long the server remembers an added job's id and key, so that a second one is a duplicate.
   *
   * The server keeps them in memory, about 100 bytes each: a long window under a high rate costs gigabytes. A key is
   * free again after this time, not when its job is done.
   *
   * @default "2m"
   * @range above 0 to 24 h
   * @go duplicate_window of the stream
   */
  readonly dedupWindow?: Duration;
  /**
   * Most jobs in all queues of the prefix together.
   *
   * More are refused with `ERR_STORE_FULL`. `Infinity` leaves the limit to the server's disk.
   *
   * @default 1000000
   * @range 1 to Infinity
   */
  readonly maxJobs?: number;
  /**
   * On how many servers of a cluster each job is kept.
   *
   * One server syncs its files every two minutes unless its `sync_interval` says otherwise: a crash of the server's
   * process loses nothing, a power cut may. Three servers outlive the loss of one.
   *
   * @default 1
   * @range 1 to 5
   */
  readonly replicas?: number;
}

export interface ResolvedJetStreamStoreOptions {
  readonly servers: string | readonly string[];
  readonly connection: NodeConnectionOptions;
  readonly prefix: string;
  readonly callTimeout: number;
  readonly dedupWindow: number;
  readonly maxJobs: number;
  readonly replicas: number;
}

/** Rules and defaults of {@link JetStreamStoreOptions}. */
export const jetStreamStoreOptions: OptionTable<JetStreamStoreOptions, ResolvedJetStreamStoreOptions> = {
  servers: given<string | readonly string[]>({ fallback: "127.0.0.1:4222" }),
  connection: given<NodeConnectionOptions>({ fallback: {} }),
  prefix: given({
    fallback: "sluice",
    check(prefix) {
      if (!/^[\w-]+$/.test(prefix)) throw new RangeError("must be letters, digits, - and _ only: it names streams");
    },
  }),
  callTimeout: duration({ fallback: 5_000, max: 3_600_000 }),
  dedupWindow: duration({ fallback: 120_000, max: 86_400_000 }),
  maxJobs: count({ fallback: 1_000_000, min: 1 }),
  replicas: count({ fallback: 1, min: 1, max: 5 }),
};

/**
 * What the two sides of the SQLite store say to each other.
 *
 * Each side sends one message for a turn of its loop. What there are thousands of travels in flat lists of strings and
 * numbers: cloning those costs 0.2 us a job, objects 1.1 us, JSON 0.8 us (measured on Node 26.10 with 200-byte jobs).
 */

import type { DeadJob, DeadSelection, QueueLevels } from "../store.ts";

/** What the worker is told when it is made. */
export interface WorkerSettings {
  readonly path: string;
  readonly synchronous: "full" | "normal";
  readonly maxBytes: number;
  readonly minFreeBytes: number;
  readonly startTimeoutMs: number;
  readonly pollMs: number;
}

/** Jobs of one call of `add`; long calls come in several orders. */
export interface AddOrder {
  readonly order: number;
  /** On the clock of `sharedNow`; not begun by then, it is dropped. */
  readonly deadline: number;
  /** {@link addFields} values for each job: id, number of its queue, body, key or null, delay in ms, priority. */
  readonly jobs: readonly (string | number | null)[];
}

export const addFields = 6;

/** How a delivery ends, as a number. */
export const settleKinds = { done: 0, retry: 1, dead: 2, release: 3 } as const;

export type SettleKind = (typeof settleKinds)[keyof typeof settleKinds];

/** One delivery's end. */
export interface SettleOrder {
  readonly queue: number;
  readonly taker: number;
  readonly seq: number;
  readonly kind: SettleKind;
  readonly delayMs: number;
  /** JSON of the `JobFailure`. */
  readonly failure: string | null;
}

export const settleFields = 6;

/** What is rarely asked; each with its answer. */
export type Question =
  | { readonly kind: "open"; readonly queue: string; readonly maxDead: number; readonly deadForMs: number }
  | { readonly kind: "consume"; readonly consumer: number; readonly queue: number; readonly leaseMs: number }
  | { readonly kind: "stop-consumer"; readonly consumer: number }
  | { readonly kind: "levels"; readonly queue: number }
  | { readonly kind: "list-dead"; readonly queue: number; readonly limit: number; readonly before: string | undefined }
  | { readonly kind: "redrive"; readonly queue: number; readonly which: DeadSelection }
  | { readonly kind: "discard"; readonly queue: number; readonly which: DeadSelection }
  | { readonly kind: "ping" }
  | { readonly kind: "stop" };

/** What each question is answered with. */
export interface Answers {
  readonly open: number;
  readonly consume: undefined;
  readonly "stop-consumer": undefined;
  readonly levels: QueueLevels;
  readonly "list-dead": readonly DeadJob[];
  readonly redrive: number;
  readonly discard: number;
  readonly ping: undefined;
  readonly stop: undefined;
}

/** A turn of the main thread. */
export interface Orders {
  readonly adds: readonly AddOrder[];
  /** {@link settleFields} values for each, in the order of {@link SettleOrder}. They are answered in the order given. */
  readonly settles: readonly (string | number | null)[];
  /** Pairs: a consumer, and how many more jobs it wants; -1: none of those asked for, if they are not on their way. */
  readonly wants: readonly number[];
  readonly questions: readonly { readonly order: number; readonly question: Question }[];
}

/** Why something failed, without the class that the main thread makes of it. */
export interface Failure {
  readonly code: "full" | "unavailable";
  readonly message: string;
}

/** Which of the jobs of one add order were there already. */
export interface AddReport {
  readonly order: number;
  /** Pairs: the place of a duplicate, and the id of the job that was there first. */
  readonly duplicates: readonly (number | string)[];
  readonly failure?: Failure;
}

export interface AnswerReport {
  readonly order: number;
  readonly value?: unknown;
  readonly failure?: Failure;
}

/** A turn of the worker. */
export interface Report {
  readonly added: readonly AddReport[];
  /** For each settle, in the order in which they were given: whether the lease was still there. */
  readonly settled: readonly boolean[];
  /** {@link deliveryFields} values for each: consumer, taker, seq, id, body, attempt, priority. */
  readonly deliveries: readonly (string | number)[];
  /** Takers whose leases have gone to somebody else. */
  readonly lost: readonly number[];
  readonly answers: readonly AnswerReport[];
  /** What is wrong with the file at present, if that is new; null: nothing any more. */
  readonly trouble?: Failure | null;
  /** `started`, or why not: the first report of all. */
  readonly started?: boolean;
}

export const deliveryFields = 7;

/** Milliseconds on a clock that all threads of a process share; `performance.now()` begins anew in each. */
export function sharedNow(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1_000_000;
}

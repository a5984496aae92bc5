/** What a queue looks like in this process at one moment: immutable plain numbers. */

import type { AddResult, AttemptOutcome, DeadReason, QueueInstruments } from "./queue-instruments.ts";
import type { ResolvedQueueOptions } from "./queue-options.ts";

/** One queue, as far as this process goes. Levels first, then totals since the start. */
export interface QueueStats {
  readonly name: string;
  readonly isPaused: boolean;
  readonly running: number;
  /** Over their deadline, deaf to their signal, and still running. */
  readonly stuck: number;
  readonly concurrency: number;
  readonly added: Readonly<Record<AddResult, number>>;
  readonly attempts: Readonly<Record<AttemptOutcome, number>>;
  readonly dead: Readonly<Record<DeadReason, number>>;
  readonly retried: number;
  readonly leasesLost: number;
  readonly settleFailures: number;
}

export function describeQueue(
  name: string,
  options: ResolvedQueueOptions,
  instruments: QueueInstruments,
  isPaused: boolean,
): QueueStats {
  return Object.freeze({
    name,
    isPaused,
    running: instruments.running.value,
    stuck: instruments.stuck.value,
    concurrency: options.concurrency,
    added: instruments.added.read(),
    attempts: instruments.attempts.read(),
    dead: instruments.dead.read(),
    retried: instruments.retried.value,
    leasesLost: instruments.leasesLost.value,
    settleFailures: instruments.settleFailures.value,
  });
}

/**
 * How much is in a queue, for whoever collects metrics.
 *
 * Only the store knows, and it has to be asked, while a collection cannot wait: it gets what was known last, and has it
 * renewed. So nothing is asked of an engine while nobody looks.
 */

import { now } from "../core/clock.ts";
import type { GaugeFamily, Registry } from "../core/instruments.ts";
import { outside } from "../core/outside.ts";
import type { QueueLevels } from "./store.ts";

/** Collections that come sooner get the same answer. */
const renewAfterMs = 5_000;

/** Invariant: at most one question to the store is under way. */
export class LevelGauges implements Disposable {
  readonly #read: () => Promise<QueueLevels>;
  readonly #registrations: readonly Disposable[];
  #levels: QueueLevels | undefined;
  #askedAt = -Infinity;
  #isAsking = false;

  constructor(registry: Registry, queue: string, read: () => Promise<QueueLevels>) {
    this.#read = read;
    const stored: GaugeFamily = registry.gauge("jobs_stored", "Jobs in the store, by state, for all processes.", [
      "queue",
      "state",
    ]);
    const oldest: GaugeFamily = registry.gauge(
      "job_oldest_ready_seconds",
      "How long the oldest ready job has been ready.",
      ["queue"],
    );
    this.#registrations = [
      stored.observe((report) => {
        this.#renew();
        if (this.#levels === undefined) return;
        const { ready, delayed, active, dead } = this.#levels;
        for (const [state, value] of Object.entries({ ready, delayed, active, dead })) report(value, queue, state);
      }),
      oldest.observe((report) => {
        if (this.#levels !== undefined) report(this.#levels.oldestReadyMs / 1_000, queue);
      }),
    ];
  }

  [Symbol.dispose](): void {
    for (const registration of this.#registrations) registration[Symbol.dispose]();
  }

  #renew(): void {
    const at = now();
    if (this.#isAsking || at - this.#askedAt < renewAfterMs) return;
    this.#askedAt = at;
    this.#isAsking = true;
    outside(() => this.#read())
      .then(
        (levels) => (this.#levels = levels),
        // Rather nothing than what is no longer true.
        () => (this.#levels = undefined),
      )
      .finally(() => (this.#isAsking = false));
  }
}

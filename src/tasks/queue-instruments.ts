/** What is counted of one queue: in the registry, and for `stats()`. */

import {
  durationBounds,
  queueBounds,
  type Counter,
  type Gauge,
  type Histogram,
  type Registry,
} from "../core/instruments.ts";

const addResults = ["added", "duplicate", "failed"] as const;
const attemptOutcomes = ["ok", "error", "timeout", "cancelled", "lost", "released", "malformed", "vanished"] as const;
const deadReasons = ["attempts", "permanent", "malformed", "vanished"] as const;

/** What became of a job that was to be added. `failed`: that is not known, or it was not. */
export type AddResult = (typeof addResults)[number];

/**
 * How an attempt ended. `cancelled`: by the drain. `lost`: its lease was gone. `released`: it was not begun, and given
 * back. `malformed`: it was no job of ours. `vanished`: it had no attempts left, and its takers were never heard of.
 */
export type AttemptOutcome = (typeof attemptOutcomes)[number];

/** Why a job is dead. `vanished`: its takers were never heard of again. */
export type DeadReason = (typeof deadReasons)[number];

/** The counts of one kind of event, and the counters that they are also found in. */
class Tally<Kind extends string> {
  readonly #counts: Map<Kind, number>;
  readonly #counters: Map<Kind, Counter>;

  constructor(kinds: readonly Kind[], counterOf: (kind: Kind) => Counter) {
    this.#counts = new Map(kinds.map((kind) => [kind, 0]));
    // All of them from the start: a counter that appears with its first event hides that event from `increase()`.
    this.#counters = new Map(kinds.map((kind) => [kind, counterOf(kind)]));
  }

  add(kind: Kind, n = 1): void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + n);
    this.#counters.get(kind)?.add(n);
  }

  /** A copy. */
  read(): Readonly<Record<Kind, number>> {
    // Made from all kinds.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return Object.freeze(Object.fromEntries(this.#counts) as Record<Kind, number>);
  }
}

/** A number with its gauge. */
class Level {
  value = 0;
  readonly #gauge: Gauge;

  constructor(gauge: Gauge) {
    this.#gauge = gauge;
  }

  add(n: number): void {
    this.value += n;
    this.#gauge.add(n);
  }
}

/** A number that only grows, with its counter. */
class Count {
  value = 0;
  readonly #counter: Counter;

  constructor(counter: Counter) {
    this.#counter = counter;
  }

  add(): void {
    this.value += 1;
    this.#counter.add();
  }
}

/** All series of one queue. */
export class QueueInstruments {
  readonly added: Tally<AddResult>;
  readonly attempts: Tally<AttemptOutcome>;
  readonly dead: Tally<DeadReason>;
  readonly running: Level;
  readonly stuck: Level;
  readonly retried: Count;
  readonly leasesLost: Count;
  readonly settleFailures: Count;
  readonly duration: Histogram;
  readonly wait: Histogram;

  constructor(registry: Registry, queue: string) {
    const counter = (name: string, help: string): Counter => registry.counter(name, help, ["queue"]).labels(queue);
    const gauge = (name: string, help: string): Gauge => registry.gauge(name, help, ["queue"]).labels(queue);
    const histogram = (name: string, help: string, bounds: readonly number[]): Histogram =>
      registry.histogram(name, help, { labelNames: ["queue"], bounds }).labels(queue);
    const most = { maxSeries: 2_000 };
    const added = registry.counter("jobs_enqueued_total", "Jobs given to `add`, by result.", ["queue", "result"], most);
    this.added = new Tally(addResults, (result) => added.labels(queue, result));
    const attempts = registry.counter(
      "jobs_attempts_total",
      "Attempts that have ended, by outcome.",
      ["queue", "outcome"],
      most,
    );
    this.attempts = new Tally(attemptOutcomes, (outcome) => attempts.labels(queue, outcome));
    const dead = registry.counter(
      "jobs_dead_total",
      "Jobs that will not be tried again, by reason.",
      ["queue", "reason"],
      most,
    );
    this.dead = new Tally(deadReasons, (reason) => dead.labels(queue, reason));
    this.running = new Level(gauge("jobs_running", "Attempts that run in this process."));
    this.stuck = new Level(
      gauge("jobs_stuck", "Attempts that still run although their deadline and the time to abort have passed."),
    );
    this.retried = new Count(counter("jobs_retried_total", "Failed attempts after which there is another."));
    this.leasesLost = new Count(
      counter("jobs_leases_lost_total", "Jobs that went to somebody else while they ran here."),
    );
    this.settleFailures = new Count(
      counter("jobs_settle_failures_total", "Calls that were to tell the store what became of a job, and failed."),
    );
    this.duration = histogram("job_duration_seconds", "Time that attempts ran.", durationBounds);
    this.wait = histogram("job_wait_seconds", "Time from when a job was added until its first attempt.", queueBounds);
  }
}

/**
 * What is counted of tasks, by their name.
 *
 * A name is a label, so it must be one of few: names beyond the bound share `_OTHER`. Each task holds its kind, and a
 * change of its state costs a few additions.
 */

import {
  type Counter,
  type Family,
  type GaugeFamily,
  durationBounds,
  type Gauge,
  type Histogram,
  queueBounds,
  type Registry,
} from "../core/instruments.ts";

/** Most names told apart. */
const maxKinds = 200;

const outcomes = ["ok", "error", "timeout", "cancelled", "rejected", "dropped", "skipped", "abandoned"] as const;

/**
 * How a task ended.
 *
 * - `ok`, `error`: by itself.
 * - `timeout`: its deadline had passed and its signal was aborted, whatever it did then.
 * - `cancelled`: by its handle, or by a shutdown; or it threw what it was cancelled with.
 * - `rejected`: there was no place for it. `dropped`: it lost its place to a newer one.
 * - `skipped`: it was to run only for an answer that arrived, and the client left.
 * - `abandoned`: a drain ended before it did.
 */
export type TaskOutcome = (typeof outcomes)[number];

/** Where a task is. `waiting`: for its response to end, or for a place in the queue. `stuck`: over for everybody but itself. */
export type TaskState = "waiting" | "queued" | "running" | "stuck" | "ended";

type Level = Exclude<TaskState, "ended">;

/** The families of all kinds; looked up at the start, since a name that is taken by something else is an error. */
class TaskFamilies {
  readonly levels: Readonly<Record<Level, GaugeFamily>>;
  readonly total: Family<Counter>;
  readonly held: Family<Counter>;
  readonly duration: Family<Histogram>;
  readonly wait: Family<Histogram>;

  constructor(registry: Registry) {
    const labelNames = ["task"];
    const gauge = (name: string, help: string): GaugeFamily => registry.gauge(name, help, labelNames);
    this.levels = {
      waiting: gauge(
        "background_tasks_waiting",
        "Tasks that wait for their response to end, or for a place in the queue.",
      ),
      queued: gauge("background_tasks_queued", "Tasks that are ready to run and wait for their turn."),
      running: gauge("background_tasks_active", "Tasks that run."),
      stuck: gauge(
        "background_tasks_stuck",
        "Tasks that still run although their deadline and the time to abort have passed.",
      ),
    };
    this.total = registry.counter("background_tasks_total", "Tasks that have ended, by outcome.", ["task", "outcome"], {
      maxSeries: maxKinds * outcomes.length,
    });
    this.held = registry.counter(
      "background_tasks_held_total",
      "Times that the event loop stood still while a task ran.",
      labelNames,
    );
    this.duration = registry.histogram("background_task_duration_seconds", "Time that tasks ran.", {
      labelNames,
      bounds: durationBounds,
    });
    this.wait = registry.histogram(
      "background_task_wait_seconds",
      "Time from when a task could have run until it did.",
      { labelNames, bounds: queueBounds },
    );
  }
}

/** The tasks of one name. */
export class TaskKind {
  readonly name: string;
  readonly levels: Record<TaskState, number> = { waiting: 0, queued: 0, running: 0, stuck: 0, ended: 0 };
  readonly outcomes: Record<TaskOutcome, number>;
  heldCount = 0;
  readonly #gauges: Readonly<Record<Level, Gauge>>;
  readonly #outcomes: ReadonlyMap<TaskOutcome, Counter>;
  readonly #held: Counter;
  readonly #duration: Histogram;
  readonly #wait: Histogram;

  constructor({ levels, total, held, duration, wait }: TaskFamilies, name: string) {
    this.name = name;
    const { waiting, queued, running, stuck } = levels;
    this.#gauges = {
      waiting: waiting.labels(name),
      queued: queued.labels(name),
      running: running.labels(name),
      stuck: stuck.labels(name),
    };
    // All of them from the start: a counter that appears with its first event hides that event from `increase()`.
    this.#outcomes = new Map(outcomes.map((outcome) => [outcome, total.labels(name, outcome)]));
    // All outcomes are there.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    this.outcomes = Object.fromEntries(outcomes.map((outcome) => [outcome, 0])) as Record<TaskOutcome, number>;
    this.#held = held.labels(name);
    this.#duration = duration.labels(name);
    this.#wait = wait.labels(name);
  }

  /** One task goes from one state to another; `undefined` is before the first. */
  move(from: TaskState | undefined, to: TaskState): void {
    if (from !== undefined && from !== "ended") {
      this.levels[from] -= 1;
      this.#gauges[from].add(-1);
    }
    this.levels[to] += 1;
    if (to !== "ended") this.#gauges[to].add(1);
  }

  started(waitedMs: number): void {
    this.#wait.record(waitedMs / 1_000);
  }

  ended(outcome: TaskOutcome): void {
    this.outcomes[outcome] += 1;
    this.#outcomes.get(outcome)?.add();
  }

  ran(durationMs: number): void {
    this.#duration.record(durationMs / 1_000);
  }

  held(): void {
    this.heldCount += 1;
    this.#held.add();
  }
}

/** All kinds of one `Tasks`. */
export class TaskKinds {
  readonly #families: TaskFamilies;
  readonly #kinds = new Map<string, TaskKind>();
  #other: TaskKind | undefined;

  constructor(registry: Registry) {
    this.#families = new TaskFamilies(registry);
  }

  find(name: string): TaskKind {
    const known = this.#kinds.get(name);
    if (known !== undefined) return known;
    if (this.#kinds.size >= maxKinds) return (this.#other ??= new TaskKind(this.#families, "_OTHER"));
    const kind = new TaskKind(this.#families, name);
    this.#kinds.set(name, kind);
    return kind;
  }

  all(): readonly TaskKind[] {
    return this.#other === undefined ? [...this.#kinds.values()] : [...this.#kinds.values(), this.#other];
  }
}

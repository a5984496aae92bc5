/**
 * Counters, gauges and histograms that cost tens of nanoseconds, so that nobody is tempted to leave them out.
 *
 * What makes metrics dear is finding the series of a set of labels, not counting: so a series is looked up once with
 * `labels()` and then held. Values live in typed arrays, and nothing is rendered here; Prometheus, OpenTelemetry and
 * the page each make their own text of `collect()`. Labels are bounded, since one made of user input would otherwise
 * grow until the process dies.
 */

import { SluiceError } from "./errors.ts";
import { throwLater } from "./outside.ts";

/** An instrument was declared or used in a way that its renderings could not tell apart. A mistake in the program. */
export class InstrumentError extends SluiceError {
  readonly code = "ERR_INSTRUMENT";
}

/** Bounds for the duration of requests, in seconds: those of OpenTelemetry's `http.*.request.duration`. */
export const durationBounds: readonly number[] = [
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
];

/** Bounds for the life of connections, in seconds: those of OpenTelemetry's `http.client.connection.duration`. */
export const connectionBounds: readonly number[] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300];

/** Bounds for the time spent in a queue, in seconds: those of .NET's `http.client.request.time_in_queue`, and 0.1 ms. */
export const queueBounds: readonly number[] = [0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];

/** Methods of HTTP that may become a label value; the rest could be anything and become `_OTHER` (OpenTelemetry's rule). */
export const knownMethods: ReadonlySet<string> = new Set([
  "CONNECT",
  "DELETE",
  "GET",
  "HEAD",
  "OPTIONS",
  "PATCH",
  "POST",
  "PUT",
  "QUERY",
  "TRACE",
]);

/** The label value that stands for all those beyond the cap of their family. */
const other = "_OTHER";

/** A number that only grows. */
export class Counter {
  readonly #cell = new Float64Array(1);

  get value(): number {
    return this.#cell[0] ?? 0;
  }

  /** Adds `n`, by default 1. A negative `n` or `NaN` is left out: readers take a falling counter for a restart. */
  add(n = 1): void {
    if (n > 0) this.#cell[0]! += n;
  }
}

/** A number that goes up and down. */
export class Gauge {
  readonly #cell = new Float64Array(1);

  get value(): number {
    return this.#cell[0] ?? 0;
  }

  set(value: number): void {
    this.#cell[0] = value;
  }

  add(n: number): void {
    this.#cell[0]! += n;
  }
}

/**
 * How often values fell into each of a few ranges.
 *
 * Invariant: `counts[i]` counts values in (`bounds[i - 1]`, `bounds[i]`], the last one those above all bounds; `count`
 * is their sum.
 */
export class Histogram {
  readonly bounds: Float64Array;
  /** Not cumulative; one more than there are bounds. */
  readonly counts: Float64Array;
  readonly #sum = new Float64Array(1);

  constructor(bounds: Float64Array) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  get count(): number {
    let count = 0;
    for (const n of this.counts) count += n;
    return count;
  }

  get sum(): number {
    return this.#sum[0] ?? 0;
  }

  /** Counts `value`. `NaN` is left out: it would make the sum `NaN` for ever. */
  record(value: number): void {
    const { bounds } = this;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (value > bounds[middle]!) low = middle + 1;
      else high = middle;
    }
    if (Number.isNaN(value)) return;
    this.counts[low]! += 1;
    this.#sum[0]! += value;
  }

  /**
   * The value below which the share `q` (0 to 1) of all values lies, interpolated within its range as Prometheus'
   * `histogram_quantile` does: the first range begins at 0, and above all bounds the highest bound is the answer.
   * `NaN` while nothing is recorded.
   */
  quantile(q: number): number {
    const rank = Math.min(Math.max(q, 0), 1) * this.count;
    let below = 0;
    for (const [index, n] of this.counts.entries()) {
      if (n > 0 && below + n >= rank) return this.#interpolate(index, (rank - below) / n);
      below += n;
    }
    return NaN;
  }

  #interpolate(index: number, share: number): number {
    const { bounds } = this;
    const high = bounds[index];
    if (high === undefined) return bounds[bounds.length - 1] ?? NaN;
    // A first bound at or below 0 leaves no range to interpolate in.
    const low = index === 0 ? Math.min(0, high) : (bounds[index - 1] ?? 0);
    return low + (high - low) * share;
  }
}

/** One series of a counter or gauge. `labels` stand in the order of the family's `labelNames`. */
export interface Sample {
  readonly labels: readonly string[];
  readonly value: number;
}

/** One series of a histogram. `counts` are those of {@link Histogram}: not cumulative. */
export interface HistogramSample {
  readonly labels: readonly string[];
  readonly bounds: Float64Array;
  readonly counts: Float64Array;
  readonly sum: number;
  readonly count: number;
}

interface FamilyHead {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
}

/** A family at the moment of `collect()`. */
export type CollectedFamily =
  | (FamilyHead & { readonly type: "counter" | "gauge"; readonly samples: readonly Sample[] })
  | (FamilyHead & { readonly type: "histogram"; readonly samples: readonly HistogramSample[] });

/** All series of one name. */
export interface Family<Instrument> extends FamilyHead {
  /**
   * The series of these label values, in the order of `labelNames`; the same one each time. Look it up once and hold
   * it. Beyond `maxSeries` all further values share one series, whose labels are `_OTHER`.
   */
  labels(...values: readonly string[]): Instrument;
  /** Forgets a series, so that it is no longer collected and its place is free again. */
  delete(...values: readonly string[]): void;
}

/** Gauges and counters can be read at the moment of collection instead of being kept up to date. */
export interface ObservableFamily<Instrument> extends Family<Instrument> {
  /**
   * Calls `read` at each collection; it reports any number of values. Values of the same labels are added up, also
   * with those that were set or counted. Dispose of the registration when what is read goes away. What is reported of a
   * counter never falls.
   */
  observe(read: (report: (value: number, ...labels: readonly string[]) => void) => void): Disposable;
}

export type GaugeFamily = ObservableFamily<Gauge>;
export type CounterFamily = ObservableFamily<Counter>;

/** How to make a histogram. */
export interface HistogramOptions extends FamilyOptions {
  /** Upper ends of the ranges, ascending. */
  readonly bounds: readonly number[];
  readonly labelNames?: readonly string[];
}

/** What a family may be given besides its name. */
export interface FamilyOptions {
  /**
   * Most series kept for the family; all others share `_OTHER`.
   *
   * @default that of the registry
   */
  readonly maxSeries?: number;
}

interface Series<Instrument> {
  readonly labels: readonly string[];
  readonly instrument: Instrument;
}

/** One label value on the way from the first label to the last; only the last has a series. */
interface LabelNode<Instrument> {
  next: Map<string, LabelNode<Instrument>> | undefined;
  series: Series<Instrument> | undefined;
}

interface FamilySettings<Instrument> extends FamilyHead {
  readonly maxSeries: number;
  readonly make: () => Instrument;
  readonly onOverflow: () => void;
}

/**
 * Finds and bounds the series of a family.
 *
 * Invariant: `#series` holds exactly the series reachable from `#first`, at most `maxSeries`; the shared `_OTHER` is
 * apart. A map for each label and not one joined key: a value may contain any separator.
 */
class SeriesTable<Instrument> implements Family<Instrument> {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly #settings: FamilySettings<Instrument>;
  readonly #first: LabelNode<Instrument> = { next: undefined, series: undefined };
  readonly #series = new Set<Series<Instrument>>();
  #other: Series<Instrument> | undefined;

  constructor(settings: FamilySettings<Instrument>) {
    this.name = settings.name;
    this.help = settings.help;
    this.labelNames = settings.labelNames;
    this.#settings = settings;
  }

  labels(...values: readonly string[]): Instrument {
    let node: LabelNode<Instrument> | undefined = this.#first;
    for (const value of values) node = node?.next?.get(value);
    // With too few values the walk ends at a node without a series, with too many at none.
    return node?.series?.instrument ?? this.#create(values).instrument;
  }

  delete(...values: readonly string[]): void {
    let node: LabelNode<Instrument> | undefined = this.#first;
    const path: LabelNode<Instrument>[] = [node];
    for (const value of values) {
      node = node?.next?.get(value);
      if (node === undefined) return;
      path.push(node);
    }
    if (node?.series === undefined) return;
    this.#series.delete(node.series);
    node.series = undefined;
    for (let index = values.length; index > 0 && (path[index]?.next?.size ?? 0) === 0; index -= 1) {
      path[index - 1]?.next?.delete(values[index - 1] ?? "");
    }
  }

  all(): Series<Instrument>[] {
    return this.#other === undefined ? [...this.#series] : [...this.#series, this.#other];
  }

  #create(values: readonly string[]): Series<Instrument> {
    const { labelNames, maxSeries, make, onOverflow } = this.#settings;
    if (values.length !== labelNames.length) {
      throw new InstrumentError(
        `${this.name} has the labels (${labelNames.join(", ")}), ${labelNames.length} in all; ` +
          `labels() was given ${values.length} values (${values.join(", ")}).`,
      );
    }
    if (this.#series.size >= maxSeries) {
      onOverflow();
      this.#other ??= { labels: labelNames.map(() => other), instrument: make() };
      return this.#other;
    }
    let node = this.#first;
    for (const value of values) {
      node.next ??= new Map();
      const next: LabelNode<Instrument> = node.next.get(value) ?? { next: undefined, series: undefined };
      node.next.set(value, next);
      node = next;
    }
    const series: Series<Instrument> = { labels: [...values], instrument: make() };
    node.series = series;
    this.#series.add(series);
    return series;
  }
}

type Reader = (report: (value: number, ...labels: readonly string[]) => void) => void;

class ObservableSeries<Instrument extends Counter | Gauge>
  extends SeriesTable<Instrument>
  implements ObservableFamily<Instrument>
{
  readonly #readers = new Set<Reader>();
  readonly #settingsOfRead: FamilySettings<Instrument>;

  constructor(settings: FamilySettings<Instrument>) {
    super(settings);
    this.#settingsOfRead = settings;
  }

  observe(read: Reader): Disposable {
    // An own function for each call: the same `read` given twice is two registrations.
    const reader: Reader = (report) => read(report);
    this.#readers.add(reader);
    return { [Symbol.dispose]: () => void this.#readers.delete(reader) };
  }

  override all(): Series<Instrument>[] {
    if (this.#readers.size === 0) return super.all();
    // A table of the moment: a series that is not reported any more is gone.
    const read = new SeriesTable<Instrument>(this.#settingsOfRead);
    for (const { labels, instrument } of super.all()) read.labels(...labels).add(instrument.value);
    for (const reader of this.#readers) {
      try {
        reader((value, ...labels) => read.labels(...labels).add(value));
      } catch (error) {
        throwLater(error);
      }
    }
    return read.all();
  }
}

type Entry =
  | { readonly type: "counter"; readonly family: ObservableSeries<Counter> }
  | { readonly type: "gauge"; readonly family: ObservableSeries<Gauge> }
  | { readonly type: "histogram"; readonly family: SeriesTable<Histogram>; readonly bounds: Float64Array };

/**
 * All families of one program, by name.
 *
 * Invariant: a name has one type, one list of labels and one list of bounds for as long as the registry lives.
 */
export class Registry {
  readonly #maxSeries: number;
  readonly #entries = new Map<string, Entry>();

  constructor(options: FamilyOptions = {}) {
    this.#maxSeries = options.maxSeries ?? 200;
  }

  /** @throws InstrumentError if the name is not one, or is taken by something else. */
  counter(name: string, help: string, labelNames: readonly string[] = [], options?: FamilyOptions): CounterFamily {
    const entry = this.#find(name, "counter", labelNames);
    if (entry?.type === "counter") return entry.family;
    const family = new ObservableSeries(this.#settings({ name, help, labelNames }, options, () => new Counter()));
    this.#entries.set(name, { type: "counter", family });
    return family;
  }

  /** @throws InstrumentError if the name is not one, or is taken by something else. */
  gauge(name: string, help: string, labelNames: readonly string[] = [], options?: FamilyOptions): GaugeFamily {
    const entry = this.#find(name, "gauge", labelNames);
    if (entry?.type === "gauge") return entry.family;
    const family = new ObservableSeries(this.#settings({ name, help, labelNames }, options, () => new Gauge()));
    this.#entries.set(name, { type: "gauge", family });
    return family;
  }

  /** @throws InstrumentError if the name is not one or is taken by something else, or the bounds do not ascend. */
  histogram(name: string, help: string, options: HistogramOptions): Family<Histogram> {
    const { labelNames = [] } = options;
    const bounds = Float64Array.from(options.bounds);
    const entry = this.#find(name, "histogram", labelNames);
    if (entry?.type === "histogram") {
      if (String(entry.bounds) === String(bounds)) return entry.family;
      throw new InstrumentError(`${name} already has the bounds ${String(entry.bounds)}; not ${String(bounds)}.`);
    }
    for (const [index, bound] of bounds.entries()) {
      if (Number.isFinite(bound) && bound > (bounds[index - 1] ?? -Infinity)) continue;
      throw new InstrumentError(
        `The bounds of ${name} must be finite and ascend; ${bound} at place ${index} does not.`,
      );
    }
    const make = (): Histogram => new Histogram(bounds);
    const family = new SeriesTable(this.#settings({ name, help, labelNames }, options, make));
    this.#entries.set(name, { type: "histogram", family, bounds });
    return family;
  }

  /** All families and their values at this moment, in the order of their making. */
  *collect(): Generator<CollectedFamily> {
    for (const entry of this.#entries.values()) yield collectFamily(entry);
  }

  #find(name: string, type: Entry["type"], labelNames: readonly string[]): Entry | undefined {
    const entry = this.#entries.get(name);
    if (entry === undefined) {
      checkNames(name, labelNames);
      return undefined;
    }
    const taken = `${entry.type} (${entry.family.labelNames.join(", ")})`;
    const asked = `${type} (${labelNames.join(", ")})`;
    if (taken === asked) return entry;
    throw new InstrumentError(`${name} is already a ${taken}; it cannot be a ${asked} too. Use another name.`);
  }

  #settings<Instrument>(
    head: FamilyHead,
    options: FamilyOptions | undefined,
    make: () => Instrument,
  ): FamilySettings<Instrument> {
    const { name, help, labelNames } = head;
    const onOverflow = (): void => {
      this.counter(
        "sluice_series_overflow_total",
        "Lookups of label values that were counted as _OTHER because their family is full.",
        ["family"],
        { maxSeries: Infinity },
      )
        .labels(name)
        .add();
    };
    const maxSeries = options?.maxSeries ?? this.#maxSeries;
    return { name, help, labelNames: Object.freeze([...labelNames]), maxSeries, make, onOverflow };
  }
}

function checkNames(name: string, labelNames: readonly string[]): void {
  if (!/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name)) {
    throw new InstrumentError(`${JSON.stringify(name)} is not a metric name: letters, digits, _ and : only.`);
  }
  for (const [index, label] of labelNames.entries()) {
    const valid = /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(label) && !label.startsWith("__") && label !== "le";
    if (valid && labelNames.indexOf(label) === index) continue;
    throw new InstrumentError(
      `${JSON.stringify(label)} cannot be a label of ${name}: it is malformed, reserved or twice there.`,
    );
  }
}

function collectFamily(entry: Entry): CollectedFamily {
  const { name, help, labelNames } = entry.family;
  const head = { name, help, labelNames };
  if (entry.type === "histogram") {
    const samples = entry.family.all().map(({ labels, instrument: { bounds, counts, sum, count } }) => ({
      labels,
      bounds,
      counts: counts.slice(),
      sum,
      count,
    }));
    return { ...head, type: entry.type, samples };
  }
  const samples = entry.family.all().map(({ labels, instrument }) => ({ labels, value: instrument.value }));
  return { ...head, type: entry.type, samples };
}

/** Where parts register their instruments unless they are given another registry. */
export const instruments: Registry = new Registry();

/**
 * Option tables: each option's default, check and stored form, written once.
 *
 * A misspelt limit that is silently ignored is found months later, in an outage, so an unknown key is an error that
 * names the nearest real one. Documentation, `--help` and the page are printed from the same tables. This is not a
 * schema library: it knows only the few kinds of value that the parts take.
 */

import { OptionError } from "./errors.ts";

/** A length of time: milliseconds as a number, or a number with its unit, such as `"90s"`. */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h"}`;

/** A size: bytes as a number, or a number with its unit, such as `"16kb"` (1 kb = 1024 bytes). */
export type Size = number | `${number}${"b" | "kb" | "mb" | "gb"}`;

/** How one option is defaulted and checked. `parse` returns the stored form or throws a `RangeError` or `TypeError`. */
export interface OptionRule<Given, Stored> {
  readonly fallback: Stored;
  readonly parse: (given: Given) => Stored;
}

/** One rule for every key of `Options`; a forgotten key does not compile. */
export type OptionTable<Options, Resolved extends { [Key in keyof Options]-?: unknown }> = {
  readonly [Key in keyof Options]-?: OptionRule<NonNullable<Options[Key]>, Resolved[Key]>;
};

/** Options as a caller may write them: an explicit `undefined` counts as not given, whatever the compiler's settings. */
export type GivenOptions<Options> = { readonly [Key in keyof Options]: Options[Key] | undefined };

/**
 * Checks `given` against `table` and fills in what is missing; `undefined` and `null` count as missing.
 *
 * Only own properties are read, each once: neither a polluted prototype nor a getter can slip a value past the check.
 *
 * @throws OptionError naming `owner.key`; for an unknown key also the nearest real one.
 */
export function resolveOptions<Options extends object, Resolved extends { [Key in keyof Options]-?: unknown }>(
  owner: string,
  table: OptionTable<Options, Resolved>,
  raw: Options | undefined,
): Readonly<Resolved> {
  if (raw != null && (typeof raw !== "object" || Array.isArray(raw))) {
    throw new OptionError(owner, `must be an object of options; got ${describe(raw)}`);
  }
  const options: Partial<Options> = raw ?? {};
  // `Object.keys` is typed `string[]`; the table's type makes its keys those of `Options`.
  const known = Object.keys(table) as (keyof Options & string)[];
  for (const key of Object.keys(options)) {
    if (!Object.hasOwn(table, key)) throw new OptionError(`${owner}.${key}`, notAnOption(key, known));
  }
  const resolved: Partial<Resolved> = {};
  for (const key of known) {
    const value = Object.hasOwn(options, key) ? options[key] : undefined;
    resolved[key] = value == null ? table[key].fallback : parseWith(table[key], value, `${owner}.${key}`);
  }
  // The loop above has set every key of the table.
  return Object.freeze(resolved as Resolved);
}

function parseWith<Given, Stored>(rule: OptionRule<Given, Stored>, raw: Given, path: string): Stored {
  try {
    return rule.parse(raw);
  } catch (error) {
    // Anything else, an `OptionError` of a nested group above all, already says what it has to say.
    if (error instanceof RangeError || error instanceof TypeError) throw new OptionError(path, error.message);
    throw error;
  }
}

function notAnOption(key: string, known: readonly string[]): string {
  const nearest = findNearest(key, known);
  const hint = nearest === undefined ? "." : `; did you mean ${nearest}?`;
  return `is not an option${hint} The options are: ${known.join(", ")}`;
}

/** The name that is fewest edits away, unless more than half of it would have to be retyped. */
function findNearest(key: string, known: readonly string[]): string | undefined {
  let nearest: string | undefined;
  let fewest = Math.ceil(key.length / 2) + 1;
  for (const name of known) {
    const edits = countEdits(key.toLowerCase(), name.toLowerCase());
    if (edits < fewest) [nearest, fewest] = [name, edits];
  }
  return nearest;
}

/** Levenshtein distance in one row. Names are short and this runs only on the way to an error. */
function countEdits(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/**
 * Milliseconds of a duration; `Infinity` means never.
 *
 * @throws RangeError for 0, a negative or unreadable length. Go reads 0 as "no timeout" in some fields and as "the
 * default" in others; here it is refused.
 */
export function parseDuration(raw: Duration): number {
  const ms = typeof raw === "number" ? raw : parseWithUnit(raw, unitMs);
  if (ms > 0) return ms;
  const hint =
    ms === 0 ? "0 does not mean never here: write Infinity" : 'write milliseconds or "250ms", "5s", "2m", "1h"';
  throw new RangeError(`must be longer than 0, or Infinity for never; got ${describe(raw)} (${hint})`);
}

const unitBytes: Readonly<Record<string, number>> = { b: 1, kb: 1_024, mb: 1_048_576, gb: 1_073_741_824 };

/** `NaN` if `given` is no number followed by one of `units`. */
function parseWithUnit(raw: unknown, units: Readonly<Record<string, number>>): number {
  const [, digits, unit] = (typeof raw === "string" && /^(\d+(?:\.\d+)?)([a-z]+)$/.exec(raw)) || [];
  if (unit === undefined || !Object.hasOwn(units, unit)) return NaN;
  return Number(digits) * (units[unit] ?? NaN);
}

/** A whole number of things, from `min` (default 0) to `max`; without `max`, `Infinity` means no limit. */
export function count(rule: {
  readonly fallback: number;
  readonly min?: number;
  readonly max?: number;
}): OptionRule<number, number> {
  const { fallback, min = 0, max = Infinity } = rule;
  const range = max === Infinity ? `from ${min} up, or Infinity for no limit` : `from ${min} to ${max}`;
  return {
    fallback,
    parse(raw) {
      if (raw <= max && raw >= min && (Number.isInteger(raw) || raw === Infinity)) return raw;
      throw new RangeError(`must be a whole number ${range}; got ${describe(raw)}`);
    },
  };
}

/** A length of time above 0, stored in milliseconds; `Infinity` means never, unless `max` forbids it. */
export function duration(rule: { readonly fallback: number; readonly max?: number }): OptionRule<Duration, number> {
  const { fallback, max = Infinity } = rule;
  return {
    fallback,
    parse(raw) {
      const ms = parseDuration(raw);
      if (ms <= max) return ms;
      throw new RangeError(`must be at most ${max} ms; got ${describe(raw)}`);
    },
  };
}

/** A number of bytes, rounded down to a whole one; `Infinity` means no limit. */
export function bytes(rule: { readonly fallback: number; readonly min?: number }): OptionRule<Size, number> {
  const { fallback, min = 0 } = rule;
  return {
    fallback,
    parse(raw) {
      const size = typeof raw === "number" ? raw : parseWithUnit(raw, unitBytes);
      if (size >= min) return Math.floor(size);
      throw new RangeError(`must be at least ${min} bytes, as a number or like "16kb", "10mb"; got ${describe(raw)}`);
    },
  };
}

/** A share from 0 to 1. */
export function ratio(rule: { readonly fallback: number }): OptionRule<number, number> {
  return {
    fallback: rule.fallback,
    parse(raw) {
      if (typeof raw === "number" && raw >= 0 && raw <= 1) return raw;
      throw new RangeError(`must be a number from 0 to 1; got ${describe(raw)}`);
    },
  };
}

/** `true` or `false`; what is only truthy, such as `"false"`, is refused. */
export function flag(rule: { readonly fallback: boolean }): OptionRule<boolean, boolean> {
  return {
    fallback: rule.fallback,
    parse(raw) {
      if (typeof raw === "boolean") return raw;
      throw new TypeError(`must be true or false; got ${describe(raw)}`);
    },
  };
}

/** One of a few words. */
export function choice<const Value extends string>(rule: {
  readonly fallback: NoInfer<Value>;
  readonly values: readonly Value[];
}): OptionRule<Value, Value> {
  return {
    fallback: rule.fallback,
    parse(raw) {
      if (rule.values.includes(raw)) return raw;
      const words = rule.values.map((value) => `"${value}"`).join(" or ");
      throw new RangeError(`must be ${words}; got ${describe(raw)}`);
    },
  };
}

/** A string that is not empty. */
export function text(rule: { readonly fallback: string }): OptionRule<string, string> {
  return {
    fallback: rule.fallback,
    parse(raw) {
      if (typeof raw === "string" && raw !== "") return raw;
      throw new TypeError(`must be a string that is not empty; got ${describe(raw)}`);
    },
  };
}

/** A function or object that is kept as it is. `check` throws a `RangeError` or `TypeError` if it will not do. */
export function given<Value>(rule: {
  readonly fallback: Value;
  readonly check?: (value: Value) => void;
}): OptionRule<Value, Value> {
  return {
    fallback: rule.fallback,
    parse(value) {
      rule.check?.(value);
      return value;
    },
  };
}

/** Options within an option. `owner` is the whole path, for example `Transport.retry`. */
export function group<Options extends object, Resolved extends { [Key in keyof Options]-?: unknown }>(
  owner: string,
  table: OptionTable<Options, Resolved>,
): OptionRule<Options, Readonly<Resolved>> {
  return {
    fallback: resolveOptions<Options, Resolved>(owner, table, undefined),
    parse: (options) => resolveOptions(owner, table, options),
  };
}

/** The same rule, but `undefined` when the option is absent. */
export function optional<Given, Stored>(rule: OptionRule<Given, Stored>): OptionRule<Given, Stored | undefined> {
  return { fallback: undefined, parse: rule.parse };
}

function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return "an array";
  if (typeof value === "function") return "a function";
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

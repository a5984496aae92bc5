import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bytes,
  choice,
  count,
  duration,
  flag,
  given,
  group,
  optional,
  parseDuration,
  ratio,
  resolveOptions,
  text,
  type Duration,
  type OptionTable,
  type Size,
} from "./options.ts";

interface RetryOptions {
  readonly attempts?: number;
  readonly backoff?: Duration;
}
interface SampleOptions {
  readonly maxConnsPerHost?: number;
  readonly maxIdleConnsPerHost?: number;
  readonly dialTimeout?: Duration;
  readonly maxHeaderBytes?: Size;
  readonly share?: number;
  readonly keepAlive?: boolean;
  readonly overflow?: "wait" | "reject";
  readonly name?: string;
  readonly lookup?: () => string;
  readonly retry?: RetryOptions;
  readonly hedge?: RetryOptions;
}

const retryOptions: OptionTable<RetryOptions, { attempts: number; backoff: number }> = {
  attempts: count({ fallback: 3, min: 1, max: 10 }),
  backoff: duration({ fallback: 100, max: 60_000 }),
};

interface ResolvedSample {
  maxConnsPerHost: number;
  maxIdleConnsPerHost: number;
  dialTimeout: number;
  maxHeaderBytes: number;
  share: number;
  keepAlive: boolean;
  overflow: "wait" | "reject";
  name: string;
  lookup: () => string;
  retry: { attempts: number; backoff: number };
  hedge: { attempts: number; backoff: number } | undefined;
}

const lookup = (): string => "127.0.0.1";
const sampleOptions: OptionTable<SampleOptions, ResolvedSample> = {
  maxConnsPerHost: count({ fallback: 200, min: 1 }),
  maxIdleConnsPerHost: count({ fallback: 32 }),
  dialTimeout: duration({ fallback: 5_000 }),
  maxHeaderBytes: bytes({ fallback: 16_384, min: 1_024 }),
  share: ratio({ fallback: 0.2 }),
  keepAlive: flag({ fallback: true }),
  overflow: choice({ fallback: "wait", values: ["wait", "reject"] }),
  name: text({ fallback: "default" }),
  lookup: given<() => string>({
    fallback: lookup,
    check(value) {
      if (typeof value !== "function") throw new TypeError("must be a function");
    },
  }),
  retry: group("Sample.retry", retryOptions),
  hedge: optional(group("Sample.hedge", retryOptions)),
};

function resolve(options: unknown): Readonly<ResolvedSample> {
  return resolveOptions("Sample", sampleOptions, options as SampleOptions);
}

function refusalOf(options: unknown): string {
  try {
    resolve(options);
  } catch (error) {
    assert.equal((error as { code?: string }).code, "ERR_OPTION");
    return (error as Error).message;
  }
  return "accepted";
}

test("without options every option has its fallback, and nobody can change it afterwards", () => {
  const resolved = resolve(undefined);

  assert.deepEqual(resolved, {
    maxConnsPerHost: 200,
    maxIdleConnsPerHost: 32,
    dialTimeout: 5_000,
    maxHeaderBytes: 16_384,
    share: 0.2,
    keepAlive: true,
    overflow: "wait",
    name: "default",
    lookup,
    retry: { attempts: 3, backoff: 100 },
    hedge: undefined,
  });
  assert.ok(Object.isFrozen(resolved));
  assert.ok(Object.isFrozen(resolved.retry));
});

test("null and undefined mean the default, as they do in options built from other options", () => {
  assert.equal(resolve({ maxConnsPerHost: undefined, retry: null }).maxConnsPerHost, 200);
});

test("a misspelt option is refused; the message names the nearest real one and lists them all", () => {
  assert.equal(
    refusalOf({ maxIdleConnPerHost: 8 }),
    "Sample.maxIdleConnPerHost is not an option; did you mean maxIdleConnsPerHost? The options are: " +
      Object.keys(sampleOptions).join(", "),
  );
  assert.match(refusalOf({ MAXCONNSPERHOST: 8 }), /did you mean maxConnsPerHost\?/);
});

test("a name that resembles none of the options gets no silly suggestion", () => {
  assert.match(refusalOf({ zzzzzz: 1 }), /Sample\.zzzzzz is not an option\. The options are: maxConnsPerHost, /);
});

test("an option inside a group is reported by its whole path", () => {
  assert.match(
    refusalOf({ retry: { attempts: 0 } }),
    /^Sample\.retry\.attempts must be a whole number from 1 to 10; got 0$/,
  );
  assert.match(
    refusalOf({ retry: { atempts: 2 } }),
    /^Sample\.retry\.atempts is not an option; did you mean attempts\?/,
  );
  assert.match(refusalOf({ retry: 3 }), /^Sample\.retry must be an object of options; got 3$/);
  assert.deepEqual(resolve({ retry: { attempts: 5 } }).retry, { attempts: 5, backoff: 100 });
});

test("an optional group is absent until it is given, and then has its own defaults", () => {
  assert.deepEqual(resolve({ hedge: {} }).hedge, { attempts: 3, backoff: 100 });
});

const refused: readonly (readonly [object, RegExp])[] = [
  [{ maxConnsPerHost: 0 }, /maxConnsPerHost must be a whole number from 1 up, or Infinity for no limit; got 0/],
  [{ maxConnsPerHost: 1.5 }, /got 1\.5/],
  [{ maxConnsPerHost: NaN }, /got NaN/],
  [{ maxConnsPerHost: "8" }, /got "8"/],
  [{ maxConnsPerHost: -Infinity }, /got -Infinity/],
  [{ dialTimeout: 0 }, /dialTimeout must be longer than 0, or Infinity for never; got 0 .*write Infinity/],
  [{ dialTimeout: "0s" }, /got "0s" .*write Infinity/],
  [{ dialTimeout: -5 }, /got -5/],
  [{ dialTimeout: "5 s" }, /got "5 s" .*"5s"/],
  [{ dialTimeout: "5d" }, /got "5d"/],
  [{ dialTimeout: "5constructor" }, /got "5constructor"/],
  [{ dialTimeout: true }, /got true/],
  [{ retry: { backoff: "2m" } }, /Sample\.retry\.backoff must be at most 60000 ms; got "2m"/],
  [{ maxHeaderBytes: "1b" }, /maxHeaderBytes must be at least 1024 bytes.*got "1b"/],
  [{ maxHeaderBytes: "16 kb" }, /got "16 kb"/],
  [{ share: 20 }, /share must be a number from 0 to 1; got 20/],
  [{ keepAlive: "false" }, /keepAlive must be true or false; got "false"/],
  [{ overflow: "drop" }, /overflow must be "wait" or "reject"; got "drop"/],
  [{ name: "" }, /name must be a string that is not empty; got ""/],
  [{ lookup: {} }, /lookup must be a function/],
  [[], /^Sample must be an object of options; got an array$/],
];
for (const [options, message] of refused) {
  test(`${JSON.stringify(options)} is refused with its path, the rule and what was given`, () => {
    assert.match(refusalOf(options), message);
  });
}

test("units are read to milliseconds and bytes, and Infinity stays", () => {
  const { dialTimeout, maxHeaderBytes, maxConnsPerHost } = resolve({
    dialTimeout: "1.5s",
    maxHeaderBytes: "16kb",
    maxConnsPerHost: Infinity,
  });
  assert.deepEqual([dialTimeout, maxHeaderBytes, maxConnsPerHost], [1_500, 16_384, Infinity]);
  assert.deepEqual(
    ["250ms", "2m", "1h", 7, Infinity].map((value) => parseDuration(value as Duration)),
    [250, 120_000, 3_600_000, 7, Infinity],
  );
});

test("keys of a prototype are neither options nor values, even if somebody polluted Object.prototype", () => {
  assert.equal(resolve(Object.create({ maxConnsPerHost: 1 })).maxConnsPerHost, 200);
  assert.match(refusalOf(JSON.parse('{"__proto__": {"maxConnsPerHost": 1}}')), /__proto__ is not an option/);
  assert.match(refusalOf({ constructor: 1 }), /constructor is not an option/);
  assert.match(refusalOf({ toString: 1 }), /toString is not an option/);
});

test("a getter is read once, so that it cannot pass the check with one value and be used with another", () => {
  let reads = 0;
  const resolved = resolve({
    get maxConnsPerHost() {
      reads += 1;
      return reads === 1 ? 5 : -1;
    },
  });
  assert.deepEqual([resolved.maxConnsPerHost, reads], [5, 1]);
});

test("an error of a check that is neither a RangeError nor a TypeError is passed on as it is", () => {
  const failure = new Error("bug in the check");
  const table = {
    hook: given<unknown>({
      fallback: undefined,
      check() {
        throw failure;
      },
    }),
  };
  assert.throws(() => resolveOptions<{ hook?: unknown }, { hook: unknown }>("Sample", table, { hook: 1 }), failure);
});

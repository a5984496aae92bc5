import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { group, resolveOptions } from "../../core/options.ts";
import { concurrencyRule, ejectionOptions, hedgeOptions, retryOptions } from "./options.ts";

const retryRule = group("Transport.retry", retryOptions);
const hedgeRule = group("Transport.hedge", hedgeOptions);
const ejectionRule = group("Transport.ejection", ejectionOptions);

test("without options retries are off and everything has its documented default", () => {
  assert.equal(retryRule.fallback.attempts, 0);
  assert.deepEqual(retryRule.fallback.backoff, { from: 50, to: 2_000, jitter: "full" });
  assert.deepEqual(retryRule.fallback.budget, { ratio: 0.2, minPerSecond: 10, ttl: 10_000 });
  assert.deepEqual(hedgeRule.fallback.budget, { ratio: 0.1, minPerSecond: 1, ttl: 10_000 });
  assert.equal(hedgeRule.fallback.delay, "p95");
  assert.equal(concurrencyRule.fallback.limit, "adaptive");
});

test("times may be given with their unit in every group", () => {
  const retry = retryRule.parse({ backoff: { from: "100ms", to: "5s" }, maxRetryAfter: "1m", budget: { ttl: "5s" } });
  assert.deepEqual([retry.backoff.from, retry.backoff.to], [100, 5_000]);
  assert.deepEqual([retry.maxRetryAfter, retry.budget.ttl], [60_000, 5_000]);
  assert.equal(hedgeRule.parse({ delay: "80ms" }).delay, 80);
  assert.equal(ejectionRule.parse({ baseTime: "10s" }).baseTime, 10_000);
});

test("what cannot work is refused where it is given, by its whole path", () => {
  const cases: [() => unknown, RegExp][] = [
    [() => retryRule.parse({ attempts: 11 }), /^Transport\.retry\.attempts must be a whole number from 0 to 10/],
    [() => retryRule.parse({ methods: ["get"] }), /^Transport\.retry\.methods must hold only methods in upper case/],
    [() => retryRule.parse({ methods: ["CONNECT"] }), /^Transport\.retry\.methods/],
    [() => retryRule.parse({ statusCodes: [200] }), /^Transport\.retry\.statusCodes/],
    [() => retryRule.parse({ errors: [""] }), /^Transport\.retry\.errors/],
    [() => retryRule.parse({ backoff: { from: "3s" } }), /^Transport\.retry\.backoff must not end \(to: 2000 ms\)/],
    [() => retryRule.parse({ backoff: { jitter: "half" as "full" } }), /^Transport\.retry\.backoff\.jitter/],
    [() => retryRule.parse({ budget: { ratio: 2 } }), /^Transport\.retry\.budget\.ratio/],
    [() => retryRule.parse({ attempt: 2 } as object), /^Transport\.retry\.attempt .*did you mean attempts/],
    [() => hedgeRule.parse({ delay: "p99" as "p95" }), /^Transport\.hedge\.delay/],
    [() => hedgeRule.parse({ maxHedges: 4 }), /^Transport\.hedge\.maxHedges/],
    [() => ejectionRule.parse({ maxEjected: 10 }), /^Transport\.ejection\.maxEjected/],
  ];
  for (const [parse, message] of cases) assert.throws(parse, { code: "ERR_OPTION", message });
});

test("a concurrency whose min is above its max is refused", () => {
  const table = { concurrency: concurrencyRule };
  assert.throws(() => resolveOptions("Transport", table, { concurrency: { min: 300 } }), {
    code: "ERR_OPTION",
    message: /^Transport\.concurrency .*min \(300\).*max \(200\)/,
  });
});

test("what the caller does to a list afterwards changes nothing", () => {
  const statusCodes = [503];
  const retry = retryRule.parse({ statusCodes });
  statusCodes.push(500);
  assert.deepEqual(retry.statusCodes, [503]);
});

test("every documented @default that is a plain value is the one in its table", () => {
  const source = readFileSync(new URL("./options.ts", import.meta.url), "utf8");
  const tables: Record<string, object> = {
    RetryOptions: retryRule.parse({}),
    BackoffOptions: retryRule.fallback.backoff,
    HedgeOptions: hedgeRule.parse({}),
    EjectionOptions: ejectionRule.parse({}),
    ConcurrencyOptions: concurrencyRule.parse({}),
  };
  let checked = 0;
  for (const [name, resolved] of Object.entries(tables)) {
    const body = new RegExp(`export interface ${name} \\{([^]*?)\\n\\}`).exec(source)?.[1] ?? "";
    for (const [, text = "", key = ""] of body.matchAll(/@default ([^\n]+)\n(?:(?!@default)[^])*?readonly (\w+)\?/g)) {
      if (!/^["[\d]|^true$/.test(text)) continue;
      const documented = JSON.parse(text) as unknown;
      const seconds = typeof documented === "string" ? /^(\d+)(ms|s)$/.exec(documented) : null;
      const expected = seconds === null ? documented : Number(seconds[1]) * (seconds[2] === "s" ? 1_000 : 1);
      assert.deepEqual(resolved[key as keyof typeof resolved], expected, `${name}.${key}`);
      checked += 1;
    }
  }
  assert.ok(checked >= 18, `only ${checked} defaults were found`);
});

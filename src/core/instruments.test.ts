import assert from "node:assert/strict";
import { test } from "node:test";
import {
  connectionBounds,
  durationBounds,
  Histogram,
  queueBounds,
  Registry,
  type CollectedFamily,
} from "./instruments.ts";

function collected(registry: Registry, name: string): CollectedFamily | undefined {
  return [...registry.collect()].find((family) => family.name === name);
}

function valuesOf(registry: Registry, name: string): Record<string, number> {
  const family = collected(registry, name);
  assert.ok(family !== undefined && family.type !== "histogram");
  return Object.fromEntries(family.samples.map(({ labels, value }) => [labels.join("|"), value]));
}

test("labels() gives the same series for the same values, and another for any other", () => {
  const registry = new Registry();
  const requests = registry.counter("requests_total", "Requests.", ["method", "status"]);

  requests.labels("GET", "200").add();
  requests.labels("GET", "200").add(2);
  requests.labels("GET", "500").add();

  assert.deepEqual(valuesOf(registry, "requests_total"), { "GET|200": 3, "GET|500": 1 });
});

test("label values cannot run into one another, whatever characters they hold", () => {
  const registry = new Registry();
  const family = registry.gauge("level", "Level.", ["a", "b"]);
  const separators = ["", "\0", ",", "|", '"', "__proto__", "constructor"];

  for (const a of separators) for (const b of separators) family.labels(`${a}x`, b).add(1);

  const samples = collected(registry, "level")?.samples ?? [];
  assert.equal(samples.length, separators.length ** 2);
  assert.ok(samples.every((sample) => "value" in sample && sample.value === 1));
});

test("a counter never falls, not even when told to", () => {
  const counter = new Registry().counter("c_total", "C.").labels();
  counter.add(5);
  counter.add(-3);
  counter.add(NaN);
  assert.equal(counter.value, 5);
});

test("beyond maxSeries new label values share _OTHER, the old ones go on, and the overflow is counted", () => {
  const registry = new Registry({ maxSeries: 2 });
  const family = registry.counter("origins_total", "Origins.", ["origin", "method"]);

  for (const origin of ["a", "b", "c", "d", "a"]) family.labels(origin, "GET").add();

  assert.deepEqual(valuesOf(registry, "origins_total"), { "a|GET": 2, "b|GET": 1, "_OTHER|_OTHER": 2 });
  assert.deepEqual(valuesOf(registry, "sluice_series_overflow_total"), { origins_total: 2 });
});

test("the cap is 200 by default and can be set for one family", () => {
  const registry = new Registry();
  const byDefault = registry.counter("a_total", "A.", ["n"]);
  const own = registry.counter("b_total", "B.", ["n"], { maxSeries: 1 });
  for (let n = 0; n < 300; n += 1) {
    byDefault.labels(String(n)).add();
    own.labels(String(n)).add();
  }
  assert.equal(collected(registry, "a_total")?.samples.length, 201);
  assert.equal(valuesOf(registry, "b_total")["_OTHER"], 299);
});

test("a deleted series is no longer collected and gives its place back", () => {
  const registry = new Registry({ maxSeries: 1 });
  const family = registry.gauge("idle", "Idle.", ["origin"]);
  family.labels("a").set(1);
  family.delete("unknown");
  family.delete("a");
  family.labels("b").set(2);
  assert.deepEqual(valuesOf(registry, "idle"), { b: 2 });
});

test("a wrong number of label values is an error that names the labels", () => {
  const family = new Registry().counter("c_total", "C.", ["method", "status"]);
  const message = /c_total has the labels \(method, status\), 2 in all; labels\(\) was given 1 values \(GET\)/;
  assert.throws(() => family.labels("GET"), { code: "ERR_INSTRUMENT", message });
  assert.throws(() => family.labels("GET", "200", "x"), { code: "ERR_INSTRUMENT" });
});

test("the same name gives the same family; with another type, labels or bounds it is an error", () => {
  const registry = new Registry();
  const family = registry.counter("c_total", "C.", ["a"]);
  registry.histogram("h", "H.", { bounds: [1, 2] });

  assert.equal(registry.counter("c_total", "C.", ["a"]), family);
  assert.throws(() => registry.gauge("c_total", "C.", ["a"]), { message: /already a counter \(a\).*a gauge \(a\)/ });
  assert.throws(() => registry.counter("c_total", "C.", ["b"]), { message: /counter \(a\).*counter \(b\)/ });
  assert.throws(() => registry.histogram("h", "H.", { bounds: [1, 3] }), { message: /h already has the bounds 1,2/ });
});

test("names, labels and bounds that no renderer could print are refused", () => {
  const registry = new Registry();
  assert.throws(() => registry.counter("a-b", "."), { code: "ERR_INSTRUMENT", message: /"a-b" is not a metric name/ });
  for (const labels of [["le"], ["__name"], ["a", "a"], ["a b"]]) {
    assert.throws(() => registry.counter("c_total", ".", labels), { code: "ERR_INSTRUMENT" });
  }
  for (const bounds of [[1, 1], [2, 1], [NaN], [1, Infinity]]) {
    assert.throws(() => registry.histogram("h", ".", { bounds }), { code: "ERR_INSTRUMENT", message: /ascend/ });
  }
});

test("gauges are read at collection, added up per labels, and gone after disposal", () => {
  const registry = new Registry();
  const idle = registry.gauge("idle", "Idle.", ["origin"]);
  idle.labels("a").set(1);
  const first = idle.observe((report) => {
    report(10, "a");
    report(20, "b");
  });
  using _second = idle.observe((report) => report(5, "b"));

  assert.deepEqual(valuesOf(registry, "idle"), { a: 11, b: 25 });
  first[Symbol.dispose]();
  assert.deepEqual(valuesOf(registry, "idle"), { a: 1, b: 5 });
});

test("a value on a bound belongs to the range below it, and every value lands in exactly one range", () => {
  for (const bounds of [durationBounds, connectionBounds, queueBounds, [], [-1, 0, 1]]) {
    const histogram = new Histogram(Float64Array.from(bounds));
    const values = [-Infinity, -2, 0, ...bounds, ...bounds.map((bound) => bound + 1e-9), 1e9, Infinity];
    const naive = Array.from({ length: bounds.length + 1 }, () => 0);
    for (const value of values) {
      histogram.record(value);
      const place = bounds.findIndex((bound) => value <= bound);
      naive[place === -1 ? bounds.length : place]! += 1;
    }
    assert.deepEqual([...histogram.counts], naive);
    assert.equal(histogram.count, values.length);
  }
});

test("NaN is not recorded, since it would make the sum NaN for ever", () => {
  const histogram = new Histogram(Float64Array.of(1));
  histogram.record(NaN);
  histogram.record(0.5);
  assert.deepEqual([histogram.count, histogram.sum], [1, 0.5]);
});

test("a quantile is interpolated within its range", () => {
  const histogram = new Histogram(Float64Array.of(10, 20, 40));
  assert.equal(histogram.quantile(0.5), NaN);
  for (let value = 1; value <= 20; value += 1) histogram.record(value);

  assert.equal(histogram.quantile(0.25), 5);
  assert.equal(histogram.quantile(0.75), 15);
  assert.equal(histogram.quantile(0), 0);
  assert.equal(histogram.quantile(1), 20);
  histogram.record(1_000);
  assert.equal(histogram.quantile(1), 40);
});

test("what was collected does not change when more is recorded", () => {
  const registry = new Registry();
  const histogram = registry.histogram("h", "H.", { bounds: [1], labelNames: ["a"] }).labels("x");
  histogram.record(0.5);
  const before = collected(registry, "h");
  histogram.record(5);

  assert.ok(before?.type === "histogram");
  const [sample] = before.samples;
  assert.deepEqual(
    { ...sample, counts: [...(sample?.counts ?? [])], bounds: [...(sample?.bounds ?? [])] },
    { labels: ["x"], bounds: [1], counts: [1, 0], sum: 0.5, count: 1 },
  );
});

import assert from "node:assert/strict";
import { closeSync, openSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Registry, type CollectedFamily, type HistogramSample } from "../core/instruments.ts";
import { observeRuntime } from "./runtime.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function read(registry: Registry, name: string): CollectedFamily {
  const family = [...registry.collect()].find((each) => each.name === name);
  assert.ok(family, `${name} is missing`);
  return family;
}

function value(registry: Registry, name: string, ...labels: string[]): number {
  const sample = read(registry, name).samples.find((each) => each.labels.join(",") === labels.join(","));
  assert.ok(sample && "value" in sample, `${name}{${labels.join(",")}} is missing`);
  return sample.value;
}

function histogram(registry: Registry, name: string, ...labels: string[]): HistogramSample {
  const sample = read(registry, name).samples.find((each) => each.labels.join(",") === labels.join(","));
  assert.ok(sample && "bounds" in sample, `${name}{${labels.join(",")}} is missing`);
  return sample;
}

test("descriptors are those that the system counts, and their limit is there", (t) => {
  if (process.platform !== "linux") return t.skip("only Linux tells");
  const registry = new Registry();
  using _observed = observeRuntime(registry);
  const before = value(registry, "process_open_fds");
  const files = Array.from({ length: 20 }, () => openSync("/dev/null", "r"));
  assert.equal(value(registry, "process_open_fds"), before + 20);
  // The reading of the folder opens it.
  assert.equal(readdirSync("/proc/self/fd").length - 1, before + 20);
  for (const file of files) closeSync(file);
  assert.equal(value(registry, "process_open_fds"), before);
  assert.ok(value(registry, "process_max_fds") > before);
  return undefined;
});

test("an event loop that stands still for 200 ms is seen, by its delay and as active time", async () => {
  const registry = new Registry();
  using _observed = observeRuntime(registry);
  await sleep(50);
  const activeBefore = value(registry, "nodejs_eventloop_time_seconds_total", "active");
  const until = performance.now() + 200;
  while (performance.now() < until);
  await sleep(50);
  const { bounds, counts } = histogram(registry, "nodejs_eventloop_delay_seconds");
  const slow = counts.reduce((sum, count, index) => sum + ((bounds[index] ?? Infinity) > 0.1 ? count : 0), 0);
  assert.ok(slow >= 1, `no delay above 100 ms among ${String(counts)}`);
  assert.ok(value(registry, "nodejs_eventloop_time_seconds_total", "active") - activeBefore >= 0.2);
});

test("a major collection is counted with its time", async () => {
  const registry = new Registry();
  using _observed = observeRuntime(registry);
  assert.equal(histogram(registry, "v8js_gc_duration_seconds", "major").count, 0);
  collectGarbage();
  // Node tells of it in a later turn.
  for (let turn = 0; turn < 100 && histogram(registry, "v8js_gc_duration_seconds", "major").count === 0; turn += 1) {
    await sleep(10);
  }
  const { count, sum } = histogram(registry, "v8js_gc_duration_seconds", "major");
  assert.ok(count >= 1 && sum > 0);
});

test("after it is disposed of nothing is reported any more, and nothing is counted", async () => {
  const registry = new Registry();
  observeRuntime(registry)[Symbol.dispose]();
  assert.deepEqual(read(registry, "process_resident_memory_bytes").samples, []);
  const delays = read(registry, "nodejs_eventloop_delay_seconds").samples.length;
  await sleep(60);
  assert.equal(histogram(registry, "nodejs_eventloop_delay_seconds").count, 0);
  assert.equal(delays, 1);
});

/**
 * What the process and its runtime are doing, among the instruments: event loop, garbage collection, memory, descriptors.
 *
 * Names are those of OpenTelemetry for Node and V8 in Prometheus' form, and Prometheus' own for a process. Levels are read
 * when somebody collects. Two things can only be seen while they happen: how late the event loop is, by a timer that is
 * due every 20 ms, and how long the collector takes, by an observer. `monitorEventLoopDelay` of Node is not used: its
 * default counts its own 10 ms with every delay, and a stall of a second is one sample among a hundred (nodejs/node#34661).
 */

import { readdirSync, readFileSync, statSync } from "node:fs";
import { constants, performance, PerformanceObserver, type PerformanceEntry } from "node:perf_hooks";
import { getHeapStatistics } from "node:v8";
import type { Registry } from "../core/instruments.ts";

const delayBounds: readonly number[] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const collectionBounds: readonly number[] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];
const lookMs = 20;

const collections: ReadonlyMap<number, string> = new Map([
  [constants.NODE_PERFORMANCE_GC_MINOR, "minor"],
  [constants.NODE_PERFORMANCE_GC_MAJOR, "major"],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, "incremental"],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, "weakcb"],
]);

/** Adds the instruments of this process to a registry, until it is disposed of. Once for each registry. */
export function observeRuntime(registry: Registry): Disposable {
  const stack = new DisposableStack();
  observeProcess(registry, stack);
  observeHeap(registry, stack);
  observeEventLoop(registry, stack);
  observeCollections(registry, stack);
  return stack;
}

function observeProcess(registry: Registry, stack: DisposableStack): void {
  const cpu = registry.counter("process_cpu_seconds_total", "CPU time used, of the user and the system together.");
  stack.use(
    cpu.observe((report) => {
      const { user, system } = process.cpuUsage();
      report((user + system) / 1e6);
    }),
  );
  const gauge = (name: string, help: string, read: () => number | undefined): void => {
    stack.use(
      registry.gauge(name, help).observe((report) => {
        const value = read();
        if (value !== undefined) report(value);
      }),
    );
  };
  const startedAt = performance.timeOrigin / 1_000;
  const maxDescriptors = readDescriptorLimit();
  gauge("process_start_time_seconds", "When the process was started, in seconds since 1970.", () => startedAt);
  gauge("process_resident_memory_bytes", "Memory that the process holds.", () => process.memoryUsage.rss());
  gauge("process_open_fds", "Descriptors that are open.", countDescriptors);
  gauge("process_max_fds", "Most descriptors that may be open.", () => maxDescriptors);
}

function observeHeap(registry: Registry, stack: DisposableStack): void {
  const used = registry.gauge("v8js_memory_heap_used_bytes", "Part of the heap that is in use.");
  const limit = registry.gauge("v8js_memory_heap_limit_bytes", "What the heap may grow to before the process ends.");
  const external = registry.gauge("v8js_memory_external_bytes", "Memory of buffers and other things beside the heap.");
  stack.use(used.observe((report) => report(getHeapStatistics().used_heap_size)));
  stack.use(limit.observe((report) => report(getHeapStatistics().heap_size_limit)));
  stack.use(external.observe((report) => report(getHeapStatistics().external_memory)));
}

function observeEventLoop(registry: Registry, stack: DisposableStack): void {
  const time = registry.counter("nodejs_eventloop_time_seconds_total", "Time of the event loop, by what it did.", [
    "nodejs_eventloop_state",
  ]);
  stack.use(
    time.observe((report) => {
      const { active, idle } = performance.eventLoopUtilization();
      report(active / 1_000, "active");
      report(idle / 1_000, "idle");
    }),
  );
  const delay = registry
    .histogram("nodejs_eventloop_delay_seconds", "How late a timer of 20 ms was: the wait of all that is ready.", {
      bounds: delayBounds,
    })
    .labels();
  let dueAt = performance.now() + lookMs;
  const timer = setInterval(() => {
    const at = performance.now();
    // Timers of Node are rounded down to a millisecond, and may be early by that.
    delay.record(Math.max(0, at - dueAt) / 1_000);
    dueAt = at + lookMs;
  }, lookMs).unref();
  stack.defer(() => clearInterval(timer));
}

function observeCollections(registry: Registry, stack: DisposableStack): void {
  const family = registry.histogram("v8js_gc_duration_seconds", "Time that garbage collections took, by kind.", {
    labelNames: ["v8js_gc_type"],
    bounds: collectionBounds,
  });
  // All of them from the start: a series that appears with its first event hides that event from `increase()`.
  const series = new Map(Array.from(collections, ([kind, name]) => [kind, family.labels(name)]));
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) series.get(kindOf(entry))?.record(entry.duration / 1_000);
  });
  observer.observe({ entryTypes: ["gc"] });
  stack.defer(() => observer.disconnect());
}

function kindOf({ detail }: PerformanceEntry & { readonly detail?: unknown }): number {
  const kind: unknown = typeof detail === "object" && detail !== null && "kind" in detail ? detail.kind : undefined;
  return typeof kind === "number" ? kind : -1;
}

/** `undefined` where the system does not tell. */
function countDescriptors(): number | undefined {
  try {
    // Linux tells the number as the size of the folder from 6.2 on; before, it has to be read.
    const { size } = statSync("/proc/self/fd");
    return size > 0 ? size : readdirSync("/proc/self/fd").length - 1;
  } catch {
    return undefined;
  }
}

function readDescriptorLimit(): number | undefined {
  try {
    const limit = /^Max open files +(\d+|unlimited)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return limit === undefined ? undefined : limit === "unlimited" ? Infinity : Number(limit);
  } catch {
    return undefined;
  }
}

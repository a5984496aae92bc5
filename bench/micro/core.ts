/**
 * What the primitives of core cost, in nanoseconds per operation: `node --conditions=sluice-source bench/micro/core.ts`.
 *
 * Each line is the median of several rounds, with the fastest beside it; on a shared machine the fastest is the better
 * guide. An empty loop stands first, for scale.
 */

import { cpus } from "node:os";
import {
  background,
  context,
  createContext,
  DeadlineWheel,
  durationBounds,
  now,
  Registry,
  Semaphore,
  WheelTimer,
} from "sluice/core";

const rounds = 9;
let sink = 0;

function measure(name: string, operations: number, run: (operations: number) => void): void {
  run(operations);
  const nsPerOp: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const startedAt = now();
    run(operations);
    nsPerOp.push(((now() - startedAt) * 1e6) / operations);
  }
  nsPerOp.sort((a, b) => a - b);
  const median = nsPerOp[rounds >> 1] ?? NaN;
  console.log(`${name.padEnd(52)} ${median.toFixed(1).padStart(8)} ${(nsPerOp[0] ?? NaN).toFixed(1).padStart(8)}`);
}

class CountingTimer extends WheelTimer {
  onDeadline(): void {
    sink += 1;
  }
}

/** Classes made anew, so that the wheel meets timers of several shapes, as in a real process. */
function makeTimers(shapes: number, perShape: number): WheelTimer[] {
  const timers: WheelTimer[] = [];
  for (let shape = 0; shape < shapes; shape += 1) {
    class ShapedTimer extends WheelTimer {
      constructor() {
        super();
        Object.assign(this, { [`field${shape}`]: shape });
      }
      onDeadline(): void {
        sink += 1;
      }
    }
    for (let index = 0; index < perShape; index += 1) timers.push(new ShapedTimer());
  }
  return timers;
}

console.log(`node ${process.version}, ${cpus()[0]?.model ?? "unknown cpu"}, ${new Date().toISOString()}`);
console.log(`${"ns per operation".padEnd(52)} ${"median".padStart(8)} ${"fastest".padStart(8)}`);

measure("empty loop", 1e7, (operations) => {
  for (let index = 0; index < operations; index += 1) sink += index & 1;
});
measure("now()", 2e6, (operations) => {
  for (let index = 0; index < operations; index += 1) sink += now();
});

for (const shapes of [1, 8]) {
  const wheel = new DeadlineWheel();
  const timers = makeTimers(shapes, 1024 / shapes);
  measure(`wheel: arm + cancel, ${shapes} timer class(es)`, 2e6, (operations) => {
    for (let index = 0; index < operations; index += 1) {
      const timer = timers[(index * 129) & 1023];
      if (timer === undefined) continue;
      wheel.arm(timer, 10_000);
      wheel.cancel(timer);
    }
  });
  measure(`wheel: re-arm among 1,024 armed, ${shapes} class(es)`, 2e6, (operations) => {
    for (let index = 0; index < operations; index += 1) {
      const timer = timers[(index * 129) & 1023];
      if (timer !== undefined) wheel.arm(timer, 10_000);
    }
  });
  wheel.close();
}

const burst = new DeadlineWheel();
measure("wheel: new timer + arm + cancel", 2e6, (operations) => {
  for (let index = 0; index < operations; index += 1) {
    const timer = new CountingTimer();
    burst.arm(timer, 10_000);
    burst.cancel(timer);
  }
});
burst.close();

const registry = new Registry();
const counter = registry.counter("bench_total", "Bench.", ["method", "status"]);
const held = counter.labels("GET", "200");
measure("counter: add", 1e7, (operations) => {
  for (let index = 0; index < operations; index += 1) held.add();
});
measure("counter: labels(2) + add", 5e6, (operations) => {
  for (let index = 0; index < operations; index += 1) counter.labels("GET", "200").add();
});
const gauge = registry.gauge("bench_level", "Bench.").labels();
measure("gauge: add", 1e7, (operations) => {
  for (let index = 0; index < operations; index += 1) gauge.add(1);
});
const histogram = registry.histogram("bench_seconds", "Bench.", { bounds: durationBounds }).labels();
const values = Float64Array.from({ length: 1024 }, (_, index) => 10 ** (((index * 389) % 1024) / 256 - 3));
measure("histogram: record, 14 bounds, spread values", 5e6, (operations) => {
  for (let index = 0; index < operations; index += 1) histogram.record(values[index & 1023] ?? 0);
});
measure("histogram: record, 14 bounds, near-equal values", 5e6, (operations) => {
  for (let index = 0; index < operations; index += 1) histogram.record(0.012);
});

measure("context(): outside any", 5e6, (operations) => {
  for (let index = 0; index < operations; index += 1) sink += context().done ? 1 : 0;
});
const request = createContext({ timeout: "1h" });
request.run(() => {
  measure("context(): inside a request", 5e6, (operations) => {
    for (let index = 0; index < operations; index += 1) sink += context() === request ? 1 : 0;
  });
});
measure("run(fn)", 2e6, (operations) => {
  for (let index = 0; index < operations; index += 1) sink += request.run(() => index & 1);
});
measure("child() + dispose", 1e6, (operations) => {
  for (let index = 0; index < operations; index += 1) request.child()[Symbol.dispose]();
});
measure("child({ timeout }) + dispose", 1e6, (operations) => {
  for (let index = 0; index < operations; index += 1) request.child({ timeout: 5_000 })[Symbol.dispose]();
});
measure("onDone + dispose of it", 1e6, (operations) => {
  for (let index = 0; index < operations; index += 1) {
    const registration = request.onDone(() => {
      sink += 1;
    });
    registration[Symbol.dispose]();
  }
});
measure("child({ timeout }) + onDone + both disposed", 5e5, (operations) => {
  for (let index = 0; index < operations; index += 1) {
    const child = request.child({ timeout: 5_000 });
    const registration = child.onDone(() => {
      sink += 1;
    });
    registration[Symbol.dispose]();
    child[Symbol.dispose]();
  }
});
measure("child({ timeout }) + signal + dispose", 1e5, (operations) => {
  for (let index = 0; index < operations; index += 1) {
    const child = request.child({ timeout: 5_000 });
    sink += child.signal.aborted ? 1 : 0;
    child[Symbol.dispose]();
  }
});
measure("AbortSignal.any([signal, AbortSignal.timeout()])", 2e4, (operations) => {
  const { signal } = new AbortController();
  for (let index = 0; index < operations; index += 1) {
    sink += AbortSignal.any([signal, AbortSignal.timeout(5_000)]).aborted ? 1 : 0;
  }
});
measure("background.remaining()", 5e6, (operations) => {
  for (let index = 0; index < operations; index += 1) sink += background.remaining() === 0 ? 1 : 0;
});

const semaphore = new Semaphore(10);
measure("semaphore: tryAcquire + release", 2e6, (operations) => {
  for (let index = 0; index < operations; index += 1) semaphore.tryAcquire()?.release();
});
request.cancel();
if (sink === 0) console.log("nothing was measured");

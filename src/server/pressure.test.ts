import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { Pressure, type PressureProbes } from "./pressure.ts";

const off = { maxEventLoopUtilization: 1, maxHeapUtilization: 1 };

/** A process that is as busy and as full as it is told to be. */
class FakeProcess implements PressureProbes {
  busy = 0;
  full = 0;
  heapReadings = 0;
  #active = 0;
  #idle = 0;
  #wake: (() => void) | undefined;
  readonly clock: PressureProbes["clock"] = {
    now: () => 0,
    wakeAfter: (delayMs, wake) => {
      assert.equal(delayMs, 1_000);
      assert.equal(this.#wake, undefined, "a second timer is running");
      this.#wake = wake;
      return () => (this.#wake = undefined);
    },
    wakeAfterPoll: () => () => assert.fail("nothing here waits for the poll phase"),
  };

  get timers(): number {
    return this.#wake === undefined ? 0 : 1;
  }

  /** Lets a second pass. */
  tick(): void {
    this.#active += this.busy * 1_000;
    this.#idle += (1 - this.busy) * 1_000;
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  eventLoop(): { active: number; idle: number } {
    return { active: this.#active, idle: this.#idle };
  }

  heap(): number {
    this.heapReadings += 1;
    return this.full;
  }
}

test("without a limit there is no timer and no reading, however busy the process is", () => {
  const process = new FakeProcess();
  process.busy = process.full = 1;
  const pressure = new Pressure(off, process);
  pressure.start();
  assert.equal(process.timers, 0);
  assert.equal(pressure.reason(), undefined);
});

test("a busy event loop is a reason while the last second was above the limit, and not longer", () => {
  const process = new FakeProcess();
  const pressure = new Pressure({ ...off, maxEventLoopUtilization: 0.9 }, process);
  pressure.start();
  const reasons = [0.5, 0.95, 1, 0.89, 0.91, 0].map((busy) => {
    process.busy = busy;
    process.tick();
    return pressure.reason();
  });
  assert.deepEqual(reasons, [undefined, "event_loop", "event_loop", undefined, "event_loop", undefined]);
  assert.equal(process.heapReadings, 0, "the heap has no limit, so nobody reads it");
});

test("what the loop did before the start does not count", () => {
  const process = new FakeProcess();
  process.busy = 1;
  process.tick();
  process.tick();
  const pressure = new Pressure({ ...off, maxEventLoopUtilization: 0.5 }, process);
  pressure.start();
  process.busy = 0.1;
  process.tick();
  assert.equal(pressure.reason(), undefined);
});

test("a full heap is a reason of its own, and the one that is told when both are", () => {
  const process = new FakeProcess();
  const pressure = new Pressure({ maxEventLoopUtilization: 0.5, maxHeapUtilization: 0.8 }, process);
  pressure.start();
  const reasons = [
    [0, 0.81],
    [1, 0.81],
    [1, 0.8],
    [0.2, 0.2],
  ].map(([busy = 0, full = 0]) => {
    Object.assign(process, { busy, full });
    process.tick();
    return pressure.reason();
  });
  assert.deepEqual(reasons, ["memory", "memory", "event_loop", undefined]);
});

test("stopping takes the timer and the reason away, and starting twice makes one timer", () => {
  const process = new FakeProcess();
  const pressure = new Pressure({ ...off, maxEventLoopUtilization: 0.5 }, process);
  pressure.start();
  pressure.start();
  process.busy = 1;
  process.tick();
  assert.equal(pressure.reason(), "event_loop");
  pressure.stop();
  assert.equal(process.timers, 0);
  assert.equal(pressure.reason(), undefined);
  pressure.start();
  assert.equal(process.timers, 1);
});

test("a loop that is really blocked is noticed", async () => {
  const pressure = new Pressure({ ...off, maxEventLoopUtilization: 0.5 });
  pressure.start();
  const deadline = performance.now() + 20_000;
  while (pressure.reason() === undefined && performance.now() < deadline) {
    const until = performance.now() + 50;
    while (performance.now() < until);
    await new Promise(setImmediate);
  }
  assert.equal(pressure.reason(), "event_loop");
  pressure.stop();
});

test("the readings keep no process alive, and remember no request", async () => {
  const storage = new AsyncLocalStorage<string>();
  const seen: unknown[] = [];
  const process = new FakeProcess();
  const { promise, resolve } = Promise.withResolvers<void>();
  const pressure = new Pressure(
    { ...off, maxHeapUtilization: 0 },
    {
      clock: (await import("../core/clock.ts")).systemClock,
      eventLoop: () => process.eventLoop(),
      heap() {
        seen.push(storage.getStore());
        resolve();
        return 1;
      },
    },
  );
  const waits = setInterval(() => {}, 1_000);
  storage.run("a request", () => pressure.start());
  await promise;
  clearInterval(waits);
  pressure.stop();
  assert.deepEqual(seen, [undefined]);

  const source = `
    import { Pressure } from ${JSON.stringify(new URL("pressure.ts", import.meta.url).href)};
    new Pressure({ maxEventLoopUtilization: 0.5, maxHeapUtilization: 0.5 }).start();`;
  await promisify(execFile)(globalThis.process.execPath, ["--input-type=module", "--eval", source], {
    timeout: 30_000,
  });
});

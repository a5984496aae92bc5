import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { Registry } from "../core/instruments.ts";
import { listen } from "../../test/support/loopback.ts";
import { createServer } from "./server.ts";
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
  assert.equal(pressure.reasonToShed(), undefined);
});

/** The share of a thousand requests that is shed, and why. */
function shedBy(pressure: Pressure): { share: number; reasons: string[] } {
  const asked = Array.from({ length: 1_000 }, () => pressure.reasonToShed()).filter((reason) => reason !== undefined);
  return { share: asked.length / 1_000, reasons: [...new Set(asked)] };
}

test("a loop that was busier than its limit sheds what was too much, and lets more in as it gets quieter", () => {
  const process = new FakeProcess();
  const pressure = new Pressure({ ...off, maxEventLoopUtilization: 0.8 }, process);
  pressure.start();
  const shares = [0.5, 0.8, 0.9, 0.8, 0.6, 0.3].map((busy) => {
    process.busy = busy;
    process.tick();
    return shedBy(pressure).share.toFixed(2);
  });
  assert.deepEqual(shares, ["0.00", "0.00", "0.11", "0.11", "0.00", "0.00"]);
  assert.equal(process.heapReadings, 0, "the heap has no limit, so nobody reads it");
});

test("a loop without a pause halves what it lets in each second, and never lets in nothing", () => {
  const process = new FakeProcess();
  const pressure = new Pressure({ ...off, maxEventLoopUtilization: 0.8 }, process);
  pressure.start();
  process.busy = 1;
  const shares = Array.from({ length: 12 }, () => {
    process.tick();
    return shedBy(pressure).share;
  });
  assert.deepEqual(shares.slice(0, 3), [0.5, 0.75, 0.875]);
  assert.equal(shares.at(-1), 0.999);
  process.busy = 0.01;
  for (let second = 0; second < 12; second += 1) process.tick();
  assert.equal(shedBy(pressure).share, 0);
});

for (const load of [1.5, 3, 10]) {
  test(`asked for ${load} times what the loop can do, it is kept as busy as it may be`, () => {
    const process = new FakeProcess();
    const pressure = new Pressure({ ...off, maxEventLoopUtilization: 0.8 }, process);
    pressure.start();
    let busy = 0;
    for (let second = 0; second < 20; second += 1) {
      // Refusing costs a hundredth of serving.
      const { share } = shedBy(pressure);
      busy = Math.min(1, load * (1 - share + 0.01 * share));
      process.busy = busy;
      process.tick();
    }
    assert.ok(busy > 0.7 && busy < 0.9, `busy ${busy}`);
  });
}

test("what the loop did before the start does not count", () => {
  const process = new FakeProcess();
  process.busy = 1;
  process.tick();
  process.tick();
  const pressure = new Pressure({ ...off, maxEventLoopUtilization: 0.5 }, process);
  pressure.start();
  process.busy = 0.1;
  process.tick();
  assert.equal(shedBy(pressure).share, 0);
});

test("a full heap sheds everything, and is the reason that is told when the loop is busy too", () => {
  const process = new FakeProcess();
  const pressure = new Pressure({ maxEventLoopUtilization: 0.5, maxHeapUtilization: 0.8 }, process);
  pressure.start();
  const seen = [
    [0, 0.81],
    [1, 0.81],
    [0.5, 0.8],
    [0.2, 0.2],
  ].map(([busy = 0, full = 0]) => {
    Object.assign(process, { busy, full });
    process.tick();
    return shedBy(pressure);
  });
  assert.deepEqual(seen, [
    { share: 1, reasons: ["memory"] },
    { share: 1, reasons: ["memory"] },
    { share: 0.5, reasons: ["event_loop"] },
    { share: 0, reasons: [] },
  ]);
});

test("stopping takes the timer and the reason away, and starting twice makes one timer", () => {
  const process = new FakeProcess();
  const pressure = new Pressure({ ...off, maxEventLoopUtilization: 0.5 }, process);
  pressure.start();
  pressure.start();
  process.busy = 1;
  process.tick();
  assert.equal(shedBy(pressure).share, 0.5);
  pressure.stop();
  assert.equal(process.timers, 0);
  assert.equal(shedBy(pressure).share, 0);
  pressure.start();
  assert.equal(process.timers, 1);
});

test("a loop that is really blocked is noticed", async () => {
  const pressure = new Pressure({ ...off, maxEventLoopUtilization: 0.5 });
  pressure.start();
  const deadline = performance.now() + 20_000;
  let reason = pressure.reasonToShed();
  while (reason === undefined && performance.now() < deadline) {
    const until = performance.now() + 50;
    while (performance.now() < until);
    await new Promise(setImmediate);
    reason = pressure.reasonToShed();
  }
  assert.equal(reason, "event_loop");
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

test("a server that has drained takes no more readings", async (t) => {
  const set = t.mock.method(globalThis, "setTimeout");
  const clear = t.mock.method(globalThis, "clearTimeout");
  const server = createServer({ registry: new Registry(), concurrency: { maxEventLoopUtilization: 0.9 } });
  await listen(server);
  const [planned] = set.mock.calls.filter((call) => call.arguments[1] === 1_000).map((call) => call.result);
  assert.ok(planned, "no reading was planned");
  const isCalledOff = (): boolean => clear.mock.calls.some((call) => call.arguments[0] === planned);
  assert.equal(isCalledOff(), false);

  await server.drain();

  assert.equal(isCalledOff(), true);
});

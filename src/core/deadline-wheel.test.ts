import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "./clock.ts";
import { DeadlineWheel, WheelTimer } from "./deadline-wheel.ts";

class Probe extends WheelTimer {
  firedAt: number[] = [];
  readonly #then: (() => void) | undefined;
  readonly #now: () => number;

  constructor(then?: () => void, now: () => number = () => performance.now()) {
    super();
    this.#then = then;
    this.#now = now;
  }

  onDeadline(): void {
    this.firedAt.push(this.#now());
    this.#then?.();
  }
}

/** Time that passes only when told to. Wakes late by `lagMs`, as a busy event loop does. */
class FakeClock implements Clock {
  timeMs = 1_000_000;
  lagMs = 0;
  wakeUps = 0;
  #wakeAt = Infinity;
  #wake: (() => void) | undefined;
  #afterPoll: (() => void) | undefined;

  now = (): number => this.timeMs;

  get waiting(): boolean {
    return this.#wake !== undefined || this.#afterPoll !== undefined;
  }

  wakeAfter(delayMs: number, wake: () => void): () => void {
    assert.ok(delayMs >= 1 && delayMs < 2 ** 31, `a native timer cannot wait for ${delayMs} ms`);
    assert.equal(this.waiting, false, "a second native timer is running");
    this.#wakeAt = this.timeMs + delayMs;
    this.#wake = wake;
    return () => {
      this.#wake = undefined;
    };
  }

  wakeAfterPoll(wake: () => void): () => void {
    assert.equal(this.waiting, false, "a second native timer is running");
    this.#afterPoll = wake;
    return () => {
      this.#afterPoll = undefined;
    };
  }

  /** Lets time pass until `untilMs`, waking up on the way. `poll` runs before what waits for the poll phase. */
  advanceTo(untilMs: number, poll?: () => void): void {
    for (let wake = this.#wake; wake !== undefined && this.#wakeAt + this.lagMs <= untilMs; wake = this.#wake) {
      this.timeMs = Math.max(this.timeMs, this.#wakeAt + this.lagMs);
      this.#wake = undefined;
      this.wakeUps += 1;
      wake();
      for (let afterPoll = this.#afterPoll; afterPoll !== undefined; afterPoll = this.#afterPoll) {
        poll?.();
        this.#afterPoll = undefined;
        afterPoll();
      }
    }
    this.timeMs = Math.max(this.timeMs, untilMs);
  }
}

function makeFake(): { clock: FakeClock; wheel: DeadlineWheel; probe: (then?: () => void) => Probe } {
  const clock = new FakeClock();
  return { clock, wheel: new DeadlineWheel({ clock }), probe: (then) => new Probe(then, clock.now) };
}

test("a real deadline is never met early, and at most a tick and the loop's own lag late", async () => {
  const wheel = new DeadlineWheel({ tickMs: 10 });
  const delays = Array.from({ length: 60 }, (_, index) => 1 + index * 5.3);
  const armed = delays.map((delayMs) => ({ delayMs, at: performance.now(), probe: new Probe() }));
  for (const entry of armed) {
    entry.at = performance.now();
    wheel.arm(entry.probe, entry.delayMs);
  }

  let worstLagMs = 0;
  while (wheel.size > 0) {
    const before = performance.now();
    await sleep(2);
    worstLagMs = Math.max(worstLagMs, performance.now() - before - 2);
  }

  for (const { delayMs, at, probe } of armed) {
    const lateMs = (probe.firedAt[0] ?? NaN) - at - delayMs;
    assert.equal(probe.firedAt.length, 1);
    assert.ok(lateMs >= 0, `${delayMs} ms fired ${-lateMs} ms early`);
    // A native timer has a resolution of 1 ms and may be set twice on the way.
    assert.ok(lateMs <= 10 + 2 + 2 * worstLagMs, `${delayMs} ms fired ${lateMs} ms late; loop lag ${worstLagMs} ms`);
  }
});

test("a cancelled timer does not fire, a re-armed one fires once at its new time", () => {
  const { clock, wheel, probe } = makeFake();
  const [cancelled, rearmed] = [probe(), probe()];
  wheel.arm(cancelled, 50);
  wheel.arm(rearmed, 50);
  clock.advanceTo(clock.timeMs + 30);

  wheel.cancel(cancelled);
  wheel.cancel(cancelled);
  wheel.arm(rearmed, 50);
  const rearmedAt = clock.timeMs;
  assert.deepEqual([cancelled.armed, rearmed.armed, wheel.size], [false, true, 1]);
  clock.advanceTo(clock.timeMs + 200);

  assert.deepEqual([cancelled.firedAt.length, rearmed.firedAt.length, wheel.size], [0, 1, 0]);
  assert.ok((rearmed.firedAt[0] ?? 0) >= rearmedAt + 50);
});

test("Infinity cancels, 0 and less fire with the next tick, NaN is refused", () => {
  const { clock, wheel, probe } = makeFake();
  const [never, soon, past] = [probe(), probe(), probe()];
  wheel.arm(never, 10);
  wheel.arm(never, Infinity);
  wheel.arm(soon, 0);
  wheel.arm(past, -5);
  assert.throws(() => wheel.arm(probe(), NaN), RangeError);
  assert.equal(wheel.size, 2);

  clock.advanceTo(clock.timeMs + 11);

  assert.deepEqual([never.firedAt.length, soon.firedAt.length, past.firedAt.length], [0, 1, 1]);
});

test("hours pass exactly, with few wake-ups and never more than one native timer", () => {
  const { clock, wheel, probe } = makeFake();
  const startedAt = clock.timeMs;
  const probes = [3_600_000, 7_200_000.5, 2 * 24 * 3_600_000].map((delayMs) => ({ delayMs, probe: probe() }));
  for (const { delayMs, probe: timer } of probes) wheel.arm(timer, delayMs);

  clock.advanceTo(startedAt + 3 * 24 * 3_600_000);

  for (const { delayMs, probe: timer } of probes) {
    const lateMs = (timer.firedAt[0] ?? NaN) - startedAt - delayMs;
    assert.ok(lateMs >= 0 && lateMs <= 11, `${delayMs} ms fired ${lateMs} ms late`);
  }
  // Once a revolution of 5 s, not once a tick.
  assert.ok(clock.wakeUps < (3 * 24 * 3_600) / 4, `${clock.wakeUps} wake-ups`);
});

test("100,000 timers armed and cancelled leave nothing behind: no size, no native timer", () => {
  const { clock, wheel, probe } = makeFake();
  const timers = Array.from({ length: 100_000 }, () => probe());
  for (const [index, timer] of timers.entries()) {
    wheel.arm(timer, 1 + (index % 20_000));
    if (index % 1_000 === 0) clock.advanceTo(clock.timeMs + 1);
  }
  const firedOnTheWay = timers.filter((timer) => timer.firedAt.length > 0).length;
  assert.equal(wheel.size, 100_000 - firedOnTheWay);

  for (const timer of timers) wheel.cancel(timer);
  assert.equal(wheel.size, 0);
  clock.advanceTo(clock.timeMs + 60_000);

  assert.equal(clock.waiting, false);
  assert.equal(timers.filter((timer) => timer.firedAt.length > 0).length, firedOnTheWay);
});

test("a timer may cancel, re-arm and close from within onDeadline, also those due with it", () => {
  const { clock, wheel, probe } = makeFake();
  const victim = probe();
  const again: Probe = probe(() => {
    if (again.firedAt.length < 3) wheel.arm(again, 20);
  });
  wheel.arm(
    probe(() => wheel.cancel(victim)),
    10,
  );
  wheel.arm(victim, 10);
  wheel.arm(again, 10);
  clock.advanceTo(clock.timeMs + 200);
  assert.deepEqual([victim.firedAt.length, again.firedAt.length, wheel.size], [0, 3, 0]);

  const [other, later] = [probe(), probe()];
  wheel.arm(
    probe(() => {
      wheel.close();
      wheel.arm(later, 10);
    }),
    10,
  );
  wheel.arm(other, 10);
  clock.advanceTo(clock.timeMs + 200);
  assert.deepEqual([other.firedAt.length, later.firedAt.length, wheel.size], [0, 1, 0]);
});

test("a closed wheel fires nothing and runs no timer, and works again when used again", () => {
  const { clock, wheel, probe } = makeFake();
  const timer = probe();
  wheel.arm(timer, 10);
  clock.advanceTo(clock.timeMs + 6);
  wheel.arm(probe(), 10);
  wheel.close();
  assert.deepEqual([clock.waiting, wheel.size, timer.armed], [false, 0, false]);

  wheel.arm(timer, 10);
  clock.advanceTo(clock.timeMs + 21);
  assert.equal(timer.firedAt.length, 1);
});

test("a throwing onDeadline becomes an uncaught exception and does not stop the others", async () => {
  const wheel = new DeadlineWheel();
  const failure = new Error("handler failed");
  const uncaught: unknown[] = [];
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => uncaught.push(error));
  const after = new Probe();
  try {
    wheel.arm(
      new Probe(() => {
        throw failure;
      }),
      1,
    );
    wheel.arm(after, 1);
    while (after.firedAt.length === 0) await sleep(5);
    await sleep(1);
  } finally {
    process.removeAllListeners("uncaughtException");
    for (const listener of listeners) process.on("uncaughtException", listener);
  }
  assert.deepEqual(uncaught, [failure]);
});

test("after a blocked loop, an answer that arrived in time cancels its deadline before it fires", async () => {
  // undici#3410: a timeout fired although the answer lay in the socket all the time.
  const wheel = new DeadlineWheel();
  const timeout = new Probe();
  const unanswered = new Probe();
  const receiver = createSocket("udp4").bind(0, "127.0.0.1");
  await once(receiver, "listening");
  receiver.on("message", () => wheel.cancel(timeout));
  const sender = createSocket("udp4");
  wheel.arm(timeout, 50);
  wheel.arm(unanswered, 50);
  await sleep(20);

  // Sent by the kernel at once, so the answer is there long before the deadline; the loop only cannot look.
  sender.send("answer", receiver.address().port, "127.0.0.1");
  const blockedUntil = performance.now() + 150;
  while (performance.now() < blockedUntil);
  while (wheel.size > 0) await sleep(5);
  receiver.close();
  sender.close();

  assert.deepEqual([timeout.firedAt.length, unanswered.firedAt.length], [0, 1]);
});

test("what waits for the poll phase may cancel; a wake-up in time does not wait for it", () => {
  const { clock, wheel, probe } = makeFake();
  const [answered, silent] = [probe(), probe()];
  wheel.arm(answered, 50);
  wheel.arm(silent, 50);
  clock.advanceTo(clock.timeMs + 10);
  clock.lagMs = 100;
  let polls = 0;
  clock.advanceTo(clock.timeMs + 500, () => {
    polls += 1;
    wheel.cancel(answered);
  });
  assert.deepEqual([answered.firedAt.length, silent.firedAt.length, polls], [0, 1, 1]);

  clock.lagMs = 0;
  const prompt = probe();
  wheel.arm(prompt, 50);
  clock.advanceTo(clock.timeMs + 500, () => assert.fail("waited for the poll phase"));
  assert.equal(prompt.firedAt.length, 1);
});

test("deadlines that take long to fire let the loop turn, are never more than half of it, and may still be cancelled", () => {
  const { clock, wheel, probe } = makeFake();
  const timers = Array.from({ length: 100 }, () => probe(() => (clock.timeMs += 0.4)));
  for (const timer of timers) wheel.arm(timer, 50);
  const fired = (): number => timers.filter(({ firedAt }) => firedAt.length === 1).length;
  const atTurns: number[] = [];

  clock.advanceTo(clock.timeMs + 500, () => {
    atTurns.push(fired());
    // The second turn is a long one, in which the last timer is not needed any more.
    if (atTurns.length === 2) clock.timeMs += 10;
    if (atTurns.length === 2) wheel.cancel(timers[99] ?? probe());
  });

  assert.deepEqual(atTurns.slice(0, 4), [3, 6, 31, 34]);
  assert.deepEqual([fired(), wheel.size, timers[99]?.firedAt], [99, 0, []]);
});

test("the native timer is made outside the request that armed first", async () => {
  const storage = new AsyncLocalStorage<string>();
  const wheel = new DeadlineWheel();
  const seen: (string | undefined)[] = [];
  const timer = new Probe(() => seen.push(storage.getStore()));

  storage.run("request", () => wheel.arm(timer, 1));
  while (wheel.size > 0) await sleep(5);

  assert.deepEqual(seen, [undefined]);
});

test("for any order of arming, cancelling and waiting, the wheel does what a naive list of timers does", (t) => {
  const seed = Number(process.env["SLUICE_SEED"] ?? Date.now() % 2 ** 31);
  const message = `seed ${seed}`;
  t.diagnostic(message);
  let state = seed;
  // mulberry32
  const random = (below: number): number => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return (((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32) * below;
  };

  for (let round = 0; round < 40; round += 1) {
    const { clock, wheel, probe } = makeFake();
    clock.lagMs = round % 4 === 0 ? random(60) : 0;
    const timers = Array.from({ length: 50 }, () => ({ probe: probe(), due: Infinity }));
    for (let move = 0; move < 500; move += 1) {
      const timer = timers[Math.floor(random(timers.length))];
      assert.ok(timer !== undefined);
      const action = random(10);
      if (action < 5) {
        const delayMs = random(10) < 1 ? random(20_000) : random(300);
        wheel.arm(timer.probe, delayMs);
        timer.due = clock.timeMs + delayMs;
        timer.probe.firedAt = [];
      } else if (action < 7) {
        wheel.cancel(timer.probe);
        timer.due = Infinity;
        timer.probe.firedAt = [];
      } else {
        clock.advanceTo(clock.timeMs + (random(20) < 1 ? random(8_000) : random(40)));
      }
      let armed = 0;
      for (const { probe: each, due } of timers) {
        const [firedAt] = each.firedAt;
        if (each.armed) {
          armed += 1;
          assert.ok(clock.timeMs <= due + 12 + 3 * clock.lagMs, `${message}: ${clock.timeMs - due} ms overdue`);
        } else if (firedAt !== undefined) {
          assert.equal(each.firedAt.length, 1, message);
          assert.ok(firedAt >= due, `${message}: ${due - firedAt} ms early`);
        } else assert.equal(due, Infinity, `${message}: lost`);
      }
      assert.equal(wheel.size, armed, message);
    }
  }
});

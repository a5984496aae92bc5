import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { AdaptiveLimit, type AdaptiveLimitOptions } from "./adaptive-limit.ts";

function makeRandom(t: TestContext): () => number {
  const seed = Math.floor(Math.random() * 2 ** 31);
  t.diagnostic(`seed ${seed}`);
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Server {
  /** Requests that it works on at once; more of them share what there is. */
  capacity: number;
  serviceMs: number;
}

/** A world of its own time: callers that always want more, a gate at the limit, and a server of known capacity. */
class Simulation {
  readonly server: Server;
  readonly limit: AdaptiveLimit;
  callers = Infinity;
  ms = 0;
  readonly #random: () => number;
  readonly #ends: { at: number; startedAt: number; inFlight: number }[] = [];

  constructor(server: Server, random: () => number, options: Partial<AdaptiveLimitOptions> = {}) {
    this.server = server;
    this.#random = random;
    this.limit = new AdaptiveLimit({ now: () => this.ms, random, ...options });
  }

  /** Runs for a while and returns the mean of the limit over its last quarter. */
  run(forMs: number): number {
    const endsAt = this.ms + forMs;
    let sum = 0;
    let count = 0;
    while (this.ms < endsAt) {
      this.#fill();
      const next = this.#takeNext();
      this.ms = Math.max(this.ms, next.at);
      this.limit.onSample(next.at - next.startedAt, next.inFlight, false);
      if (this.ms < endsAt - forMs / 4) continue;
      sum += this.limit.limit;
      count += 1;
    }
    return sum / count;
  }

  #fill(): void {
    while (this.#ends.length < Math.min(this.limit.limit, this.callers)) {
      const inFlight = this.#ends.length + 1;
      const crowding = Math.max(1, inFlight / this.server.capacity);
      const tookMs = this.server.serviceMs * crowding * (0.8 + 0.4 * this.#random());
      this.#ends.push({ at: this.ms + tookMs, startedAt: this.ms, inFlight });
    }
  }

  #takeNext(): { at: number; startedAt: number; inFlight: number } {
    let earliest = 0;
    for (let i = 1; i < this.#ends.length; i++) if (this.#ends[i]!.at < this.#ends[earliest]!.at) earliest = i;
    return this.#ends.splice(earliest, 1)[0]!;
  }
}

/** Feeds one window of samples that all look the same. */
function feed(
  limit: AdaptiveLimit,
  clock: { ms: number },
  sample: { rtt: number; inFlight: number; dropped?: boolean },
): void {
  clock.ms += 1_001;
  for (let i = 0; i < 10; i++) limit.onSample(sample.rtt, sample.inFlight, sample.dropped ?? false);
}

test("under full load the limit settles within a factor of two of the server's capacity", (t) => {
  const random = makeRandom(t);
  for (const capacity of [30, 60, 100]) {
    const simulation = new Simulation({ capacity, serviceMs: 50 }, random, { max: 1_000 });
    const settled = simulation.run(300_000);
    t.diagnostic(`capacity ${capacity}: limit ${settled.toFixed(1)}`);
    assert.ok(settled > capacity * 0.8 && settled < capacity * 2, `capacity ${capacity}: ${settled}`);
  }
});

test("an hour of full load does not make the limit drift away from the capacity", (t) => {
  const simulation = new Simulation({ capacity: 40, serviceMs: 200 }, makeRandom(t), { max: 1_000 });
  const settled = simulation.run(3_600_000);
  t.diagnostic(`capacity 40 after an hour: limit ${settled.toFixed(1)}`);
  assert.ok(settled > 32 && settled < 80, String(settled));
});

test("the limit shrinks while the server is three times slower, and comes back after that", (t) => {
  // Without jitter the probes come at 60 and 122 s; one within the slow time would take it for the usual.
  const simulation = new Simulation({ capacity: 60, serviceMs: 50 }, makeRandom(t), { max: 1_000, random: () => 0.5 });
  const before = simulation.run(90_000);
  simulation.server.serviceMs = 150;
  const during = simulation.run(10_000);
  simulation.server.serviceMs = 50;
  const after = simulation.run(120_000);
  t.diagnostic(`before ${before.toFixed(1)}, slow ${during.toFixed(1)}, after ${after.toFixed(1)}`);
  assert.ok(during < before * 0.8, `${during} after ${before}`);
  assert.ok(after > before * 0.75 && after < before * 1.3, `${after} after ${before}`);
});

test("the limit comes back from a slow time that a probe has taken for the usual", (t) => {
  const simulation = new Simulation({ capacity: 60, serviceMs: 50 }, makeRandom(t), { max: 1_000 });
  const before = simulation.run(90_000);
  simulation.server.serviceMs = 150;
  simulation.run(60_000);
  simulation.server.serviceMs = 50;
  const after = simulation.run(120_000);
  assert.ok(after > before * 0.75 && after < before * 1.3, `${after} after ${before}`);
});

test("a server that is slower for good gets its full limit back within some minutes", (t) => {
  const simulation = new Simulation({ capacity: 60, serviceMs: 50 }, makeRandom(t), { max: 1_000 });
  const before = simulation.run(120_000);
  simulation.server.serviceMs = 150;
  const after = simulation.run(240_000);
  t.diagnostic(`before ${before.toFixed(1)}, after ${after.toFixed(1)}`);
  assert.ok(after > 48 && after < 120, String(after));
});

test("when the server loses half of its capacity, the limit follows", (t) => {
  const simulation = new Simulation({ capacity: 100, serviceMs: 50 }, makeRandom(t), { max: 1_000 });
  simulation.run(120_000);
  simulation.server.capacity = 50;
  const after = simulation.run(240_000);
  t.diagnostic(`limit ${after.toFixed(1)} at capacity 50`);
  assert.ok(after > 40 && after < 100, String(after));
});

test("the limit stays as it is while less than half of it is used", () => {
  const clock = { ms: 0 };
  const limit = new AdaptiveLimit({ initial: 50, now: () => clock.ms });
  for (let i = 0; i < 40; i++) feed(limit, clock, { rtt: i % 2 === 0 ? 10 : 500, inFlight: 24 });
  assert.equal(limit.limit, 50);
});

test("the limit grows by the queue's share while answers are as fast as ever", () => {
  const clock = { ms: 0 };
  const limit = new AdaptiveLimit({ initial: 50, now: () => clock.ms });
  feed(limit, clock, { rtt: 10, inFlight: 50 });
  assert.equal(limit.limit, 50);
  for (let i = 0; i < 10; i++) feed(limit, clock, { rtt: 10, inFlight: 50 });
  assert.equal(limit.limit, 58);
});

test("nothing changes before a second has passed and ten answers were seen", () => {
  const clock = { ms: 0 };
  const limit = new AdaptiveLimit({ initial: 50, now: () => clock.ms });
  clock.ms = 5_000;
  for (let i = 0; i < 9; i++) limit.onSample(10, 50, false);
  assert.equal(limit.baselineMs, 0);
  limit.onSample(10, 50, false);
  assert.equal(limit.baselineMs, 10);
  for (let i = 0; i < 1_000; i++) limit.onSample(100, 50, false);
  assert.equal(limit.baselineMs, 10);
});

test("quick refusals shrink the limit and are not taken for quick answers", () => {
  const clock = { ms: 0 };
  const limit = new AdaptiveLimit({ initial: 100, now: () => clock.ms });
  feed(limit, clock, { rtt: 20, inFlight: 10 });
  feed(limit, clock, { rtt: 1, inFlight: 10, dropped: true });
  assert.equal(limit.limit, 90);
  assert.equal(limit.baselineMs, 20);
});

test("one loss in a hundred does not shrink the limit", () => {
  const clock = { ms: 0 };
  const limit = new AdaptiveLimit({ initial: 100, now: () => clock.ms });
  for (let second = 0; second < 50; second++) {
    for (let i = 0; i < 99; i++) limit.onSample(20, 10, false);
    limit.onSample(20, 10, true);
    clock.ms += 1_001;
  }
  assert.equal(limit.limit, 100);
});

test("the limit stays between min and max whatever it is told", (t) => {
  const random = makeRandom(t);
  const clock = { ms: 0 };
  const limit = new AdaptiveLimit({ initial: 5, min: 7, max: 90, now: () => clock.ms, random });
  assert.equal(limit.limit, 7);
  for (let i = 0; i < 5_000; i++) {
    const rtt = 10 ** (random() * 6 - 2);
    feed(limit, clock, { rtt, inFlight: Math.ceil(random() * 200), dropped: random() < 0.1 });
    assert.ok(limit.limit >= 7 && limit.limit <= 90 && Number.isInteger(limit.limit), String(limit.limit));
  }
});

test("answers too quick to measure move nothing", () => {
  const clock = { ms: 0 };
  const limit = new AdaptiveLimit({ initial: 50, now: () => clock.ms });
  for (let i = 0; i < 20; i++) feed(limit, clock, { rtt: 0.05, inFlight: 50 });
  assert.equal(limit.baselineMs, 0);
});

test("a limit that starts far too low reaches what full load needs within seconds, if it may ramp", (t) => {
  const random = makeRandom(t);
  const slow = new Simulation({ capacity: 400, serviceMs: 300 }, random, { initial: 8, min: 8, max: 1_000 });
  const quick = new Simulation({ capacity: 400, serviceMs: 300 }, random, {
    initial: 8,
    min: 8,
    max: 1_000,
    ramp: true,
  });
  for (const simulation of [slow, quick]) simulation.callers = 300;
  slow.run(10_000);
  quick.run(10_000);
  t.diagnostic(`after 10 s: ${slow.limit.limit} without, ${quick.limit.limit} with`);
  assert.ok(slow.limit.limit < 40, String(slow.limit.limit));
  assert.ok(quick.limit.limit >= 300, String(quick.limit.limit));
});

test("a ramp ends within a factor of two of the capacity and its queue, and stays there for ten minutes of full load", (t) => {
  const random = makeRandom(t);
  for (const capacity of [10, 30, 60]) {
    const simulation = new Simulation({ capacity, serviceMs: 50 }, random, {
      initial: 8,
      min: 8,
      max: 1_000,
      ramp: true,
    });
    const first = simulation.run(60_000);
    const later = simulation.run(540_000);
    t.diagnostic(`capacity ${capacity}: limit ${first.toFixed(1)} after a minute, ${later.toFixed(1)} in the end`);
    for (const settled of [first, later]) {
      // It aims at 1.5 times the capacity, and 4 that wait.
      assert.ok(settled > capacity * 0.8 && settled < capacity * 2 + 4, `capacity ${capacity}: ${settled}`);
    }
  }
});

test("a ramping limit that is far too high comes down within seconds", (t) => {
  const simulation = new Simulation({ capacity: 60, serviceMs: 50 }, makeRandom(t), {
    initial: 8,
    min: 8,
    max: 1_000,
    ramp: true,
    random: () => 0.5,
  });
  simulation.run(20_000);
  simulation.server.capacity = 15;
  simulation.run(6_000);
  t.diagnostic(`6 s after the capacity fell from 60 to 15: ${simulation.limit.limit}`);
  assert.ok(simulation.limit.limit < 40, String(simulation.limit.limit));
});

test("a ramping limit finds its way back when a crowd was taken for the usual", (t) => {
  const random = makeRandom(t);
  const simulation = new Simulation({ capacity: 10, serviceMs: 20 }, random, { initial: 200, min: 8, ramp: true });
  const settled = simulation.run(180_000);
  t.diagnostic(`begun at 200 in full load, capacity 10: ${settled.toFixed(1)} after three minutes`);
  assert.ok(settled < 25, String(settled));
});

test("at its minimum a ramping limit soon measures anew what is usual", () => {
  const clock = { ms: 0 };
  const limit = new AdaptiveLimit({ initial: 8, min: 8, max: 100, ramp: true, now: () => clock.ms, random: () => 0.5 });
  for (let i = 0; i < 12; i++) feed(limit, clock, { rtt: 2, inFlight: 3 });
  assert.ok(limit.baselineMs < 2.1, String(limit.baselineMs));
  for (let i = 0; i < 12; i++) feed(limit, clock, { rtt: 50, inFlight: 8 });
  assert.equal(limit.baselineMs, 50);
});

test("a ramping limit does not grow while it is not used up", () => {
  const clock = { ms: 0 };
  const limit = new AdaptiveLimit({ initial: 50, min: 8, max: 1_000, ramp: true, now: () => clock.ms });
  for (let i = 0; i < 40; i++) feed(limit, clock, { rtt: 10, inFlight: 24 });
  assert.equal(limit.limit, 50);
});

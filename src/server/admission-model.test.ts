/** Admission as a whole: under random treatment, and with a crowd in front of it and a server of known capacity behind. */

import assert from "node:assert/strict";
import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { DeadlineWheel } from "../core/deadline-wheel.ts";
import { resolveOptions } from "../core/options.ts";
import { FakeClock } from "../../test/support/fake-clock.ts";
import { randomFrom, type Random } from "../../test/support/random.ts";
import { Admission, AdmissionTicket } from "./admission.ts";
import { Pressure } from "./pressure.ts";
import { serverOptions, type ConcurrencyOptions } from "./server-options.ts";

const plain = new IncomingMessage(new Socket());

interface Parts {
  readonly clock: FakeClock;
  readonly wheel: DeadlineWheel;
  readonly admission: Admission;
}

function build(options: ConcurrencyOptions, random: Random): Parts {
  const { concurrency } = resolveOptions("Server", serverOptions, { concurrency: options });
  const clock = new FakeClock();
  const wheel = new DeadlineWheel({ clock });
  const pressure = new Pressure(concurrency);
  return {
    clock,
    wheel,
    admission: new Admission(concurrency, { wheel, pressure, clock, random: () => random.next() }),
  };
}

type Outcome = "queued" | "admitted" | "left" | "shed" | "abandoned";

class TrackedTicket extends AdmissionTicket {
  outcome: Outcome | undefined;
  readonly #onTold: (ticket: TrackedTicket, outcome: Outcome) => void;

  constructor(onTold: (ticket: TrackedTicket, outcome: Outcome) => void) {
    super();
    this.#onTold = onTold;
  }

  onAdmitted(): void {
    this.#onTold(this, "admitted");
  }

  onShed(): void {
    this.#onTold(this, "shed");
  }
}

/** Does one random thing after the other, and knows what must have become of each ticket. */
class Chaos {
  readonly #random: Random;
  readonly #parts: Parts;
  readonly #queue: number;
  readonly #fixed: number;
  readonly #tickets: TrackedTicket[] = [];

  constructor(random: Random) {
    this.#random = random;
    const limit = random.chance(0.2) ? "adaptive" : 1 + random.below(8);
    this.#fixed = limit === "adaptive" ? Infinity : limit;
    this.#queue = random.below(12);
    const priority = (): number => random.below(12);
    this.#parts = build({ limit, min: 1, queue: this.#queue, queueTimeout: 100, priority }, random);
  }

  run(steps: number): void {
    for (let step = 0; step < steps; step += 1) {
      const drawn = this.#random.next();
      if (drawn < 0.45) this.#enter();
      else if (drawn < 0.75) this.#endOne();
      else if (drawn < 0.85) this.#abandonOne();
      else this.#parts.clock.pass(this.#random.below(40));
      this.#check();
    }
    this.#parts.clock.pass(1_000);
    assert.equal(this.#parts.admission.queued, 0);
  }

  #enter(): void {
    const ticket = new TrackedTicket((told, outcome) => {
      assert.equal(told.outcome, "queued");
      told.outcome = outcome;
      if (outcome === "admitted" && this.#random.chance(0.3)) this.#endOne();
    });
    this.#tickets.push(ticket);
    const leftMs = this.#random.chance(0.5) ? this.#random.below(300) : Infinity;
    const entrance = this.#parts.admission.enter(ticket, plain, this.#parts.clock.ms + leftMs);
    ticket.outcome = entrance === "admitted" || entrance === "queued" ? entrance : "shed";
  }

  #pick(outcome: Outcome): TrackedTicket | undefined {
    return this.#random.take(this.#tickets.filter((ticket) => ticket.outcome === outcome));
  }

  #endOne(): void {
    const ticket = this.#pick("admitted");
    if (ticket === undefined) return;
    ticket.outcome = "left";
    if (this.#random.chance(0.2)) this.#parts.admission.release(ticket);
    else this.#parts.admission.leave(ticket, this.#random.chance(0.1));
  }

  #abandonOne(): void {
    const ticket = this.#pick("queued");
    if (ticket === undefined) return;
    ticket.outcome = "abandoned";
    this.#parts.admission.abandon(ticket);
  }

  #check(): void {
    const { admission, wheel } = this.#parts;
    const count = (outcome: Outcome): number => this.#tickets.filter((ticket) => ticket.outcome === outcome).length;
    assert.equal(admission.inFlight, count("admitted"));
    assert.equal(admission.queued, count("queued"));
    assert.equal(wheel.size, admission.queued);
    assert.ok(admission.queued <= this.#queue && admission.inFlight <= this.#fixed);
    assert.ok(admission.queued === 0 || admission.inFlight >= admission.limit, "a place is free and somebody waits");
  }
}

test("whatever happens in whatever order, each ticket ends once, and no place is lost or free while somebody waits", (t) => {
  const random = randomFrom();
  t.diagnostic(`SEED=${random.seed}`);
  for (let world = 0; world < 60; world += 1) new Chaos(random).run(300);
});

/** What the requests that came in a while had of it. */
interface Figures {
  /** Answered within a second, as a share of what the servers behind can do. */
  readonly goodput: number;
  readonly p99: number;
  readonly shed: number;
}

/** Requests at random, an admission, and behind it so many servers of 20 ms each with a line of their own. */
class World {
  readonly parts: Parts;
  readonly #random: Random;
  readonly #servers: number;
  readonly #serviceMs: number;
  readonly #line: Visitor[] = [];
  #busy = 0;
  #perMs = 0;
  tookMs: number[] = [];
  shed = 0;

  constructor(options: ConcurrencyOptions, t: TestContext, [servers, serviceMs]: [number, number] = [10, 20]) {
    this.#random = randomFrom();
    t.diagnostic(`SEED=${this.#random.seed}`);
    this.parts = build(options, this.#random);
    this.#servers = servers;
    this.#serviceMs = serviceMs;
  }

  /** Runs for a while at a load given in capacities. */
  run(load: number, forMs: number): Figures {
    const idle = this.#perMs === 0;
    this.#perMs = (load * this.#servers) / this.#serviceMs;
    this.tookMs = [];
    this.shed = 0;
    if (idle && load > 0) this.#planArrival();
    this.parts.clock.pass(forMs);
    const sorted = this.tookMs.toSorted((a, b) => a - b);
    return {
      goodput: sorted.filter((ms) => ms <= 1_000).length / ((forMs * this.#servers) / this.#serviceMs),
      p99: sorted[Math.floor(sorted.length * 0.99)] ?? NaN,
      shed: this.shed,
    };
  }

  arrive(): void {
    const visitor = new Visitor(this, this.parts.clock.ms);
    const entrance = this.parts.admission.enter(visitor, plain);
    if (entrance === "admitted") this.serve(visitor);
    else if (entrance !== "queued") this.shed += 1;
  }

  serve(visitor: Visitor): void {
    if (this.#busy >= this.#servers) {
      this.#line.push(visitor);
      return;
    }
    this.#busy += 1;
    this.parts.clock.wakeAfter(this.#serviceMs * (0.9 + 0.2 * this.#random.next()), () => {
      this.#busy -= 1;
      const next = this.#line.shift();
      if (next !== undefined) this.serve(next);
      this.tookMs.push(this.parts.clock.ms - visitor.cameAt);
      this.parts.admission.leave(visitor);
    });
  }

  #planArrival(): void {
    if (this.#perMs === 0) return;
    this.parts.clock.wakeAfter(-Math.log(1 - this.#random.next()) / this.#perMs, () => {
      this.arrive();
      this.#planArrival();
    });
  }
}

class Visitor extends AdmissionTicket {
  readonly #world: World;
  readonly cameAt: number;

  constructor(world: World, cameAt: number) {
    super();
    this.#world = world;
    this.cameAt = cameAt;
  }

  onAdmitted(): void {
    this.#world.serve(this);
  }

  onShed(): void {
    this.#world.shed += 1;
  }
}

for (const limit of [10, "adaptive"] as const) {
  test(`at ten times the capacity and a limit of ${limit}, as much is answered as ever, and hardly later`, (t) => {
    const world = new World({ limit }, t);
    world.run(0.5, 10_000);
    const usual = world.run(0.9, 60_000);
    const crowded = world.run(10, 20_000);
    t.diagnostic(`${JSON.stringify(usual)} ${JSON.stringify(crowded)}`);
    assert.ok(crowded.goodput > 0.93, `${crowded.goodput} of the capacity`);
    // An adaptive limit has grown in quiet times, and needs a moment to come down.
    if (limit === "adaptive") world.run(10, 10_000);
    const settled = world.run(10, 20_000);
    // Twice is what is promised for a limit that was measured. One that finds itself settles above it.
    assert.ok(
      settled.p99 < (limit === "adaptive" ? 2.3 : 2) * usual.p99,
      `p99 ${settled.p99} ms, and ${usual.p99} ms at 0.9`,
    );
    const after = world.run(0.5, 2_000);
    const quiet = world.run(0.5, 10_000);
    assert.ok(after.goodput > 0.4, `${after.goodput} right after it`);
    assert.equal(quiet.shed, 0);
    assert.ok(quiet.p99 < 1.2 * usual.p99, `p99 ${quiet.p99} ms afterwards`);
  });
}

test("started in the middle of an overload, an adaptive limit serves nearly all it can within a second", (t) => {
  const world = new World({ limit: "adaptive" }, t);
  world.run(10, 1_000);
  const figures = world.run(10, 10_000);
  t.diagnostic(JSON.stringify(figures));
  assert.ok(figures.goodput > 0.95, `${figures.goodput} of the capacity`);
});

test("slow handlers behind a full queue are not all answered just too late", (t) => {
  // First come, first served: each waits for nearly the second after which its client has gone.
  const world = new World({ limit: 2 }, t, [2, 200]);
  const figures = world.run(5, 60_000);
  t.diagnostic(JSON.stringify(figures));
  assert.ok(figures.goodput > 0.9, `${figures.goodput} of the capacity`);
});

test("a burst that fits into limit and queue is served in full", (t) => {
  const world = new World({ limit: 10, queue: 100 }, t);
  for (let index = 0; index < 110; index += 1) world.arrive();
  const figures = world.run(0, 1_000);
  assert.equal(figures.shed, 0);
  assert.equal(world.tookMs.length, 110);
});

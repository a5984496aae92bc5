import assert from "node:assert/strict";
import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { test } from "node:test";
import { DeadlineWheel } from "../core/deadline-wheel.ts";
import { resolveOptions } from "../core/options.ts";
import { FakeClock } from "../../test/support/fake-clock.ts";
import { Admission, AdmissionTicket } from "./admission.ts";
import type { ShedReason } from "./instruments.ts";
import { Pressure } from "./pressure.ts";
import { serverOptions, type ConcurrencyOptions } from "./server-options.ts";

class Ticket extends AdmissionTicket {
  readonly name: string;
  readonly log: string[];
  handler: () => void = () => {};

  constructor(name = "", log: string[] = []) {
    super();
    this.name = name;
    this.log = log;
  }

  onAdmitted(): void {
    this.log.push(`${this.name} admitted`);
    this.handler();
  }

  onShed(reason: ShedReason): void {
    this.log.push(`${this.name} shed: ${reason}`);
  }
}

function request(url = "/"): IncomingMessage {
  const req = new IncomingMessage(new Socket());
  req.url = url;
  return req;
}

const plain = request();

/** An admission in its own time, and what became of its tickets. */
class Gate {
  readonly clock = new FakeClock();
  readonly log: string[] = [];
  readonly waits: number[] = [];
  readonly wheel: DeadlineWheel = new DeadlineWheel({ clock: this.clock });
  readonly admission: Admission;

  constructor(options: ConcurrencyOptions, pressure?: Pressure) {
    const resolved = resolveOptions("Server", serverOptions, { concurrency: options }).concurrency;
    this.admission = new Admission(resolved, {
      wheel: this.wheel,
      pressure: pressure ?? new Pressure(resolved),
      clock: this.clock,
      onWaited: (waitedMs) => this.waits.push(waitedMs),
      random: () => 0.5,
    });
  }

  /** `leftMs`: how long the caller still waits. */
  enter(name: string, req: IncomingMessage = plain, leftMs = Infinity): { ticket: Ticket; entrance: string } {
    const ticket = new Ticket(name, this.log);
    return { ticket, entrance: this.admission.enter(ticket, req, this.clock.ms + leftMs) };
  }

  get levels(): [inFlight: number, queued: number] {
    return [this.admission.inFlight, this.admission.queued];
  }
}

test("as many as the limit are admitted, as many as the queue holds wait, and the next one is shed", () => {
  const gate = new Gate({ limit: 2, queue: 1 });
  const entrances = ["a", "b", "c", "d"].map((name) => gate.enter(name).entrance);
  assert.deepEqual(entrances, ["admitted", "admitted", "queued", "concurrency"]);
  assert.deepEqual(gate.levels, [2, 1]);
  assert.deepEqual(gate.log, []);
});

test("without a limit everybody is admitted and counted", () => {
  const gate = new Gate({});
  const tickets = Array.from({ length: 1_000 }, () => gate.enter("").ticket);
  assert.deepEqual(gate.levels, [1_000, 0]);
  for (const ticket of tickets) gate.admission.leave(ticket);
  assert.deepEqual(gate.levels, [0, 0]);
});

test("a place that is given back goes to who waits, not to who comes", () => {
  const gate = new Gate({ limit: 1 });
  const first = gate.enter("first").ticket;
  gate.enter("second");
  first.handler = () => {};
  gate.admission.leave(first);
  assert.deepEqual(gate.log, ["second admitted"]);
  assert.equal(gate.enter("third").entrance, "queued");
  assert.deepEqual(gate.levels, [1, 1]);
});

test("a place is given back once, however often its holder leaves", () => {
  const gate = new Gate({ limit: 2 });
  const { ticket } = gate.enter("a");
  gate.enter("b");
  for (let turn = 0; turn < 3; turn += 1) {
    gate.admission.leave(ticket);
    gate.admission.release(ticket);
    gate.admission.abandon(ticket);
  }
  assert.deepEqual(gate.levels, [1, 0]);
});

test("a wait ends with 'concurrency' after queueTimeout, at most a tick late", () => {
  const gate = new Gate({ limit: 1, queueTimeout: 200 });
  gate.enter("holder");
  gate.enter("waiter");
  gate.clock.pass(200);
  assert.deepEqual(gate.log, []);
  gate.clock.pass(10);
  assert.deepEqual(gate.log, ["waiter shed: concurrency"]);
  assert.deepEqual(gate.levels, [1, 0]);
  assert.ok(gate.waits[0]! >= 200 && gate.waits[0]! <= 210, String(gate.waits));
});

test("one whose time is over is not admitted, even if the timer has not come round yet", () => {
  const gate = new Gate({ limit: 1, queueTimeout: 200 });
  const { ticket } = gate.enter("holder");
  gate.enter("late");
  gate.clock.pass(190);
  gate.clock.ms += 15;
  gate.enter("in time");
  gate.admission.leave(ticket);
  assert.deepEqual(gate.log, ["in time admitted"]);
  gate.clock.pass(20);
  assert.deepEqual(gate.log, ["in time admitted", "late shed: concurrency"]);

  const blocked = new Gate({ limit: 1, queueTimeout: 200 });
  const holder = blocked.enter("holder").ticket;
  blocked.enter("late");
  blocked.clock.ms += 205;
  blocked.admission.leave(holder);
  assert.deepEqual(blocked.log, ["late shed: concurrency"]);
  assert.deepEqual(blocked.levels, [0, 0]);
});

test("without a queueTimeout a request waits for as long as it takes", () => {
  const gate = new Gate({ limit: 1, queueTimeout: Infinity });
  const { ticket } = gate.enter("holder");
  gate.enter("waiter");
  gate.clock.pass(3_600_000);
  gate.admission.leave(ticket);
  assert.deepEqual(gate.log, ["waiter admitted"]);
  assert.equal(gate.wheel.size, 0);
});

test("who leaves the queue is not called, and whoever waits behind moves up", () => {
  const gate = new Gate({ limit: 1, queue: 2 });
  const holder = gate.enter("holder").ticket;
  const leaver = gate.enter("leaver").ticket;
  gate.enter("next");
  gate.clock.pass(30);
  gate.admission.abandon(leaver);
  assert.deepEqual(gate.levels, [1, 1]);
  assert.deepEqual(gate.waits, [30]);
  assert.equal(gate.enter("another").entrance, "queued");
  gate.admission.leave(holder);
  gate.clock.pass(10_000);
  assert.ok(!gate.log.some((line) => line.includes("leaver")), gate.log.join());
  assert.equal(gate.log[0], "next admitted");
  assert.equal(gate.wheel.size, 0);
});

test("a spent deadline is shed before the handler, and one that ends in the queue when it ends", () => {
  const gate = new Gate({ limit: 1, queueTimeout: 1_000 });
  assert.equal(gate.enter("spent", plain, 0).entrance, "deadline");
  assert.equal(gate.enter("holder", plain, 1).entrance, "admitted");
  assert.equal(gate.enter("short", plain, 100).entrance, "queued");
  assert.equal(gate.enter("long", plain, 60_000).entrance, "queued");
  gate.clock.pass(110);
  assert.deepEqual(gate.log, ["short shed: deadline"]);
  gate.clock.pass(1_000);
  assert.deepEqual(gate.log.slice(1), ["long shed: concurrency"]);
});

test("exempt paths are admitted at any limit and under any pressure, and not counted", () => {
  const pressed = new Pressure({ maxEventLoopUtilization: 0.5, maxHeapUtilization: 1 });
  pressed.reasonToShed = () => "event_loop";
  const gate = new Gate({ limit: 1, queue: 0 }, pressed);
  assert.equal(gate.enter("shed").entrance, "event_loop");
  const probe = gate.enter("probe", request("/readyz?full"), 0);
  assert.equal(probe.entrance, "admitted");
  assert.deepEqual(gate.levels, [0, 0]);
  gate.admission.leave(probe.ticket);
  assert.deepEqual(gate.levels, [0, 0]);
});

test("under pressure what comes is shed without a limit too, and what waits goes on", () => {
  const pressure = new Pressure({ maxEventLoopUtilization: 1, maxHeapUtilization: 0.9 });
  const gate = new Gate({ limit: 1 }, pressure);
  const { ticket } = gate.enter("holder");
  gate.enter("waiter");
  pressure.reasonToShed = () => "memory";
  assert.equal(gate.enter("a").entrance, "memory");
  gate.admission.leave(ticket);
  assert.deepEqual(gate.log, ["waiter admitted"]);
  assert.equal(new Gate({}, pressure).enter("b").entrance, "memory");
});

test("a request that matters more takes the place in the queue of one that matters less", () => {
  const gate = new Gate({ limit: 1, queue: 2, priority: (req) => Number(req.url?.slice(1)) });
  const { ticket } = gate.enter("holder", request("/9"));
  assert.equal(gate.enter("five", request("/5")).entrance, "queued");
  assert.equal(gate.enter("six", request("/6")).entrance, "queued");
  assert.equal(gate.enter("seven", request("/7")).entrance, "concurrency");
  assert.equal(gate.enter("six, later", request("/6")).entrance, "concurrency");
  assert.equal(gate.enter("one", request("/1")).entrance, "queued");
  assert.deepEqual(gate.log, ["six shed: concurrency"]);
  gate.admission.leave(ticket);
  assert.equal(gate.log.at(-1), "one admitted");
});

test("priorities beyond the range count as the nearest, and what is no number as the least important", () => {
  const ranks: Record<string, number> = { low: 99, high: -3, half: 4.7, none: NaN };
  const gate = new Gate({ limit: 1, priority: (req) => ranks[req.url!.slice(1)]! });
  const holder = gate.enter("holder", request("/high")).ticket;
  for (const name of ["none", "low", "half", "high"]) gate.enter(name, request(`/${name}`));
  let ticket = holder;
  for (let turn = 0; turn < 4; turn += 1) {
    const before = gate.log.length;
    gate.admission.leave(ticket);
    assert.equal(gate.log.length, before + 1);
    ticket = Object.assign(new Ticket(), { holdsPlace: true });
  }
  assert.deepEqual(gate.log, ["high admitted", "half admitted", "none admitted", "low admitted"]);
});

test("priority is not asked while a place is free", () => {
  const gate = new Gate({ limit: 1, priority: () => assert.fail("asked") });
  assert.equal(gate.enter("a").entrance, "admitted");
});

test("a priority function that throws makes its request the least important, and the error is not swallowed", async (t) => {
  const errors: unknown[] = [];
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => errors.push(error));
  t.after(() => {
    process.removeAllListeners("uncaughtException");
    for (const listener of listeners) process.on("uncaughtException", listener);
  });
  const wrong = new Error("wrong");
  const gate = new Gate({
    limit: 1,
    priority: (req) => {
      if (req.url === "/bad") throw wrong;
      return 5;
    },
  });
  const holder = gate.enter("holder").ticket;
  assert.equal(gate.enter("bad", request("/bad")).entrance, "queued");
  gate.enter("good");
  gate.admission.leave(holder);
  await new Promise(setImmediate);
  assert.deepEqual(gate.log, ["good admitted"]);
  assert.deepEqual(errors, [wrong]);
});

test("ten thousand handlers that end at once overflow no stack, and let the event loop breathe", () => {
  const gate = new Gate({ limit: 1, queue: Infinity, queueTimeout: Infinity });
  const holder = gate.enter("holder").ticket;
  let depth = 0;
  let deepest = 0;
  for (let index = 0; index < 10_000; index += 1) {
    const { ticket } = gate.enter(String(index));
    ticket.handler = () => {
      depth += 1;
      deepest = Math.max(deepest, depth);
      gate.admission.leave(ticket);
      depth -= 1;
    };
  }
  gate.admission.leave(holder);
  assert.ok(gate.log.length < 100, `${gate.log.length} at once`);
  assert.equal(gate.enter("newcomer").entrance, "queued", "a free place in a pause belongs to who waits");
  gate.clock.pass(0);
  assert.equal(deepest, 1);
  assert.deepEqual(gate.levels, [1, 0]);
  assert.deepEqual(
    gate.log,
    Array.from({ length: 10_000 }, (_, index) => `${index} admitted`).concat("newcomer admitted"),
  );
});

test("a handler that throws on admission does not keep the others waiting, nor harm who has left", async (t) => {
  const errors: unknown[] = [];
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => errors.push(error));
  t.after(() => {
    process.removeAllListeners("uncaughtException");
    for (const listener of listeners) process.on("uncaughtException", listener);
  });
  const wrong = new Error("wrong");
  const gate = new Gate({ limit: 2 });
  const holders = [gate.enter("a").ticket, gate.enter("b").ticket];
  gate.enter("thrower").ticket.handler = () => {
    throw wrong;
  };
  gate.enter("next");
  for (const holder of holders) gate.admission.leave(holder);
  await new Promise(setImmediate);
  assert.deepEqual(gate.log, ["thrower admitted", "next admitted"]);
  assert.deepEqual(errors, [wrong]);
});

test("it tells how long the oldest waits", () => {
  const gate = new Gate({ limit: 1 });
  assert.equal(gate.admission.oldestWaitMs, 0);
  const { ticket } = gate.enter("holder");
  gate.enter("a");
  gate.clock.pass(25);
  gate.enter("b");
  gate.clock.pass(12);
  assert.equal(gate.admission.oldestWaitMs, 37);
  gate.admission.leave(ticket);
  assert.equal(gate.admission.oldestWaitMs, 12);
});

test("an adaptive limit begins at its minimum, and follows how long requests take after they were admitted", () => {
  const gate = new Gate({ limit: "adaptive", min: 4, max: 50 });
  assert.deepEqual([gate.admission.limit, gate.admission.inFlight], [4, 0]);
  const inFlight: Ticket[] = [];
  const enter = (): void => {
    const { ticket, entrance } = gate.enter("");
    if (entrance === "admitted") inFlight.push(ticket);
    else ticket.handler = () => inFlight.push(ticket);
  };
  const serve = (rounds: number, tookMs: (inFlight: number) => number): void => {
    for (let round = 0; round < rounds; round += 1) {
      while (gate.admission.queued < 5) enter();
      gate.clock.pass(tookMs(gate.admission.inFlight));
      for (const ticket of inFlight.splice(0)) {
        gate.admission.leave(ticket);
        enter();
      }
    }
  };
  serve(1_000, () => 20);
  const grown = gate.admission.limit;
  serve(1_000, (count) => 20 * Math.max(1, count / 10));
  const shrunk = gate.admission.limit;
  assert.equal(grown, 50, "nothing slowed down");
  assert.ok(shrunk <= 25, `the capacity is 10, the limit ${shrunk}`);
});

test("the time in the queue, streams, and what timed out are no response times", () => {
  const gate = new Gate({ limit: "adaptive", min: 4, max: 1_000, queueTimeout: Infinity });
  const serve = (end: (ticket: Ticket) => void): void => {
    for (let round = 0; round < 60; round += 1) {
      const tickets = Array.from({ length: 8 }, () => gate.enter("").ticket);
      gate.clock.pass(50);
      while (gate.admission.inFlight > 0) {
        for (const ticket of tickets.filter(({ holdsPlace }) => holdsPlace)) end(ticket);
        gate.clock.pass(50);
      }
    }
  };
  serve((ticket) => gate.admission.release(ticket));
  assert.equal(gate.admission.limit, 4, "nothing was measured");
  serve((ticket) => gate.admission.leave(ticket, true));
  assert.equal(gate.admission.limit, 4, "timeouts only shrink it");
});

test("the queue's timers run in real time as well", async () => {
  const resolved = resolveOptions("Server", serverOptions, { concurrency: { limit: 1, queueTimeout: 30 } }).concurrency;
  const wheel = new DeadlineWheel();
  const admission = new Admission(resolved, { wheel, pressure: new Pressure(resolved) });
  admission.enter(new Ticket(), plain);
  const { promise, resolve } = Promise.withResolvers<ShedReason>();
  const waiter = new Ticket();
  waiter.onShed = resolve;
  const keptAlive = setInterval(() => {}, 1_000);
  assert.equal(admission.enter(waiter, plain), "queued");
  assert.equal(await promise, "concurrency");
  clearInterval(keptAlive);
  wheel.close();
});

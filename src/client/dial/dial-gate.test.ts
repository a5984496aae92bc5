import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { DialGate, type Turn } from "./dial-gate.ts";

const never: AbortSignal = new AbortController().signal;

test("one host gets at most half of the places, and the next host passes its waiters", async () => {
  const gate = new DialGate(4);
  const dead = [gate.enter("dead", never), gate.enter("dead", never)];
  const third = gate.enter("dead", never);
  const alive = gate.enter("alive", never);

  using _alive = await alive;

  assert.deepEqual({ running: gate.running, waiting: gate.waiting }, { running: 3, waiting: 1 });
  (await dead[0])?.release();
  using _third = await third;
  assert.deepEqual({ running: gate.running, waiting: gate.waiting }, { running: 3, waiting: 0 });
});

test("a free place goes round among the hosts, and to the longest waiter of each", async () => {
  const gate = new DialGate(1);
  const order: string[] = [];
  const enter = async (host: string, name: string): Promise<void> => {
    using _turn = await gate.enter(host, never);
    order.push(name);
  };
  await Promise.all([
    enter("a", "a1"),
    enter("a", "a2"),
    enter("a", "a3"),
    enter("b", "b1"),
    enter("b", "b2"),
    enter("c", "c1"),
  ]);
  assert.deepEqual(order, ["a1", "b1", "c1", "a2", "b2", "a3"]);
});

test("a waiter that is aborted leaves no gap, and a turn given back twice frees one place", async () => {
  const gate = new DialGate(2);
  const [first, other] = await Promise.all([gate.enter("a", never), gate.enter("b", never)]);
  const leaves = new AbortController();
  const abandoned = gate.enter("a", leaves.signal);
  const next = gate.enter("a", never);

  leaves.abort(new Error("gone"));
  await assert.rejects(abandoned, /gone/);
  first.release();
  first.release();

  using _next = await next;
  assert.deepEqual({ running: gate.running, waiting: gate.waiting }, { running: 2, waiting: 0 });
  other.release();
});

test("whatever is entered, aborted and given back, the limits hold and nobody waits beside a free place", async (t) => {
  const seed = Number(process.env["SEED"] ?? randomInt(2 ** 31));
  t.diagnostic(`SEED=${seed}`);
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const gate = new DialGate(5);
  const turns: { host: string; turn: Turn }[] = [];
  const waiting = new Map<AbortController, string>();

  for (let step = 0; step < 3_000; step++) {
    const action = random(3);
    if (action === 0) {
      const host = `host-${random(4)}`;
      const aborter = new AbortController();
      waiting.set(aborter, host);
      gate.enter(host, aborter.signal).then(
        (turn) => {
          turns.push({ host, turn });
          return waiting.delete(aborter);
        },
        () => waiting.delete(aborter),
      );
    } else if (action === 1) {
      turns.splice(random(turns.length), 1)[0]?.turn.release();
    } else {
      [...waiting.keys()][random(waiting.size)]?.abort(new Error("gone"));
    }
    // oxlint-disable-next-line no-await-in-loop -- each step is looked at before the next one
    await nextTurn();

    const runningOf = (host: string): number => turns.filter((each) => each.host === host).length;
    assert.equal(gate.running, turns.length);
    assert.equal(gate.waiting, waiting.size);
    assert.ok(gate.running <= 5);
    for (const { host } of turns) assert.ok(runningOf(host) <= 3);
    for (const host of waiting.values()) assert.ok(gate.running === 5 || runningOf(host) === 3, `step ${step}`);
  }
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { randomFrom } from "../../test/support/random.ts";
import { Backlog, Waiting, type DropReason, type OverflowPolicy } from "./backlog.ts";

function make(policy: OverflowPolicy, limit: number) {
  const drops: DropReason[] = [];
  const backlog = new Backlog<string>({ policy, limit, onDrop: (reason) => drops.push(reason) });
  const add = (text: string, key = "", besides = 0): boolean =>
    backlog.add(new Waiting(text, text.length, key), besides);
  const takeAll = (): string[] => {
    const taken: string[] = [];
    for (let next = backlog.take(); next !== undefined; next = backlog.take()) taken.push(next.payload);
    return taken;
  };
  return { backlog, drops, add, takeAll };
}

test("a client that is to be disconnected has everything up to the limit, and nothing beyond", () => {
  const { add, takeAll, backlog } = make("disconnect", 10);

  assert.deepEqual([add("aaaa"), add("bbbb"), add("ccc"), add("cc")], [true, true, false, true]);
  assert.equal(backlog.bytes, 10);
  assert.deepEqual(takeAll(), ["aaaa", "bbbb", "cc"]);
  assert.equal(backlog.bytes, 0);
});

test("what waits elsewhere for the same client counts", () => {
  const { add } = make("disconnect", 10);

  assert.deepEqual([add("aaaa", "", 7), add("aaaa", "", 6)], [false, true]);
});

test("the newest waits although more than the limit waits elsewhere", () => {
  for (const policy of ["drop-oldest", "latest-only"] as const) {
    const { add, takeAll, backlog } = make(policy, 10);

    for (const text of ["aaaa", "bbbb", "cccc"]) add(text, text, 100);

    assert.deepEqual(takeAll(), ["cccc"]);
    assert.equal(backlog.takeMissed(), 2);
  }
});

test("dropping the oldest keeps the newest in order, and counts what was left out", () => {
  const { add, takeAll, backlog, drops } = make("drop-oldest", 10);

  for (const text of ["aaaa", "bbbb", "cccc", "dddd"]) add(text);

  assert.deepEqual(takeAll(), ["cccc", "dddd"]);
  assert.deepEqual([backlog.takeMissed(), backlog.takeMissed()], [2, 0]);
  assert.deepEqual(drops, ["overflow", "overflow"]);
});

test("one message that is larger than the limit is left out, with all that was older", () => {
  const { add, takeAll, backlog } = make("drop-oldest", 10);

  add("aaaa");
  add("b".repeat(11));
  add("cc");

  assert.deepEqual(takeAll(), ["cc"]);
  assert.equal(backlog.takeMissed(), 2);
});

test("of each key only the newest waits, at the place of the newest", () => {
  const { add, takeAll, backlog, drops } = make("latest-only", 100);

  for (const [text, key] of [
    ["a1", "a"],
    ["b1", "b"],
    ["a2", "a"],
    ["c1", "c"],
    ["b2", "b"],
  ] as const)
    add(text, key);

  assert.deepEqual(takeAll(), ["a2", "c1", "b2"]);
  assert.equal(backlog.takeMissed(), 0, "one that was replaced is not missed");
  assert.deepEqual(drops, ["superseded", "superseded"]);
});

test("never more than the limit waits, whatever comes", () => {
  const random = randomFrom();
  for (const policy of ["disconnect", "drop-oldest", "latest-only"] as const) {
    const { add, backlog } = make(policy, 50);
    let sum = 0;
    for (let step = 0; step < 5_000; step += 1) {
      if (random.chance(0.3)) sum -= backlog.take()?.byteLength ?? 0;
      add("x".repeat(random.below(60)), String(random.below(5)), random.below(20));
      assert.ok(backlog.bytes >= 0 && backlog.bytes <= 50, `seed ${random.seed}: ${backlog.bytes} bytes, ${policy}`);
    }
    backlog.clear();
    assert.deepEqual([backlog.bytes, backlog.isEmpty], [0, true]);
    assert.ok(sum <= 0);
  }
});

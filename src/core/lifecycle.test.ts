import assert from "node:assert/strict";
import { test } from "node:test";
import { Lifecycle } from "./lifecycle.ts";

test("draining is announced before its work begins, and drained is true when the promise settles", async () => {
  const lifecycle = new Lifecycle();
  const seen: string[] = [];
  lifecycle.onDrain(() => seen.push(`listener: ${lifecycle.state}`));

  const drained = lifecycle.drain(async () => {
    seen.push(`work: ${lifecycle.state}`);
    await Promise.resolve();
  });
  seen.push(`caller: ${lifecycle.state}`);
  await drained;

  assert.deepEqual(seen, ["listener: draining", "work: draining", "caller: draining"]);
  assert.equal(lifecycle.state, "drained");
});

test("a second drain does no work of its own and ends with the first", async () => {
  const lifecycle = new Lifecycle();
  let runs = 0;
  const work = (): void => {
    runs += 1;
  };
  await Promise.all([lifecycle.drain(work), lifecycle.drain(work)]);
  assert.equal(runs, 1);
});

test("work that fails rejects the drain, and the lifecycle is drained all the same", async () => {
  const lifecycle = new Lifecycle();
  await assert.rejects(
    lifecycle.drain(() => Promise.reject(new Error("store is gone"))),
    /store is gone/,
  );
  assert.equal(lifecycle.state, "drained");
});

test("a listener that comes late is told too, one that was disposed of is not", async () => {
  const lifecycle = new Lifecycle();
  const told: string[] = [];
  lifecycle.onDrain(() => told.push("disposed of"))[Symbol.dispose]();
  await lifecycle.drain(() => undefined);
  lifecycle.onDrain(() => told.push("late"));
  lifecycle.onDrain(() => told.push("late, disposed of"))[Symbol.dispose]();

  await Promise.resolve();

  assert.deepEqual(told, ["late"]);
});

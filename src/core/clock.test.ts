import assert from "node:assert/strict";
import { test } from "node:test";
import { now, systemClock, turnNow } from "./clock.ts";

test("within one turn the time stands still, and the caller's continuation sees a new one", async () => {
  const first = turnNow();
  while (now() - first < 5);
  assert.equal(turnNow(), first);
  await Promise.resolve();
  assert.ok(turnNow() - first >= 5);
});

test("what waits for the poll phase is called although no I/O comes", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  // The only other thing that could end the poll phase.
  const silence = setTimeout(() => undefined, 5_000);
  // Of a timer, so that nothing is left of the turn before it.
  await new Promise((done) => setTimeout(done, 10));

  const from = now();
  setTimeout(() => systemClock.wakeAfterPoll(resolve), 10);
  await promise;

  assert.ok(now() - from < 2_500, `it took ${Math.round(now() - from)} ms`);
  clearTimeout(silence);
});

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

test("what is to wake after the poll does not wait for something to happen there", async () => {
  const { promise, resolve } = Promise.withResolvers<number>();
  // Nothing else goes on in this process for a second.
  const idle = setTimeout(() => resolve(Infinity), 1_000);
  const from = now();
  setTimeout(() => systemClock.wakeAfterPoll(() => resolve(now() - from)), 10);

  const tookMs = await promise;
  clearTimeout(idle);

  assert.ok(tookMs < 500, `${tookMs} ms`);
});

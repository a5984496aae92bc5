import assert from "node:assert/strict";
import { test } from "node:test";
import { now, turnNow } from "./clock.ts";

test("within one turn the time stands still, and the caller's continuation sees a new one", async () => {
  const first = turnNow();
  while (now() - first < 5);
  assert.equal(turnNow(), first);
  await Promise.resolve();
  assert.ok(turnNow() - first >= 5);
});

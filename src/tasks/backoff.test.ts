import assert from "node:assert/strict";
import { test } from "node:test";
import { backoffMs } from "./backoff.ts";
import { RateGate } from "./rate-gate.ts";

test("without jitter the wait doubles from the first to the cap, however many attempts there are", () => {
  const backoff = { from: 1_000, to: 300_000, jitter: "none" } as const;

  assert.deepEqual(
    [1, 2, 3, 9, 10, 5_000].map((attempt) => backoffMs(backoff, attempt)),
    [1_000, 2_000, 4_000, 256_000, 300_000, 300_000],
  );
});

test("with full jitter the wait is anything from nothing to the longest", () => {
  const backoff = { from: 1_000, to: 300_000, jitter: "full" } as const;

  assert.equal(
    backoffMs(backoff, 3, () => 0),
    0,
  );
  assert.equal(
    backoffMs(backoff, 3, () => 0.5),
    2_000,
  );
  assert.ok(backoffMs(backoff, 3, () => 0.999_999) <= 4_000);
});

test("a rate lets so many through at once, then one for each share of the time, and never saves up more", (t) => {
  let at = 0;
  t.mock.method(performance, "now", () => at);
  const gate = new RateGate({ limit: 10, per: 1_000 });
  const takeAll = (): number => {
    let taken = 0;
    while (gate.tryTake()) taken += 1;
    return taken;
  };

  assert.equal(takeAll(), 10);
  assert.equal(gate.waitMs, 100);
  at += 99;
  assert.equal(takeAll(), 0);
  at += 1;
  assert.equal(takeAll(), 1);
  at += 3_600_000;
  assert.equal(takeAll(), 10);
});

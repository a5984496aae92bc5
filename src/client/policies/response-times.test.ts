import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { ResponseTimes } from "./response-times.ts";

test("there is no answer before a hundred times are known", () => {
  const times = new ResponseTimes();
  for (let i = 0; i < 99; i++) times.record(10);
  assert.equal(times.p95(), undefined);
  times.record(10);
  assert.ok(Math.abs((times.p95() ?? NaN) - 10) < 1);
});

test("the answer is within a tenth of the true percentile, from half a millisecond to a minute", (t: TestContext) => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  t.diagnostic(`seed ${seed}`);
  let state = seed;
  for (const scale of [1, 20, 700, 20_000]) {
    const times = new ResponseTimes();
    const all: number[] = [];
    for (let i = 0; i < 3_200; i++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      const ms = scale * (0.5 - Math.log(1 - state / 2 ** 32));
      all.push(ms);
      times.record(ms);
    }
    const exact = all.toSorted((a, b) => a - b)[Math.floor(all.length * 0.95)] ?? NaN;
    const error = Math.abs((times.p95() ?? NaN) / exact - 1);
    assert.ok(error < 0.1, `${times.p95()} instead of ${exact}`);
  }
});

test("an origin that has become slower is believed after some thousand times", () => {
  const times = new ResponseTimes();
  for (let i = 0; i < 4_000; i++) times.record(10);
  for (let i = 0; i < 400; i++) times.record(100);
  assert.ok((times.p95() ?? NaN) > 90, String(times.p95()));
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRetryAfter } from "./retry-after.ts";

const date = "Sun, 06 Nov 1994 08:49:37 GMT";
const wallClock = (): number => Date.UTC(1994, 10, 6, 8, 49, 0);

test("a number means seconds", () => {
  assert.equal(parseRetryAfter({ "retry-after": "120" }), 120_000);
  assert.equal(parseRetryAfter({ "retry-after": "0" }), 0);
});

test("each of the three date forms is measured against the answer's own date", () => {
  for (const form of ["Sun, 06 Nov 1994 08:49:47 GMT", "Sunday, 06-Nov-94 08:49:47 GMT", "Sun Nov  6 08:49:47 1994"]) {
    assert.equal(parseRetryAfter({ "retry-after": form, date }, wallClock), 10_000, form);
  }
});

test("without a date in the answer the local clock has to do", () => {
  assert.equal(parseRetryAfter({ "retry-after": date }, wallClock), 37_000);
});

test("a date that has passed means now", () => {
  assert.equal(parseRetryAfter({ "retry-after": "Sun, 06 Nov 1994 08:00:00 GMT", date }, wallClock), 0);
});

test("what is neither is as good as absent", () => {
  for (const value of ["", "-1", "1.5", "soon", "1e3", "99999999999", "2026-01-01", "Sun, 99 Nov 1994 08:49:37 GMT"]) {
    assert.equal(parseRetryAfter({ "retry-after": value }), undefined, value);
  }
  assert.equal(parseRetryAfter({}), undefined);
  assert.equal(parseRetryAfter({ "retry-after": ["1", "2"] }), undefined);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { Headers } from "undici";
import { eachHeader, hasHeader } from "./request-headers.ts";

test("the same headers are found in each shape that undici takes", () => {
  const expected = [
    ["Accept", "text/html"],
    ["X-Key", "7"],
  ];
  const shapes = [
    { Accept: "text/html", "X-Key": "7" },
    ["Accept", "text/html", "X-Key", "7"],
    new Map([
      ["Accept", "text/html"],
      ["X-Key", "7"],
    ]),
    new Map(Object.entries({ Accept: "text/html", "X-Key": "7" })).entries(),
  ];
  for (const headers of shapes) assert.deepEqual([...eachHeader(headers)], expected);
  const lowered = [...eachHeader(new Headers({ Accept: "text/html", "X-Key": "7" }))];
  assert.deepEqual(lowered, [
    ["accept", "text/html"],
    ["x-key", "7"],
  ]);
});

test("no headers are none, whether absent or null", () => {
  assert.deepEqual([...eachHeader(undefined), ...eachHeader(null), ...eachHeader([]), ...eachHeader({})], []);
});

test("a header is found whatever its case, and not when its value is undefined", () => {
  assert.equal(hasHeader({ "Idempotency-KEY": "" }, "idempotency-key"), true);
  assert.equal(hasHeader(["idempotency-key", "1"], "idempotency-key"), true);
  assert.equal(hasHeader({ "idempotency-key": undefined }, "idempotency-key"), false);
  assert.equal(hasHeader({ "x-other": "idempotency-key" }, "idempotency-key"), false);
});

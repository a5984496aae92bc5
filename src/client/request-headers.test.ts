import assert from "node:assert/strict";
import { test } from "node:test";
import { Headers } from "undici";
import { eachHeader, findHeader, withHeaders, withRepeatableHeaders } from "./request-headers.ts";

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

test("a header is found whatever its case, and not when it has no value", () => {
  assert.equal(findHeader({ "Idempotency-KEY": "" }, "idempotency-key"), "");
  assert.equal(findHeader(["idempotency-key", "1"], "idempotency-key"), "1");
  assert.equal(findHeader({ "x-key": ["1", "2"] }, "x-key"), "1");
  assert.equal(findHeader({ "idempotency-key": undefined }, "idempotency-key"), undefined);
  assert.equal(findHeader({ "x-other": "idempotency-key" }, "idempotency-key"), undefined);
});

test("headers are added only where the caller has set none", () => {
  const given = { Traceparent: "mine", accept: ["a", "b"], "x-none": undefined };
  const flat = withHeaders(given, { traceparent: "ours", "x-deadline": "5" });
  assert.equal(flat.join(" "), "Traceparent mine accept a accept b x-deadline 5");
});

test("headers that can be read only once can be read again", () => {
  const pairs: [string, string][] = [
    ["x-key", "1"],
    ["x-key", "2"],
  ];
  const { headers } = withRepeatableHeaders({ path: "/", method: "GET", headers: pairs.values() });
  assert.deepEqual([...eachHeader(headers)], pairs);
  assert.deepEqual([...eachHeader(headers)], pairs);

  const repeatable = { path: "/", method: "GET", headers: { next: "a header of that name" } };
  assert.equal(withRepeatableHeaders(repeatable), repeatable);
});

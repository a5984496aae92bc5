import assert from "node:assert/strict";
import { test } from "node:test";
import { originOf, PerOrigin } from "./per-origin.ts";

test("the origin that was used least recently is forgotten first", () => {
  let made = 0;
  const values = new PerOrigin((origin) => `${origin} ${++made}`, 2);
  values.get("a");
  values.get("b");
  values.get("a");
  values.get("c");
  assert.equal(values.size, 2);
  assert.equal(values.get("a"), "a 1");
  assert.equal(values.get("b"), "b 4");
});

test("a million origins leave no more than the bound behind", () => {
  const values = new PerOrigin(() => ({}), 100);
  for (let i = 0; i < 1_000_000; i++) values.get(`http://host${i}`);
  assert.equal(values.size, 100);
});

test("a URL and its text are one origin", () => {
  const opts = { path: "/", method: "GET" } as const;
  const text = originOf({ ...opts, origin: "http://shop.test:8080" });
  assert.equal(originOf({ ...opts, origin: new URL("http://shop.test:8080/path") }), text);
  assert.equal(originOf(opts), "");
});

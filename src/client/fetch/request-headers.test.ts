import assert from "node:assert/strict";
import { test } from "node:test";
import { readHeaders } from "./request-headers.ts";
import { traitsOf } from "./target.ts";

const pieces = [
  "a",
  "B",
  "-",
  "x-y",
  "set-cookie",
  "cookie",
  " ",
  "\t",
  ":",
  "\r\n",
  "\0",
  "\x7f",
  "\x01",
  "é",
  "€",
  "7",
];

/** Mulberry32: small, and repeatable from its seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

test("random header lists that are read the short way are valid, and mean what Headers says they mean", (t) => {
  const seed = Math.trunc(Math.random() * 2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const random = randomFrom(seed);
  const text = (most: number): string =>
    Array.from({ length: Math.trunc(random() * most) }, () => pieces[Math.trunc(random() * pieces.length)]).join("");
  const traits = traitsOf(new URL("http://127.0.0.1:8080/"));
  let read = 0;
  for (let round = 0; round < 20_000; round += 1) {
    const pairs = Array.from({ length: 1 + Math.trunc(random() * 3) }, (): [string, string] => [text(3), text(4)]);
    const lean = readHeaders(pairs);
    if (lean === undefined) continue;
    read += 1;
    const expected = new Headers(pairs);
    const wire = lean.toWire(traits, false, undefined);
    for (const [name, value] of expected) {
      if (name === "set-cookie" || name === "cookie") continue;
      const place = wire.findIndex((entry, index) => index % 2 === 0 && entry.toLowerCase() === name);
      assert.equal(wire[place + 1], value, `seed ${seed}: ${JSON.stringify(pairs)}`);
    }
  }
  assert.ok(read > 500, `${read} lists were read the short way`);
});

test("what only the global Request can judge is not read the short way", () => {
  const doubtful: unknown[] = [
    "a: b",
    null,
    7,
    { a: 7 },
    { "a b": "c" },
    { a: "b\r\nc: d" },
    { a: " padded" },
    [["a"]],
    [["a", "b", "c"]],
    new Map([["a", "b"]]),
    new (class Own {
      a = "b";
    })(),
  ];
  for (const headers of doubtful) assert.equal(readHeaders(headers), undefined);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { SseHistory, type HistoryLimits } from "./sse-history.ts";

const wide: HistoryLimits = { maxEvents: 100, maxAge: Infinity, maxBytes: Infinity };

function make(limits: Partial<HistoryLimits>, ids: readonly string[]): SseHistory {
  const history = new SseHistory({ ...wide, ...limits }, "start");
  for (const id of ids) history.add(id, Buffer.from(`<${id}>`));
  return history;
}

function read(history: SseHistory, id: string): string[] | undefined {
  const from = history.find(id);
  if (from === undefined) return undefined;
  return Array.from(history.after(from), (next) => ("missed" in next ? `-${next.missed}` : String(next.frame)));
}

test("who has seen an event gets all after it", () => {
  const history = make({}, ["a", "b", "c"]);

  assert.deepEqual(read(history, "a"), ["<b>", "<c>"]);
  assert.deepEqual(read(history, "c"), []);
  assert.deepEqual(read(history, "start"), ["<a>", "<b>", "<c>"]);
  assert.equal(read(history, "never"), undefined);
});

test("the number of events is bounded, and one can still go on from the last that was forgotten", () => {
  const history = make({ maxEvents: 2 }, ["a", "b", "c", "d"]);

  assert.equal(history.size, 2);
  assert.deepEqual(read(history, "b"), ["<c>", "<d>"]);
  assert.equal(read(history, "a"), undefined);
  assert.equal(read(history, "start"), undefined);
});

test("the bytes are bounded, also by one event that is larger than all of it", () => {
  const history = make({ maxBytes: 7 }, ["a", "b", "c"]);
  assert.deepEqual([history.size, history.bytes], [2, 6]);

  history.add("huge", Buffer.alloc(8));

  assert.deepEqual([history.size, history.bytes], [0, 0]);
  assert.deepEqual(read(history, "huge"), []);
  assert.equal(read(history, "c"), undefined);
});

test("what is too old is forgotten without anything being added", async () => {
  const history = make({ maxAge: 20 }, ["a", "b"]);
  assert.deepEqual(read(history, "a"), ["<b>"]);
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, 40);
  await promise;

  assert.equal(read(history, "a"), undefined);
  assert.deepEqual(read(history, "b"), [], "who has seen the newest has missed nothing");
  assert.equal(history.size, 0);
});

test("a reader gets what is added while it reads, and hears how much went away before it came there", () => {
  const history = make({ maxEvents: 3 }, ["a", "b", "c"]);
  const reader = history.after(0);
  assert.deepEqual(String((reader.next().value as { frame: Buffer }).frame), "<a>");
  for (const id of ["d", "e", "f"]) history.add(id, Buffer.from(`<${id}>`));

  const rest = Array.from(reader, (next) => ("missed" in next ? `-${next.missed}` : String(next.frame)));

  assert.deepEqual(rest, ["-2", "<d>", "<e>", "<f>"]);
});

test("an id that is used twice stands for the later event", () => {
  const history = make({ maxEvents: 3 }, ["a", "b", "a", "c", "d"]);

  assert.deepEqual(read(history, "a"), ["<c>", "<d>"]);
});

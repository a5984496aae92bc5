import assert from "node:assert/strict";
import { test } from "node:test";
import { AdmissionQueue, Waiting } from "./admission-queue.ts";

class Named extends Waiting {
  readonly name: string;
  constructor(name: string, priority: number, waitingSince: number) {
    super(priority, waitingSince);
    this.name = name;
  }
  onDeadline(): void {}
}

function nameOf(waiting: Waiting | undefined): string | undefined {
  return waiting instanceof Named ? waiting.name : undefined;
}

/** A queue with a patience of 50 ms. `a5@10` came with priority 5 at 10 ms. */
function queueOf(...entries: readonly string[]): AdmissionQueue {
  const queue = new AdmissionQueue(50);
  for (const entry of entries) {
    const [, name = "", priority, at] = /^([a-z]+)(\d)@(\d+)$/.exec(entry) ?? [];
    queue.push(new Named(name, Number(priority), Number(at)));
  }
  return queue;
}

function drain(queue: AdmissionQueue, nowMs: number): string {
  const names: (string | undefined)[] = [];
  while (queue.size > 0) names.push(nameOf(queue.takeNext(nowMs)));
  return names.join(" ");
}

test("who matters more goes first, and equals go in the order of arrival", () => {
  const queue = queueOf("a5@0", "b0@1", "c5@2", "d9@3", "e0@4");
  assert.equal(drain(queue, 10), "b e a c d");
  assert.equal(queue.takeNext(10), undefined);
});

test("who has waited longer than the patience lets the later ones go first", () => {
  const queue = queueOf("old0@0", "older0@10", "fresh0@80", "fresher0@90");
  assert.equal(nameOf(queue.takeNext(100)), "fresh");
  assert.equal(nameOf(queue.takeNext(100)), "fresher");
});

test("when nobody else waits, those who stepped aside are served, the latest first", () => {
  assert.equal(drain(queueOf("a0@0", "b0@10", "c0@20"), 1_000), "c b a");
});

test("stepping aside costs no importance: an old request that matters goes before a fresh one that matters less", () => {
  assert.equal(drain(queueOf("old1@0", "fresh2@990", "fresh1@995"), 1_000), "fresh old fresh");
});

test("one that has waited exactly as long as the patience is still in time", () => {
  assert.equal(drain(queueOf("a0@50", "b0@60"), 100), "a b");
});

test("room is made by the latest of the least important ones", () => {
  const queue = queueOf("a3@0", "b7@1", "c7@2", "d3@3");
  assert.equal(nameOf(queue.displace(3, 10)), "c");
  assert.equal(nameOf(queue.displace(3, 10)), "b");
  assert.equal(queue.displace(3, 10), undefined, "among equals the newcomer is the latest");
  assert.equal(nameOf(queue.displace(2, 10)), "d");
  assert.equal(queue.size, 1);
});

test("nobody makes room for one that matters less", () => {
  assert.equal(queueOf("a3@0", "b4@900").displace(5, 1_000), undefined);
});

test("one that has stepped aside makes room for an equal, the one that has waited longest first", () => {
  const queue = queueOf("a3@0", "b3@1", "c3@990");
  assert.equal(nameOf(queue.displace(3, 1_000)), "a");
  assert.equal(nameOf(queue.displace(3, 1_000)), "b");
  assert.equal(queue.displace(3, 1_000), undefined);
});

test("removing is counted once, wherever the one stood", () => {
  const queue = queueOf("a0@0", "b0@990");
  const waiting = new Named("x", 0, 995);
  queue.push(waiting);
  queue.remove(waiting);
  queue.remove(waiting);
  assert.equal(queue.size, 2);
  assert.equal(drain(queue, 1_000), "b a");
});

test("it knows since when the oldest waits, across priorities and whether or not it stepped aside", () => {
  const queue = queueOf("a9@5", "b0@7", "c0@960");
  assert.equal(queue.oldestSince, 5);
  queue.displace(0, 1_000);
  assert.equal(queue.oldestSince, 7);
  assert.equal(nameOf(queue.takeNext(1_000)), "c");
  assert.equal(queue.oldestSince, 7);
  queue.takeNext(1_000);
  assert.equal(queue.oldestSince, Infinity);
});

test("without a limit on the wait nobody steps aside", () => {
  const queue = new AdmissionQueue(Infinity);
  for (const name of ["a", "b", "c"]) queue.push(new Named(name, 0, 0));
  assert.equal(drain(queue, 1e9), "a b c");
});

test("a hundred thousand leave from anywhere in the time that a hundred thousand steps take", () => {
  const queue = new AdmissionQueue(50);
  const all = Array.from({ length: 100_000 }, (_, index) => new Named(String(index), index % 10, index));
  const startedAt = performance.now();
  for (const waiting of all) queue.push(waiting);
  for (let index = 0; index < all.length; index += 1) queue.remove(all[(index * 7_919) % all.length]!);
  assert.equal(queue.size, 0);
  // A search for each would take minutes.
  assert.ok(performance.now() - startedAt < 5_000);
});

/** Adding to a queue, whatever its engine does; and going away with it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { HandStore } from "../../test/support/hand-store.ts";
import { makeQueue, makeTasks, settlementOf, until } from "../../test/support/queue-bench.ts";
import { now } from "../core/index.ts";
import { Tasks, type Job, type QueueOptions } from "./index.ts";

/** What only JavaScript can do. */
const misspelt = { concurency: 1 } as QueueOptions;

test("a process without a handler only adds", async (t) => {
  const bench = await makeQueue(t, undefined);

  await bench.queue.add("x");

  assert.equal(bench.store.isConsumed, false);
  assert.equal(bench.store.added.length, 1);
  const { storeError } = await bench.tasks.drain();
  assert.equal(storeError, undefined);
});

test("add settles within its timeout while the engine says nothing, and says what was the matter", async (t) => {
  const bench = await makeQueue(t, undefined);
  await bench.queue.add("first");
  bench.store.engine = "silent";

  const startedAt = now();
  await assert.rejects(bench.queue.add("x", { timeout: 100 }), {
    code: "ERR_STORE_UNAVAILABLE",
    message: /Could not add a job to "mail" within 100 ms: hand did not answer/,
  });

  assert.ok(now() - startedAt >= 100);
  assert.equal(bench.queue.stats().added.failed, 1);
});

test("a store whose engine comes up late is started again until it is there, and then all flows", async (t) => {
  const store = new HandStore();
  store.engine = "down";
  const { tasks, reports } = makeTasks(t, store);
  const queue = tasks.queue<string>("mail", {}, () => {});
  await assert.rejects(queue.add("x", { timeout: 150 }), {
    code: "ERR_STORE_UNAVAILABLE",
    message: /Its last error: connection refused/,
  });

  store.engine = "up";

  await until(() => store.isConsumed, "it is consumed");
  await queue.add("y");
  assert.equal(store.added.length, 1);
  assert.ok(store.calls.filter((call) => call === "start").length > 1);
  assert.ok(reports.every(({ about }) => about.mechanism === "store"));
});

test("calls that wait for an engine are bounded, and those beyond fail at once", async (t) => {
  const bench = await makeQueue(t, undefined, { maxAdding: 3 });
  bench.store.engine = "silent";
  const waiting = [1, 2, 3].map((data) => bench.queue.add(data, { timeout: 200 }));

  const startedAt = now();
  await assert.rejects(bench.queue.add(4, { timeout: "5s" }), /3 calls wait for hand already/);

  assert.ok(now() - startedAt < 200);
  const ends = await Promise.allSettled(waiting);
  assert.ok(ends.every(({ status }) => status === "rejected"));
});

test("what is no JSON or too large is refused before it reaches the store", async (t) => {
  const bench = await makeQueue(t, undefined, { maxPayload: 300 });
  const circular: { self?: unknown } = {};
  circular.self = circular;

  await assert.rejects(bench.queue.add(circular), { code: "ERR_JOB_PAYLOAD", message: /cannot be written as JSON/ });
  await assert.rejects(bench.queue.add(1n), { code: "ERR_JOB_PAYLOAD" });
  await assert.rejects(bench.queue.add("ü".repeat(150)), {
    code: "ERR_JOB_PAYLOAD",
    message: /has \d+ bytes; the limit is 300/,
  });
  await bench.queue.add("ü".repeat(100));

  assert.equal(bench.store.added.length, 1);
});

test("what the store cannot do is refused with its name, not left out", async (t) => {
  const store = new HandStore({ delay: false, priority: false, dedup: false });
  const { tasks } = makeTasks(t, store);
  const queue = tasks.queue<number>("mail");

  await assert.rejects(queue.add(1, { delay: "1s" }), { code: "ERR_STORE_CANNOT", message: /hand knows no delay/ });
  await assert.rejects(queue.add(1, { priority: 1 }), { code: "ERR_STORE_CANNOT", message: /no priority/ });
  await assert.rejects(queue.add(1, { key: "k" }), { code: "ERR_STORE_CANNOT", message: /no key/ });
  await assert.rejects(queue.addWithin({}, 1), {
    code: "ERR_STORE_CANNOT",
    message: /cannot add within a transaction/,
  });
  await queue.add(1, { priority: 0 });
});

test("unknown options, odd names and a missing store are errors that say what to write", async (t) => {
  const { tasks } = makeTasks(t, new HandStore());
  assert.throws(() => new Tasks().queue("mail"), /Tasks.store is needed for a queue/);
  assert.throws(() => tasks.queue("a.b"), /Queue.name must be 1 to 64 letters/);
  assert.throws(() => tasks.queue("m", misspelt), /Queue.concurency is not an option; did you mean conc/);
  assert.throws(() => tasks.queue("m", { lease: "10ms" }), /Queue.lease must be at least 1 s/);
  assert.throws(() => tasks.queue("m", { rateLimit: { limit: 0 } }), /Queue.rateLimit.limit/);
  const queue = tasks.queue<number>("m");
  assert.throws(() => tasks.queue("m"), /there is a queue "m" already/);
  await assert.rejects(queue.add(1, { delay: 0 }), /add.delay must be longer than 0/);
  await assert.rejects(queue.add(1, { key: "" }), /add.key must be a string of 1 to 200 characters/);
});

test("what is in the store can be collected, and the engine is asked only then", async (t) => {
  const bench = await makeQueue(t, undefined);
  const read = (): unknown[] =>
    Array.from(bench.registry.collect()).flatMap((family) =>
      family.type !== "histogram" && (family.name === "jobs_stored" || family.name === "job_oldest_ready_seconds")
        ? family.samples.map(({ labels, value }) => [...labels, value])
        : [],
    );
  assert.ok(!bench.store.calls.includes("levels"));

  read();
  await until(() => read().length > 0, "it was read");

  assert.deepEqual(read(), [
    ["mail", "ready", 3],
    ["mail", "delayed", 2],
    ["mail", "active", 1],
    ["mail", "dead", 4],
    ["mail", 1.5],
  ]);
  assert.equal(bench.store.calls.filter((call) => call === "levels").length, 1);
});

test("a drain lets jobs end, takes no new ones, and lets running ones add", async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const bench = await makeQueue(t, () => promise, {}, { drain: { grace: "5s", abort: "1s", stop: "1s" } });
  const id = bench.store.deliver();
  await until(() => bench.queue.stats().running === 1, "it runs");

  const draining = bench.tasks.drain();
  assert.equal(bench.store.isStopped, true);
  assert.equal((await settlementOf(bench, bench.store.deliver())).how, "release");
  await bench.queue.add("what follows from a job that still runs");
  resolve();

  assert.equal((await settlementOf(bench, id)).how, "done");
  assert.deepEqual((await draining).abandoned, []);
  assert.equal(bench.store.calls.at(-1), "stop");
  await assert.rejects(bench.queue.add("too late"), { code: "ERR_TASKS_DRAINING" });
});

test("a drain aborts jobs beyond the grace and gives them back, also those that say they were done", async (t) => {
  const causes: unknown[] = [];
  const bench = await makeQueue(t, async ({ context, signal }: Job<unknown>) => {
    await sleep(60_000, undefined, { signal }).catch(() => {});
    causes.push(Reflect.get(Object(context.cause), "code"));
  });
  const id = bench.store.deliver();
  await until(() => bench.queue.stats().running === 1, "it runs");

  const { abandoned } = await bench.tasks.drain();

  assert.equal((await settlementOf(bench, id)).how, "release");
  assert.deepEqual(causes, ["ERR_SHUTTING_DOWN"]);
  assert.deepEqual(abandoned, []);
  assert.equal(bench.queue.stats().attempts.cancelled, 1);
});

test("a drain names jobs that ignore their signal, gives them back, and keeps its limits with a dead engine", async (t) => {
  const bench = await makeQueue(t, () => new Promise(() => {}));
  const id = bench.store.deliver();
  await until(() => bench.queue.stats().running === 1, "it runs");
  bench.store.engine = "silent";

  const { abandoned, storeError, durationMs } = await bench.tasks.drain();

  assert.deepEqual(abandoned, [{ name: "mail", state: "running", count: 1 }]);
  assert.equal((await settlementOf(bench, id)).how, "release");
  assert.match(String(storeError), /did not stop within 100 ms/);
  assert.ok(durationMs >= 100 + 50 + 100);
  assert.ok(durationMs < 5_000);
});

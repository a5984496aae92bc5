/** What the runtime makes of jobs, whatever the store: attempts, waits, ends, and what is told of them. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { bodyOf } from "../../test/support/hand-store.ts";
import { makeQueue, settlementOf, until } from "../../test/support/queue-bench.ts";
import { createContext, Registry, traceparentKey } from "../core/index.ts";
import { memory, Permanent, requestIdKey, RetryAfter, Tasks } from "./index.ts";

test("a job that was added is what the handler gets, with its trace and its request", async (t) => {
  const seen: unknown[] = [];
  const bench = await makeQueue(t, (job) => {
    const { context } = job;
    seen.push(job.data, job.attempt, job.attempts, job.headers["x-request-id"]);
    seen.push(context.value(traceparentKey), context.value(requestIdKey), context.remaining() <= 30_000);
  });
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

  const request = createContext().withValue(traceparentKey, traceparent).withValue(requestIdKey, "r-1");
  const added = await request.run(() => bench.queue.add({ to: "Ünï 🦊" }, { key: "k", delay: "1s", priority: -3 }));

  const [job] = bench.store.added;
  assert.equal(added.isDuplicate, false);
  assert.match(added.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.deepEqual([job?.id, job?.queue, job?.key, job?.delayMs, job?.priority], [added.id, "mail", "k", 1_000, -3]);
  bench.store.deliver({ id: added.id, body: job?.body ?? "" });
  assert.equal((await settlementOf(bench, added.id)).how, "done");
  assert.deepEqual(seen, [{ to: "Ünï 🦊" }, 1, 5, "r-1", traceparent, "r-1", true]);
  assert.equal(bench.queue.stats().attempts.ok, 1);
});

test("a failed attempt is tried again after a random time that doubles, and is not reported", async (t) => {
  const bench = await makeQueue(
    t,
    () => {
      throw new TypeError("not now");
    },
    { backoff: { from: "1s", to: "3s" } },
  );

  const longest = [1_000, 2_000, 3_000, 3_000];
  for (const [index, most] of longest.entries()) {
    const { how, delayMs, failure } = await settlementOf(bench, bench.store.deliver({ attempt: index + 1 }));
    assert.equal(how, "retry");
    assert.ok(delayMs !== undefined && delayMs >= 0 && delayMs <= most, `${delayMs} of at most ${most} ms`);
    assert.deepEqual([failure?.name, failure?.message], ["TypeError", "not now"]);
    assert.match(failure?.stack ?? "", /queue\.test\.ts/);
  }
  assert.deepEqual(bench.reports, []);
  assert.equal(bench.queue.stats().retried, 4);
});

test("after the last attempt a job is dead, and that is reported with its trace", async (t) => {
  const bench = await makeQueue(t, () => Promise.reject(new Error("never")), { attempts: 3 });
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

  const id = bench.store.deliver({ attempt: 3, body: bodyOf(1, { traceparent, "x-request-id": "r-9" }) });

  assert.equal((await settlementOf(bench, id)).how, "dead");
  assert.deepEqual(
    bench.reports.map(({ error, about }) => [String(error), about.mechanism, about.queue, about.jobId, about.attempt]),
    [["Error: never", "job", "mail", id, 3]],
  );
  assert.deepEqual([bench.reports[0]?.about.traceparent, bench.reports[0]?.about.requestId], [traceparent, "r-9"]);
  assert.equal(bench.queue.stats().dead.attempts, 1);
});

test("Permanent makes a job dead at once, and RetryAfter says when it comes again", async (t) => {
  const bench = await makeQueue(t, ({ data }) => {
    throw data === "permanent" ? new Permanent("no such address") : new RetryAfter("7s");
  });

  const dead = await settlementOf(bench, bench.store.deliver({ body: bodyOf("permanent") }));
  const later = await settlementOf(bench, bench.store.deliver({ body: bodyOf("later") }));
  const exhausted = await settlementOf(bench, bench.store.deliver({ body: bodyOf("later"), attempt: 5 }));

  assert.deepEqual([dead.how, dead.failure?.name], ["dead", "Permanent"]);
  assert.deepEqual([later.how, later.delayMs], ["retry", 7_000]);
  assert.equal(exhausted.how, "dead");
});

test("a body that is no job of ours goes to the dead letters with words that say why", async (t) => {
  const bench = await makeQueue(t, () => assert.fail("there is nothing to handle"));
  const bodies: readonly (readonly [string, RegExp])[] = [
    ["", /no JSON/],
    ["not json", /no JSON/],
    ["null", /no object/],
    ["[1]", /no object/],
    ["{}", /has no version/],
    [`{"v":2,"headers":{"enqueuedAt":1},"data":1}`, /is of version 2; only 1 can be read/],
    [`{"v":1,"data":1}`, /no headers/],
    [`{"v":1,"headers":{"enqueuedAt":"noon"},"data":1}`, /no headers/],
    [`{"__proto__":{"v":1}}`, /has no version/],
  ];

  for (const [body, words] of bodies) {
    const { how, failure } = await settlementOf(bench, bench.store.deliver({ body }));
    assert.equal(how, "dead", body);
    assert.equal(failure?.name, "EnvelopeError");
    assert.match(failure.message, words);
  }
  assert.equal(bench.queue.stats().dead.malformed, bodies.length);
});

test("a job that was taken as often as it may be and never settled is dead without another attempt", async (t) => {
  const bench = await makeQueue(t, () => assert.fail("it is what kills its process"), { attempts: 2 });

  const { how, failure } = await settlementOf(bench, bench.store.deliver({ attempt: 3 }));

  assert.deepEqual([how, failure?.name], ["dead", "JobVanishedError"]);
  assert.match(failure?.message ?? "", /was taken 2 times and never settled/);
  assert.equal(bench.queue.stats().dead.vanished, 1);
});

test("an attempt that heeds its signal at the deadline has failed; what it returns then does not count", async (t) => {
  const bench = await makeQueue(t, ({ signal }) => sleep(60_000, undefined, { signal }).catch(() => "gave up"), {
    timeout: 30,
  });

  const { how, failure } = await settlementOf(bench, bench.store.deliver());

  assert.deepEqual([how, failure?.name], ["retry", "TaskTimeoutError"]);
  assert.equal(bench.queue.stats().attempts.timeout, 1);
  assert.equal(bench.queue.stats().stuck, 0);
});

test("an attempt that ignores its signal is settled as failed, counted as stuck, and keeps its place", async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const bench = await makeQueue(t, ({ data }) => (data === "deaf" ? promise : undefined), {
    timeout: 20,
    concurrency: 2,
  });

  for (const id of [0, 1].map(() => bench.store.deliver({ body: bodyOf("deaf") }))) {
    const { how, failure } = await settlementOf(bench, id);
    assert.deepEqual([how, failure?.name], ["retry", "TaskTimeoutError"]);
    assert.match(failure?.message ?? "", /still runs/);
  }

  assert.equal(bench.queue.stats().stuck, 2);
  assert.equal(bench.store.isPaused, true, "both places are taken by what the store does not know of");
  assert.equal((await settlementOf(bench, bench.store.deliver())).how, "release");
  resolve();
  await until(() => !bench.store.isPaused, "the places are free again");
  assert.equal(bench.queue.stats().stuck, 0);
  assert.equal((await settlementOf(bench, bench.store.deliver())).how, "done");
});

test("with stuck: release other jobs run beside stuck ones", async (t) => {
  const bench = await makeQueue(
    t,
    ({ data }) => (data === "deaf" ? new Promise(() => {}) : undefined),
    { timeout: 20, concurrency: 1 },
    { stuck: "release" },
  );

  await settlementOf(bench, bench.store.deliver({ body: bodyOf("deaf") }));

  assert.equal(bench.store.isPaused, false);
  assert.equal((await settlementOf(bench, bench.store.deliver())).how, "done");
});

test("a lost lease aborts the job with a cause of its own, and the store is told nothing that it would believe", async (t) => {
  let cause: unknown;
  const bench = await makeQueue(t, async ({ context, signal }) => {
    await sleep(60_000, undefined, { signal }).catch(() => {});
    ({ cause } = context);
    throw new Error("cut");
  });
  bench.store.settled = "lost";
  const id = bench.store.deliver();
  await until(() => bench.queue.stats().running === 1, "it runs");

  bench.store.loseLease(id);

  assert.equal((await settlementOf(bench, id)).how, "release");
  assert.ok(cause instanceof Error && "code" in cause);
  assert.equal(cause.code, "ERR_LEASE_LOST");
  const { attempts, leasesLost, dead, retried } = bench.queue.stats();
  assert.deepEqual([attempts.lost, leasesLost, dead.attempts, retried], [1, 1, 0, 0]);
  assert.deepEqual(bench.reports, []);
});

test("a settlement that fails is tried again, and each failure is counted", async (t) => {
  const bench = await makeQueue(t, () => {});
  bench.store.failSettlements = 2;

  const { how } = await settlementOf(bench, bench.store.deliver());

  assert.equal(how, "done");
  assert.deepEqual(bench.store.calls.filter((call) => call === "done").length, 3);
  assert.equal(bench.queue.stats().settleFailures, 2);
});

test("a settlement that fails for good is given up after a few tries, and reported: the job will come again", async (t) => {
  const bench = await makeQueue(t, () => {});
  bench.store.failSettlements = Infinity;

  bench.store.deliver();
  await until(() => bench.reports.length > 0, "it is reported");

  assert.match(
    String(bench.reports[0]?.error),
    /StoreUnavailableError: Job job-1 of "mail" has ended \(done\), and hand could not be told/,
  );
  assert.equal(bench.queue.stats().settleFailures, 5);
  assert.equal(bench.queue.stats().running, 0, "its place is free");
});

test("what a handler throws is kept with the job, whatever it is", async (t) => {
  const hostile = new Error("hostile");
  Object.defineProperty(hostile, "message", {
    get() {
      throw new Error("trap");
    },
  });
  const thrown: unknown[] = [
    "a string",
    undefined,
    { code: 7 },
    10n,
    Symbol("s"),
    new Error("x".repeat(10_000)),
    hostile,
  ];
  const bench = await makeQueue(t, ({ data }) => {
    throw thrown[Number(data)];
  });

  const failures: unknown[] = [];
  for (const index of thrown.keys()) {
    const { failure } = await settlementOf(bench, bench.store.deliver({ body: bodyOf(index) }));
    failures.push(failure?.message.slice(0, 20));
    assert.ok((failure?.message.length ?? 0) <= 2_000);
    JSON.stringify(failure);
  }

  assert.deepEqual(failures, [
    "a string",
    "undefined",
    `{"code":7}`,
    "10",
    "Symbol(s)",
    "x".repeat(20),
    "What was thrown cann",
  ]);
});

test("paused, a queue takes no jobs and gives back what comes all the same", async (t) => {
  const bench = await makeQueue(t, () => {});

  bench.queue.pause();
  assert.equal(bench.store.isPaused, true);
  assert.equal((await settlementOf(bench, bench.store.deliver())).how, "release");
  assert.equal(bench.queue.stats().isPaused, true);
  bench.queue.resume();

  assert.equal(bench.store.isPaused, false);
  assert.equal((await settlementOf(bench, bench.store.deliver())).how, "done");
});

test("a rate limit pauses the consumer once its tokens are used up, and resumes it when there are some", async (t) => {
  const bench = await makeQueue(t, () => {}, { rateLimit: { limit: 3, per: 300 } });

  const hows: string[] = [];
  for (let index = 0; index < 5; index += 1) hows.push((await settlementOf(bench, bench.store.deliver())).how);
  const begun = hows.filter((how) => how === "done").length;

  // A machine that is slow enough to take 100 ms for this has earned a token meanwhile.
  assert.ok(begun >= 3 && begun < 5, hows.join());
  assert.ok(bench.store.isPaused);
  await until(() => !bench.store.isPaused, "there is a token again");
  assert.equal((await settlementOf(bench, bench.store.deliver())).how, "done");
});

test("on the store in memory: attempts, dead letters, redrive and discard", async (t) => {
  const timer = setInterval(() => {}, 60_000);
  t.after(() => clearInterval(timer));
  await using tasks = new Tasks({ registry: new Registry(), store: memory() });
  let isWell = false;
  const done: number[] = [];
  const queue = tasks.queue<number>("mail", { attempts: 2, backoff: { from: 1 } }, ({ data }) => {
    if (!isWell) throw new Error(`not ${data}`);
    done.push(data);
  });

  const added = await queue.addAll([{ data: 1 }, { data: 2, key: "two" }, { data: 3 }]);
  assert.deepEqual(await queue.add(2, { key: "two" }), { id: added[1]?.id, isDuplicate: true });
  await until(() => queue.stats().dead.attempts === 3, "all are dead");
  const dead = await queue.dead.list();
  assert.deepEqual(
    new Set(dead.map(({ data, attempts, failure }) => `${data} ${attempts} ${failure.message}`)),
    new Set(["1 2 not 1", "2 2 not 2", "3 2 not 3"]),
  );
  isWell = true;
  assert.equal(await queue.dead.discard([added[0]?.id ?? ""]), 1);
  assert.equal(await queue.dead.redrive("all"), 2);

  await until(() => done.length === 2, "two were done");
  assert.deepEqual(new Set(done), new Set([2, 3]));
  assert.equal((await queue.levels()).dead, 0);
});

/** What is JetStream's own in its store: a server that is killed and comes back, its limits, what somebody deletes. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { jetStream, type JetStreamStoreOptions } from "sluice/adapters/jetstream";
import type { NewJob, QueueSettings, Store } from "sluice/tasks";
import { Engine } from "../../bench/support/engine.ts";
import { requirement } from "../support/require.ts";
import { Taker } from "../support/store-takers.ts";

const settings: QueueSettings = { leaseMs: 2_000, maxDead: 100, deadForMs: 60_000 };
const failure = { name: "Error", message: "not this time" };

function job(given: Partial<NewJob> = {}): NewJob {
  return { id: randomUUID(), queue: "mail", body: "{}", delayMs: 0, priority: 0, ...given };
}

/** A server of the test's own, and a way to make stores on it. */
async function stage(t: TestContext): Promise<
  | {
      readonly engine: Engine;
      readonly errors: Error[];
      readonly open: (options?: JetStreamStoreOptions) => Promise<Store>;
    }
  | undefined
> {
  if (requirement(t, "nats") === undefined) return undefined;
  const engine = await Engine.start("nats");
  const errors: Error[] = [];
  const stores: Store[] = [];
  t.after(async () => {
    await Promise.all(stores.map((store) => store.stop(2_000)));
    await engine[Symbol.asyncDispose]();
  });
  return {
    engine,
    errors,
    async open(options = {}) {
      const store = jetStream({ servers: engine.url, ...options });
      stores.push(store);
      await store.start({ onError: (error) => errors.push(error) });
      await store.open("mail", settings);
      return store;
    },
  };
}

async function timed<Outcome>(work: Promise<Outcome>): Promise<{ readonly tookMs: number; readonly outcome: unknown }> {
  const fromMs = performance.now();
  const outcome = await work.catch((error: unknown) => error);
  return { tookMs: performance.now() - fromMs, outcome };
}

function assertUnavailable(outcome: unknown): void {
  assert.ok(outcome instanceof Error && "code" in outcome && outcome.code === "ERR_STORE_UNAVAILABLE", String(outcome));
}

test("a store whose server is not there says so at its start, with what to look at", async () => {
  const store = jetStream({ servers: "127.0.0.1:1", callTimeout: "2s" });

  const { tookMs, outcome } = await timed(store.start({ onError: () => {} }));

  assertUnavailable(outcome);
  assert.match(String(outcome), /connecting.*Is the server up/);
  assert.ok(tookMs < 4_000, `said after ${tookMs} ms`);
  await store.stop(1_000);
});

test("a wrong option is refused when the store is made", () => {
  const tooMany: object = { prefixes: "a" };

  assert.throws(() => jetStream({ prefix: "a.b" }), { code: "ERR_OPTION" });
  assert.throws(() => jetStream({ replicas: 6 }), { code: "ERR_OPTION" });
  assert.throws(() => jetStream(tooMany), /did you mean prefix/);
});

test("while the server is away adds fail at once after the first second, and all flows within 5 s of its return", async (t) => {
  const its = await stage(t);
  if (its === undefined) return;
  const store = await its.open();
  const before = job();
  await store.add([before], 1_000);
  await its.engine.kill();

  const first = await timed(store.add([job()], 300));
  await sleep(1_200);
  const later = await timed(store.add([job()], 5_000));
  const ended = await timed(store.levels("mail"));
  await its.engine.start();
  const fromMs = performance.now();
  const taker = await Taker.start(store, "mail", 10);
  const delivery = await taker.next(5_000);

  for (const { outcome } of [first, later, ended]) assertUnavailable(outcome);
  assert.ok(first.tookMs < 800, `the first add failed after ${first.tookMs} ms`);
  assert.ok(later.tookMs < 300, `a later add failed after ${later.tookMs} ms`);
  assert.ok(its.errors.some((error) => /connection .* was lost/.test(error.message)));
  assert.equal(delivery.id, before.id);
  assert.equal(await delivery.done(), "settled");
  assert.ok(performance.now() - fromMs < 5_000);
  const [added] = await store.add([job()], 1_000);
  assert.equal(added?.isDuplicate, false);
});

test("a job in work while the server is away for less than a lease is settled when it is back", async (t) => {
  const its = await stage(t);
  if (its === undefined) return;
  const store = await its.open();
  await store.open("mail", { ...settings, leaseMs: 10_000 });
  await store.add([job()], 1_000);
  const taker = await Taker.start(store, "mail", 10);
  const delivery = await taker.next();
  await its.engine.kill();

  const settling = delivery.done();
  await sleep(500);
  await its.engine.start();

  assert.equal(await settling, "settled");
  assert.equal(delivery.leaseLost.aborted, false);
  await sleep(500);
  assert.equal(taker.deliveries.length, 1);
});

test("a lease that runs out while the server is away is told as lost, and the job comes again", async (t) => {
  const its = await stage(t);
  if (its === undefined) return;
  const store = await its.open();
  const [added] = await store.add([job()], 1_000);
  const taker = await Taker.start(store, "mail", 10);
  const delivery = await taker.next();
  const aborted = new Promise((resolve) => delivery.leaseLost.addEventListener("abort", resolve));
  await its.engine.kill();

  await aborted;
  const settled = await delivery.done();
  await its.engine.start();

  assert.equal(settled, "lost");
  assert.equal((await taker.next(settings.leaseMs + 5_000)).id, added?.id);
});

test("a server that stands still is found out, and its return is noticed", async (t) => {
  const its = await stage(t);
  if (its === undefined) return;
  const store = await its.open({ connection: { pingInterval: 500 } });
  its.engine.freeze();

  const adding = await timed(store.add([job()], 400));
  const health = await store.health(400);
  await sleep(2_000);
  its.engine.wake();
  const taker = await Taker.start(store, "mail", 1);
  await sleep(500);
  const [added] = await store.add([job()], 5_000);

  assertUnavailable(adding.outcome);
  assert.equal(health.isUp, false);
  assert.equal(added?.isDuplicate, false);
  await taker.next(5_000);
});

test("a retry with delay comes though its taker and the server are gone in between", async (t) => {
  const its = await stage(t);
  if (its === undefined) return;
  const first = await its.open();
  const other = await its.open();
  const [added] = await first.add([job()], 1_000);
  const taker = await Taker.start(first, "mail", 1);
  const fromMs = performance.now();
  assert.equal(await (await taker.next()).retry(3_000, failure), "settled");

  await first.stop(1_000);
  // The server writes down who has what a moment later.
  await sleep(1_000);
  await its.engine.kill();
  await its.engine.start();

  const second = await Taker.start(other, "mail", 1);
  const delivery = await second.next(10_000);
  const afterMs = performance.now() - fromMs;
  assert.deepEqual([delivery.id, delivery.attempt], [added?.id, 2]);
  // On disk the server keeps such times in whole seconds.
  assert.ok(afterMs >= 1_950, `it came after ${afterMs} ms`);
});

test("more jobs than maxJobs are refused with ERR_STORE_FULL, and those that are there stay", async (t) => {
  const its = await stage(t);
  if (its === undefined) return;
  const store = await its.open({ maxJobs: 3 });
  const jobs = [job(), job(), job()];
  await store.add(jobs, 1_000);

  await assert.rejects(store.add([job()], 1_000), { code: "ERR_STORE_FULL" });

  assert.equal((await store.levels("mail")).ready, 3);
  const taker = await Taker.start(store, "mail", 1);
  await (await taker.next()).done();
  await store.add([job()], 1_000);
});

test("a key is free again when the dedup window is over", async (t) => {
  const its = await stage(t);
  if (its === undefined) return;
  const store = await its.open({ dedupWindow: 1_000 });
  const first = job({ key: "order 7" });
  await store.add([first], 1_000);

  const within = await store.add([job({ key: "order 7" })], 1_000);
  await sleep(1_500);
  const after = await store.add([job({ key: "order 7" })], 1_000);

  assert.deepEqual(within, [{ id: first.id, isDuplicate: true }]);
  assert.equal(after[0]?.isDuplicate, false);
});

test("a queue that somebody deletes from the server is made again, and takes jobs", async (t) => {
  const its = await stage(t);
  if (its === undefined) return;
  const store = await its.open();
  const taker = await Taker.start(store, "mail", 10);
  await using nc = await connect({ servers: its.engine.url });
  const { consumers } = await jetstreamManager(nc);

  await consumers.delete("sluice-jobs", "ready-mail");

  const given = job();
  await store.add([given], 1_000);
  assert.equal((await taker.next(10_000)).id, given.id);
});

test("streams that somebody deletes are made again, by whoever takes jobs and by whoever reconnects", async (t) => {
  const its = await stage(t);
  if (its === undefined) return;
  const producer = await its.open();
  const deleteJobs = async (): Promise<void> => {
    await using nc = await connect({ servers: its.engine.url });
    const { streams } = await jetstreamManager(nc);
    await streams.delete("sluice-jobs");
  };

  await deleteJobs();
  assertUnavailable((await timed(producer.add([job()], 500))).outcome);
  await its.engine.kill();
  await its.engine.start();
  await sleep(1_000);
  const [first] = await producer.add([job()], 5_000);
  const taker = await Taker.start(producer, "mail", 10);
  await (await taker.next()).done();
  await deleteJobs();

  assert.equal(first?.isDuplicate, false);
  const given = job();
  let isAdded = false;
  while (!isAdded) {
    isAdded = await producer.add([given], 500).then(
      () => true,
      () => false,
    );
    await sleep(50);
  }
  assert.equal((await taker.next(10_000)).id, given.id);
});

test("a job that the server would not take for its size is refused before it is sent, and one that it takes can die", async (t) => {
  const its = await stage(t);
  if (its === undefined) return;
  const store = await its.open();
  const most = 1_048_576 - 65_536;

  await assert.rejects(store.add([job({ body: "x".repeat(most + 1) })], 1_000), { code: "ERR_STORE_FULL" });
  await store.add([job({ body: "x".repeat(most) })], 1_000);

  const taker = await Taker.start(store, "mail", 1);
  const why = { name: "Error", message: "漢".repeat(4_000), stack: "漢".repeat(16_000) };
  assert.equal(await (await taker.next()).dead(why), "settled");
  const [dead] = await store.listDead("mail", { limit: 1 });
  assert.equal(dead?.body.length, most);
  assert.deepEqual(dead?.failure, { name: "Error", message: why.message });
});

test("a store that stops at the moment at which its server is killed does not take the process with it", async (t) => {
  const its = await stage(t);
  if (its === undefined) return;
  for (let round = 0; round < 20; round += 1) {
    const store: Store = await its.open();
    const taker: Taker = await Taker.start(store, "mail", 10);

    await its.engine.kill();
    const stopping: Promise<void> = taker.consumer.stop();
    const { tookMs }: { readonly tookMs: number } = await timed(store.stop(2_000));
    await stopping;

    assert.ok(tookMs < 3_000, `stopped after ${tookMs} ms`);
    await its.engine.start();
  }
});

test("a job that is retried while nobody asks for one brings no second copy of another", async (t) => {
  const its = await stage(t);
  if (its === undefined) return;
  const store = await its.open();
  const other = await its.open();
  const jobs = [job(), job()];
  await store.add(jobs, 1_000);
  const taker = await Taker.start(store, "mail", 2);
  const [one, two] = await taker.nextOnes(2);
  const waiting = await Taker.start(other, "mail", 1);
  await waiting.consumer.stop();

  assert.equal(await one?.retry(0, failure), "settled");

  const again = await taker.next(1_000);
  assert.deepEqual([again.id, again.attempt], [jobs[0]?.id, 2]);
  await sleep(300);
  assert.equal(taker.deliveries.length, 3);
  assert.equal(await two?.done(), "settled");
});

/** What the taking of jobs makes of an engine that fails, at moments that a real one does not fail at when asked. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Delivery, Settled } from "../store.ts";
import { LeasedConsumer, type ClaimedJob, type ConsumerSetup, type JobSource } from "./leased-consumer.ts";

const job: ClaimedJob = { id: "1", body: "{}", attempt: 1, priority: 0 };

/** An engine that has one job, and whose answers a test can replace. */
function engine(given: Partial<JobSource> = {}): JobSource & { readonly calls: string[] } {
  const calls: string[] = [];
  const left = [job];
  const settle = async (what: string): Promise<Settled> => {
    calls.push(what);
    return "settled";
  };
  return {
    calls,
    claim: async (limit) => ({ jobs: left.splice(0, limit) }),
    waitForMore: () => sleep(20),
    done: (jobs) => jobs.map(() => settle("done")),
    retry: () => settle("retry"),
    dead: () => settle("dead"),
    release: () => settle("release"),
    renew: async () => [],
    maintain: async () => {},
    ...given,
  };
}

interface Taking {
  readonly consumer: LeasedConsumer<ClaimedJob>;
  readonly first: Promise<Delivery>;
  readonly errors: string[];
}

function take(source: JobSource, given: Partial<ConsumerSetup> = {}): Taking {
  const errors: string[] = [];
  const { promise, resolve } = Promise.withResolvers<Delivery>();
  const setup: ConsumerSetup = {
    queue: "mail",
    leaseMs: 60_000,
    commandMs: 500,
    concurrency: 4,
    toError: (error, what) => new Error(`could not ${what}`, { cause: error }),
    onError: (error) => errors.push(error.message),
    ...given,
  };
  return { consumer: new LeasedConsumer(source, setup, resolve), first: promise, errors };
}

async function giveUp({ consumer }: Taking): Promise<void> {
  await consumer.giveUp();
  await consumer.close();
}

test("the end of a job is tried again while the engine is away, and counts once it is back", async () => {
  let tries = 0;
  const source = engine({
    retry: async () => {
      tries += 1;
      if (tries < 3) throw new Error("connection refused");
      return "settled";
    },
  });
  const taking = take(source);
  const delivery = await taking.first;

  assert.equal(await delivery.retry(10, { name: "Error", message: "no" }), "settled");

  assert.equal(tries, 3);
  await giveUp(taking);
});

test("the end of a job that the engine never takes fails after twice the limit of a command", async () => {
  const { promise: never } = Promise.withResolvers<Settled>();
  const taking = take(engine({ done: (jobs) => jobs.map(() => never) }), { commandMs: 300 });
  const delivery = await taking.first;
  const fromMs = performance.now();

  await assert.rejects(delivery.done(), /could not take the end of a job/);

  const tookMs = performance.now() - fromMs;
  assert.ok(tookMs >= 290 && tookMs < 3_000, `failed after ${tookMs} ms`);
  await giveUp(taking);
});

test("an end that the engine could not take can be told again, as long as the lease lasts", async () => {
  let isAway = true;
  const source = engine({
    done: (jobs) => jobs.map(() => (isAway ? Promise.reject(new Error("refused")) : Promise.resolve("settled"))),
  });
  const taking = take(source, { commandMs: 200 });
  const delivery = await taking.first;
  await assert.rejects(delivery.done());
  isAway = false;

  assert.equal(await delivery.done(), "settled");

  assert.equal(await delivery.done(), "lost");
  await giveUp(taking);
});

test("a job whose end the engine could not take keeps its place until its lease is over, and no longer", async () => {
  const left = [job, { id: "2", body: "{}", attempt: 1, priority: 0 }];
  const source = engine({
    claim: async (limit) => ({ jobs: left.splice(0, limit) }),
    retry: () => Promise.reject(new Error("refused")),
    renew: async () => assert.fail("nothing is left to renew"),
  });
  const { promise: second, resolve } = Promise.withResolvers<number>();
  const setup: ConsumerSetup = {
    queue: "mail",
    leaseMs: 900,
    commandMs: 100,
    concurrency: 1,
    toError: () => new Error("failed"),
    onError: () => {},
  };
  const fromMs = performance.now();
  const consumer = new LeasedConsumer(source, setup, (delivery) => {
    if (delivery.id === "1") delivery.retry(0, { name: "Error", message: "no" }).catch(() => {});
    else resolve(performance.now() - fromMs);
  });

  const tookMs = await second;

  assert.ok(tookMs >= 890 && tookMs < 5_000, `its place was free after ${tookMs} ms`);
  await consumer.giveUp();
  await consumer.close();
});

test("a lease that cannot be renewed is lost when its time is over, and not before", async () => {
  const source = engine({ renew: () => Promise.reject(new Error("connection refused")) });
  const taking = take(source, { leaseMs: 300 });
  const delivery = await taking.first;
  const { promise: lost, resolve } = Promise.withResolvers<number>();
  const fromMs = performance.now();
  delivery.leaseLost.addEventListener("abort", () => resolve(performance.now()));

  const tookMs = (await lost) - fromMs;

  assert.ok(tookMs >= 250 && tookMs < 3_000, `lost after ${tookMs} ms`);
  assert.ok(taking.errors.includes("could not renew leases"));
  await giveUp(taking);
});

test("a job that arrives after the consumer has stopped goes back, and is not handed out", async () => {
  const { promise: late, resolve: arrive } = Promise.withResolvers<{ jobs: ClaimedJob[] }>();
  const source = engine({ claim: () => late });
  const taking = take(source);
  let isTaken = false;
  void taking.first.then(() => (isTaken = true));

  const stopping = taking.consumer.stop();
  arrive({ jobs: [job] });
  await stopping;

  await sleep(10);
  assert.deepEqual(source.calls, ["release"]);
  assert.equal(isTaken, false);
});

test("a stop does not wait longer for a claim than a command may take", async () => {
  const { promise: never } = Promise.withResolvers<{ jobs: ClaimedJob[] }>();
  const taking = take(engine({ claim: () => never }), { commandMs: 200 });
  const fromMs = performance.now();

  await taking.consumer.stop();

  const tookMs = performance.now() - fromMs;
  assert.ok(tookMs >= 190 && tookMs < 3_000, `stopped after ${tookMs} ms`);
});

test("a failure to hand out jobs is told, and the next look finds them", async () => {
  let looks = 0;
  const source = engine({
    claim: async () => {
      looks += 1;
      if (looks === 1) throw new Error("connection refused");
      return { jobs: looks === 2 ? [job] : [] };
    },
  });
  const taking = take(source);

  assert.equal((await taking.first).id, "1");

  assert.deepEqual(taking.errors, ["could not hand out jobs"]);
  await giveUp(taking);
});

test("jobs that are done in one turn are told to the engine together", async () => {
  const batches: number[] = [];
  const jobs = ["1", "2", "3"].map((id) => ({ id, body: "{}", attempt: 1, priority: 0 }));
  const source = engine({
    claim: async (limit) => ({ jobs: jobs.splice(0, limit) }),
    done: (done) => {
      batches.push(done.length);
      return done.map(async ({ id }) => (id === "2" ? "lost" : "settled"));
    },
  });
  const deliveries: Delivery[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const setup: ConsumerSetup = {
    queue: "mail",
    leaseMs: 60_000,
    commandMs: 500,
    concurrency: 4,
    toError: () => new Error("failed"),
    onError: () => {},
  };
  const consumer = new LeasedConsumer(source, setup, (delivery) => {
    deliveries.push(delivery);
    if (deliveries.length === 3) resolve();
  });
  await promise;

  const ends = await Promise.all(deliveries.map((delivery) => delivery.done()));

  assert.deepEqual(ends, ["settled", "lost", "settled"]);
  assert.deepEqual(batches, [3]);
  await consumer.stop();
});

/** What only the store in memory does; the rest is the contract of stores, in `test/stores`. */

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { randomFrom } from "../../../test/support/random.ts";
import { background } from "../../core/index.ts";
import type { NewJob, Store } from "../store.ts";
import { DelayedJobs } from "./delayed-jobs.ts";
import { memory } from "./memory.ts";

const settings = { leaseMs: 1_000, maxDead: 10, deadForMs: 60_000 };

function job(given: Partial<NewJob> = {}): NewJob {
  return { id: randomUUID(), queue: "mail", body: "{}", delayMs: 0, priority: 0, ...given };
}

async function open(maxJobs?: number): Promise<Store> {
  const store = memory(maxJobs === undefined ? {} : { maxJobs });
  await store.start({ onError: () => {} });
  await store.open("mail", settings);
  return store;
}

test("a job beyond maxJobs is refused with both numbers, with its whole call, and those before are still there", async () => {
  const store = await open(3);
  await store.add([job(), job({ delayMs: 60_000 })], 1_000);

  await assert.rejects(store.add([job(), job()], 1_000), {
    code: "ERR_STORE_FULL",
    message: /2 jobs of at most 3.*2 more.*maxJobs/,
  });

  const levels = await store.levels("mail");
  assert.deepEqual([levels.ready, levels.delayed], [1, 1]);
  await store.add([job()], 1_000);
  await store.stop(1_000);
});

test("a duplicate needs no room", async () => {
  const store = await open(2);
  const first = job({ key: "k" });
  await store.add([first, job()], 1_000);

  const added = await store.add([first, job({ key: "k" })], 1_000);

  assert.deepEqual(
    added.map(({ isDuplicate }) => isDuplicate),
    [true, true],
  );
  await store.stop(1_000);
});

test("room is free again when a job is done, dead, redriven and done, and not before", async () => {
  const store = await open(1);
  const isFull = async (): Promise<boolean> =>
    store.add([job({ delayMs: 60_000, key: "probe" })], 1_000).then(
      () => false,
      () => true,
    );
  await store.add([job()], 1_000);
  const seen: boolean[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const failure = { name: "Error", message: "no" };

  await store.consume("mail", 1, (delivery) => {
    void (async () => {
      seen.push(await isFull());
      if (seen.length === 1) await delivery.release();
      else if (seen.length === 2) await delivery.retry(1, failure);
      else if (seen.length === 3) await delivery.dead(failure).then(() => store.redrive("mail", "all"));
      else await delivery.done().then(() => resolve());
    })();
  });

  await promise;
  assert.deepEqual(seen, [true, true, true, true]);
  assert.equal(await isFull(), false);
  await store.stop(1_000);
});

test("an option that is no option is refused", () => {
  assert.throws(() => memory({ maxJob: 3 } as object), { code: "ERR_OPTION", message: /maxJobs/ });
  assert.throws(() => memory({ maxJobs: 0 }), { code: "ERR_OPTION" });
});

test("a job is handed out outside the scope of the request that has added it", async () => {
  const request = new AsyncLocalStorage<string>();
  const store = await open();
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  await store.consume("mail", 1, () => resolve(request.getStore()));

  await request.run("pinned", () => background.run(() => store.add([job()], 1_000)));

  assert.equal(await promise, undefined);
  await store.stop(1_000);
});

test("a handler that settles at once and adds the next job does not keep the loop from its other work", async () => {
  const store = await open();
  let turns = 0;
  await store.consume("mail", 1, (delivery) => {
    turns += 1;
    void delivery.done();
    void store.add([job()], 1_000);
  });
  await store.add([job()], 1_000);

  // Never, if one job led to the next without a turn of the loop between them.
  await sleep(20);

  await store.stop(1_000);
  const atStop = turns;
  await new Promise(setImmediate);
  assert.ok(atStop > 0);
  assert.equal(turns, atStop);
});

test("delayed jobs come in the order of their times, whatever the order in which they were put in", () => {
  const random = randomFrom();
  const delayed = new DelayedJobs<{ readonly readyAtMs: number }>();
  const expected: number[] = [];
  let nowMs = 0;
  for (let step = 0; step < 3_000; step += 1) {
    if (random.chance(0.55)) {
      const readyAtMs = nowMs + random.below(100);
      delayed.push({ readyAtMs });
      expected.push(readyAtMs);
      continue;
    }
    nowMs += 3;
    expected.sort((one, other) => one - other);
    assert.equal(delayed.nextMs, expected[0] ?? Infinity);
    const due = expected[0] !== undefined && expected[0] <= nowMs ? expected.shift() : undefined;
    assert.equal(delayed.take(nowMs)?.readyAtMs, due, `seed ${random.seed}`);
    assert.equal(delayed.size, expected.length);
  }
});

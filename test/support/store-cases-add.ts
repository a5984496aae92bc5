/** What becomes of a job on its way in. */

/* oxlint-disable no-await-in-loop -- one thing after the other is what is asked for */

import assert from "node:assert/strict";
import type { StoreCases, StoreKind } from "./store-contract.ts";
import { addTimeoutMs } from "./store-limits.ts";
import { assertLevels, assertSameJobs } from "./store-takers.ts";

const hasKeys = ({ caps }: StoreKind): boolean => caps.dedup !== false;
const freesKeys = ({ caps }: StoreKind): boolean => caps.dedup === "until-done";

export const addCases: StoreCases = {
  "a store says what it can do": {
    async run({ store, kind }) {
      assert.deepEqual(store.caps, kind.caps);
      assert.equal(store.name, kind.caps.durable ? store.name : "memory");
    },
  },

  "an added job is handed out as it was given, as attempt 1": {
    async run({ store, queue, job, take }) {
      const taker = await take();
      const given = job({ body: '{"v":1,"data":"x"}' });

      const added = await store.add([given], addTimeoutMs);

      assert.deepEqual(added, [{ id: given.id, isDuplicate: false }]);
      const { id, body, attempt, priority, queue: from } = await taker.next();
      assert.deepEqual(
        { id, body, attempt, priority, from },
        { id: given.id, body: given.body, attempt: 1, priority: 0, from: queue },
      );
    },
  },

  "a job added before there is a taker waits for one": {
    async run({ add, take }) {
      const id = await add();

      const taker = await take();

      assert.equal((await taker.next()).id, id);
    },
  },

  "an id that is added again is a duplicate and is handed out once": {
    async run({ store, job, add, take }) {
      const given = job();
      await store.add([given], addTimeoutMs);

      const again = await store.add([given], addTimeoutMs);

      assert.deepEqual(again, [{ id: given.id, isDuplicate: true }]);
      const last = await add();
      const taker = await take();
      const ids = (await taker.nextOnes(2)).map(({ id }) => id);
      assertSameJobs(ids, [given.id, last]);
    },
  },

  "an id that is added again while its job is worked on is a duplicate": {
    async run({ store, job, take, queue }) {
      const given = job();
      await store.add([given], addTimeoutMs);
      const taker = await take();
      const delivery = await taker.next();

      const again = await store.add([given], addTimeoutMs);

      assert.deepEqual(again, [{ id: given.id, isDuplicate: true }]);
      assert.equal(await delivery.done(), "settled");
      await assertLevels(store, queue, { ready: 0, active: 0 });
      assert.equal(taker.deliveries.length, 1);
    },
  },

  "results come in the order given, with the duplicates of one call among them": {
    async run({ store, job, take }) {
      const jobs = [job(), job(), job()];
      const [first, second, third] = jobs.map(({ id }) => id);

      const added = await store.add([...jobs.slice(0, 2), ...jobs], addTimeoutMs);

      assert.deepEqual(
        added.map(({ id, isDuplicate }) => [id, isDuplicate]),
        [
          [first, false],
          [second, false],
          [first, true],
          [second, true],
          [third, false],
        ],
      );
      const taker = await take();
      const ids = (await taker.nextOnes(3)).map(({ id }) => id);
      assertSameJobs(ids, [first, second, third]);
    },
  },

  "an empty add is an empty answer": {
    async run({ store }) {
      assert.deepEqual(await store.add([], addTimeoutMs), []);
    },
  },

  "jobs of one priority are handed out in the order in which they were added": {
    async run({ store, job, take }) {
      const ids: string[] = [];
      for (let round = 0; round < 4; round += 1) {
        const jobs = Array.from({ length: 5 }, () => job());
        await store.add(jobs, addTimeoutMs);
        ids.push(...jobs.map(({ id }) => id));
      }

      const taker = await take(1);

      for (const id of ids) {
        const delivery = await taker.next();
        assert.equal(delivery.id, id);
        await delivery.done();
      }
    },
  },

  "ready jobs are handed out by priority, and in the order added within one": {
    appliesTo: ({ caps }) => caps.priority,
    async run({ store, job, take }) {
      const priorities = [5, 0, -100, 100, 0, -1, 5];
      const jobs = priorities.map((priority) => job({ priority }));
      await store.add(jobs, addTimeoutMs);

      const taker = await take(1);

      const expected = jobs.toSorted((one, other) => one.priority - other.priority);
      for (const { id, priority } of expected) {
        const delivery = await taker.next();
        assert.deepEqual([delivery.id, delivery.priority], [id, priority]);
        await delivery.done();
      }
    },
  },

  "a delayed job is counted as delayed, not handed out before its time, and soon after": {
    appliesTo: ({ caps }) => caps.delay,
    async run({ store, kind, queue, add, take }) {
      const delayMs = 1_500;
      const taker = await take();
      const fromMs = performance.now();
      const late = await add({ delayMs });
      const early = await add();

      const first = await taker.next();
      assert.equal(first.id, early);
      await first.done();
      await assertLevels(store, queue, { ready: 0, delayed: 1, active: 0 });
      const second = await taker.next(delayMs + kind.slackMs);

      assert.equal(second.id, late);
      assert.equal(second.attempt, 1);
      // Engines keep whole milliseconds, and their clock is another one.
      const afterMs = performance.now() - fromMs;
      assert.ok(afterMs >= delayMs - 20, `handed out after ${afterMs} ms`);
    },
  },

  "a job delayed by ten years waits": {
    appliesTo: ({ caps }) => caps.delay,
    async run({ store, queue, add, take }) {
      const taker = await take();
      await add({ delayMs: 10 * 365 * 86_400_000 });
      const other = await add();

      assert.equal((await taker.next()).id, other);
      await assertLevels(store, queue, { ready: 0, delayed: 1 });
      assert.equal(taker.deliveries.length, 1);
    },
  },

  "a second job of a key is a duplicate of the first while that one waits or is worked on": {
    appliesTo: hasKeys,
    async run({ store, job, add, take }) {
      const first = await add({ key: "order:7 ü" });
      const [second] = await store.add([job({ key: "order:7 ü" })], addTimeoutMs);
      const taker = await take();
      const delivery = await taker.next();
      const [third] = await store.add([job({ key: "order:7 ü" })], addTimeoutMs);

      assert.equal(delivery.id, first);
      assert.deepEqual([second?.isDuplicate, third?.isDuplicate], [true, true]);
      const other = await add({ key: "order:8 ü" });
      assert.equal((await taker.next()).id, other);
    },
  },

  "a duplicate tells the id of the job that was there first": {
    appliesTo: freesKeys,
    async run({ store, job, add }) {
      const first = await add({ key: "k" });

      assert.deepEqual(await store.add([job({ key: "k" })], addTimeoutMs), [{ id: first, isDuplicate: true }]);
    },
  },

  "a key stays taken while its job waits for another attempt": {
    appliesTo: freesKeys,
    async run({ store, job, add, take, queue }) {
      const first = await add({ key: "k" });
      const taker = await take();
      await (await taker.next()).retry(60_000, { name: "Error", message: "again" });

      assert.deepEqual(await store.add([job({ key: "k" })], addTimeoutMs), [{ id: first, isDuplicate: true }]);
      await assertLevels(store, queue, { delayed: 1, ready: 0 });
    },
  },

  "a key is free again once its job is done, or dead": {
    appliesTo: freesKeys,
    async run({ add, take }) {
      const taker = await take();
      await add({ key: "k" });
      await (await taker.next()).done();
      await add({ key: "k" });
      await (await taker.next()).dead({ name: "Error", message: "no" });

      const third = await add({ key: "k" });

      assert.equal((await taker.next()).id, third);
    },
  },

  "of many adds of one key at the same moment one is no duplicate": {
    appliesTo: hasKeys,
    async run({ store, another, job, kind }) {
      const other = kind.caps.sharedBy === "process" ? store : await another();
      const adds = Array.from({ length: 20 }, (_, index) =>
        (index % 2 === 0 ? store : other).add([job({ key: "k" })], addTimeoutMs),
      );

      const added = (await Promise.all(adds)).flat();

      assert.equal(added.filter(({ isDuplicate }) => !isDuplicate).length, 1);
    },
  },

  "queues do not know one another's jobs, keys and levels, whatever they are called": {
    async run({ store, queue, job, take, kind }) {
      const strange = `${queue} a.b:c/d*>é`;
      await store.open(strange, { leaseMs: kind.leaseMs, maxDead: 10, deadForMs: 60_000 });
      const jobs = [job({ key: "k" }), job({ key: "k", queue: strange })];

      const added = await store.add(jobs, addTimeoutMs);

      assert.deepEqual(
        added.map(({ isDuplicate }) => isDuplicate),
        [false, false],
      );
      const taker = await take();
      const delivery = await taker.next();
      assert.deepEqual([delivery.id, delivery.queue], [jobs[0]?.id, queue]);
      await delivery.dead({ name: "Error", message: "no" });
      await assertLevels(store, strange, { ready: 1, active: 0, dead: 0 });
      assert.deepEqual(await store.listDead(strange, { limit: 10 }), []);
      assert.equal(taker.deliveries.length, 1);
    },
  },

  "a body comes back as it was: unicode, quotes, line ends, escaped zeros, 500,000 characters": {
    async run({ store, job, take }) {
      const data = ["é 漢字 👩‍👩‍👧", "\u0000\ud800", '"\\"\n\r\u2028', "'; drop table jobs; --", "x".repeat(500_000)];
      const jobs = data.map((each) => job({ body: JSON.stringify({ v: 1, data: each }) }));
      await store.add(jobs, addTimeoutMs);

      const taker = await take();

      const bodies = new Map((await taker.nextOnes(jobs.length)).map(({ id, body }) => [id, body]));
      for (const { id, body } of jobs) assert.equal(bodies.get(id), body);
    },
  },

  "jobs outlive the handle that has added them": {
    appliesTo: ({ caps }) => caps.durable,
    async run({ store, add, another, take }) {
      const id = await add();
      await store.stop(5_000);

      const taker = await take(1, await another());

      assert.equal((await taker.next()).id, id);
    },
  },

  "what is added within a transaction is there once it is committed, and not before": {
    appliesTo: ({ caps }) => caps.transactions,
    async run({ store, place, job, add, take, queue }) {
      const open = await place.begin?.();
      assert.ok(open !== undefined && store.addWithin !== undefined);
      const given = job();

      const added = await store.addWithin(open.transaction, [given]);

      assert.deepEqual(added, [{ id: given.id, isDuplicate: false }]);
      await assertLevels(store, queue, { ready: 0 });
      await open.commit();
      const taker = await take();
      assert.equal((await taker.next()).id, given.id);
      // A write lock that was left behind would hold this up.
      await add();
    },
  },

  "what is added within a transaction is not there once it is rolled back": {
    appliesTo: ({ caps }) => caps.transactions,
    async run({ store, place, job, add, take }) {
      const open = await place.begin?.();
      assert.ok(open !== undefined && store.addWithin !== undefined);
      const given = job({ key: "k" });
      await store.addWithin(open.transaction, [given]);

      await open.rollback();

      const next = await add({ key: "k" });
      const taker = await take();
      assert.equal((await taker.next()).id, next);
      assert.deepEqual(await store.add([given], addTimeoutMs), [{ id: next, isDuplicate: true }]);
    },
  },

  "a duplicate within a transaction is told as one": {
    appliesTo: ({ caps }) => caps.transactions,
    async run({ store, place, job, add, queue }) {
      const first = await add({ key: "k" });
      const open = await place.begin?.();
      assert.ok(open !== undefined && store.addWithin !== undefined);

      const added = await store.addWithin(open.transaction, [job({ key: "k" }), job({ key: "other" })]);

      await open.commit();
      assert.deepEqual([added[0]?.id, added[0]?.isDuplicate, added[1]?.isDuplicate], [first, true, false]);
      await assertLevels(store, queue, { ready: 2 });
    },
  },
};

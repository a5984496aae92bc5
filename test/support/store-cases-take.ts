/** What a taker may rely on, as long as it and the engine live. */

/* oxlint-disable no-await-in-loop -- one thing after the other is what is asked for */

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Delivery, JobFailure } from "sluice/tasks";
import type { StoreCases } from "./store-contract.ts";
import { addTimeoutMs, quietMs } from "./store-limits.ts";
import { assertLevels, assertSameJobs, Taker } from "./store-takers.ts";

const failure: JobFailure = { name: "Error", message: "not this time" };
const empty = { ready: 0, delayed: 0, active: 0, dead: 0 } as const;

export const takeCases: StoreCases = {
  "a job that is done is gone": {
    async run({ store, queue, add, take }) {
      await add();
      const taker = await take();

      assert.equal(await (await taker.next()).done(), "settled");

      await assertLevels(store, queue, { ...empty, oldestReadyMs: 0 });
      const next = await add();
      assert.equal((await taker.next()).id, next);
    },
  },

  "a retried job comes again after its delay as the next attempt, with the same body": {
    async run({ add, take, kind }) {
      const id = await add({ body: '{"data":"same"}', priority: kind.caps.priority ? 7 : 0 });
      const taker = await take();
      const delivery = await taker.next();
      const fromMs = performance.now();

      assert.equal(await delivery.retry(1_000, failure), "settled");

      const again = await taker.next(1_000 + kind.slackMs);
      const afterMs = performance.now() - fromMs;
      assert.deepEqual([again.id, again.attempt, again.body], [id, 2, '{"data":"same"}']);
      assert.equal(again.priority, delivery.priority);
      // Engines keep whole milliseconds, and their clock is another one.
      assert.ok(afterMs >= 980, `handed out after ${afterMs} ms`);
    },
  },

  "attempts are counted through retries without delay": {
    async run({ add, take, kind }) {
      const id = await add();
      const taker = await take();

      for (let attempt = 1; attempt <= 4; attempt += 1) {
        const delivery = await taker.next(kind.slackMs + 5_000);
        assert.deepEqual([delivery.id, delivery.attempt], [id, attempt]);
        assert.equal(await delivery.retry(0, failure), "settled");
      }
    },
  },

  "a retried job waits among the delayed and does not hold its place with the taker": {
    async run({ store, queue, add, take }) {
      await add();
      const taker = await take(1);
      await (await taker.next()).retry(60_000, failure);

      const next = await add();

      assert.equal((await taker.next()).id, next);
      await assertLevels(store, queue, { ready: 0, delayed: 1, active: 1 });
    },
  },

  "a released job is ready at once, and the attempt does not count": {
    async run({ add, take, kind }) {
      const id = await add();
      const taker = await take();

      for (const attempt of [1, 1, 1]) {
        const delivery = await taker.next(kind.slackMs + 1_000);
        assert.deepEqual([delivery.id, delivery.attempt], [id, attempt]);
        assert.equal(await delivery.release(), "settled");
      }
      const last = await taker.next(kind.slackMs + 1_000);
      await last.retry(0, failure);
      assert.equal((await taker.next(kind.slackMs + 1_000)).attempt, 2);
    },
  },

  "no more jobs are handed out than the concurrency, and one more for each that is settled": {
    async run({ store, job, take }) {
      await store.add(
        Array.from({ length: 20 }, () => job()),
        addTimeoutMs,
      );
      const taker = await take(3);
      await taker.nextOnes(3);
      await sleep(quietMs);
      const atFirst = taker.deliveries.length;

      for (let settled = 0; settled < 20; settled += 1) {
        const delivery = taker.deliveries[settled];
        assert.ok(delivery !== undefined);
        await delivery.done();
        if (settled < 17) await taker.next();
        assert.ok(
          taker.deliveries.length <= settled + 4,
          `${taker.deliveries.length} handed out, ${settled + 1} settled`,
        );
      }

      assert.equal(atFirst, 3);
      assert.equal(taker.deliveries.length, 20);
    },
  },

  "jobs settled within the call that hands them out are handed out once each": {
    async run({ store, queue, job }) {
      const jobs = Array.from({ length: 300 }, () => job());
      await store.add(jobs, addTimeoutMs);
      const seen: string[] = [];
      const { promise, resolve } = Promise.withResolvers<void>();

      await store.consume(queue, 5, (delivery) => {
        seen.push(delivery.id);
        void delivery.done();
        if (seen.length === jobs.length) resolve();
      });

      await promise;
      assertSameJobs(
        seen,
        jobs.map(({ id }) => id),
      );
      await assertLevels(store, queue, empty);
    },
  },

  "two takers never get one job, and both get some": {
    async run({ store, another, queue, job, kind }) {
      const jobs = Array.from({ length: 400 }, () => job());
      const other = kind.caps.sharedBy === "process" ? store : await another();
      const seen: string[][] = [[], []];
      const { promise, resolve } = Promise.withResolvers<void>();
      const work = async (taker: number, delivery: Delivery): Promise<void> => {
        seen[taker]?.push(delivery.id);
        await sleep(2);
        await delivery.done();
        if (seen.flat().length === jobs.length) resolve();
      };
      await store.consume(queue, 5, (delivery) => void work(0, delivery));
      await other.consume(queue, 5, (delivery) => void work(1, delivery));

      await store.add(jobs, addTimeoutMs);

      await promise;
      await assertLevels(store, queue, empty);
      assertSameJobs(
        seen.flat(),
        jobs.map(({ id }) => id),
      );
      assert.ok(
        seen.every((ids) => ids.length > 0),
        `${seen.map((ids) => ids.length).join(" and ")} jobs`,
      );
    },
  },

  "a paused taker gets nothing, and gets what waits once it is resumed": {
    async run({ store, queue, add, take }) {
      const taker = await take(10);
      await add();
      const held = await taker.next();
      taker.consumer.pause();
      taker.consumer.pause();
      const id = await add();
      await sleep(quietMs);
      const whilePaused = taker.deliveries.length;
      assert.equal(await held.done(), "settled");

      taker.consumer.resume();

      assert.equal((await taker.next()).id, id);
      assert.equal(whilePaused, 1);
      await assertLevels(store, queue, { ready: 0, active: 1 });
    },
  },

  "whoever pauses while a job is handed out keeps that one, and what was not handed out stays": {
    async run({ store, queue, add, kind }) {
      const taken: Delivery[] = [];
      const control: { pause?: () => void } = {};
      const consumer = await store.consume(queue, 6, (delivery) => {
        taken.push(delivery);
        control.pause?.();
      });
      control.pause = () => consumer.pause();
      await Promise.all(Array.from({ length: 6 }, () => add()));
      const until = performance.now() + kind.slackMs + 5_000;
      while (taken.length === 0 && performance.now() < until) await sleep(5);
      await sleep(quietMs);

      const ends = await Promise.all(taken.map((delivery) => delivery.done()));

      assert.ok(ends.length > 0 && ends.every((end) => end === "settled"), ends.join(", "));
      await assertLevels(store, queue, { ...empty, ready: 6 - taken.length });
      await consumer.stop();
    },
  },

  "a taker that is paused and resumed at once goes on, without an error": {
    async run({ add, take, errors }) {
      const taker = await take(10);
      await add();
      await taker.next();

      for (let round = 0; round < 3; round += 1) {
        taker.consumer.pause();
        taker.consumer.resume();
      }

      const id = await add();
      assert.equal((await taker.next()).id, id);
      assert.deepEqual(errors, []);
    },
  },

  "what a paused taker leaves alone, another one gets": {
    async run({ store, another, queue, add, take, kind }) {
      const taker = await take(10);
      taker.consumer.pause();
      const id = await add();

      const other = await Taker.start(kind.caps.sharedBy === "process" ? store : await another(), queue, 1);

      assert.equal((await other.next(kind.slackMs + 5_000)).id, id);
      assert.equal(taker.deliveries.length, 0);
    },
  },

  "a stopped taker gets nothing more, can settle what it has, and leaves the rest to others at once": {
    async run({ store, queue, job, take, kind }) {
      const jobs = Array.from({ length: 6 }, () => job());
      await store.add(jobs, addTimeoutMs);
      const first = await take(2);
      const held = await first.nextOnes(2);

      await first.consumer.stop();

      const second = await take(10);
      const rest = await second.nextOnes(4, kind.slackMs + 5_000);
      assertSameJobs(
        rest.map(({ id, attempt }) => `${id}, attempt ${attempt}`),
        jobs.slice(2).map(({ id }) => `${id}, attempt 1`),
      );
      for (const delivery of held) {
        assert.equal(await delivery.done(), "settled");
      }
      await first.consumer.stop();
      assert.equal(first.deliveries.length, 2);
      await assertLevels(store, queue, { ready: 0, active: 4 });
    },
  },

  "of two settles of one delivery the first counts, whether it is over or not": {
    async run({ store, queue, add, take }) {
      await add();
      await add();
      const taker = await take();
      const [one, other] = await taker.nextOnes(2);
      assert.ok(one !== undefined && other !== undefined);

      assert.equal(await one.done(), "settled");
      assert.equal(await one.retry(0, failure), "lost");
      assert.equal(await one.dead(failure), "lost");
      const both = await Promise.all([other.done(), other.release()]);

      assert.deepEqual(both, ["settled", "lost"]);
      await assertLevels(store, queue, empty);
      assert.equal(taker.deliveries.length, 2);
    },
  },

  "levels count what is ready, delayed, active and dead, and how long the oldest has been ready": {
    async run({ store, queue, job, add, take, kind }) {
      await add();
      await add();
      const taker = await take(2);
      const [one] = await taker.nextOnes(2);
      await one?.dead(failure);
      await taker.consumer.stop();
      await store.add([job(), job(), job()], addTimeoutMs);
      if (kind.caps.delay) await add({ delayMs: 60_000 });
      await sleep(quietMs);

      await assertLevels(store, queue, { ready: 3, delayed: kind.caps.delay ? 1 : 0, active: 1, dead: 1 });

      const { oldestReadyMs } = await store.levels(queue);
      assert.ok(oldestReadyMs >= quietMs - 50 && oldestReadyMs < 20_000, `oldestReadyMs is ${oldestReadyMs}`);
    },
  },

  "a handle that stops gives back what is not settled, and the attempt does not count": {
    appliesTo: ({ caps }) => caps.sharedBy !== "process",
    async run({ store, queue, add, take, another, kind }) {
      const ids = [await add(), await add()];
      const taker = await take(10);
      const held = await taker.nextOnes(2);
      const [signal] = held.map(({ leaseLost }) => leaseLost);
      const other = await another();

      await store.stop(5_000);

      const next = await Taker.start(other, queue, 10);
      const again = await next.nextOnes(2, kind.slackMs + 5_000);
      assertSameJobs(
        again.map(({ id, attempt }) => `${id}, attempt ${attempt}`),
        ids.map((id) => `${id}, attempt 1`),
      );
      assert.equal(await held[0]?.done(), "lost");
      assert.equal(signal?.aborted, true);
      assert.equal(held[1]?.leaseLost.aborted, true);
      await assertLevels(other, queue, { ready: 0, active: 2 });
    },
  },

  "a handle that has stopped refuses jobs and says so, and stops again": {
    async run({ store, job }) {
      await store.stop(5_000);

      await assert.rejects(store.add([job()], 1_000), { code: "ERR_STORE_UNAVAILABLE" });

      await store.stop(5_000);
      assert.equal((await store.health(1_000)).isUp, false);
    },
  },

  "a queue that was not opened is refused by name": {
    async run({ store, job }) {
      const unknown = /never-opened/;

      await assert.rejects(store.add([job({ queue: "never-opened" })], 1_000), unknown);
      await assert.rejects(
        store.consume("never-opened", 1, () => {}),
        unknown,
      );
      await assert.rejects(store.levels("never-opened"), unknown);
    },
  },

  "a queue can be opened again, with other settings": {
    async run({ store, queue, kind, add, take }) {
      const id = await add();

      await store.open(queue, { leaseMs: kind.leaseMs * 2, maxDead: 5, deadForMs: 60_000 });

      const taker = await take();
      assert.equal((await taker.next()).id, id);
    },
  },

  "a store in health says so, and how far it is": {
    async run({ store }) {
      const { isUp, roundTripMs } = await store.health(5_000);

      assert.equal(isUp, true);
      assert.ok(roundTripMs >= 0 && roundTripMs < 5_000);
    },
  },
};

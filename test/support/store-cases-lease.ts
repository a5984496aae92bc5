/** What becomes of a job whose taker is slow, stands still or dies. */

/* oxlint-disable no-await-in-loop -- one thing after the other is what is asked for */

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { StoreCases, StoreKind } from "./store-contract.ts";
import { assertLevels, assertSameJobs } from "./store-takers.ts";

const isShared = ({ caps }: StoreKind): boolean => caps.sharedBy !== "process";

export const leaseCases: StoreCases = {
  "a job that takes three leases of time stays with its taker": {
    async run({ store, queue, kind, add, take, another }) {
      await add();
      const taker = await take();
      const delivery = await taker.next();
      const other = isShared(kind) ? await take(10, await another()) : taker;

      await sleep(kind.leaseMs * 3);

      assert.equal(delivery.leaseLost.aborted, false);
      assert.equal(await delivery.done(), "settled");
      await assertLevels(store, queue, { ready: 0, active: 0 });
      assert.equal(taker.deliveries.length, 1);
      assert.equal(other.deliveries.length, other === taker ? 1 : 0);
    },
  },

  "a job whose taker is killed goes to another one, as the next attempt": {
    appliesTo: isShared,
    async run({ store, queue, kind, add, take, takeElsewhere }) {
      const id = await add();
      const doomed = await takeElsewhere();
      assert.deepEqual((await doomed.next()).id, id);

      doomed.kill();

      const taker = await take();
      const delivery = await taker.next(kind.leaseMs + kind.slackMs);
      assert.deepEqual([delivery.id, delivery.attempt], [id, 2]);
      assert.equal(await delivery.done(), "settled");
      await assertLevels(store, queue, { ready: 0, active: 0, dead: 0 });
    },
  },

  "every taker that is killed counts as an attempt": {
    appliesTo: isShared,
    async run({ kind, add, takeElsewhere, take }) {
      const id = await add();

      for (const attempt of [1, 2]) {
        const doomed = await takeElsewhere();
        const taken = await doomed.next(kind.leaseMs + kind.slackMs);
        assert.deepEqual([taken.id, taken.attempt], [id, attempt]);
        doomed.kill();
      }

      const taker = await take();
      const delivery = await taker.next(kind.leaseMs + kind.slackMs);
      assert.deepEqual([delivery.id, delivery.attempt], [id, 3]);
      assert.equal(await delivery.done(), "settled");
    },
  },

  "a redriven job is forgiven the takers that it has killed": {
    appliesTo: isShared,
    async run({ store, queue, kind, add, take, takeElsewhere }) {
      const id = await add();
      const doomed = await takeElsewhere();
      await doomed.next();
      doomed.kill();
      const taker = await take();
      await (await taker.next(kind.leaseMs + kind.slackMs)).dead({ name: "Error", message: "no" });
      const dead = await store.listDead(queue, { limit: 1 });

      await store.redrive(queue, "all");

      const delivery = await taker.next(kind.slackMs + 1_000);
      assert.deepEqual([delivery.id, delivery.attempt, dead[0]?.attempts], [id, 1, 2]);
    },
  },

  "a taker that stood still is told that its lease is lost, and cannot settle what another one has": {
    appliesTo: isShared,
    async run({ store, queue, kind, add, take, takeElsewhere }) {
      const id = await add();
      const frozen = await takeElsewhere();
      await frozen.next();
      frozen.freeze();
      const taker = await take();
      const delivery = await taker.next(kind.leaseMs + kind.slackMs);
      assert.deepEqual([delivery.id, delivery.attempt], [id, 2]);

      frozen.wake();

      const lost = await frozen.nextLost(kind.leaseMs + kind.slackMs);
      assert.equal(lost.id, id);
      assert.equal(await frozen.settle(id, "done"), "lost");
      await assertLevels(store, queue, { ready: 0, active: 1 });
      assert.equal(delivery.leaseLost.aborted, false);
      assert.equal(await delivery.done(), "settled");
      await assertLevels(store, queue, { ready: 0, active: 0 });
    },
  },

  "a settle by a taker that stood still, at once as it wakes, changes nothing for the other one": {
    appliesTo: isShared,
    async run({ store, queue, kind, add, take, takeElsewhere }) {
      const id = await add();
      const frozen = await takeElsewhere();
      await frozen.next();
      frozen.freeze();
      const taker = await take();
      const delivery = await taker.next(kind.leaseMs + kind.slackMs);

      frozen.wake();

      assert.equal(await frozen.settle(id, "release"), "lost");
      await assertLevels(store, queue, { ready: 0, active: 1 });
      assert.equal(await delivery.done(), "settled");
    },
  },

  "jobs that a killed taker held but did not begin come at once with their lease": {
    appliesTo: isShared,
    async run({ kind, add, take, takeElsewhere }) {
      const ids = [await add(), await add(), await add(), await add()];
      const doomed = await takeElsewhere(2);
      await doomed.next();
      await doomed.next();

      doomed.kill();

      const taker = await take();
      const again = await taker.nextOnes(4, kind.leaseMs + kind.slackMs);
      assertSameJobs(
        again.map(({ id }) => id),
        ids,
      );
    },
  },
};

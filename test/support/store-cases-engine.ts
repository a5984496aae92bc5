/** What a store does while its engine does not answer, and after. Each has a place of its own. */

/* oxlint-disable no-await-in-loop -- one thing after the other is what is asked for */

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Stage, StoreCases, StoreKind } from "./store-contract.ts";
import { addTimeoutMs, quietMs, recoveryMs } from "./store-limits.ts";
import { assertLevels } from "./store-takers.ts";

async function silence({ place }: Stage): Promise<() => Promise<void>> {
  assert.ok(place.silence !== undefined, "a store with an engine says how to silence it");
  return place.silence();
}

/** A store may take this much longer than its limit before it settles: an event loop under test is a busy one. */
const lateMs = 1_000;

/** An engine that is reached over connections, which can break. */
const isElsewhere = ({ hasEngine, caps }: StoreKind): boolean => hasEngine && caps.sharedBy === "network";

/** Waits for `settling`, and resolves to how many milliseconds it took. */
async function timeOf(settling: Promise<unknown>): Promise<number> {
  const fromMs = performance.now();
  await settling.catch(() => {});
  return performance.now() - fromMs;
}

export const engineCases: StoreCases = {
  "an add to a silent engine fails within its timeout, and flows again when the engine is back": {
    hasOwnPlace: true,
    appliesTo: ({ hasEngine }) => hasEngine,
    async run(stage) {
      const { store, job, take } = stage;
      await store.add([job()], addTimeoutMs);
      const taker = await take(10);
      await (await taker.next()).done();
      const speak = await silence(stage);
      const lost = job();

      const adding = store.add([lost], 500);
      const tookMs = await timeOf(adding);
      await assert.rejects(adding, { code: "ERR_STORE_UNAVAILABLE" });
      assert.ok(tookMs < 500 + lateMs, `settled after ${tookMs} ms`);
      await speak();

      const fromMs = performance.now();
      let added = false;
      while (!added && performance.now() - fromMs < recoveryMs) {
        added = await store.add([lost], 1_000).then(
          () => true,
          () => false,
        );
      }
      assert.ok(added, `no add within ${recoveryMs} ms of the engine's return`);
      const delivery = await taker.next(recoveryMs);
      // It may have been taken in the first time, and is handed out once all the same.
      assert.equal(delivery.id, lost.id);
      assert.equal(await delivery.done(), "settled");
      await sleep(quietMs);
      assert.equal(taker.deliveries.length, 2);
    },
  },

  "every call to a silent engine settles, and health says that it is down": {
    hasOwnPlace: true,
    appliesTo: ({ hasEngine }) => hasEngine,
    async run(stage) {
      const { store, queue, add, take } = stage;
      await add();
      const taker = await take();
      const delivery = await taker.next();
      const speak = await silence(stage);

      const health = await store.health(300);
      const tookMs = await Promise.all(
        [
          store.levels(queue),
          store.listDead(queue, { limit: 1 }),
          store.redrive(queue, "all"),
          store.discard(queue, "all"),
          delivery.done(),
          taker.consumer.stop(),
        ].map(timeOf),
      );

      assert.equal(health.isUp, false);
      assert.notEqual(health.detail ?? "", "");
      assert.ok(Math.max(...tookMs) < 30_000, `settled after ${tookMs.map(Math.round).join(", ")} ms`);
      await speak();
    },
  },

  "a store stops within its limit though its engine is silent and jobs are not settled": {
    hasOwnPlace: true,
    appliesTo: ({ hasEngine }) => hasEngine,
    async run(stage) {
      const { store, add, take } = stage;
      await add();
      const taker = await take();
      const delivery = await taker.next();
      const speak = await silence(stage);

      const tookMs = await timeOf(store.stop(500));

      assert.ok(tookMs < 500 + lateMs, `stopped after ${tookMs} ms`);
      assert.equal(delivery.leaseLost.aborted, true);
      await speak();
    },
  },

  "an engine that goes away and comes back finds all as it was: what is held can be settled, what is added comes": {
    hasOwnPlace: true,
    // Longer than the engine is away.
    settings: { leaseMs: 20_000 },
    appliesTo: isElsewhere,
    async run({ store, place, job, add, take, queue }) {
      const id = await add();
      const taker = await take();
      const held = await taker.next();
      assert.ok(place.refuse !== undefined, "a store with an engine says how to part it from its engine");

      const back = await place.refuse();

      const settling = held.done();
      await assert.rejects(store.add([job()], 1_000), { code: "ERR_STORE_UNAVAILABLE" });
      await sleep(1_500);
      await back();
      const next = job();
      const fromMs = performance.now();
      let added = false;
      while (!added && performance.now() - fromMs < recoveryMs) {
        added = await store.add([next], 1_000).then(
          () => true,
          () => sleep(50, false),
        );
      }
      assert.ok(added, `no add within ${recoveryMs} ms`);
      const delivery = await taker.next(recoveryMs);
      assert.deepEqual([held.id, delivery.id], [id, next.id]);
      assert.equal(await settling, "settled");
      assert.equal(await delivery.done(), "settled");
      await assertLevels(store, queue, { ready: 0, active: 0, dead: 0 });
    },
  },

  "a store that could not start because its engine was away starts when it is there": {
    hasOwnPlace: true,
    appliesTo: isElsewhere,
    async run({ place, job, queue, kind }) {
      assert.ok(place.refuse !== undefined, "a store with an engine says how to part it from its engine");
      const back = await place.refuse();
      const store = place.open();
      const host = { onError: () => {} };
      await assert.rejects(store.start(host), { code: "ERR_STORE_UNAVAILABLE" });

      await back();
      await store.start(host);

      await store.open(queue, { leaseMs: kind.leaseMs, maxDead: 10, deadForMs: 60_000 });
      const [added] = await store.add([job()], addTimeoutMs);
      assert.equal(added?.isDuplicate, false);
      await store.stop(2_000);
    },
  },
};

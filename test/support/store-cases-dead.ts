/** Jobs that will not be tried again by themselves. */

/* oxlint-disable no-await-in-loop -- one thing after the other is what is asked for */

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { JobFailure } from "sluice/tasks";
import type { Stage, StoreCases } from "./store-contract.ts";
import { addTimeoutMs } from "./store-limits.ts";
import { assertLevels, assertSameJobs, assertSoon, type Taker } from "./store-takers.ts";

const failure: JobFailure = { name: "TypeError", message: "no", stack: "TypeError: no\n    at here" };

/** Adds jobs that die one after the other, and resolves to their ids in that order. */
async function bury({ add }: Stage, taker: Taker, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let index = 0; index < count; index += 1) {
    ids.push(await add());
    const delivery = await taker.next();
    assert.equal(await delivery.dead(failure), "settled");
    // A clock of whole milliseconds could not tell them apart.
    await sleep(3);
  }
  return ids;
}

export const deadCases: StoreCases = {
  "a dead job is listed with all that is known of it, and does not come again": {
    async run({ store, queue, job, add, take }) {
      const given = job({ body: '{"v":1,"data":"é"}' });
      await store.add([given], addTimeoutMs);
      const taker = await take();
      await (await taker.next()).retry(0, { name: "Error", message: "first" });
      const fromMs = Date.now();
      const why = { name: "RangeError", message: "zu groß: \u0001 👩‍👩‍👧 ".repeat(50), stack: `at ${"x".repeat(5_000)}` };

      assert.equal(await (await taker.next()).dead(why), "settled");

      const [dead, ...others] = await store.listDead(queue, { limit: 10 });
      assert.ok(dead !== undefined);
      const { diedAt, ...facts } = dead;
      assert.deepEqual(facts, { id: given.id, queue, body: given.body, attempts: 2, failure: why });
      assert.ok(diedAt >= fromMs - 1_000 && diedAt <= Date.now() + 1_000, `died at ${diedAt}, asked from ${fromMs}`);
      assert.deepEqual(others, []);
      const next = await add();
      assert.equal((await taker.next()).id, next);
      await assertLevels(store, queue, { ready: 0, delayed: 0, active: 1, dead: 1 });
    },
  },

  "a failure with characters that an engine does not take is kept, as far as it can be": {
    async run({ store, queue, add, take }) {
      await add();
      const taker = await take();

      const settled = await (await taker.next()).dead({ name: "E\0", message: "a\0b \ud800", stack: "\0" });

      assert.equal(settled, "settled");
      const [dead] = await store.listDead(queue, { limit: 1 });
      assert.match(dead?.failure.message ?? "", /^a.b .$/s);
    },
  },

  "dead jobs are listed newest first, and page by page": {
    async run(stage) {
      const { store, queue, take } = stage;
      const ids = (await bury(stage, await take(), 5)).toReversed();

      const first = await store.listDead(queue, { limit: 2 });
      const second = await store.listDead(queue, { limit: 2, before: first[1]?.id ?? "" });
      const third = await store.listDead(queue, { limit: 2, before: second[1]?.id ?? "" });

      assert.deepEqual(
        [first, second, third].map((page) => page.map(({ id }) => id)),
        [ids.slice(0, 2), ids.slice(2, 4), ids.slice(4)],
      );
    },
  },

  "redriven jobs are handed out with a fresh count of attempts": {
    async run(stage) {
      const { store, queue, take, kind } = stage;
      const taker = await take();
      const [one, two, three] = await bury(stage, taker, 3);
      assert.ok(one !== undefined && two !== undefined && three !== undefined);

      assert.equal(await store.redrive(queue, [two, "no-such-job"]), 1);

      const again = await taker.next(kind.slackMs + 1_000);
      assert.deepEqual([again.id, again.attempt], [two, 1]);
      assert.equal(await again.retry(0, failure), "settled");
      const last = await taker.next(kind.slackMs + 1_000);
      assert.deepEqual([last.id, last.attempt], [two, 2]);
      await last.done();
      assert.equal(await store.redrive(queue, "all"), 2);
      const rest = await taker.nextOnes(2, kind.slackMs + 1_000);
      assertSameJobs(
        rest.map(({ id, attempt }) => `${id}, attempt ${attempt}`),
        [one, three].map((id) => `${id}, attempt 1`),
      );
      await assertLevels(store, queue, { ready: 0, active: 2, dead: 0 });
      assert.equal(await store.redrive(queue, "all"), 0);
    },
  },

  "a redriven job can die again": {
    async run(stage) {
      const { store, queue, take, kind } = stage;
      const taker = await take();
      const [id] = await bury(stage, taker, 1);
      await store.redrive(queue, "all");

      assert.equal(await (await taker.next(kind.slackMs + 1_000)).dead(failure), "settled");

      const dead = await store.listDead(queue, { limit: 10 });
      assert.deepEqual(
        dead.map((each) => [each.id, each.attempts]),
        [[id, 1]],
      );
    },
  },

  "a redriven job runs even if another one has its key by now": {
    appliesTo: ({ caps }) => caps.dedup === "until-done",
    async run({ store, queue, add, take, kind }) {
      const taker = await take();
      const first = await add({ key: "k" });
      await (await taker.next()).dead(failure);
      const second = await add({ key: "k" });

      assert.equal(await store.redrive(queue, "all"), 1);

      const both = await taker.nextOnes(2, kind.slackMs + 1_000);
      assertSameJobs(
        both.map(({ id }) => id),
        [first, second],
      );
      for (const delivery of both) {
        assert.equal(await delivery.done(), "settled");
      }
    },
  },

  "discarded jobs are gone": {
    async run(stage) {
      const { store, queue, take } = stage;
      const [one, two, three] = await bury(stage, await take(), 3);
      assert.ok(one !== undefined && two !== undefined && three !== undefined);

      assert.equal(await store.discard(queue, [two, "no-such-job"]), 1);

      const left = await store.listDead(queue, { limit: 10 });
      assert.deepEqual(
        left.map(({ id }) => id),
        [three, one],
      );
      assert.equal(await store.discard(queue, "all"), 2);
      await assertLevels(store, queue, { ready: 0, delayed: 0, active: 0, dead: 0 });
      assert.equal(await store.redrive(queue, [one]), 0);
    },
  },

  "redriving and discarding take nothing that is not dead": {
    async run({ store, queue, add, take }) {
      const held = await add();
      const taker = await take(1);
      const delivery = await taker.next();
      const waiting = await add();

      assert.equal(await store.redrive(queue, [held, waiting]), 0);
      assert.equal(await store.discard(queue, [held, waiting]), 0);
      assert.equal(await store.discard(queue, "all"), 0);

      assert.equal(await delivery.done(), "settled");
      assert.equal((await taker.next()).id, waiting);
    },
  },

  "of more dead jobs than maxDead the newest are kept": {
    settings: { maxDead: 3 },
    async run(stage) {
      const { store, queue, take, kind } = stage;

      const ids = await bury(stage, await take(), 6);

      const listed = async (): Promise<string[]> => (await store.listDead(queue, { limit: 10 })).map(({ id }) => id);
      await assertSoon(listed, ids.slice(3).toReversed(), kind.slackMs + 2_000);
      await assertLevels(store, queue, { dead: 3 });
    },
  },

  "dead jobs older than deadForMs are discarded": {
    settings: { deadForMs: 2_000 },
    async run(stage) {
      const { store, queue, take, kind } = stage;
      const fromMs = performance.now();
      await bury(stage, await take(), 2);
      const atFirst = await store.listDead(queue, { limit: 10 });

      const listed = async (): Promise<string[]> => (await store.listDead(queue, { limit: 10 })).map(({ id }) => id);
      await assertSoon(listed, [], 2_000 + kind.slackMs + 2_000);

      // Engines keep whole milliseconds, and their clock is another one.
      assert.ok(performance.now() - fromMs >= 1_900, `gone after ${performance.now() - fromMs} ms`);
      assert.equal(atFirst.length, 2);
      await assertLevels(store, queue, { dead: 0 });
    },
  },
};

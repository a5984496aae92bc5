/**
 * Short runs of what `bench/shows` shows at full size: the promises that can only be seen under load.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { burstThenIdle } from "../bench/shows/burst-idle.ts";
import { raceKeepAlive } from "../bench/shows/keep-alive-race.ts";
import { crowdIn } from "../bench/shows/limit.ts";
import { queueWaiters, visitOrigins } from "../bench/shows/scale.ts";
import { soak } from "../bench/shows/soak.ts";

const seed = Math.floor(Math.random() * 2 ** 31);

test(`a server that closes idle connections under the client's next request is not noticed (seed ${seed})`, async () => {
  const race = await raceKeepAlive("sluice", { requests: 3_000, posts: 500, seed });

  assert.deepEqual(race.tallies.GET, { sent: 3_000, ok: 3_000, errors: {} });
  assert.deepEqual(race.tallies.PUT, { sent: 3_000, ok: 3_000, errors: {} });
  assert.ok(race.replays > 0, "the race was not run: nothing had to be replayed");
  assert.equal(race.postsProcessedTwice, 0);
});

test("after a burst no more than the idle cap stays, then nothing, and the heap comes back", async () => {
  const shown = await burstThenIdle("sluice", { burst: 300, bursts: 2 });

  assert.equal(shown.atPeak, 300);
  assert.ok(shown.afterBurst <= shown.maxIdleConnsPerHost, `${shown.afterBurst} connections stayed`);
  assert.equal(shown.afterIdle, 0);
  assert.ok(shown.after.heapBytes < shown.before.heapBytes * 1.05, "the heap grew by more than 5 %");
  assert.equal(shown.sequential, 1);
});

test("origins that are not visited again are forgotten", async () => {
  const shown = await visitOrigins("sluice", 500, 100);

  assert.equal(shown.failed, 0);
  assert.ok(shown.remembered <= 100, `${shown.remembered} origins are remembered`);
});

test("two thousand waiters are served in order, and half of them can leave at once", async () => {
  const shown = await queueWaiters("sluice", 2_000);

  assert.ok(shown.servedInOrder && shown.inOrderAfterCancel);
  assert.equal(shown.served, 2_001);
  assert.equal(shown.settled, 1_000);
  assert.equal(shown.servedAfterCancel, 1_001);
});

test(`a soak in every fault leaves nothing behind (seed ${seed})`, async () => {
  const shown = await soak({ seconds: 6, seed });

  assert.deepEqual(shown.surprises, []);
  assert.equal(shown.stuck, 0);
  assert.deepEqual(shown.left, {});
  assert.deepEqual(shown.warnings, []);
});

test("three hundred clients at once are all served by a server that takes ten, and none is reset", async () => {
  const shown = await crowdIn("wait", { clients: 300, limit: 10, work: 5 });

  assert.deepEqual(shown.fates, { served: 300, refused: 0, reset: 0, closed: 0, "no answer": 0 });
  assert.equal(shown.resets, 0);
  assert.ok(shown.peak <= 10, `${shown.peak} requests at once`);
});

test("of three hundred clients at once, those that are refused all read a whole 503", async () => {
  const shown = await crowdIn("reject", { clients: 300, limit: 10, work: 50 });

  const { served, refused } = shown.fates;
  assert.deepEqual(shown.fates, { served, refused, reset: 0, closed: 0, "no answer": 0 });
  assert.ok(served >= 10 && refused > 0 && shown.resets === 0, `${served} served, ${shown.resets} resets`);
  assert.ok(shown.peak <= 10, `${shown.peak} requests at once`);
});

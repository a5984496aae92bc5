/**
 * Short runs of what `bench/shows/processes.ts` and `bench/shows/engine-down.ts` show at full size, on engines that the
 * tests start for themselves.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { killEngine } from "../bench/shows/engine-down.ts";
import { shareQueue } from "../bench/shows/processes.ts";
import { newPlace, type PlaceName } from "../bench/shows/store-places.ts";
import { requirement, type RequirementName } from "./support/require.ts";

const places: readonly (readonly [PlaceName, RequirementName | undefined])[] = [
  ["sqlite", undefined],
  ["redis", "redis"],
  ["postgres", "postgres"],
  ["nats", "nats"],
];
const calm = { processes: 2, jobs: 600, concurrency: 8, leaseMs: 5_000, workMs: 2, stalls: 0 };

for (const [name, need] of places) {
  test(`two processes share a queue on ${name}: each job is begun once`, async (t) => {
    if (need !== undefined && requirement(t, need) === undefined) return;
    await using place = await newPlace(name);

    const shown = await shareQueue(place, calm);

    const { lost, left, begunTwice, leasesLost, settledTwice } = shown;
    assert.deepEqual(
      { lost, left, begunTwice, leasesLost, settledTwice },
      { lost: 0, left: 0, begunTwice: 0, leasesLost: 0, settledTwice: 0 },
    );
    assert.ok(shown.shares[0] > 0, "one process got all jobs");
  });

  test(`what a process that stands still held on ${name} is done by another, and the first one is told`, async (t) => {
    if (need !== undefined && requirement(t, need) === undefined) return;
    await using place = await newPlace(name);

    const shown = await shareQueue(place, { ...calm, jobs: 1_500, leaseMs: 2_000, workMs: 20, stalls: 1 });

    const { lost, left, settledTwice } = shown;
    assert.deepEqual({ lost, left, settledTwice }, { lost: 0, left: 0, settledTwice: 0 });
    assert.ok(shown.begunTwice <= shown.leasesLost, `${shown.begunTwice} begun twice, ${shown.leasesLost} leases lost`);
    // Of SQLite a thread of its own holds the leases, whatever the loop does.
    if (name !== "sqlite") assert.ok(shown.begunTwice > 0, "the process did not stand still with jobs in its hands");
  });

  if (need === undefined) continue;
  test(`${name} is killed and comes back under load: adds fail in time, all flows again, and nothing is lost`, async (t) => {
    if (requirement(t, need) === undefined) return;
    await using place = await newPlace(name);
    const addTimeoutMs = 400;

    const shown = await killEngine(place, { upMs: 1_000, downMs: 1_500, addTimeoutMs, everyMs: 20 });

    assert.ok(shown.refused > 10, `only ${shown.refused} adds met the engine's absence`);
    assert.deepEqual(shown.codes, ["ERR_STORE_UNAVAILABLE"]);
    const { slowestMs, plainDownMs, addedAfterMs, doneAfterMs, drainMs, drainLimitMs, lagMs } = shown;
    assert.ok(slowestMs <= addTimeoutMs + 2 * lagMs + 200, `an add took ${slowestMs} ms, with a lag of ${lagMs} ms`);
    assert.ok(plainDownMs <= 2 * lagMs + 100, `other requests took ${plainDownMs} ms, with a lag of ${lagMs} ms`);
    assert.ok(addedAfterMs <= 5_000, `the first add came after ${addedAfterMs} ms`);
    assert.ok(doneAfterMs <= 5_000, `the first job was done after ${doneAfterMs} ms`);
    assert.equal(shown.lost, 0);
    assert.ok(drainMs <= drainLimitMs + 2 * lagMs + 100, `the drain took ${drainMs} ms of ${drainLimitMs}`);
  });
}

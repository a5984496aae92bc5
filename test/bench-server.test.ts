/** A short run of the server bench: what it measures has to serve before it can be compared. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../bench/support/random.ts";
import { measureMemory, measureServers } from "../bench/whole/server/measure.ts";
import { isMeasuredInNode, peers } from "../bench/whole/server/peers.ts";

const seed = Math.floor(Math.random() * 2 ** 31);
const ids = Object.keys(peers).filter(isMeasuredInNode);

test(`each server of the bench gives the whole answer, and its own CPU time (seed ${seed})`, async () => {
  const readings = await measureServers({
    ids,
    random: seededRandom(seed),
    launches: 1,
    roundsPerLaunch: 2,
    blockMs: 20,
    warmMs: 20,
    onProgress: () => undefined,
  });

  // The load checks the status and the length of each answer; what it finds wrong rejects.
  assert.deepEqual([...readings.keys()].toSorted(), ids.toSorted());
  for (const [id, launches] of readings) {
    const blocks = launches.flat();
    assert.equal(blocks.length, 2, id);
    assert.ok(
      blocks.every(({ cpuUs }) => cpuUs > 0),
      `${id} has used no CPU time`,
    );
  }
});

test("idle connections of a guarded server are held open, and cost memory", async () => {
  const readings = await measureMemory({
    ids: ["sluice"],
    random: seededRandom(seed),
    launches: 1,
    steps: [250, 500, 1_000],
    onProgress: () => undefined,
  });

  // How much is not for a run as short as this one.
  const [reading] = readings.get("sluice") ?? [];
  assert.ok((reading?.heapBytes ?? 0) > 500, `${reading?.heapBytes} bytes of heap for each`);
});

/** Short runs of what `bench/shows` shows of the SQLite store at full size. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { fillDisk } from "../bench/shows/full-disk.ts";
import { killProcesses } from "../bench/shows/kill.ts";

const seed = Math.floor(Math.random() * 2 ** 31);

test(`processes killed while they add and work lose no acknowledged job (seed ${seed})`, async () => {
  const shown = await killProcesses("sqlite", { kills: 14, seed });

  assert.ok(shown.acknowledged > 0 && shown.done > 0, "the processes were killed before they had done anything");
  const { lost, againAfterEnd, againWithoutReason, damage } = shown;
  assert.deepEqual(
    { lost, againAfterEnd, againWithoutReason, damage },
    { lost: [], againAfterEnd: [], againWithoutReason: [], damage: [] },
  );
});

test("a full disk refuses jobs, loses none, and takes them again when there is room", (t) => {
  const shown = fillDisk(24);
  if (shown === undefined) {
    t.skip("needs Linux and the right to mount a tmpfs: run it as root, or allow user namespaces");
    return;
  }
  assert.deepEqual(shown.refusals, ["ERR_STORE_FULL"]);
  assert.ok(shown.doneWhileFull > 0 && shown.readded > 0, JSON.stringify(shown));
  assert.ok(shown.recoveredMs < 2_000, `taken again after ${shown.recoveredMs} ms`);
  assert.deepEqual([shown.lost, shown.twice], [0, 0]);
});

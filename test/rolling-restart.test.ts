/**
 * A few restarts of what `bench/shows/rolling-restart.ts` shows with a hundred: behind proxies as they are, no request,
 * no upload and no event stream fails.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { restartUnderLoad, type RestartFigures } from "../bench/shows/rolling-restart.ts";
import { requirement } from "./support/require.ts";

const seed = Math.floor(Math.random() * 2 ** 31);
const size = { gets: 60, posts: 60, slowPosts: 4, streams: 10, drains: 4, seed };

function assertNothingLost({ failures, tallies, uploadedTwice }: RestartFigures): void {
  assert.deepEqual(failures, []);
  assert.equal(uploadedTwice, 0);
  for (const [kind, { sent, done }] of Object.entries(tallies)) {
    assert.ok(done > 0, `no ${kind} was sent`);
    assert.equal(done, sent, kind);
  }
}

test(`a rolling restart behind HAProxy loses no request, upload or stream (seed ${seed})`, async (t) => {
  if (requirement(t, "haproxy") === undefined) return;

  assertNothingLost(await restartUnderLoad("haproxy", "sluice", size));
});

test(`a rolling restart behind nginx loses no request, upload or stream (seed ${seed})`, async (t) => {
  if (requirement(t, "nginx") === undefined) return;

  assertNothingLost(await restartUnderLoad("nginx", "sluice", size));
});

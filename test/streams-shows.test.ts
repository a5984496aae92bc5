/** Short runs of what `bench/shows/slow-consumer.ts` shows at full size. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { aheadBytes, consumeSlowly, holdIdle, type SlowConsumerSize } from "../bench/shows/slow-consumer.ts";

// Long enough that the kernel, which holds a few megabytes for a client that does not read, is full.
const size: SlowConsumerSize = { clients: 60, paused: 10, events: 2_400, bytes: 4_000 };
/** What the channel keeps is shared by all who wait for it; this is for whatever else a run takes. */
const slackBytes = 50 * 2 ** 20;
/** What may wait for those that are paused, and for those that read and are sent some ahead, Node's own part included. */
const mostBytes = size.paused * (262_144 + 65_536) + (size.clients - size.paused) * (aheadBytes + 65_536);

test("paused clients are disconnected at their limit, the others get all in order, and they resume without a gap", async () => {
  const shown = await consumeSlowly("disconnect", size);

  assert.deepEqual([shown.gaps, shown.repeats, shown.told], [0, 0, 0]);
  assert.equal(shown.overflowed, size.paused);
  assert.equal(shown.reconnects, size.paused);
  assert.ok(shown.replayed > 0);
  assert.ok(shown.mostBuffered <= mostBytes, `${shown.mostBuffered} bytes waited`);
  const grown = shown.mostRss - shown.rssBefore - shown.historyBytes;
  assert.ok(grown < slackBytes, `the server grew by ${grown} bytes`);
});

test("paused clients that may miss the oldest stay, and are told what they have missed", async () => {
  const shown = await consumeSlowly("drop-oldest", size);

  assert.deepEqual([shown.gaps, shown.repeats, shown.overflowed, shown.reconnects], [0, 0, 0, 0]);
  assert.equal(shown.told, size.paused);
  assert.ok(shown.dropped > 0);
  assert.ok(shown.mostBuffered <= mostBytes, `${shown.mostBuffered} bytes waited`);
});

test("an idle client takes some tens of kilobytes at the most", async () => {
  const { bytesEach } = await holdIdle(1_000);

  assert.ok(bytesEach > 0 && bytesEach < 60_000, `${bytesEach} bytes each`);
});

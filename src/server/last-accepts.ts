/**
 * The right moment to close a listener: when nobody waits in the kernel's queue.
 *
 * A connection is complete for its client before anybody has accepted it, and closing the listener resets it, with the
 * request that it has sent. That is a POST that no proxy may send again. Node accepts one connection in each turn of
 * its loop (libuv does since 1.46), so that a busy server always has some in that queue. A turn in which there was
 * nothing to accept, and which was over at once, says that the queue was empty some microseconds ago. Then it is
 * plugged (`queue-plug.ts`), or another turn is waited for.
 */

import { now } from "../core/clock.ts";
import type { QueuePlug } from "./queue-plug.ts";

/** How long a turn may have taken for its answer to count, by how long one has looked for a better one. */
const tolerances = [
  { untilMs: 50, turnMs: 0.1, narrow: false },
  { untilMs: 250, turnMs: 1, narrow: false },
  { untilMs: 1_000, turnMs: Infinity, narrow: true },
] as const;

/**
 * Resolves right after a turn of the loop in which nothing was accepted; `accepted` counts. A server that is never done
 * with accepting has its queue narrowed after a while, and is waited for no longer than a second. Close the listener at
 * once, before anything else is awaited. `plug` says whether nobody has come in the meantime.
 */
export async function untilNobodyQueues(
  accepted: () => number,
  plug: Pick<QueuePlug, "plug" | "narrow">,
): Promise<void> {
  const from = now();
  // The rest of this turn says nothing: its poll may be over.
  await nextTurn();
  for (const { untilMs, turnMs, narrow } of tolerances) {
    if (narrow) plug.narrow();
    while (now() - from < untilMs) {
      const before = accepted();
      const startedAt = now();
      // oxlint-disable-next-line no-await-in-loop -- one turn after the other
      await nextTurn();
      const isQuiet = accepted() === before && now() - startedAt < turnMs;
      // oxlint-disable-next-line no-await-in-loop
      if (isQuiet && (await plug.plug())) return;
    }
  }
}

/**
 * The end of a turn that begins now at the earliest. With a reference, unlike a `Clock`'s: without one the loop would
 * sleep until something else happens, for seconds where nothing does.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

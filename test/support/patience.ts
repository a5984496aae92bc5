/** Waiting for what is sure to come, on a machine that may be busy. */

import { setTimeout as sleep } from "node:timers/promises";

/** Resolves once `condition` holds, and after 10 s in any case; the assertion that follows says what was wrong. */
export async function until(condition: () => boolean): Promise<void> {
  const latest = performance.now() + 10_000;
  // oxlint-disable-next-line no-await-in-loop -- polling is one look after the other
  while (!condition() && performance.now() < latest) await sleep(5);
}

/**
 * How long a failed job waits until it is tried again.
 *
 * Capped exponential growth with full jitter: whatever failed together (a database was gone for a minute) must not come
 * back together. AWS measured that a random time from 0 to the cap needs the fewest calls of all ways to spread them
 * ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
 */

import type { ResolvedBackoff } from "./queue-options.ts";

/** Milliseconds to wait after attempt `attempt` (1 for the first) has failed. */
export function backoffMs(backoff: ResolvedBackoff, attempt: number, random: () => number = Math.random): number {
  // 2 ** 1000 is Infinity, and so is what it is multiplied with: the cap holds all the same.
  const longest = Math.min(backoff.to, backoff.from * 2 ** (attempt - 1));
  return backoff.jitter === "none" ? longest : Math.round(random() * longest);
}

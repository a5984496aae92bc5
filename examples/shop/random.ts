/**
 * Random numbers that can be played again: the same seed gives the same latencies and the same customers, so that two
 * runs of the shop can be compared. Not for secrets.
 */

/** Draws from 0 (included) to 1 (excluded). */
export type Random = () => number;

/** Mulberry32: 32 bits of state are plenty for a play, and it is five lines. */
export function seeded(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** How long one answer takes, in ms: most near the median, a few much longer, none beyond `longest`. */
export function drawLatency(random: Random, medianMs: number, longestMs: number): number {
  const gauss = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const tail = random() < 0.005 ? 6 : 1; // now and then a garbage collection, a cold cache
  return Math.min(longestMs, medianMs * Math.exp(0.4 * gauss) * tail);
}

/** The pause before the next of many independent customers who come `perSecond` times a second on average. */
export function drawPauseMs(random: Random, perSecond: number): number {
  return (-Math.log(1 - random()) * 1000) / perSecond;
}

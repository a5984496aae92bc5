/**
 * Random numbers that can be had again: whatever a measurement shuffles or draws follows from a seed that it prints.
 * (mulberry32: 32 bits of state, good enough to shuffle blocks and to choose faults, not for anything secret.)
 */

export interface Random {
  readonly seed: number;
  /** A number in [0, 1). */
  next(): number;
  /** A whole number in [0, below). */
  below(limit: number): number;
  /** One of `values`. */
  pick<T>(values: readonly [T, ...T[]]): T;
  /** The values in another order, in a new array. */
  shuffle<T>(values: readonly T[]): T[];
}

export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    seed,
    next,
    below,
    pick: (values) => values[below(values.length)] ?? values[0],
    // A random key beside each value, then sorted: simpler than swapping in place, and as fair.
    shuffle: (values) =>
      values
        .map((value) => ({ value, key: next() }))
        .toSorted((a, b) => a.key - b.key)
        .map(({ value }) => value),
  };
}

/** Numbers that look random and come again with their seed: `SEED=123 node --test ...` repeats a run. */

export interface Random {
  readonly seed: number;
  /** 0 to 1, without 1. */
  next(): number;
  /** A whole number from 0, below `limit`. */
  below(limit: number): number;
  chance(share: number): boolean;
  pick<T>(items: readonly T[]): T;
  /** Removes one and returns it; `undefined` when there is none. */
  take<T>(items: T[]): T | undefined;
}

/** A generator (mulberry32) with the seed in the environment, or a new one. */
export function randomFrom(seed: number = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31))): Random {
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    seed,
    next,
    below,
    chance: (share) => next() < share,
    pick: <T>(items: readonly T[]): T => {
      const item = items[below(items.length)];
      if (item === undefined) throw new RangeError("there is nothing to pick from");
      return item;
    },
    take: <T>(items: T[]): T | undefined => items.splice(below(items.length), 1)[0],
  };
}

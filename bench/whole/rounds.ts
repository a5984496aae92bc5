/**
 * Runs contenders side by side: each in its own process, warmed once, then in blocks whose order is shuffled anew in
 * every round. A machine that is busy for a while is then busy for all of them, and a ratio of two contenders is taken
 * within a round, never between figures from different times.
 *
 * All processes are launched several times. What the compiler makes of a program is settled in its first second and
 * differs from launch to launch by more than the contenders differ, so that one launch each would measure luck.
 */

import type { Random } from "../support/random.ts";

export interface Plan<Id extends string> {
  readonly ids: readonly Id[];
  readonly random: Random;
  readonly launches: number;
  readonly roundsPerLaunch: number;
  readonly onProgress: (text: string) => void;
}

/** One launched process under measurement. */
export interface Contender<Reading> {
  readonly warm: () => Promise<void>;
  readonly runBlock: () => Promise<Reading>;
}

/** For each launch the readings of its rounds, in the same order for all. */
export type Readings<Id extends string, Reading> = ReadonlyMap<Id, readonly (readonly Reading[])[]>;

/** What `start` launches ends with the stack. */
export async function runRounds<Id extends string, Reading>(
  plan: Plan<Id>,
  start: (id: Id, stack: AsyncDisposableStack) => Promise<Contender<Reading>>,
): Promise<Readings<Id, Reading>> {
  const readings = new Map<Id, Reading[][]>(plan.ids.map((id) => [id, []]));
  for (let launch = 1; launch <= plan.launches; launch += 1) {
    const say = (text: string): void => plan.onProgress(`launch ${launch}/${plan.launches}, ${text}`);
    await using stack = new AsyncDisposableStack();
    const running: [Id, Contender<Reading>][] = [];
    for (const id of plan.random.shuffle(plan.ids)) {
      say(`warming ${id}`);
      // One at a time: two that warm up together would share the other side.
      const contender = await start(id, stack);
      await contender.warm();
      running.push([id, contender]);
      readings.get(id)?.push([]);
    }
    for (let round = 1; round <= plan.roundsPerLaunch; round += 1) {
      for (const [id, contender] of plan.random.shuffle(running)) {
        say(`round ${round}/${plan.roundsPerLaunch}: ${id}`);
        readings
          .get(id)
          ?.at(-1)
          ?.push(await contender.runBlock());
      }
    }
  }
  return readings;
}

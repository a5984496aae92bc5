/** What sluice has promised to cost, each as a part of what something else costs beside it. */

import { spreadOf } from "../support/statistics.ts";
import type { Spread } from "../support/statistics.ts";

export interface Budget<Id extends string> {
  readonly of: Id;
  readonly against: Id;
  readonly atMost: number;
}

/** A budget beside what was measured. `ratio` is `undefined` when one side is missing. */
export interface Judged<Id extends string> extends Budget<Id> {
  readonly ratio: Spread | undefined;
  readonly kept: boolean;
}

/**
 * `figuresOf` has one figure for each round (or launch), in the same order for all: a ratio is taken between figures
 * of the same one, so that what the machine was doing then is in both.
 */
export function judgeBudgets<Id extends string>(
  budgets: readonly Budget<Id>[],
  figuresOf: (id: Id) => readonly number[],
): readonly Judged<Id>[] {
  return budgets.map(({ of, against, atMost }) => {
    const ratio = ratioOf(figuresOf(of), figuresOf(against));
    return { of, against, atMost, ratio, kept: ratio !== undefined && ratio.median <= atMost };
  });
}

function ratioOf(of: readonly number[], against: readonly number[]): Spread | undefined {
  const ratios = of.flatMap((figure, round) => {
    const reference = against[round];
    return reference === undefined ? [] : [figure / reference];
  });
  return ratios.length === 0 ? undefined : spreadOf(ratios);
}

/** One line for a terminal. */
export function describeBudget<Id extends string>(
  { of, against, atMost, ratio, kept }: Judged<Id>,
  labelOf: (id: Id) => string,
): string {
  const promise = `${labelOf(of)} <= ${atMost.toFixed(2)} x ${labelOf(against)}`;
  if (!ratio) return `----  ${promise}: not measured`;
  const spread = `${ratio.min.toFixed(2)}..${ratio.max.toFixed(2)}`;
  return `${kept ? "PASS" : "MISS"}  ${promise}: ${ratio.median.toFixed(2)} (${spread})`;
}

/** The measured ratios of some of them, as the remark of a drawing. */
export function remarkOn<Id extends string>(
  ids: readonly Id[],
  judged: readonly Judged<Id>[],
  labelOf: (id: Id) => string,
): string {
  return judged
    .flatMap(({ of, against, atMost, ratio }) =>
      ratio && ids.includes(of)
        ? [`${ratio.median.toFixed(2)} × ${labelOf(against)} (budget ${atMost.toFixed(2)})`]
        : [],
    )
    .join("   ·   ");
}

/** Where the budgets of one end, in the unit of `figureOf`. */
export function budgetMarks<Id extends string>(
  id: Id,
  judged: readonly Judged<Id>[],
  figureOf: (id: Id) => number | undefined,
): readonly number[] {
  return judged.flatMap(({ of, against, atMost }) => {
    const reference = of === id ? figureOf(against) : undefined;
    return reference === undefined ? [] : [reference * atMost];
  });
}

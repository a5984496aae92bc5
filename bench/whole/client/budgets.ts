/** What sluice has promised to cost, each as a part of what another client costs in the same round. */

import { spreadOf } from "../../support/statistics.ts";
import type { Spread } from "../../support/statistics.ts";
import type { Outcome } from "./measure.ts";
import type { PeerId } from "./peers.ts";

export interface Budget {
  readonly of: PeerId;
  readonly against: PeerId;
  readonly atMost: number;
}

export const budgets: readonly Budget[] = [
  { of: "sluice-dispatch", against: "undici-dispatch", atMost: 0.9 },
  { of: "sluice-dispatch", against: "raw", atMost: 1.15 },
  { of: "sluice-request", against: "undici-request", atMost: 0.85 },
  { of: "sluice-fetch", against: "undici-fetch", atMost: 0.4 },
  { of: "sluice-fetch", against: "built-in-fetch", atMost: 0.25 },
];

/** A budget beside what was measured. The ratio is taken round by round; `undefined` when one side is missing. */
export interface Judged extends Budget {
  readonly ratio: Spread | undefined;
  readonly kept: boolean;
}

export function judgeBudgets(outcomes: ReadonlyMap<PeerId, Outcome>): readonly Judged[] {
  return budgets.map(({ of, against, atMost }) => {
    const ratio = ratioOf(outcomes.get(of), outcomes.get(against));
    return { of, against, atMost, ratio, kept: ratio !== undefined && ratio.median <= atMost };
  });
}

function ratioOf(of: Outcome | undefined, against: Outcome | undefined): Spread | undefined {
  if (!of || !against) return undefined;
  const ratios = of.readings.flatMap(({ cpuUs }, round) => {
    const reference = against.readings[round];
    return reference ? [cpuUs / reference.cpuUs] : [];
  });
  return spreadOf(ratios);
}

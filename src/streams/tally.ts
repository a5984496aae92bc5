/** Counts by kind, of one group and in the metrics at the same time. */

import type { Counter } from "../core/instruments.ts";

export class Tally<Kind extends string> {
  readonly #counts: Map<Kind, number>;
  readonly #counters: Map<Kind, Counter>;

  constructor(kinds: readonly Kind[], counterOf: (kind: Kind) => Counter) {
    this.#counts = new Map(kinds.map((kind) => [kind, 0]));
    // All of them from the start: a counter that appears with its first event hides that event from `increase()`.
    this.#counters = new Map(kinds.map((kind) => [kind, counterOf(kind)]));
  }

  add(kind: Kind, n = 1): void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + n);
    this.#counters.get(kind)?.add(n);
  }

  /** A copy. */
  read(): Readonly<Record<Kind, number>> {
    // Made from all kinds.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return Object.freeze(Object.fromEntries(this.#counts) as Record<Kind, number>);
  }
}

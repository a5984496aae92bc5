/**
 * `npm run bench`: what a request costs in each client and in each server, and a job in each queue, side by side. `-- client`,
 * `-- server` or `-- queues` measures only the one. Prints the tables and the budgets, keeps the figures with the machine they come from in
 * `bench/results/`, and draws them for the README.
 *
 * `--quick` is a look (under a minute each, nothing kept); `--keep` keeps its figures too. `--only a,b` takes some
 * peers. `--seed n` repeats an order of blocks, `--launches n` changes how often each process is started anew. The
 * load goes to loopback only.
 */

import { parseArgs } from "node:util";
import { describeMachine } from "./support/machine.ts";
import { print } from "./support/print.ts";
import { clients } from "./whole/client/comparison.ts";
import type { Comparison, Settings } from "./whole/comparison.ts";
import { queues } from "./whole/queues/comparison.ts";
import { servers } from "./whole/server/comparison.ts";

const comparisons: ReadonlyMap<string, Comparison> = new Map([
  ["client", clients],
  ["server", servers],
  ["queues", queues],
]);

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    only: { type: "string" },
    seed: { type: "string" },
    launches: { type: "string" },
  },
});

const only = given.only?.split(",");
const chosen = chooseComparisons(positionals, only);

// Before the load of its own, and once: the second comparison would find the machine busy with the first.
const settings: Settings = {
  quick: given.quick,
  keep: given.keep,
  only,
  seed: wholeNumber("seed", given.seed) ?? Math.floor(Math.random() * 2 ** 32),
  launches: wholeNumber("launches", given.launches),
  machine: describeMachine(),
};

for (const [index, comparison] of chosen.entries()) {
  if (index > 0) print("");
  await comparison.run(settings);
}

/** Those that are named, or all; without those that have none of the peers of `--only`. */
function chooseComparisons(names: readonly string[], ids: readonly string[] | undefined): readonly Comparison[] {
  const wanted = names.length === 0 ? [...comparisons.keys()] : names;
  const found = wanted.map(
    (name) =>
      comparisons.get(name) ?? refuse(`Nothing to compare is named ${name}; ${listed([...comparisons.keys()])}`),
  );
  if (!ids) return found;
  const known = new Set(found.flatMap((comparison) => comparison.ids()));
  const unknown = ids.filter((id) => !known.has(id));
  if (unknown.length > 0) refuse(`No peer named ${unknown.join(", ")}; ${listed([...known])}`);
  return found.filter((comparison) => comparison.ids().some((id) => ids.includes(id)));
}

function wholeNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0) return value;
  return refuse(`--${name} takes a whole number, not ${text}`);
}

function listed(names: readonly string[]): string {
  return `there are ${names.join(", ")}`;
}

function refuse(reason: string): never {
  console.error(reason);
  process.exit(2);
}

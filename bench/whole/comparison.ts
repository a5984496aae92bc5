/** What `bench/run.ts` and the comparisons that it offers have to know of each other, and what they do alike. */

import { mkdirSync, writeFileSync } from "node:fs";
import { describeVersions } from "../support/machine.ts";
import type { Machine } from "../support/machine.ts";
import { print } from "../support/print.ts";

/** What the command line says. */
export interface Settings {
  readonly quick: boolean;
  readonly keep: boolean;
  readonly only: readonly string[] | undefined;
  readonly seed: number;
  /** How often each process is started anew, if that is not left to the comparison. */
  readonly launches: number | undefined;
  /** Taken before there was any load: what else the machine was doing is part of the figures. */
  readonly machine: Machine;
}

/** One thing that can be compared. */
export interface Comparison {
  /** The ids that `--only` can take, on this machine. */
  readonly ids: () => readonly string[];
  /** Measures, prints, and keeps the figures if the settings say so. */
  readonly run: (settings: Settings) => Promise<void>;
}

export function chooseIds<Id extends string>(known: readonly Id[], { only }: Settings): readonly Id[] {
  return only ? known.filter((id) => only.includes(id)) : known;
}

export function isKept({ quick, keep }: Settings): boolean {
  return !quick || keep;
}

export function warnIfBusy({ machine }: Settings): void {
  if (machine.loadAverage <= machine.cores / 4) return;
  print(`The machine was busy before the start (load average ${machine.loadAverage}): ratios hold better than figures`);
}

/** What is kept beside the figures: all that it takes to measure them again. */
export interface Origin {
  readonly schema: 1;
  readonly date: string;
  readonly command: string;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly seed: number;
}

export function describeOrigin({ machine, seed }: Settings, packages: readonly string[]): Origin {
  return {
    schema: 1,
    date: new Date().toISOString().slice(0, 10),
    command: ["node", ...process.execArgv, "bench/run.ts", ...process.argv.slice(2)].join(" "),
    machine,
    versions: describeVersions(packages),
    seed,
  };
}

/** The small print of a drawing. */
export function captionOf({ versions, machine, date }: Origin): string {
  return `Node ${versions["node"]}, ${machine.cores} x ${machine.cpu}, ${date}.`;
}

/** Keeps a comparison's figures and its drawing in `bench/results`. */
export function keepResults(name: string, { origin, figures }: Kept, drawing: string): void {
  const folder = new URL("../results/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  const file = `${name}-${origin.date}.json`;
  writeFileSync(new URL(file, folder), `${JSON.stringify({ ...origin, ...figures }, undefined, 2)}\n`);
  writeFileSync(new URL(`${name}.svg`, folder), drawing);
  print(`\nkept in bench/results/${file} and bench/results/${name}.svg`);
}

export interface Kept {
  readonly origin: Origin;
  readonly figures: object;
}

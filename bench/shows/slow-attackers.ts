/**
 * Show: 8,000 connections of slow headers, slow bodies and slow readers, and 200 honest requests a second beside them.
 * `node --conditions=sluice-source bench/shows/slow-attackers.ts [--attackers 8000] [--rounds 3] [--seconds 12] [--keep]`
 *
 * The server has its defaults. Rounds with and without attackers take turns, each on a server of its own.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Child, figure, type Figures } from "../support/child.ts";
import { describeMachine, describeVersions } from "../support/machine.ts";
import { isMain } from "../support/main.ts";
import { runInOwnNetwork } from "../support/own-network.ts";
import { formatTable, print, showProgress } from "../support/print.ts";
import { spreadOf } from "../support/statistics.ts";

export type ContenderName = "sluice" | "node";

export interface AttackSize {
  readonly attackers: number;
  /** Of each measurement. */
  readonly seconds: number;
  /** How many of those that were cut come back in each second. */
  readonly backPerSecond: number;
  /** Size of the answer that nobody reads: more than what the kernel's buffers swallow. */
  readonly megabytes: number;
  readonly seed: number;
}

/** One measurement of the honest clients, and what the server was like meanwhile. */
export interface Measured {
  readonly attackers: number;
  /** Attacking connections at the beginning, and at the end: those that were cut come back, but not all at once. */
  readonly openAtFirst: number;
  readonly openAtLast: number;
  readonly cut: number;
  readonly honest: Figures;
  readonly cpuShare: number;
  readonly lagMs: number;
  /** Resident memory and heap of the server for each attacking connection at the beginning; 0 without any. */
  readonly rssPerConn: number;
  readonly heapPerConn: number;
}

function start(name: string, ...args: readonly string[]): Child {
  return Child.node(new URL(name, import.meta.url), ...args);
}

/** Honest clients on a server of their own, with this many attackers or none. */
export async function measureHonest(
  contender: ContenderName,
  attackers: number,
  { seconds, backPerSecond, megabytes, seed }: AttackSize,
): Promise<Measured> {
  await using server = start("attacked-server.ts", contender, String(megabytes));
  const port = figure(await server.ask("listen"), "port");
  await using crowd = start("slow-crowd.ts", ...[port, attackers, backPerSecond].map(String));
  await using honest = start("honest-crowd.ts", ...[port, seed].map(String));
  // What is loaded and compiled with the first requests is not what is measured.
  await honest.ask("run", 2);
  const before = await server.ask("memory");
  await crowd.ask("come", 0, 120_000);
  await sleep(500);
  const after = await server.ask("memory");
  const openAtFirst = figure(await crowd.ask("report"), "open");
  await server.ask("load");
  const figures = await honest.ask("run", seconds, 120_000);
  const load = await server.ask("load");
  const report = await crowd.ask("report");
  const perConn = (name: string): number =>
    openAtFirst === 0 ? 0 : (figure(after, name) - figure(before, name)) / openAtFirst;
  await crowd.ask("leave");
  return {
    attackers,
    openAtFirst,
    openAtLast: figure(report, "open"),
    cut: figure(report, "cut"),
    honest: figures,
    cpuShare: figure(load, "cpuShare"),
    lagMs: figure(load, "lagMs"),
    rssPerConn: perConn("rssBytes"),
    heapPerConn: perConn("heapBytes") + perConn("externalBytes"),
  };
}

export interface Round {
  readonly contender: ContenderName;
  readonly without: Measured;
  readonly with: Measured;
}

function describe(contender: ContenderName, rounds: readonly Round[]): string[][] {
  const those = rounds.filter((round) => round.contender === contender);
  return (["without", "with"] as const).map((which) => {
    const all = those.map((round) => round[which]);
    const median = (of: (one: Measured) => number): number => spreadOf(all.map(of)).median;
    const honest = (name: string): string => median((one) => figure(one.honest, name)).toFixed(2);
    const failed = all.reduce((sum, one) => sum + figure(one.honest, "refused") + figure(one.honest, "broken"), 0);
    return [
      contender,
      String(median((one) => one.openAtFirst)),
      String(median((one) => one.openAtLast)),
      honest("p50"),
      honest("p99"),
      honest("max"),
      String(failed),
      `${(median((one) => one.cpuShare) * 100).toFixed(0)} %`,
      which === "with" ? (median((one) => one.rssPerConn) / 1_024).toFixed(1) : "",
      which === "with" ? (median((one) => one.heapPerConn) / 1_024).toFixed(1) : "",
    ];
  });
}

function ratioOf({ with: attacked, without }: Round): number {
  return figure(attacked.honest, "p99") / figure(without.honest, "p99");
}

const heads = ["server", "attackers at first", "at last", "p50 ms", "p99 ms", "max ms", "failed", "CPU"];

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      attackers: { type: "string", default: "8000" },
      rounds: { type: "string", default: "3" },
      seconds: { type: "string", default: "12" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
      keep: { type: "boolean", default: false },
      network: { type: "string", default: "own" },
    },
  });
  if (values.network === "own") {
    const status = runInOwnNetwork("--network=given");
    if (status !== undefined) process.exit(status);
    print("Without the right to a network of its own (unshare): on plain loopback, with a tenth of the attackers.");
  }
  const isOwn = values.network === "given";
  const attackers = Math.round(Number(values.attackers) * (isOwn ? 1 : 0.1));
  const megabytes = isOwn ? 1 : 8;
  const size = { attackers, seconds: Number(values.seconds), backPerSecond: 400, megabytes, seed: Number(values.seed) };
  const machine = describeMachine();
  const rounds: Round[] = [];
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const contender of ["sluice", "node"] as const) {
      showProgress(`${contender}, round ${round + 1}`);
      // oxlint-disable-next-line no-await-in-loop -- together they would share the machine
      const without = await measureHonest(contender, 0, size);
      // oxlint-disable-next-line no-await-in-loop -- as above
      rounds.push({ contender, without, with: await measureHonest(contender, attackers, size) });
    }
  }
  showProgress("");
  print(`200 honest requests a second for ${size.seconds} s, medians of ${values.rounds} rounds, seed ${size.seed}`);
  const tables = (["sluice", "node"] as const).flatMap((contender) => describe(contender, rounds));
  print(formatTable([[...heads, "RSS KB/attacker", "heap KB/attacker"], ...tables]));
  const ratios = {
    sluice: spreadOf(rounds.filter(({ contender }) => contender === "sluice").map(ratioOf)),
    node: spreadOf(rounds.filter(({ contender }) => contender === "node").map(ratioOf)),
  };
  for (const [contender, { median, min, max }] of Object.entries(ratios)) {
    const verdict = contender === "node" ? "    " : median <= 1.5 ? "PASS" : "MISS";
    print(
      `${verdict}  ${contender}: p99 with attackers is ${median.toFixed(2)} (${min.toFixed(2)}..${max.toFixed(2)}) of that without`,
    );
  }
  if (!values.keep) return;
  const date = new Date().toISOString().slice(0, 10);
  const folder = new URL("../results/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  const kept = { schema: 1, date, machine, versions: describeVersions([]), ownNetwork: isOwn, size, ratios, rounds };
  writeFileSync(new URL(`slow-attackers-${date}.json`, folder), `${JSON.stringify(kept, undefined, 2)}\n`);
  print(`kept in bench/results/slow-attackers-${date}.json`);
}

if (isMain(import.meta.url)) await main();

/**
 * Show: 8,000 connections of slow headers, slow bodies and slow readers, and 200 honest requests a second beside them.
 * `node --conditions=sluice-source bench/shows/slow-attackers.ts [--attackers 8000] [--rounds 3] [--seconds 12] [--keep]`
 *
 * The server has its defaults. Three measurements take turns, each on a server of its own: without attackers; with
 * attackers at a second server of the same kind, which shows what they and a server that fights them take away by being
 * on the same machine; and with attackers at the server of the honest clients, which is what this is about.
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

/** Where the attackers are. */
export type Place = "nowhere" | "beside" | "here";

/** One measurement of the honest clients, and what the server was like meanwhile. */
export interface Measured {
  readonly place: Place;
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

/** Honest clients on a server of their own, which is attacked or not. */
export async function measureHonest(
  contender: ContenderName,
  place: Place,
  { attackers: many, seconds, backPerSecond, megabytes, seed }: AttackSize,
): Promise<Measured> {
  const attackers = place === "nowhere" ? 0 : many;
  await using server = start("attacked-server.ts", contender, String(megabytes));
  const port = figure(await server.ask("listen"), "port");
  await using second = start("attacked-server.ts", contender, String(megabytes));
  const attackedPort = place === "beside" ? figure(await second.ask("listen"), "port") : port;
  await using crowd = start("slow-crowd.ts", ...[attackedPort, attackers, backPerSecond].map(String));
  await using honest = start("honest-crowd.ts", ...[port, seed].map(String));
  // What is loaded and compiled with the first requests is not what is measured.
  await honest.ask("run", 2);
  const before = await server.ask("memory");
  await crowd.ask("come", 0, 120_000);
  await sleep(500);
  const after = await server.ask("memory");
  const openAtFirst = figure(await crowd.ask("report"), "open");
  // To read the memory, all garbage was collected: for a fifth of a second the server did nothing else.
  await sleep(2_000);
  await server.ask("load");
  const figures = await honest.ask("run", seconds, 120_000);
  const load = await server.ask("load");
  const report = await crowd.ask("report");
  const perConn = (name: string): number =>
    openAtFirst === 0 ? 0 : (figure(after, name) - figure(before, name)) / openAtFirst;
  await crowd.ask("leave");
  return {
    place,
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
  readonly measured: Readonly<Record<Place, Measured>>;
}

const places: readonly Place[] = ["nowhere", "beside", "here"];

async function runRound(contender: ContenderName, size: AttackSize): Promise<Round> {
  // Together they would share the machine.
  const nowhere = await measureHonest(contender, "nowhere", size);
  const beside = await measureHonest(contender, "beside", size);
  return { contender, measured: { nowhere, beside, here: await measureHonest(contender, "here", size) } };
}

function describe(contender: ContenderName, rounds: readonly Round[]): string[][] {
  return places.map((place) => {
    const all = rounds.filter((round) => round.contender === contender).map(({ measured }) => measured[place]);
    const median = (of: (one: Measured) => number): number => spreadOf(all.map(of)).median;
    const honest = (name: string): string => median((one) => figure(one.honest, name)).toFixed(2);
    const failed = all.reduce((sum, one) => sum + figure(one.honest, "refused") + figure(one.honest, "broken"), 0);
    return [
      contender,
      place,
      String(median((one) => one.openAtFirst)),
      String(median((one) => one.openAtLast)),
      honest("p50"),
      honest("p90"),
      honest("p99"),
      honest("max"),
      String(failed),
      `${(median((one) => one.cpuShare) * 100).toFixed(0)} %`,
      place === "here" ? (median((one) => one.rssPerConn) / 1_024).toFixed(1) : "",
      place === "here" ? (median((one) => one.heapPerConn) / 1_024).toFixed(1) : "",
    ];
  });
}

function ratioTo(place: Place): (round: Round) => number {
  return ({ measured }) => figure(measured.here.honest, "p99") / figure(measured[place].honest, "p99");
}

function describeSpread({ median, min, max }: ReturnType<typeof spreadOf>): string {
  return `${median.toFixed(2)} (${min.toFixed(2)}..${max.toFixed(2)})`;
}

const heads = ["server", "attackers", "at first", "at last", "p50 ms", "p90", "p99", "max", "failed", "CPU"];

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      attackers: { type: "string", default: "8000" },
      rounds: { type: "string", default: "3" },
      seconds: { type: "string", default: "12" },
      servers: { type: "string", default: "sluice,node" },
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
  const contenders = (["sluice", "node"] as const).filter((name) => values.servers.split(",").includes(name));
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const contender of contenders) {
      showProgress(`${contender}, round ${round + 1}`);
      // oxlint-disable-next-line no-await-in-loop -- together they would share the machine
      rounds.push(await runRound(contender, size));
    }
  }
  showProgress("");
  print(`200 honest requests a second for ${size.seconds} s, medians of ${values.rounds} rounds, seed ${size.seed};`);
  print("the attackers are in a process of their own, of lower priority.");
  const tables = contenders.flatMap((contender) => describe(contender, rounds));
  print(formatTable([[...heads, "RSS KB/attacker", "heap KB/attacker"], ...tables], 2));
  const ratios = contenders.map((contender) => {
    const those = rounds.filter((round) => round.contender === contender);
    return {
      contender,
      toNowhere: spreadOf(those.map(ratioTo("nowhere"))),
      toBeside: spreadOf(those.map(ratioTo("beside"))),
    };
  });
  for (const { contender, toNowhere, toBeside } of ratios) {
    // The same attack cannot do more harm from beside: then it was something else that took the time.
    const isNoise = toBeside.median < 0.8;
    const verdict = contender === "node" ? "    " : isNoise ? "BUSY" : toBeside.median <= 1.5 ? "PASS" : "MISS";
    print(`${verdict}  ${contender}: p99 under attack is ${describeSpread(toBeside)} of that beside the same attack,`);
    print(
      `      and ${describeSpread(toNowhere)} of that without any: the rest is the attackers' share of the machine`,
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

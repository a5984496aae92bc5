/**
 * Show: ten times the load a server can take, and it goes on answering as much as it can, hardly later than usual.
 * `node --conditions=sluice-source bench/shows/overload.ts [--seconds 10] [--seed n] [--keep 1] [--wait 60]`
 *
 * Behind the server are ten places of 20 ms each; what it can do at best is measured first. Then each contender meets
 * half of that up to ten times as much, each time in a new process after three quiet seconds, and in the end a spike.
 * The first moments of an overload count like all others. Load and server are processes of their own. On a machine
 * with other work, `--wait` is how many seconds each level waits for a processor that has nothing to do.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, getPriority } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Child, figure } from "../support/child.ts";
import type { Figures } from "../support/child.ts";
import { describeMachine, describeVersions } from "../support/machine.ts";
import type { Machine } from "../support/machine.ts";
import { isMain, numbersFrom } from "../support/main.ts";
import { formatTable, print, showProgress } from "../support/print.ts";
import { drawOverload } from "./overload-draw.ts";

/** `node`: `node:http` as it is. `fixed`: sluice with a limit of 12. `adaptive`: sluice with a limit that finds itself. */
export const contenders = ["node", "fixed", "adaptive"] as const;
export type OverloadContender = (typeof contenders)[number];

/** What became of the requests of one level of load. Times in milliseconds; -1 of nothing. */
export interface LevelFigures {
  readonly load: number;
  readonly offeredPerSecond: number;
  /** Answered with 200 within a second of when they should have left. */
  readonly goodPerSecond: number;
  readonly shedPerSecond: number;
  /** Share of the requests whose client gave up, or whose connection broke. */
  readonly lostShare: number;
  readonly p50: number;
  readonly p99: number;
  readonly shedP99: number;
  readonly serverCpuShare: number;
  readonly serverRssMb: number;
  /** How late the sender was, which the times above include. */
  readonly senderLagP99: number;
  /** Share of the time in which the server was ready to run, and other processes had the processor. */
  readonly serverDelayShare: number;
  /** How often it was measured before both had been on time. */
  readonly attempts: number;
  readonly connections: number;
}

/** A spike and what came after it. */
export interface SpikeFigures {
  readonly sliceMs: number;
  readonly load: number;
  readonly quietLoad: number;
  readonly spikeFromMs: number;
  readonly spikeToMs: number;
  /** Good answers a second, by the time at which they came. */
  readonly goodPerSecond: readonly number[];
  /** Of the requests meant for each slice, the share that was answered in time. */
  readonly goodShare: readonly number[];
  /** From the end of the spike until nearly all requests are answered in time again; -1 if that was not seen. */
  readonly recoveryMs: number;
  /** Of the requests meant for the time from two seconds after the spike on. */
  readonly p99After: number;
  /** During the spike. */
  readonly senderLagP99: number;
  readonly serverDelayShare: number;
  readonly attempts: number;
}

export interface OverloadFigures {
  readonly contender: OverloadContender;
  readonly levels: readonly LevelFigures[];
  readonly spike: SpikeFigures;
}

export interface OverloadSize {
  readonly seconds: number;
  readonly seed: number;
  readonly loads: readonly number[];
  /** Longest wait for a quiet machine before each level, in seconds. */
  readonly wait: number;
}

const allLoads = [0.5, 0.9, 1, 2, 5, 10];
const quietLoad = 0.5;
const quietMs = 3_000;
const afterwardsMs = 1_000;
const spikeLoad = 10;
/** How late a request in a hundred may leave. */
const punctualMs = 8;
/** Share of the time that the server may have waited for a processor. */
const mostDelay = 0.02;
const mostAttempts = 3;
/** Share of the requests that has to be answered in time again. One in fifty may fall to a scheduler's whim. */
const recovered = 0.95;

/** A server and its load, as processes of their own. */
class Arena implements AsyncDisposable {
  readonly #server: Child;
  readonly #load: Child;

  private constructor(server: Child, load: Child) {
    this.#server = server;
    this.#load = load;
  }

  static async open(contender: OverloadContender, seed: number): Promise<Arena> {
    const server = Child.node(new URL("overload-server.ts", import.meta.url), contender);
    const port = figure(await server.ask("listen"), "port");
    return new Arena(server, Child.node(new URL("overload-load.ts", import.meta.url), String(port), String(seed)));
  }

  /** What it can do when twenty clients ask one request after the other: its ten places are never free. */
  async measureCapacity(): Promise<number> {
    return figure(await this.#load.ask("capacity", 20), "perSecond");
  }

  async plan(perSecond: number, ms: number): Promise<void> {
    await this.#load.ask("rate", perSecond);
    await this.#load.ask("for", ms);
  }

  run(): Promise<Figures> {
    return this.#load.ask("run", 0, 300_000);
  }

  report(): Promise<Figures> {
    return this.#server.ask("report");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#load[Symbol.asyncDispose]();
    await this.#server[Symbol.asyncDispose]();
  }
}

/**
 * Good answers a second at best, without a limit; the same for all contenders. The highest of three readings: whatever
 * else the machine does can only lower it, and a capacity that is too low would make the overload an easy one.
 */
export async function measureCapacity(seed: number): Promise<number> {
  let best = 0;
  for (let reading = 0; reading < 3; reading += 1) {
    await using arena = await Arena.open("node", seed);
    best = Math.max(best, await arena.measureCapacity());
  }
  return best;
}

export async function overload(
  contender: OverloadContender,
  capacity: number,
  { seconds, seed, loads, wait }: OverloadSize,
): Promise<OverloadFigures> {
  const levels: LevelFigures[] = [];
  for (const load of loads) {
    showProgress(`${contender} at ${load} x`);
    levels.push(await measureLevel(contender, { load, capacity, ms: seconds * 1_000, seed, wait }));
  }
  showProgress(`${contender}: spike`);
  return {
    contender,
    levels,
    spike: await measureSpike(contender, { load: spikeLoad, capacity, ms: seconds * 1_000, seed, wait }),
  };
}

interface Level {
  readonly load: number;
  readonly capacity: number;
  readonly ms: number;
  readonly seed: number;
  readonly wait: number;
}

/** Waits until half of the machine has had nothing to do for two seconds, or for so many seconds. */
async function waitForQuiet(seconds: number): Promise<void> {
  const until = performance.now() + seconds * 1_000;
  while (performance.now() < until) {
    const before = idleMs();
    const from = performance.now();
    await sleep(2_000);
    if (idleMs() - before > 0.5 * cpus().length * (performance.now() - from)) return;
  }
}

function idleMs(): number {
  return cpus().reduce((sum, { times }) => sum + times.idle, 0);
}

/**
 * On a machine with other work, what is measured may be that work. Whether it was is judged by the sender's lateness and
 * by the server's wait for a processor alone, whatever the server has made of it; the least disturbed of a few attempts
 * is kept.
 */
async function measureLevel(contender: OverloadContender, level: Level): Promise<LevelFigures> {
  let best: LevelFigures | undefined;
  for (let attempts = 1; attempts <= mostAttempts; attempts += 1) {
    await waitForQuiet(level.wait);
    const figures = await runLevel(contender, level);
    if (best === undefined || disturbance(figures) < disturbance(best)) best = figures;
    best = { ...best, attempts };
    if (disturbance(best) <= 1) break;
  }
  if (best === undefined) throw new Error("Nothing was measured");
  return best;
}

/** Up to 1 is quiet. */
function disturbance(figures: { readonly senderLagP99: number; readonly serverDelayShare: number }): number {
  return Math.max(figures.senderLagP99 / punctualMs, figures.serverDelayShare / mostDelay);
}

async function runLevel(contender: OverloadContender, { load, capacity, ms, seed }: Level): Promise<LevelFigures> {
  await using arena = await Arena.open(contender, seed);
  await arena.plan(capacity * quietLoad, quietMs);
  await arena.run();
  await arena.report();
  await arena.plan(capacity * load, ms);
  // The load goes on for a while: without it, those who wait at the end of the measurement would be served late, as the
  // last and only ones, and would be all that a p99 of a few seconds shows.
  await arena.plan(capacity * load, afterwardsMs);
  const figures = await arena.run();
  const server = await arena.report();
  const of = (name: string): number => figure(figures, `0.${name}`);
  const perSecond = (name: string): number => (of(name) * 1_000) / ms;
  return {
    load,
    offeredPerSecond: perSecond("sent"),
    goodPerSecond: perSecond("good"),
    shedPerSecond: perSecond("shed"),
    lostShare: (of("late") + of("broken") + of("unsent")) / of("sent"),
    p50: of("p50"),
    p99: of("p99"),
    shedP99: of("shedP99"),
    serverCpuShare: figure(server, "cpuShare"),
    serverRssMb: figure(server, "rssBytes") / 2 ** 20,
    senderLagP99: of("lagP99"),
    serverDelayShare: figure(server, "delayShare"),
    attempts: 1,
    connections: figure(figures, "mostOpen"),
  };
}

async function measureSpike(contender: OverloadContender, level: Level): Promise<SpikeFigures> {
  let best: SpikeFigures | undefined;
  for (let attempts = 1; attempts <= mostAttempts; attempts += 1) {
    await waitForQuiet(level.wait);
    const figures = await runSpike(contender, level);
    if (best === undefined || disturbance(figures) < disturbance(best)) best = figures;
    best = { ...best, attempts };
    if (disturbance(best) <= 1) break;
  }
  if (best === undefined) throw new Error("Nothing was measured");
  return best;
}

async function runSpike(contender: OverloadContender, { load, capacity, ms, seed }: Level): Promise<SpikeFigures> {
  await using arena = await Arena.open(contender, seed);
  await arena.plan(capacity * quietLoad, quietMs + 2_000);
  await arena.plan(capacity * load, ms);
  await arena.plan(capacity * quietLoad, 2_000);
  await arena.plan(capacity * quietLoad, ms);
  await arena.report();
  const figures = await arena.run();
  const server = await arena.report();
  const sliceMs = figure(figures, "sliceMs");
  const slices = Array.from({ length: figure(figures, "slices") }, (_, index) => ({
    meant: figure(figures, `slice.${index}.meant`),
    good: figure(figures, `slice.${index}.good`),
    goodThen: figure(figures, `slice.${index}.goodThen`),
  }));
  const goodShare = slices.map(({ meant, good }) => (meant === 0 ? 1 : good / meant));
  const spikeToMs = quietMs + 2_000 + ms;
  const after = goodShare.slice(Math.ceil(spikeToMs / sliceMs));
  const lastBad = after.findLastIndex((share) => share < recovered);
  return {
    sliceMs,
    load,
    quietLoad,
    spikeFromMs: quietMs + 2_000,
    spikeToMs,
    goodPerSecond: slices.map(({ goodThen }) => (goodThen * 1_000) / sliceMs),
    goodShare,
    recoveryMs: lastBad === after.length - 1 ? -1 : (lastBad + 1) * sliceMs,
    p99After: figure(figures, "3.p99"),
    senderLagP99: figure(figures, "1.lagP99"),
    serverDelayShare: figure(server, "delayShare"),
    attempts: 1,
  };
}

/** What the show promises, as measured. */
export interface OverloadVerdict {
  /** Goodput at the highest load, as a part of the best of all loads. */
  readonly goodput: number;
  /** Its p99, as a multiple of that at 0.9 of the capacity. */
  readonly p99Ratio: number;
  readonly recoveryMs: number;
}

export function judgeOverload({ levels, spike }: OverloadFigures): OverloadVerdict {
  const last = levels.at(-1);
  const usual = levels.find(({ load }) => load === 0.9);
  const peak = Math.max(...levels.map(({ goodPerSecond }) => goodPerSecond));
  return {
    goodput: (last?.goodPerSecond ?? 0) / peak,
    p99Ratio: last && usual && last.p99 > 0 ? last.p99 / usual.p99 : Infinity,
    recoveryMs: spike.recoveryMs,
  };
}

const names: Readonly<Record<OverloadContender, string>> = {
  node: "node:http",
  fixed: "sluice, limit 12",
  adaptive: "sluice, adaptive",
};

export function describeOverload(shown: OverloadFigures): string {
  const rows = shown.levels.map((level) => [
    `  ${level.load} x`,
    level.offeredPerSecond.toFixed(0),
    level.goodPerSecond.toFixed(0),
    level.shedPerSecond.toFixed(0),
    `${(level.lostShare * 100).toFixed(1)} %`,
    level.p50.toFixed(0),
    level.p99.toFixed(0),
    level.shedP99.toFixed(0),
    `${(level.serverCpuShare * 100).toFixed(0)} %`,
    level.serverRssMb.toFixed(0),
    level.senderLagP99.toFixed(1),
    `${(level.serverDelayShare * 100).toFixed(1)} %`,
    String(level.attempts),
    String(level.connections),
  ]);
  const head = [
    "  load",
    "sent/s",
    "good/s",
    "shed/s",
    "lost",
    "p50",
    "p99",
    "p99 of 503",
    "CPU",
    "MB",
    "lag",
    "delay",
    "tries",
    "conns",
  ];
  const { goodput, p99Ratio, recoveryMs } = judgeOverload(shown);
  const back = recoveryMs < 0 ? "not seen" : `${(recoveryMs / 1_000).toFixed(2)} s`;
  return [
    names[shown.contender],
    formatTable([head, ...rows]),
    `  at the highest load ${(goodput * 100).toFixed(0)} % of the best goodput, p99 ${p99Ratio.toFixed(2)} x that at 0.9 x; ` +
      `recovery after a spike: ${back}, then p99 ${shown.spike.p99After.toFixed(0)} ms`,
  ].join("\n");
}

interface Kept {
  readonly machine: Machine;
  readonly capacity: number;
  readonly size: OverloadSize;
  readonly shown: readonly OverloadFigures[];
}

function keepResults({ machine, capacity, size, shown }: Kept): void {
  const date = new Date().toISOString().slice(0, 10);
  const versions = describeVersions([]);
  const command = ["node", ...process.execArgv, "bench/shows/overload.ts", ...process.argv.slice(2)].join(" ");
  const verdicts = Object.fromEntries(shown.map((figures) => [figures.contender, judgeOverload(figures)]));
  const kept = {
    schema: 1,
    date,
    command,
    niceness: getPriority(),
    machine,
    versions,
    capacityPerSecond: capacity,
    ...size,
    verdicts,
    shown,
  };
  const folder = new URL("../results/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  writeFileSync(new URL(`overload-${date}.json`, folder), `${JSON.stringify(kept, undefined, 2)}\n`);
  const caption = `Node ${process.versions.node}, ${machine.cores} x ${machine.cpu}, ${date}.`;
  writeFileSync(new URL("overload.svg", folder), drawOverload(shown, capacity, caption));
  print(`kept in bench/results/overload-${date}.json and bench/results/overload.svg`);
}

if (isMain(import.meta.url)) {
  const someSeed = Math.floor(Math.random() * 2 ** 31);
  const { seconds, seed, keep, wait } = numbersFrom({ seconds: 10, seed: someSeed, keep: 0, wait: 0 });
  const machine = describeMachine();
  await waitForQuiet(wait);
  const capacity = await measureCapacity(seed);
  print(
    `Overload: ten places of 20 ms, ${capacity.toFixed(0)} answers a second at best, ${seconds} s each, seed ${seed}`,
  );
  const size = { seconds, seed, loads: allLoads, wait };
  const shown: OverloadFigures[] = [];
  for (const contender of contenders) {
    const figures = await overload(contender, capacity, size);
    showProgress("");
    print(describeOverload(figures));
    shown.push(figures);
  }
  if (keep > 0) keepResults({ machine, capacity, size, shown });
}

/** What a request and an idle connection cost in each server, side by side. */

import { descriptorLimit, goSkipped, goVersion } from "../../support/machine.ts";
import { formatTable, print, showProgress } from "../../support/print.ts";
import { seededRandom } from "../../support/random.ts";
import type { Random } from "../../support/random.ts";
import { spreadOf } from "../../support/statistics.ts";
import type { Spread } from "../../support/statistics.ts";
import { describeBudget, judgeBudgets } from "../budgets.ts";
import type { Budget, Judged } from "../budgets.ts";
import { captionOf, chooseIds, describeOrigin, isKept, keepResults, warnIfBusy } from "../comparison.ts";
import type { Comparison, Settings } from "../comparison.ts";
import { inFlight } from "../work.ts";
import { drawServers } from "./draw.ts";
import { measureMemory, measureServers } from "./measure.ts";
import type { MemoryReading, Reading } from "./measure.ts";
import { isMeasuredInNode, labelOf, peers } from "./peers.ts";
import type { PeerId } from "./peers.ts";

const cpuBudgets: readonly Budget<PeerId>[] = [
  { of: "sluice", against: "http", atMost: 1.05 },
  { of: "sluice", against: "fastify", atMost: 1 },
  { of: "sluice-context", against: "http", atMost: 1.05 },
  { of: "sluice-guard", against: "http", atMost: 1.05 },
];

const memoryBudgets: readonly Budget<PeerId>[] = [{ of: "sluice", against: "http", atMost: 1.05 }];

export const servers: Comparison = { ids: listIds, run: compareServers };

interface Row {
  readonly id: PeerId;
  readonly label: string;
  readonly cpuUs: Spread;
  readonly requestsPerSecond: Spread;
  readonly loadCpuUs: Spread;
  readonly bound: boolean;
}

interface MemoryRow {
  readonly id: PeerId;
  readonly label: string;
  readonly residentBytes: Spread;
  readonly heapBytes: Spread | undefined;
}

function listIds(): readonly PeerId[] {
  return [...Object.keys(peers).filter(isMeasuredInNode), ...(goVersion() ? (["go"] as const) : [])];
}

/** Both halves of the comparison as they are printed, kept and drawn. */
interface CpuPart {
  readonly launches: number;
  readonly roundsPerLaunch: number;
  readonly blockMs: number;
  readonly rows: readonly Row[];
  readonly budgets: readonly Judged<PeerId>[];
}

interface MemoryPart {
  readonly launches: number;
  /** How many connections were held at each reading. */
  readonly steps: readonly number[];
  readonly rows: readonly MemoryRow[];
  readonly budgets: readonly Judged<PeerId>[];
}

async function compareServers(settings: Settings): Promise<void> {
  const ids = chooseIds(listIds(), settings);
  const random = seededRandom(settings.seed);
  const cpu = await compareCpu(settings, ids, random);
  printCpu(cpu, settings);
  const memory = await compareMemory(settings, ids, random);
  printMemory(memory);
  if (!isKept(settings)) return;
  const origin = describeOrigin(settings, ["fastify", "express", "hono", "@hono/node-server"]);
  const drawing = drawServers(
    { figures: new Map(cpu.rows.map(({ id, cpuUs }) => [id, cpuUs.median])), judged: cpu.budgets },
    {
      figures: new Map(memory.rows.map(({ id, residentBytes }) => [id, residentBytes.median / 1_000])),
      judged: memory.budgets,
      connections: memory.steps.at(-1) ?? 0,
    },
    captionOf(origin),
  );
  keepResults("server", { origin, figures: { inFlight, cpu, memory } }, drawing);
}

async function compareCpu(settings: Settings, ids: readonly PeerId[], random: Random): Promise<CpuPart> {
  const { quick, launches = quick ? 2 : 6 } = settings;
  const size = { roundsPerLaunch: quick ? 4 : 8, blockMs: quick ? 150 : 250 };
  const warmMs = quick ? 1_000 : 2_500;
  const readings = await measureServers({ ...size, ids, random, launches, warmMs, onProgress: showProgress });
  showProgress("");
  const bestOf = (id: PeerId): readonly Reading[] => readings.get(id)?.map(findLeast) ?? [];
  const rows = ids.map((id) => describeCpu(id, bestOf(id)));
  const budgets = judgeBudgets(cpuBudgets, (id) => bestOf(id).map(({ cpuUs }) => cpuUs));
  return { launches, ...size, rows, budgets };
}

async function compareMemory({ quick }: Settings, ids: readonly PeerId[], random: Random): Promise<MemoryPart> {
  const limit = descriptorLimit();
  const steps = (quick ? [1, 2, 3, 4] : [2, 4, 6, 8, 10])
    .map((thousands) => thousands * 1_000)
    .filter((step) => step + 200 < limit);
  const launches = quick ? 1 : 3;
  // A slope takes two readings.
  const measured = steps.length < 2 ? [] : ids;
  const readings = await measureMemory({ ids: measured, random, launches, steps, onProgress: showProgress });
  showProgress("");
  const rows = measured.map((id) => describeMemory(id, readings.get(id) ?? []));
  const budgets = judgeBudgets(memoryBudgets, (id) => readings.get(id)?.map((reading) => reading.residentBytes) ?? []);
  return { launches, steps, rows, budgets };
}

/**
 * What a launch is judged by: the block in which it used the least CPU time. Whatever else runs on the machine can only
 * add to it, by its share of the caches; budgets of a few percent are not to be seen through that otherwise.
 */
function findLeast(blocks: readonly Reading[]): Reading {
  return blocks.reduce((least, block) => (block.cpuUs < least.cpuUs ? block : least));
}

function describeCpu(id: PeerId, readings: readonly Reading[]): Row {
  const cpuUs = spreadOf(readings.map((reading) => reading.cpuUs));
  const loadCpuUs = spreadOf(readings.map((reading) => reading.loadCpuUs));
  return {
    id,
    label: labelOf(id),
    cpuUs,
    requestsPerSecond: spreadOf(readings.map((reading) => reading.requestsPerSecond)),
    loadCpuUs,
    bound: loadCpuUs.median > cpuUs.median,
  };
}

function describeMemory(id: PeerId, readings: readonly MemoryReading[]): MemoryRow {
  const heap = readings.flatMap(({ heapBytes }) => (heapBytes === undefined ? [] : [heapBytes]));
  return {
    id,
    label: labelOf(id),
    residentBytes: spreadOf(readings.map((reading) => reading.residentBytes)),
    heapBytes: heap.length === 0 ? undefined : spreadOf(heap),
  };
}

function printCpu({ launches, roundsPerLaunch, blockMs, rows, budgets }: CpuPart, settings: Settings): void {
  print(
    `${inFlight} connections, ${launches} launches of ${roundsPerLaunch} rounds, ` +
      `blocks of ${blockMs} ms in random order, the least of each launch counts, seed ${settings.seed}\n`,
  );
  const header = ["server", "CPU us/request", "min", "max", "req/s", "load us"];
  const cells = rows.map(({ label, cpuUs, requestsPerSecond, loadCpuUs }) => [
    label,
    ...[cpuUs.median, cpuUs.min, cpuUs.max].map((us) => us.toFixed(1)),
    requestsPerSecond.median.toFixed(0),
    loadCpuUs.median.toFixed(1),
  ]);
  print(formatTable([header, ...cells]));
  if (goVersion() === undefined) print(goSkipped);
  for (const { bound, label } of rows) {
    if (bound) print(`${label}: the load used more CPU than the server, so its req/s is the load's`);
  }
  warnIfBusy(settings);
  printBudgets(budgets);
}

function printMemory({ launches, steps, rows, budgets }: MemoryPart): void {
  if (rows.length === 0) {
    print(`\nMemory: skipped; ${descriptorLimit()} open files are too few for it (ulimit -n)`);
    return;
  }
  print(`\nIdle connections after one request each, ${steps.join(", ")} of them, ${launches} launches\n`);
  const cells = rows.map(({ label, residentBytes, heapBytes }) => [
    label,
    ...[residentBytes.median, residentBytes.min, residentBytes.max].map((bytes) => bytes.toFixed(0)),
    heapBytes?.median.toFixed(0) ?? "",
  ]);
  print(formatTable([["server", "resident bytes/connection", "min", "max", "on V8's heap"], ...cells]));
  printBudgets(budgets);
}

function printBudgets(budgets: readonly Judged<PeerId>[]): void {
  if (budgets.length > 0) print("");
  for (const budget of budgets) print(describeBudget(budget, labelOf));
}

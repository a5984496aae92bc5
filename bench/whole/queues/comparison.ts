/** What a durable job costs in each queue, side by side: adding it, doing it, and the time until it is picked up. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Child, figure, type Figures } from "../../support/child.ts";
import { formatTable, print, showProgress } from "../../support/print.ts";
import { seededRandom } from "../../support/random.ts";
import { spreadOf, type Spread } from "../../support/statistics.ts";
import { chooseIds, describeOrigin, isKept, warnIfBusy, type Comparison, type Settings } from "../comparison.ts";
import { runRounds } from "../rounds.ts";
import { database, dropSchemas, hasDatabase, hasRedis, OwnRedis } from "./engines.ts";
import type { Place } from "./peer.ts";
import { peerIds, peerLabels, type PeerId } from "./peers.ts";

export const queues: Comparison = { ids: () => peerIds, run };

/** What a block measures, in the order of the columns. */
const measured = [
  "sequential",
  "bulk",
  "bulkCpuUs",
  "processed",
  "processedCpuUs",
  "pickupP50Us",
  "pickupP99Us",
  "idleLoopP99Ms",
  "loopP99Ms",
] as const;

interface Row {
  readonly id: PeerId;
  readonly label: string;
  readonly figures: Readonly<Record<(typeof measured)[number], Spread>>;
}

/** Of the SQLite store, on a machine that is not busy otherwise. */
const promises = [
  { name: "bulk", text: "adds/s in bulk", atLeast: 100_000 },
  { name: "processed", text: "processed/s", atLeast: 30_000 },
  { name: "loopP99Ms", text: "ms of event-loop delay at p99", atMost: 5 },
] as const;

const processFile = new URL("peer-process.ts", import.meta.url);

async function run(settings: Settings): Promise<void> {
  const { quick, seed, launches = quick ? 1 : 3 } = settings;
  const size = { launches, roundsPerLaunch: quick ? 2 : 3, jobs: quick ? 10_000 : 40_000 };
  const ids = await availableIds(settings);
  const folder = mkdtempSync(join(tmpdir(), "sluice-queues-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const redis = new Map<PeerId, OwnRedis>();
  for (const [id, sync] of [
    ["bullmq", "always"],
    ["bullmq-everysec", "everysec"],
  ] as const) {
    if (ids.includes(id)) redis.set(id, stack.use(await OwnRedis.start(folder, sync)));
  }
  const names: string[] = [];
  stack.defer(() => (ids.includes("pg-boss") || ids.includes("graphile-worker") ? dropSchemas(names) : undefined));
  const plan = { ids, random: seededRandom(seed), onProgress: showProgress, ...size };
  const readings = await runRounds<PeerId, Figures>(plan, async (id, launch) => {
    const name = `sluice_bench_${process.pid}_${names.length}`;
    names.push(name);
    const place: Place = { folder, name, redisPort: redis.get(id)?.port ?? 0, database };
    const child = launch.use(Child.node(processFile, id, JSON.stringify(place)));
    const ask = (jobs: number): Promise<Figures> => child.ask("run", jobs, 120_000);
    return { warm: async () => void (await ask(Math.ceil(size.jobs / 5))), runBlock: () => ask(size.jobs) };
  });
  showProgress("");
  const rows = ids.map((id) => describe(id, readings.get(id)?.flat() ?? []));
  printRows(rows, settings, size);
  if (isKept(settings)) keep(settings, { ...size, rows });
}

/** Without those whose engine is not there, which is said. */
async function availableIds(settings: Settings): Promise<readonly PeerId[]> {
  const [redis, postgres] = [hasRedis(), await hasDatabase()];
  const needs: Readonly<Record<PeerId, boolean>> = {
    sluice: true,
    bullmq: redis,
    "bullmq-everysec": redis,
    "pg-boss": postgres,
    "graphile-worker": postgres,
  };
  if (!redis) print("BullMQ: skipped; to include it install Redis (apt-get install redis-server)");
  if (!postgres) print(`pg-boss, graphile-worker: skipped; there is no PostgreSQL at DATABASE_URL, ${database}`);
  return chooseIds(peerIds, settings).filter((id) => needs[id]);
}

function describe(id: PeerId, readings: readonly Figures[]): Row {
  const spread = (name: (typeof measured)[number]): Spread => spreadOf(readings.map((each) => figure(each, name)));
  const figures = {
    sequential: spread("sequential"),
    bulk: spread("bulk"),
    bulkCpuUs: spread("bulkCpuUs"),
    processed: spread("processed"),
    processedCpuUs: spread("processedCpuUs"),
    pickupP50Us: spread("pickupP50Us"),
    pickupP99Us: spread("pickupP99Us"),
    idleLoopP99Ms: spread("idleLoopP99Ms"),
    loopP99Ms: spread("loopP99Ms"),
  };
  return { id, label: peerLabels[id], figures };
}

function printRows(
  rows: readonly Row[],
  settings: Settings,
  size: { readonly launches: number; readonly roundsPerLaunch: number; readonly jobs: number },
): void {
  const { launches, roundsPerLaunch, jobs } = size;
  print(
    `${jobs} jobs of 200 bytes a block, ${launches} launches of ${roundsPerLaunch} rounds in random order, ` +
      `medians, seed ${settings.seed}\n`,
  );
  const header = [
    "queue",
    "add/s",
    "bulk add/s",
    "done/s",
    "pickup p50 ms",
    "p99 ms",
    "idle loop p99 ms",
    "loop p99 ms",
  ];
  const cells = rows.map(({ label, figures }) => [
    label,
    ...[figures.sequential, figures.bulk].map(({ median }) => median.toFixed(0)),
    figures.bulkCpuUs.median.toFixed(1),
    figures.processed.median.toFixed(0),
    figures.processedCpuUs.median.toFixed(1),
    ...[figures.pickupP50Us, figures.pickupP99Us].map(({ median }) => (median / 1_000).toFixed(2)),
    ...[figures.idleLoopP99Ms, figures.loopP99Ms].map(({ median }) => median.toFixed(1)),
  ]);
  print(formatTable([header, ...cells]));
  print("CPU time is that of the queue's own process: of Redis and PostgreSQL it has nothing in it");
  warnIfBusy(settings);
  const own = rows.find(({ id }) => id === "sluice");
  if (own === undefined) return;
  print("");
  for (const promise of promises) {
    const { median, min, max } = own.figures[promise.name];
    const isKeptPromise = "atLeast" in promise ? median >= promise.atLeast : median <= promise.atMost;
    const bound = "atLeast" in promise ? `>= ${promise.atLeast}` : `<= ${promise.atMost}`;
    const [low, high] = [min, max].map((value) => value.toFixed(promise.name === "loopP99Ms" ? 1 : 0));
    const shown = median.toFixed(promise.name === "loopP99Ms" ? 1 : 0);
    print(`${isKeptPromise ? "PASS" : "MISS"}  ${bound} ${promise.text}: ${shown} (${low}..${high})`);
  }
}

function keep(settings: Settings, figures: object): void {
  const origin = describeOrigin(settings, ["bullmq", "pg-boss", "graphile-worker"]);
  const folder = new URL("../../results/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  const file = `queues-${origin.date}.json`;
  writeFileSync(new URL(file, folder), `${JSON.stringify({ ...origin, ...figures }, undefined, 2)}\n`);
  print(`\nkept in bench/results/${file}`);
}

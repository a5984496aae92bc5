/**
 * `npm run bench`: what a request costs in each client, side by side. Prints the table and the budgets, keeps the
 * figures with the machine they come from in `bench/results/`, and draws them for the README.
 *
 * `--quick` is a look (under a minute, nothing kept); `--keep` keeps its figures too. `--only a,b` takes some peers.
 * `--seed n` repeats an order of blocks, `--launches n` changes how often each process is started anew. The load goes to loopback only.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { describeMachine, describeVersions, goVersion } from "./support/machine.ts";
import { formatTable, print, showProgress } from "./support/print.ts";
import { seededRandom } from "./support/random.ts";
import { spreadOf } from "./support/statistics.ts";
import { judgeBudgets } from "./whole/client/budgets.ts";
import type { Judged } from "./whole/client/budgets.ts";
import { drawClients } from "./whole/client/draw.ts";
import { labelOf, measureClients } from "./whole/client/measure.ts";
import type { Outcome } from "./whole/client/measure.ts";
import { inFlight } from "./whole/client/peer.ts";
import { isMeasuredInNode, peers } from "./whole/client/peers.ts";
import type { PeerId } from "./whole/client/peers.ts";

const { values: given } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    only: { type: "string" },
    seed: { type: "string" },
    launches: { type: "string" },
  },
});

const seed = given.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given.seed);
const launches = given.launches === undefined ? (given.quick ? 2 : 4) : Number(given.launches);
const roundsPerLaunch = 3;
const blockMs = given.quick ? 200 : 400;
const ids = choosePeers(given.only);

// Before the load of its own: what else the machine is doing is part of the figures.
const machine = describeMachine();

const outcomes = await measureClients({
  ids,
  random: seededRandom(seed),
  launches,
  roundsPerLaunch,
  blockMs,
  // The heavier clients take seconds to be compiled to the end, and would be charged for that later.
  warmMs: given.quick ? 600 : 2_500,
  onProgress: showProgress,
});
showProgress("");
const rows = ids.map((id) => describeRow(id, outcomes.get(id)));
const judged = judgeBudgets(outcomes);

print(
  `${inFlight} in flight, ${launches} launches of ${roundsPerLaunch} rounds, blocks of ${blockMs} ms in random order, seed ${seed}\n`,
);
print(
  formatTable([["client", "CPU us/request", "min", "max", "req/s", "target us", "connections"], ...rows.map(toCells)]),
);
if (goVersion() === undefined)
  print("Go net/http: skipped; to include it install Go (apt-get install golang-go, or go.dev/dl)");
for (const row of rows) {
  if (row.bound) print(`${row.label}: the target used more CPU than the client, so its req/s is the target's`);
}
if (machine.loadAverage > machine.cores / 4) {
  print(`The machine was busy before the start (load average ${machine.loadAverage}): ratios hold better than figures`);
}
print("");
for (const budget of judged) print(describeBudget(budget));
if (!given.quick || given.keep) keepResults();

interface Row {
  readonly id: PeerId;
  readonly label: string;
  readonly level: "dispatch" | "request" | "fetch";
  readonly cpuUs: ReturnType<typeof spreadOf>;
  readonly requestsPerSecond: ReturnType<typeof spreadOf>;
  readonly targetCpuUs: ReturnType<typeof spreadOf>;
  readonly connections: number;
  readonly bound: boolean;
}

function choosePeers(only: string | undefined): PeerId[] {
  const known: PeerId[] = [...Object.keys(peers).filter(isMeasuredInNode), ...(goVersion() ? (["go"] as const) : [])];
  const wanted = only?.split(",");
  const unknown = wanted?.filter((id) => !known.some((name) => name === id)) ?? [];
  if (unknown.length > 0) {
    console.error(`No peer named ${unknown.join(", ")}; there are ${known.join(", ")}`);
    process.exit(2);
  }
  return wanted ? known.filter((id) => wanted.includes(id)) : known;
}

function describeRow(id: PeerId, outcome: Outcome | undefined): Row {
  const { readings = [], connections = 0 } = outcome ?? {};
  const cpuUs = spreadOf(readings.map((reading) => reading.cpuUs));
  const targetCpuUs = spreadOf(readings.map((reading) => reading.targetCpuUs));
  return {
    id,
    label: labelOf(id),
    level: isMeasuredInNode(id) ? peers[id].level : "request",
    cpuUs,
    requestsPerSecond: spreadOf(readings.map((reading) => reading.requestsPerSecond)),
    targetCpuUs,
    connections,
    bound: targetCpuUs.median > cpuUs.median,
  };
}

function toCells(row: Row): string[] {
  const { cpuUs, requestsPerSecond, targetCpuUs, connections } = row;
  const figures = [cpuUs.median, cpuUs.min, cpuUs.max].map((us) => us.toFixed(1));
  return [
    row.label,
    ...figures,
    requestsPerSecond.median.toFixed(0),
    targetCpuUs.median.toFixed(1),
    String(connections),
  ];
}

function describeBudget({ of, against, atMost, ratio, kept }: Judged): string {
  const promise = `${labelOf(of)} <= ${atMost.toFixed(2)} x ${labelOf(against)}`;
  if (!ratio) return `----  ${promise}: not measured`;
  const spread = `${ratio.min.toFixed(2)}..${ratio.max.toFixed(2)}`;
  return `${kept ? "PASS" : "MISS"}  ${promise}: ${ratio.median.toFixed(2)} (${spread})`;
}

function keepResults(): void {
  const date = new Date().toISOString().slice(0, 10);
  const versions = describeVersions(["undici", "axios", "got"]);
  const command = ["node", ...process.execArgv, "bench/run.ts", ...process.argv.slice(2)].join(" ");
  const kept = {
    schema: 1,
    date,
    command,
    machine,
    versions,
    seed,
    inFlight,
    launches,
    roundsPerLaunch,
    blockMs,
    rows,
    budgets: judged,
  };
  const folder = new URL("results/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  const bars = rows.map(({ id, level, cpuUs }) => ({ id, level, cpuUs: cpuUs.median }));
  const caption = `Node ${versions["node"]}, ${machine.cores} x ${machine.cpu}, ${date}.`;
  writeFileSync(new URL(`client-${date}.json`, folder), `${JSON.stringify(kept, undefined, 2)}\n`);
  writeFileSync(new URL("client.svg", folder), drawClients(bars, judged, caption));
  print(`\nkept in bench/results/client-${date}.json and bench/results/client.svg`);
}

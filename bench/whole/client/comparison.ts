/** What a request costs in each client, side by side. */

import { goSkipped, goVersion } from "../../support/machine.ts";
import { formatTable, print, showProgress } from "../../support/print.ts";
import { seededRandom } from "../../support/random.ts";
import { spreadOf } from "../../support/statistics.ts";
import type { Spread } from "../../support/statistics.ts";
import { describeBudget, judgeBudgets } from "../budgets.ts";
import type { Budget } from "../budgets.ts";
import { captionOf, chooseIds, describeOrigin, isKept, keepResults, warnIfBusy } from "../comparison.ts";
import type { Comparison, Settings } from "../comparison.ts";
import { inFlight } from "../work.ts";
import { drawClients } from "./draw.ts";
import { measureClients } from "./measure.ts";
import type { Reading } from "./measure.ts";
import type { Level } from "./peer.ts";
import { isMeasuredInNode, labelOf, peers } from "./peers.ts";
import type { PeerId } from "./peers.ts";

const budgets: readonly Budget<PeerId>[] = [
  { of: "sluice-dispatch", against: "undici-dispatch", atMost: 0.9 },
  { of: "sluice-dispatch", against: "raw", atMost: 1.15 },
  { of: "sluice-request", against: "undici-request", atMost: 0.85 },
  { of: "sluice-fetch", against: "undici-fetch", atMost: 0.4 },
  { of: "sluice-fetch", against: "built-in-fetch", atMost: 0.25 },
];

export const clients: Comparison = { ids: listIds, run: compareClients };

interface Row {
  readonly id: PeerId;
  readonly label: string;
  readonly level: Level;
  readonly cpuUs: Spread;
  readonly requestsPerSecond: Spread;
  readonly targetCpuUs: Spread;
  readonly connections: number;
  readonly bound: boolean;
}

function listIds(): readonly PeerId[] {
  return [...Object.keys(peers).filter(isMeasuredInNode), ...(goVersion() ? (["go"] as const) : [])];
}

async function compareClients(settings: Settings): Promise<void> {
  const { quick, seed, launches = quick ? 2 : 4 } = settings;
  const ids = chooseIds(listIds(), settings);
  const plan = { roundsPerLaunch: 3, blockMs: quick ? 200 : 400 };
  const launched = await measureClients({
    ...plan,
    ids,
    launches,
    random: seededRandom(seed),
    // The heavier clients take seconds to be compiled to the end, and would be charged for that later.
    warmMs: quick ? 600 : 2_500,
    onProgress: showProgress,
  });
  showProgress("");
  const readingsOf = (id: PeerId): readonly Reading[] => launched.get(id)?.flat() ?? [];
  const rows = ids.map((id) => describeRow(id, readingsOf(id)));
  const judged = judgeBudgets(budgets, (id) => readingsOf(id).map(({ cpuUs }) => cpuUs));

  print(
    `${inFlight} in flight, ${launches} launches of ${plan.roundsPerLaunch} rounds, ` +
      `blocks of ${plan.blockMs} ms in random order, seed ${seed}\n`,
  );
  printRows(rows);
  warnIfBusy(settings);
  print("");
  for (const budget of judged) print(describeBudget(budget, labelOf));
  if (!isKept(settings)) return;
  const origin = describeOrigin(settings, ["undici", "axios", "got"]);
  const drawn = rows.map(({ id, level, cpuUs }) => ({ id, level, cpuUs: cpuUs.median }));
  const figures = { inFlight, launches, ...plan, rows, budgets: judged };
  keepResults("client", { origin, figures }, drawClients(drawn, judged, captionOf(origin)));
}

function describeRow(id: PeerId, readings: readonly Reading[]): Row {
  const cpuUs = spreadOf(readings.map((reading) => reading.cpuUs));
  const targetCpuUs = spreadOf(readings.map((reading) => reading.targetCpuUs));
  return {
    id,
    label: labelOf(id),
    level: isMeasuredInNode(id) ? peers[id].level : "request",
    cpuUs,
    requestsPerSecond: spreadOf(readings.map((reading) => reading.requestsPerSecond)),
    targetCpuUs,
    connections: Math.max(0, ...readings.map((reading) => reading.connections)),
    bound: targetCpuUs.median > cpuUs.median,
  };
}

function printRows(rows: readonly Row[]): void {
  const header = ["client", "CPU us/request", "min", "max", "req/s", "target us", "connections"];
  print(formatTable([header, ...rows.map(toCells)]));
  if (goVersion() === undefined) print(goSkipped);
  for (const { bound, label } of rows) {
    if (bound) print(`${label}: the target used more CPU than the client, so its req/s is the target's`);
  }
}

function toCells({ label, cpuUs, requestsPerSecond, targetCpuUs, connections }: Row): string[] {
  const figures = [cpuUs.median, cpuUs.min, cpuUs.max].map((us) => us.toFixed(1));
  return [label, ...figures, requestsPerSecond.median.toFixed(0), targetCpuUs.median.toFixed(1), String(connections)];
}

/** The clients' drawing: one scale for all levels, so that bars can be compared across them. */

import { budgetMarks, remarkOn } from "../budgets.ts";
import type { Judged } from "../budgets.ts";
import { drawChart } from "../draw.ts";
import type { Group } from "../draw.ts";
import { inFlight } from "../work.ts";
import type { Level } from "./peer.ts";
import { labelOf } from "./peers.ts";
import type { PeerId } from "./peers.ts";

export interface DrawnClient {
  readonly id: PeerId;
  readonly level: Level;
  readonly cpuUs: number;
}

const levels: readonly { readonly level: Level; readonly title: string }[] = [
  { level: "dispatch", title: "Callbacks" },
  { level: "request", title: "Response and its text" },
  { level: "fetch", title: "fetch and its text" },
];

export function drawClients(
  clients: readonly DrawnClient[],
  judged: readonly Judged<PeerId>[],
  caption: string,
): string {
  const cpuUsOf = (id: PeerId): number | undefined => clients.find((client) => client.id === id)?.cpuUs;
  const groups = levels.map(({ level, title }): Group => {
    const members = clients.filter((client) => client.level === level);
    const ids = members.map(({ id }) => id);
    const bars = members.map(({ id, cpuUs }) => ({
      label: labelOf(id),
      kind: kindOf(id),
      figure: cpuUs,
      budgets: budgetMarks(id, judged, cpuUsOf),
    }));
    return { title, remark: remarkOn(ids, judged, labelOf), bars };
  });
  // A little beyond the most expensive client that a budget names; what costs more than that is cut.
  const references = clients.filter(({ id }) => judged.some(({ of, against }) => id === of || id === against));
  const end = Math.max(20, ...references.map(({ cpuUs }) => cpuUs)) * 1.08;
  return drawChart({
    label: "CPU time per request of HTTP clients for Node",
    title: "CPU time per request, in microseconds",
    note: `Small keep-alive GETs, ${inFlight} in flight on loopback. Shorter is better. ${caption}`,
    panels: [{ groups, end, step: 20 }],
    legend: "budget of sluice, as a part of another client’s cost in the same run",
  });
}

function kindOf(id: PeerId): "own" | "floor" | "other" {
  if (id.startsWith("sluice")) return "own";
  return id.startsWith("raw") ? "floor" : "other";
}

/** The servers' drawing: CPU time above, memory below, each on its own scale. */

import { budgetMarks, remarkOn } from "../budgets.ts";
import type { Judged } from "../budgets.ts";
import { drawChart } from "../draw.ts";
import type { Panel } from "../draw.ts";
import { inFlight } from "../work.ts";
import { labelOf } from "./peers.ts";
import type { PeerId } from "./peers.ts";

/** One figure of each server, and what was promised about it. */
export interface DrawnFigures {
  readonly figures: ReadonlyMap<PeerId, number>;
  readonly judged: readonly Judged<PeerId>[];
}

export function drawServers(
  cpuUs: DrawnFigures,
  memoryKb: DrawnFigures & { readonly connections: number },
  caption: string,
): string {
  const panels = [drawPanel("CPU time per request, in microseconds", cpuUs, 5)];
  if (memoryKb.figures.size > 0) {
    panels.push(
      drawPanel(
        `Resident memory per idle connection, in kilobytes, up to ${memoryKb.connections.toLocaleString("en")} of them`,
        memoryKb,
        5,
      ),
    );
  }
  return drawChart({
    label: "CPU time per request and memory per idle connection of HTTP servers",
    title: "What a request and an idle connection cost a server",
    note: `Small keep-alive GETs, ${inFlight} connections on loopback. Shorter is better. ${caption}`,
    panels,
    legend: "budget of sluice, as a part of another server’s cost in the same run",
  });
}

function drawPanel(title: string, { figures, judged }: DrawnFigures, step: number): Panel {
  const bars = [...figures].map(([id, figure]) => ({
    label: labelOf(id),
    kind: kindOf(id),
    figure,
    budgets: budgetMarks(id, judged, (other) => figures.get(other)),
  }));
  return {
    // One of ours is enough for the remark; the marks show the budgets of all.
    groups: [{ title, remark: remarkOn(["sluice"], judged, labelOf), bars }],
    end: Math.max(...figures.values()) * 1.08,
    step,
  };
}

function kindOf(id: PeerId): "own" | "floor" | "other" {
  if (id.startsWith("sluice")) return "own";
  return id === "raw" ? "floor" : "other";
}

/**
 * The process that sends the load: raw sockets that read of an answer only its status and where it ends, so that it
 * costs less than any server. It is told which server by `aim PORT`.
 */

import { answerParent } from "../../support/child.ts";
import { RawConnections } from "../raw-socket.ts";
import { inFlight } from "../work.ts";

/** Opened and asked at once when idle connections are piled up: few enough for any server's backlog. */
const batchSize = 250;

let port = 0;
let lanes: RawConnections | undefined;
let idle: RawConnections[] = [];

function closeLanes(): void {
  lanes?.close();
  lanes = undefined;
}

/** New connections for each turn: those of the last one may have been closed as idle by now. */
async function openLanes(): Promise<RawConnections> {
  closeLanes();
  lanes = new RawConnections(port, "bare", inFlight);
  await lanes.lap(inFlight * 4);
  return lanes;
}

void answerParent({
  aim: (to) => {
    port = to;
    return {};
  },
  /** Laps for `ms` milliseconds, and the rate that came of it. */
  warm: async (ms) => {
    const opened = await openLanes();
    const size = inFlight * 16;
    const from = performance.now();
    let count = 0;
    for (; performance.now() - from < ms; count += size) await opened.lap(size);
    const rate = count / ((performance.now() - from) / 1000);
    closeLanes();
    return { rate };
  },
  open: async () => {
    await openLanes();
    return {};
  },
  /** One counted block on what `open` opened. */
  block: async (count) => {
    if (!lanes) throw new Error("There is nothing open");
    const cpu = process.cpuUsage();
    const from = performance.now();
    await lanes.lap(count);
    const wallMs = performance.now() - from;
    const used = process.cpuUsage(cpu);
    return { wallMs, cpuUs: used.user + used.system };
  },
  close: () => {
    closeLanes();
    return {};
  },
  /** Opens connections until there are `count`, has one request answered on each of them, and leaves them idle. */
  hold: async (count) => {
    for (let held = idle.length * batchSize; held < count; held += batchSize) {
      const batch = new RawConnections(port, "bare", batchSize);
      idle.push(batch);
      await batch.lap(batchSize);
    }
    return {};
  },
  held: () => ({ open: idle.reduce((sum, batch) => sum + batch.countOpen(), 0) }),
  release: () => {
    for (const batch of idle) batch.close();
    idle = [];
    return {};
  },
});

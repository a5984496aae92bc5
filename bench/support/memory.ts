/** The heap as it is when nothing is left to collect. `gc` is asked for by a flag, so that no script needs one. */

import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

export interface Memory {
  readonly heapBytes: number;
  /** Buffers and WebAssembly memory, which the heap only points to. */
  readonly externalBytes: number;
  readonly rssBytes: number;
}

type Collect = (options?: {
  readonly type: "major";
  readonly execution: "sync";
  readonly flavor: "last-resort";
}) => void;

let collect: Collect | undefined;

/** Collects until finalizers and weak references have had their turns too, then reads. */
export async function readSettledMemory(): Promise<Memory> {
  collect ??= exposeGc();
  for (let turn = 0; turn < 3; turn += 1) {
    collect();
    // oxlint-disable-next-line no-await-in-loop
    await sleep(20);
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heapBytes: heapUsed, externalBytes: external, rssBytes: rss };
}

/**
 * Reads after the heap has been compacted as well. Without that, what is resident swings by some 5 % with how garbage
 * lay among the living when it was collected; with it, by less than 1 %.
 */
export async function readCompactMemory(): Promise<Memory> {
  await readSettledMemory();
  collect?.({ type: "major", execution: "sync", flavor: "last-resort" });
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heapBytes: heapUsed, externalBytes: external, rssBytes: rss };
}

/** The lowest of a few readings: compiled code comes and goes with its own timing, what has leaked does not go. */
export async function readLowestMemory(): Promise<Memory> {
  let lowest = await readSettledMemory();
  for (let turn = 0; turn < 4; turn += 1) {
    // oxlint-disable-next-line no-await-in-loop
    await sleep(200);
    // oxlint-disable-next-line no-await-in-loop
    const next = await readSettledMemory();
    if (next.heapBytes < lowest.heapBytes) lowest = next;
  }
  return lowest;
}

function exposeGc(): Collect {
  setFlagsFromString("--expose-gc");
  const gc: unknown = runInNewContext("gc");
  if (typeof gc !== "function") throw new Error("This Node cannot expose its collector");
  return (options) => void Reflect.apply(gc, undefined, options ? [options] : []);
}

export function inMegabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(2)} MB`;
}

/** The change from one figure to another as "+1.2 %". */
export function inPercent(from: number, to: number): string {
  const percent = (to / from - 1) * 100;
  return `${percent < 0 ? "" : "+"}${percent.toFixed(1)} %`;
}

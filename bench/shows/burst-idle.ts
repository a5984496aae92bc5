/**
 * Show: a burst leaves nothing behind. 300 requests at once, then quiet: how many connections stay, and does the
 * memory come back? And how many connections 20 requests one after the other use.
 * `node --conditions=sluice-source bench/shows/burst-idle.ts [--burst 300] [--bursts 5]`
 */

import { setTimeout as sleep } from "node:timers/promises";
import { Child, figure } from "../support/child.ts";
import { isMain, numbersFrom } from "../support/main.ts";
import { inMegabytes, inPercent, readLowestMemory, readSettledMemory } from "../support/memory.ts";
import type { Memory } from "../support/memory.ts";
import { print } from "../support/print.ts";
import { openContender } from "./contender.ts";
import type { Contender, ContenderName } from "./contender.ts";

export interface BurstSize {
  /** Requests sent at once. */
  readonly burst: number;
  readonly bursts: number;
}

export interface BurstFigures {
  readonly name: ContenderName;
  readonly atPeak: number;
  readonly maxIdleConnsPerHost: number;
  readonly afterBurst: number;
  readonly afterIdle: number;
  readonly before: Memory;
  readonly after: Memory;
  /** Connections that 20 sequential requests of a new client used. */
  readonly sequential: number;
}

const idleConnTimeoutMs = 1_000;
const maxIdleConnsPerHost = 50;

export async function burstThenIdle(name: ContenderName, { burst, bursts }: BurstSize): Promise<BurstFigures> {
  await using server = Child.node(new URL("counting-server.ts", import.meta.url));
  const origin = `http://127.0.0.1:${figure(await server.ask("listen"), "port")}`;
  const sequential = await countSequential(name, origin, server);
  await using client = openContender(name, { maxConnsPerHost: burst, maxIdleConnsPerHost, idleConnTimeoutMs });
  await server.ask("delay", 50);
  const runBursts = async (): Promise<void> => {
    for (let round = 0; round < bursts; round += 1) {
      // oxlint-disable-next-line no-await-in-loop
      await Promise.all(Array.from({ length: burst }, (_, index) => getText(client, `${origin}/${index}`)));
    }
    // The surplus is closed as it is given back; 100 ms are for the server to see it.
    await sleep(100);
  };
  // The first bursts compile the code, size the tables and let the allocator find its level: not what may leak.
  for (let warmUp = 0; warmUp < 3; warmUp += 1) {
    // oxlint-disable-next-line no-await-in-loop
    await runBursts();
    // oxlint-disable-next-line no-await-in-loop
    await sleep(idleConnTimeoutMs * 1.5);
    // oxlint-disable-next-line no-await-in-loop
    await readSettledMemory();
  }
  const before = await readSettledMemory();
  await server.ask("forget");
  await runBursts();
  const busy = await server.ask("report");
  await sleep(idleConnTimeoutMs * 2);
  const after = await readLowestMemory();
  return {
    name,
    atPeak: figure(busy, "peak"),
    maxIdleConnsPerHost,
    afterBurst: figure(busy, "open"),
    afterIdle: figure(await server.ask("report"), "open"),
    before,
    after,
    sequential,
  };
}

async function countSequential(name: ContenderName, origin: string, server: Child): Promise<number> {
  const before = figure(await server.ask("report"), "accepted");
  await using client = openContender(name, { maxConnsPerHost: 100, idleConnTimeoutMs });
  for (let index = 0; index < 20; index += 1) {
    // oxlint-disable-next-line no-await-in-loop
    await getText(client, `${origin}/${index}`);
  }
  return figure(await server.ask("report"), "accepted") - before;
}

async function getText(client: Contender, url: string): Promise<string> {
  const response = await client.request(url);
  return response.body.text();
}

export function describeBurst(shown: BurstFigures): string {
  const { before, after } = shown;
  return [
    `${shown.name}: 20 requests one after the other used ${shown.sequential} connection(s)`,
    `  connections at the peak ${shown.atPeak}, after the burst ${shown.afterBurst} (idle cap ${shown.maxIdleConnsPerHost}), after idle ${shown.afterIdle}`,
    `  heap ${inMegabytes(before.heapBytes)} -> ${inMegabytes(after.heapBytes)} (${inPercent(before.heapBytes, after.heapBytes)}), ` +
      `external ${inMegabytes(before.externalBytes)} -> ${inMegabytes(after.externalBytes)}, ` +
      `resident ${inMegabytes(before.rssBytes)} -> ${inMegabytes(after.rssBytes)} (${inPercent(before.rssBytes, after.rssBytes)})`,
  ].join("\n");
}

if (isMain(import.meta.url)) {
  const size = numbersFrom({ burst: 300, bursts: 5 });
  print(`Burst and idle: ${size.bursts} times ${size.burst} at once`);
  // oxlint-disable-next-line no-await-in-loop
  for (const name of ["sluice", "undici"] as const) print(describeBurst(await burstThenIdle(name, size)));
}

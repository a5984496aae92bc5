/**
 * Show: many origins, many waiters. 5,000 origins visited once each are forgotten again; 10,000 requests that wait for
 * one connection are served in order, and cancelling half of them takes no time.
 * `node --conditions=sluice-source bench/shows/scale.ts [--origins 5000] [--waiters 10000]`
 */

import type { LookupFunction } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Child, figure } from "../support/child.ts";
import { isMain, numbersFrom } from "../support/main.ts";
import { inMegabytes, inPercent, readSettledMemory } from "../support/memory.ts";
import { print, showProgress } from "../support/print.ts";
import { openContender } from "./contender.ts";
import type { Call, Contender, ContenderName } from "./contender.ts";

export interface OriginsFigures {
  readonly name: ContenderName;
  readonly visited: number;
  readonly failed: number;
  readonly remembered: number;
  readonly maxHosts: number;
  /** Connections still open at the server. */
  readonly connections: number;
  /** The settled heap after each fifth of the visits. */
  readonly heapBytes: readonly number[];
}

const lanes = 64;

/** Visits each origin once. `origins` should be several times `maxHosts`, so that the heap can be seen to be flat. */
export async function visitOrigins(name: ContenderName, origins: number, maxHosts: number): Promise<OriginsFigures> {
  await using server = Child.node(new URL("counting-server.ts", import.meta.url));
  const port = figure(await server.ask("listen"), "port");
  await using client = openContender(name, { maxConnsPerHost: 8, idleConnTimeoutMs: 60_000, maxHosts, lookup });
  const heapBytes: number[] = [];
  let failed = 0;
  const visit = async (index: number): Promise<void> => {
    try {
      await getText(client, `http://host-${index}.test:${port}/${index}`);
    } catch {
      failed += 1;
    }
  };
  const fifth = Math.ceil(origins / 5);
  for (let from = 0; from < origins; from += fifth) {
    let index = from;
    const lane = async (): Promise<void> => {
      // oxlint-disable-next-line no-await-in-loop
      while (index < Math.min(from + fifth, origins)) await visit(index++);
    };
    showProgress(`${name}: ${from} origins`);
    // oxlint-disable-next-line no-await-in-loop
    await Promise.all(Array.from({ length: lanes }, lane));
    // oxlint-disable-next-line no-await-in-loop
    heapBytes.push((await readSettledMemory()).heapBytes);
  }
  const connections = figure(await server.ask("report"), "open");
  return { name, visited: origins, failed, remembered: client.origins(), maxHosts, connections, heapBytes };
}

/** Every host name is this machine; asked for all addresses or for one, as `net.connect` may do either. */
const lookup: LookupFunction = (_hostname, options, callback) => {
  setImmediate(() => {
    if (options.all) callback(null, [{ address: "127.0.0.1", family: 4 }]);
    else callback(null, "127.0.0.1", 4);
  });
};

export interface WaitersFigures {
  readonly name: ContenderName;
  readonly waiters: number;
  readonly servedInOrder: boolean;
  readonly served: number;
  readonly cancelled: number;
  /** How many of the cancelled were rejected within `cancelMs`, which is at most a second. */
  readonly settled: number;
  readonly cancelMs: number;
  /** What the server saw after the cancel: the one that held the connection, and the half that was not cancelled. */
  readonly servedAfterCancel: number;
  readonly inOrderAfterCancel: boolean;
}

export async function queueWaiters(name: ContenderName, waiters: number): Promise<WaitersFigures> {
  await using server = Child.node(new URL("counting-server.ts", import.meta.url));
  const origin = `http://127.0.0.1:${figure(await server.ask("listen"), "port")}`;
  await using client = openContender(name, {
    maxConnsPerHost: 1,
    maxWaitersPerHost: waiters,
    idleConnTimeoutMs: 30_000,
  });

  const waiting = await fillQueue(
    client,
    origin,
    server,
    Array.from({ length: waiters }, () => ({})),
  );
  await server.ask("release");
  await Promise.all(waiting);
  const first = await server.ask("report");

  await server.ask("forget");
  const controllers = Array.from({ length: waiters }, () => new AbortController());
  const queued = await fillQueue(
    client,
    origin,
    server,
    controllers.map(({ signal }) => ({ signal })),
  );
  let settled = 0;
  const rejections = queued
    .filter((_, index) => isCancelled(index))
    .map((request) => request.catch(() => undefined).then(() => (settled += 1)));
  // The garbage of the ten thousand requests before is not part of what a cancel costs.
  await readSettledMemory();
  const from = performance.now();
  for (const [index, controller] of controllers.entries()) if (isCancelled(index + 1)) controller.abort();
  await Promise.race([Promise.all(rejections), sleep(1_000)]);
  const cancelMs = performance.now() - from;
  const settledInTime = settled;
  await server.ask("release");
  await Promise.allSettled(queued);
  const second = await server.ask("report");
  return {
    name,
    waiters,
    served: figure(first, "served"),
    servedInOrder: figure(first, "outOfOrder") === 0,
    cancelled: rejections.length,
    settled: settledInTime,
    cancelMs,
    servedAfterCancel: figure(second, "served"),
    inOrderAfterCancel: figure(second, "outOfOrder") === 0,
  };
}

/** Every second one, counted from the held request, which is 0 and is never cancelled. */
function isCancelled(index: number): boolean {
  return index % 2 === 1;
}

/** One request that the server holds, so that the connection is taken, and then the waiters, numbered from 1. */
async function fillQueue(
  client: Contender,
  origin: string,
  server: Child,
  calls: readonly Call[],
): Promise<Promise<string>[]> {
  await server.ask("hold");
  const holder = getText(client, `${origin}/0`);
  const until = performance.now() + 5_000;
  // oxlint-disable-next-line no-await-in-loop
  while (figure(await server.ask("report"), "held") === 0) {
    if (performance.now() > until) throw new Error("The first request never reached the server");
    // oxlint-disable-next-line no-await-in-loop
    await sleep(5);
  }
  return [holder, ...calls.map((call, index) => getText(client, `${origin}/${index + 1}`, call))];
}

async function getText(client: Contender, url: string, call: Call = {}): Promise<string> {
  const response = await client.request(url, call);
  return response.body.text();
}

export function describeOrigins(shown: OriginsFigures): string {
  const [, second = 0] = shown.heapBytes;
  const last = shown.heapBytes.at(-1) ?? 0;
  return (
    `${shown.name}: ${shown.visited} origins visited (${shown.failed} failed), ${shown.remembered} remembered ` +
    `(limit ${shown.maxHosts}), ${shown.connections} connections open\n` +
    `  heap after each fifth: ${shown.heapBytes.map(inMegabytes).join(", ")} (${inPercent(second, last)} from the second)`
  );
}

export function describeWaiters(shown: WaitersFigures): string {
  return (
    `${shown.name}: ${shown.served} served ${shown.servedInOrder ? "in order" : "OUT OF ORDER"} by one connection\n` +
    `  ${shown.cancelled} of ${shown.waiters} waiters cancelled: ${shown.settled} settled within ${shown.cancelMs.toFixed(1)} ms; ` +
    `the server then saw ${shown.servedAfterCancel} requests, ${shown.inOrderAfterCancel ? "in order" : "OUT OF ORDER"}`
  );
}

if (isMain(import.meta.url)) {
  const { origins, waiters } = numbersFrom({ origins: 5_000, waiters: 10_000 });
  for (const name of ["sluice", "undici"] as const) {
    // oxlint-disable-next-line no-await-in-loop
    print(describeOrigins(await visitOrigins(name, origins, Math.min(1_000, Math.ceil(origins / 5)))));
    // oxlint-disable-next-line no-await-in-loop
    print(describeWaiters(await queueWaiters(name, waiters)));
  }
}

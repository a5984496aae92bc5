/**
 * Show: several processes share one queue. Every job is done, and none is done twice, unless a process stood still for
 * longer than its lease: then what it held is done by another, and the process that wakes is told so.
 *
 * `node --conditions=sluice-source bench/shows/processes.ts [--places sqlite,redis,postgres,bullmq-postgres,nats] [--processes 2,4,8]
 * [--jobs 20000] [--concurrency 16] [--work 0] [--stalls 0]`
 */

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { NewJob, Store } from "sluice/tasks";
import { Child, figure, type Figures } from "../support/child.ts";
import { describeMachine } from "../support/machine.ts";
import { isMain } from "../support/main.ts";
import { formatTable, print, showProgress } from "../support/print.ts";
import { newPlace, openStore, placesFrom, type Place } from "./store-places.ts";

export interface SharingSize {
  readonly processes: number;
  readonly jobs: number;
  /** Of each process. */
  readonly concurrency: number;
  readonly leaseMs: number;
  /** How long a job takes; 0 for no time. */
  readonly workMs: number;
  /** How often a process stands still for two leases, one after the other. */
  readonly stalls: number;
}

export interface SharingFigures {
  readonly processes: number;
  readonly addedPerSecond: number;
  readonly donePerSecond: number;
  /** Jobs that nobody has begun. */
  readonly lost: number;
  /** Jobs that were begun more than once. */
  readonly begunTwice: number;
  /** Jobs whose end the store has accepted more than once: what must not be. */
  readonly settledTwice: number;
  /** Runs that ended with the news that the lease was lost. */
  readonly leasesLost: number;
  /** Of the process that did least and the one that did most, of all jobs. */
  readonly shares: readonly [least: number, most: number];
  /** What is left in the queue. */
  readonly left: number;
}

const bulk = 500;
const patienceMs = 60_000;
const worker = new URL("processes-worker.ts", import.meta.url);

/** Fills a new queue at `place` and lets as many processes as `size` says empty it. */
export async function shareQueue(place: Place, size: SharingSize): Promise<SharingFigures> {
  const queue = `shared-${randomUUID()}`;
  const { jobs, leaseMs, workMs, processes } = size;
  await using stack = new AsyncDisposableStack();
  const store = openStore(place.name, place.where);
  await store.start({ onError: () => {} });
  stack.defer(() => store.stop(5_000));
  await store.open(queue, { leaseMs, maxDead: 1_000, deadForMs: 3_600_000 });
  const children = Array.from({ length: processes }, () =>
    stack.use(Child.node(worker, place.name, place.where, queue, String(leaseMs), String(workMs))),
  );
  await askAll(children, "open");
  const addedPerSecond = await fill(store, queue, jobs);

  const startedAt = Date.now();
  await askAll(children, "take", size.concurrency);
  const stalling = stallOneByOne(children, size);
  // A run that was told that its lease is lost may have been the only one: then the queue is empty all the same.
  const progress = await waitFor(
    children,
    async (sum) => sum("settled") >= jobs || (sum("lost") > 0 && (await countLeft(store, queue)) === 0),
  );
  await stalling;
  // Whoever stood still has yet to learn what it has lost.
  const last = await waitFor(children, async (sum) => sum("running") === 0);
  const [begun, settled] = [merge(await askAll(children, "begun")), merge(await askAll(children, "settled"))];
  const shares = progress.map((each) => figure(each, "settled") / jobs);
  await askAll(children, "stop");
  return {
    processes,
    addedPerSecond,
    donePerSecond: (jobs * 1_000) / (Math.max(...progress.map((each) => figure(each, "settledAt"))) - startedAt),
    lost: jobs - begun.size,
    begunTwice: countAbove(begun, 1),
    settledTwice: countAbove(settled, 1),
    leasesLost: last.reduce((sum, each) => sum + figure(each, "lost"), 0),
    shares: [Math.min(...shares), Math.max(...shares)],
    left: await countLeft(store, queue),
  };
}

/** Jobs of 200 bytes. Resolves to how many went in in a second. */
async function fill(store: Store, queue: string, jobs: number): Promise<number> {
  const fromMs = performance.now();
  for (let first = 0; first < jobs; first += bulk) {
    const some = Array.from({ length: Math.min(bulk, jobs - first) }, (_, index) => newJob(queue, first + index));
    // oxlint-disable-next-line no-await-in-loop -- as a producer does that waits for what it has added
    await store.add(some, 30_000);
  }
  return (jobs * 1_000) / (performance.now() - fromMs);
}

async function countLeft(store: Store, queue: string): Promise<number> {
  const { ready, delayed, active, dead } = await store.levels(queue);
  return ready + delayed + active + dead;
}

function newJob(queue: string, n: number): NewJob {
  const body = JSON.stringify({ n, filler: "x".repeat(180 - String(n).length) });
  return { id: randomUUID(), queue, body, delayMs: 0, priority: 0 };
}

function askAll(children: readonly Child[], verb: string, argument = 0): Promise<Figures[]> {
  return Promise.all(children.map((child) => child.ask(verb, argument)));
}

/** Two leases each: the first is lost, and there is time for another process to do what was held. */
async function stallOneByOne(children: readonly Child[], { stalls, leaseMs }: SharingSize): Promise<void> {
  for (let turn = 0; turn < stalls; turn += 1) {
    // oxlint-disable no-await-in-loop -- one process at a time, each in the middle of its work
    await sleep(500);
    await children[turn % children.length]?.ask("stall", leaseMs * 2);
    // oxlint-enable no-await-in-loop
  }
}

/** Resolves to the progress of all, once it `isEnough` or patience is over. */
async function waitFor(
  children: readonly Child[],
  isEnough: (sum: (name: string) => number) => Promise<boolean>,
): Promise<Figures[]> {
  const untilMs = performance.now() + patienceMs;
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- asked again and again
    const progress = await askAll(children, "progress");
    const sum = (name: string): number => progress.reduce((total, each) => total + figure(each, name), 0);
    showProgress(`${sum("settled")} jobs done`);
    // oxlint-disable-next-line no-await-in-loop
    if ((await isEnough(sum)) || performance.now() > untilMs) return progress;
    // oxlint-disable-next-line no-await-in-loop
    await sleep(20);
  }
}

function merge(counts: readonly Figures[]): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const [n, times] of counts.flatMap((each) => Object.entries(each))) sums.set(n, (sums.get(n) ?? 0) + times);
  return sums;
}

function countAbove(counts: ReadonlyMap<string, number>, most: number): number {
  return [...counts.values()].filter((times) => times > most).length;
}

function toColumns(shown: Omit<SharingFigures, "shares" | "addedPerSecond" | "donePerSecond">): number[] {
  return [shown.lost, shown.left, shown.begunTwice, shown.leasesLost, shown.settledTwice];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      places: { type: "string" },
      processes: { type: "string", default: "2,4,8" },
      jobs: { type: "string", default: "20000" },
      concurrency: { type: "string", default: "16" },
      stalls: { type: "string", default: "0" },
      work: { type: "string", default: "0" },
    },
  });
  const machine = describeMachine();
  print(`${machine.cores} cores, ${machine.cpu}, load ${machine.loadAverage}, Node ${process.versions.node}\n`);
  const rows = [
    [
      "store",
      "processes",
      "added/s",
      "done/s",
      "least %",
      "most %",
      "lost",
      "left",
      "begun twice",
      "leases lost",
      "settled twice",
    ],
  ];
  for (const name of placesFrom(values.places)) {
    for (const processes of values.processes.split(",").map(Number)) {
      // oxlint-disable no-await-in-loop -- one after the other: they share the machine
      await using place = await newPlace(name);
      const shown = await shareQueue(place, {
        processes,
        jobs: Number(values.jobs),
        concurrency: Number(values.concurrency),
        leaseMs: 5_000,
        workMs: Number(values.work),
        stalls: Number(values.stalls),
      });
      // oxlint-enable no-await-in-loop
      const { addedPerSecond, donePerSecond, shares, ...counts } = shown;
      const figures = [processes, addedPerSecond, donePerSecond, ...shares.map((share) => share * 100)];
      rows.push([name, ...[...figures, ...toColumns(counts)].map((each) => each.toFixed(0))]);
    }
  }
  showProgress("");
  print(formatTable(rows));
}

if (isMain(import.meta.url)) await main();

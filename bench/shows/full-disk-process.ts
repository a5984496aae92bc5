/**
 * What `full-disk.ts` runs on a disk of a few megabytes: fills it with jobs and with a ballast of other data, works while it
 * is full, and takes the ballast away. Prints one line of JSON: what was seen.
 */

import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { sqlite, type Delivery, type NewJob } from "sluice/tasks";

const [folder = ""] = process.argv.slice(2);
const path = join(folder, "jobs.db");
const queue = "disk";
const acknowledged = new Set<string>();
const done = new Map<string, number>();
const told = new Set<string>();
let slowestRefusalMs = 0;
let settledWhileFull = 0;
let isFull = false;

function newJob(): NewJob {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  const id = bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  return { id, queue, body: JSON.stringify({ v: 1, headers: {}, data: "x".repeat(4_000) }), delayMs: 0, priority: 0 };
}

const store = sqlite({ path, timeout: "20s", minFreeBytes: "8mb" });
await store.start({ onError: (error) => told.add(error.name) });
await store.open(queue, { leaseMs: 30_000, maxDead: 100, deadForMs: 60_000 });

/** Adds some jobs, and says why it could not. */
async function add(count: number): Promise<string | undefined> {
  const jobs = Array.from({ length: count }, newJob);
  const beginMs = performance.now();
  try {
    for (const { id } of await store.add(jobs, 5_000)) acknowledged.add(id);
    return undefined;
  } catch (error) {
    slowestRefusalMs = Math.max(slowestRefusalMs, performance.now() - beginMs);
    return error instanceof Error && "code" in error ? String(error.code) : String(error);
  }
}

/** As much as there is room for, in ever smaller pieces. */
function fillUp(file: string): void {
  const descriptor = openSync(file, "w");
  for (let size = 1_048_576; size >= 512; size /= 2) {
    const piece = Buffer.alloc(size, 1);
    try {
      for (;;) if (writeSync(descriptor, piece) < size) break;
    } catch {
      // No room for one of this size any more.
    }
  }
  fsyncSync(descriptor);
  closeSync(descriptor);
}

/** How many jobs find room by and by. */
async function addSome(): Promise<number> {
  const before = acknowledged.size;
  for (let round = 0; round < 20; round += 1) await add(20);
  return acknowledged.size - before;
}

async function work(delivery: Delivery): Promise<void> {
  const settled = await delivery.done();
  if (settled === "settled") done.set(delivery.id, (done.get(delivery.id) ?? 0) + 1);
  if (isFull) settledWhileFull += 1;
}

// 1. Jobs alone fill the disk, up to what is kept for their ends.
while ((await add(100)) === undefined);
const stock = acknowledged.size;

// 2. They are done all the same; what this frees within the file is used again.
isFull = true;
const consumer = await store.consume(queue, 16, (delivery) => void work(delivery));
while (done.size < stock / 2) await sleep(10);
consumer.pause();
const doneWhileFull = done.size;
const readded = await addSome();

// 3. Somebody else takes the disk to its last byte. Ends are recorded as far as the log has room.
const ballast = join(folder, "ballast");
fillUp(ballast);
const refusals = new Set<string>();
for (let round = 0; round < 50; round += 1) refusals.add((await add(50)) ?? "taken");
consumer.resume();
for (let round = 0; round < 20; round += 1) {
  refusals.add((await add(50)) ?? "taken");
  await sleep(20);
}
const doneWithoutRoom = settledWhileFull - doneWhileFull;

// 4. There is room again.
rmSync(ballast);
isFull = false;
const freedMs = performance.now();
while ((await add(10)) !== undefined) await sleep(10);
const recoveredMs = performance.now() - freedMs;
for (let round = 0; round < 5; round += 1) await add(100);
while ((await store.levels(queue)).ready + (await store.levels(queue)).active > 0) await sleep(20);
await consumer.stop();
await store.stop(5_000);

const lost = [...acknowledged].filter((id) => !done.has(id)).length;
const twice = [...done.values()].filter((times) => times > 1).length;
const figures = {
  acknowledged: acknowledged.size,
  stock,
  readded,
  refusals: [...refusals].filter((word) => word !== "taken"),
  told: [...told],
  slowestRefusalMs,
  doneWhileFull,
  doneWithoutRoom,
  recoveredMs,
  lost,
  twice,
  fileBytes: statSync(path).size,
};
process.stdout.write(`${JSON.stringify(figures)}\n`);

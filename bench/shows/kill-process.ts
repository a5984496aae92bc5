/**
 * The process that `kill.ts` kills: adds jobs and does them, as fast as it can, and writes down what it knows.
 *
 * Each fact is a line of a file, written at once: what the kernel has taken is not lost with the process. `a` a job is acknowledged,
 * `s` its handler begins, `h` its work is done, `d` that is on record, `x` it is given up and that is on record, `r` it is to
 * be tried again, `l` the lease was lost, `z` it is among the dead in the end. Then its id, which attempt it is, and microseconds on a clock that all processes share.
 */

import { randomBytes } from "node:crypto";
import { openSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Delivery, NewJob, Settled } from "sluice/tasks";
import { seededRandom } from "../support/random.ts";
import { killStores } from "./kill-stores.ts";

const [name = "", argument = "", queue = "", leaseMs = "", seed = "", adds = "", facts = ""] = process.argv.slice(2);
const random = seededRandom(Number(seed));
const kept = killStores[name];
if (kept === undefined) throw new RangeError(`There is no store named ${name}`);
const store = await kept.open(argument);
const file = openSync(facts, "a");

function tell(fact: string, id: string, attempt = 0): void {
  writeSync(file, `${fact} ${id} ${attempt} ${process.hrtime.bigint() / 1_000n}\n`);
}

function newJob(): NewJob {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  const id = bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  const delayMs = random.below(10) === 0 ? random.below(50) : 0;
  return { id, queue, body: JSON.stringify({ v: 1, headers: {}, data: "x".repeat(150) }), delayMs, priority: 0 };
}

const failure = { name: "Error", message: "to see what becomes of it" };

async function work(delivery: Delivery): Promise<void> {
  const { id, attempt } = delivery;
  tell("s", id, attempt);
  if (random.below(2) === 0) await sleep(random.below(4));
  const fate = random.below(20);
  if (fate === 0 && attempt === 1) return tellEnd("r", delivery, await delivery.retry(random.below(20), failure));
  if (fate === 1) return tellEnd("x", delivery, await delivery.dead(failure));
  tell("h", id);
  return tellEnd("d", delivery, await delivery.done());
}

function tellEnd(fact: string, { id, attempt }: Delivery, settled: Settled): void {
  tell(settled === "settled" ? fact : "l", id, attempt);
}

async function addForEver(): Promise<never> {
  for (;;) {
    const jobs = Array.from({ length: 1 + random.below(20) }, newJob);
    for (const added of await store.add(jobs, 10_000)) tell("a", added.id);
    if (random.below(3) === 0) await sleep(random.below(5));
  }
}

await store.start({ onError: (error) => process.stderr.write(`${error.message}\n`) });
await store.open(queue, { leaseMs: Number(leaseMs), maxDead: Infinity, deadForMs: Infinity });
await store.consume(queue, 16, (delivery) => void work(delivery));
process.stdout.write("ready\n");
if (adds === "adds") await addForEver();
// Otherwise it clears up, and is told when to go.
process.stdin.on("end", () => void store.stop(5_000));
process.stdin.resume();
for (;;) {
  const { ready, delayed, active } = await store.levels(queue);
  if (ready + delayed + active === 0) break;
  await sleep(20);
}
// Whoever gave one up may have been killed before it could tell.
for (const { id } of await store.listDead(queue, { limit: 1_000_000 })) tell("z", id);
process.stdout.write("empty\n");

/**
 * What a task costs, in microseconds: `node --conditions=sluice-source bench/micro/tasks.ts`.
 *
 * Rounds of 2,000 tasks each; the call alone, then all of it: call, start, end, and what Node itself takes for a promise
 * that settles later. On a shared machine the fastest round is the better guide.
 */

import { EventEmitter } from "node:events";
import { cpus } from "node:os";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createContext, now, Registry, traceparentKey } from "sluice/core";
import { memory, Tasks, type Queue } from "sluice/tasks";
import { print } from "../support/print.ts";

const rounds = 60;
const tasksPerRound = 2_000;

/** What `after` uses of a response. */
class Response extends EventEmitter {
  writableEnded = false;
  writableFinished = false;
  closed = false;

  finish(): void {
    this.writableEnded = true;
    this.writableFinished = true;
    this.emit("finish");
    this.closed = true;
    this.emit("close");
  }
}

function show(name: string, usPerTask: number[]): void {
  const sorted = usPerTask.toSorted((a, b) => a - b);
  const median = sorted[sorted.length >> 1] ?? NaN;
  print(`${name.padEnd(52)} ${median.toFixed(2).padStart(8)} ${(sorted[0] ?? NaN).toFixed(2).padStart(8)}`);
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

const fn = async (): Promise<void> => {};

/** Emits without anybody who follows: what the responses themselves cost. */
async function measureAfter(tasks: Tasks | undefined): Promise<{ calls: number[]; whole: number[] }> {
  const calls: number[] = [];
  const whole: number[] = [];
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const request = createContext({ timeout: "1h" }).withValue(traceparentKey, traceparent);
  for (let round = 0; round < rounds; round += 1) {
    const responses = Array.from({ length: tasksPerRound }, () => new Response());
    const cpuAtStart = cpuMs();
    const startedAt = now();
    request.run(() => {
      for (const res of responses) tasks?.after(res, "audit", { timeout: "3s" }, fn);
    });
    calls.push(((now() - startedAt) * 1_000) / tasksPerRound);
    for (const res of responses) res.finish();
    const isBusy = (): boolean => tasks !== undefined && tasks.stats().queued + tasks.stats().running > 0;
    // oxlint-disable-next-line no-await-in-loop
    while (isBusy()) await nextTurn();
    whole.push(((cpuMs() - cpuAtStart) * 1_000) / tasksPerRound);
  }
  return { calls, whole };
}

async function measureJobs(queue: Queue<unknown>, ran: () => number): Promise<{ adds: number[]; jobs: number[] }> {
  const adds: number[] = [];
  const jobs: number[] = [];
  const payload = "x".repeat(200);
  for (let round = 0; round < rounds; round += 1) {
    queue.pause();
    const before = ran();
    let cpuAtStart = cpuMs();
    // oxlint-disable-next-line no-await-in-loop
    await queue.addAll(Array.from({ length: tasksPerRound }, () => ({ data: { payload } })));
    adds.push(((cpuMs() - cpuAtStart) * 1_000) / tasksPerRound);
    cpuAtStart = cpuMs();
    queue.resume();
    // oxlint-disable-next-line no-await-in-loop
    while (ran() < before + tasksPerRound) await nextTurn();
    jobs.push(((cpuMs() - cpuAtStart) * 1_000) / tasksPerRound);
  }
  return { adds, jobs };
}

print(`node ${process.version}, ${cpus()[0]?.model ?? "unknown cpu"}, ${new Date().toISOString()}`);
print(`${"us per task".padEnd(52)} ${"median".padStart(8)} ${"fastest".padStart(8)}`);

const bare = await measureAfter(undefined);
show("responses that nobody follows (CPU)", bare.whole);
const tasks = new Tasks({ registry: new Registry(), store: memory() });
const after = await measureAfter(tasks);
show("tasks.after: the call", after.calls);
show("tasks.after: call, start and end (CPU)", after.whole);

let handled = 0;
const queue = tasks.queue<unknown>("mail", {}, () => void (handled += 1));
const measured = await measureJobs(queue, () => handled);
show("queue.addAll of 2,000, store in memory (CPU)", measured.adds);
show("a job taken, handled and settled, in memory (CPU)", measured.jobs);
await tasks.drain();

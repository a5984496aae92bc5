/**
 * Show: a million tasks go through a bound of ten thousand, and memory stays where it was; and a thousand requests whose
 * tasks never settle are forgotten all the same.
 * `node --conditions=sluice-source bench/shows/tasks-memory.ts [--tasks 1000000] [--requests 1000]`
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { once } from "node:events";
import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createContext, now, Registry } from "sluice/core";
import { Tasks } from "sluice/tasks";
import { isMain, numbersFrom } from "../support/main.ts";
import { inMegabytes, inPercent, readSettledMemory } from "../support/memory.ts";
import { print } from "../support/print.ts";

export interface ThroughputFigures {
  readonly tasks: number;
  readonly ran: number;
  /** Most that ran, were queued or waited at once. */
  readonly mostAtOnce: number;
  readonly perSecond: number;
  /** Heap in use once all was collected: before, then after each tenth. */
  readonly heapBytes: readonly number[];
}

const maxQueued = 10_000;

/** A producer that awaits its places: the tasks do something short, as most do. */
export async function runMany(count: number): Promise<ThroughputFigures> {
  const tasks = new Tasks({ registry: new Registry(), maxQueued, overflow: "caller-waits" });
  let ran = 0;
  let mostAtOnce = 0;
  let spentMs = 0;
  const work = async (): Promise<void> => {
    await nextTurn();
    ran += 1;
  };
  const produce = async (many: number): Promise<void> => {
    const startedAt = now();
    for (let index = 0; index < many; index += 1) {
      const handle = tasks.run("short", { timeout: "3s" }, work);
      const { running, queued, waiting } = index % 100 === 0 ? tasks.stats() : { running: 0, queued: 0, waiting: 0 };
      mostAtOnce = Math.max(mostAtOnce, running + queued + waiting);
      // What is asked for is a place: that is the point.
      // oxlint-disable-next-line no-await-in-loop
      if (handle.state === "waiting") await handle.accepted;
    }
    // oxlint-disable-next-line no-await-in-loop
    while (tasks.stats().running + tasks.stats().queued > 0) await nextTurn();
    spentMs += now() - startedAt;
  };
  await produce(Math.min(count, 50_000));
  const warmUp = ran;
  spentMs = 0;
  const heapBytes = [(await readSettledMemory()).heapBytes];
  for (let tenth = 0; tenth < 10; tenth += 1) {
    // oxlint-disable-next-line no-await-in-loop
    await produce(count / 10);
    // oxlint-disable-next-line no-await-in-loop
    heapBytes.push((await readSettledMemory()).heapBytes);
  }
  return { tasks: count, ran: ran - warmUp, mostAtOnce, perSecond: (count / spentMs) * 1_000, heapBytes };
}

export interface RetentionFigures {
  readonly requests: number;
  /** Tasks that never settle, still there at the end. */
  readonly running: number;
  /** Requests, responses and what was in their AsyncLocalStorage that the collector could not take. */
  readonly kept: number;
  readonly heldBytes: number;
}

/** Here and not in a handler: a closure made there would share its scope, and hold the request by itself. */
const nevers: Promise<void>[] = [];
const neverSettles = (): Promise<void> => {
  const never = new Promise<void>(() => {});
  nevers.push(never);
  return never;
};

/** Each request has 100 kB of its own and a task that never settles. */
export async function leaveTasksBehind(requests: number): Promise<RetentionFigures> {
  const tasks = new Tasks({ registry: new Registry(), maxRunning: requests, timeout: "1h" });
  const storage = new AsyncLocalStorage<object>();
  const refs: WeakRef<object>[] = [];
  const server = createServer((req: IncomingMessage, res: ServerResponse) => {
    if (req.url === "/last") {
      res.end();
      return;
    }
    const ballast = Buffer.alloc(100_000);
    refs.push(new WeakRef(req), new WeakRef(res), new WeakRef(ballast));
    const served = createContext({ timeout: "10s" });
    storage.run({ ballast }, () => served.run(() => tasks.after(res, "deaf", undefined, neverSettles)));
    served[Symbol.dispose]();
    res.end("x");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A TCP server has one.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const { port } = server.address() as AddressInfo;
  const before = await readSettledMemory();
  // oxlint-disable-next-line no-await-in-loop
  for (let index = 0; index < requests; index += 1) await visit(port, "/");
  // oxlint-disable-next-line no-await-in-loop
  while (tasks.stats().running < requests) await nextTurn();
  // Parsers keep the async frame of their last request until the next one (nodejs/node#61882).
  // oxlint-disable-next-line no-await-in-loop
  for (let index = 0; index < 20; index += 1) await visit(port, "/last");
  const after = await readSettledMemory();
  server.close();
  server.closeAllConnections();
  const kept = refs.filter((ref) => ref.deref() !== undefined).length;
  const heldBytes = after.heapBytes + after.externalBytes - before.heapBytes - before.externalBytes;
  return { requests, running: tasks.stats().running, kept, heldBytes };
}

async function visit(port: number, path: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  request({ port, path, agent: false }, (res) => res.resume().on("close", resolve))
    .on("error", reject)
    .end();
  await promise;
}

if (isMain(import.meta.url)) {
  const { tasks, requests } = numbersFrom({ tasks: 1_000_000, requests: 1_000 });
  const many = await runMany(tasks);
  const [first = NaN] = many.heapBytes;
  const last = many.heapBytes.at(-1) ?? NaN;
  print(
    `${many.ran} of ${many.tasks} tasks ran, ${Math.round(many.perSecond)} in a second, ` +
      `at most ${many.mostAtOnce} at once (${maxQueued} may be queued)`,
  );
  print(`heap: ${many.heapBytes.map(inMegabytes).join(", ")} (${inPercent(first, last)})`);
  const left = await leaveTasksBehind(requests);
  print(
    `${left.running} tasks of ${left.requests} requests of 100 kB never settle: ${left.kept} of their objects are still ` +
      `in memory, ${inMegabytes(left.heldBytes)} more than before`,
  );
  // Deadlines of an hour keep no process alive.
  process.exitCode = many.ran === many.tasks && left.kept === 0 ? 0 : 1;
}

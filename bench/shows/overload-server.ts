/**
 * A server with something scarce behind it: `node overload-server.ts node|fixed|adaptive`.
 *
 * Each request does a little work, waits for one of ten places downstream, holds it for 20 ms, does a little more work
 * and answers. The downstream is a semaphore in this process with an unlimited line in front of it, as a connection
 * pool usually has: what a database does with ten connections, without the database's CPU time on the same machine.
 */

import { readFileSync } from "node:fs";
import { createServer as createPlainServer } from "node:http";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { performance } from "node:perf_hooks";
import { createServer } from "sluice/server";
import { answerParent } from "../support/child.ts";
import type { Figures } from "../support/child.ts";

const places = 10;
const holdMs = 20;

/** Invariant: `#line` is empty unless all places are taken. */
class Downstream {
  #taken = 0;
  readonly #line: (() => void)[] = [];

  get waiting(): number {
    return this.#line.length;
  }

  call(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (this.#taken < places) this.#hold(resolve);
    else this.#line.push(() => this.#hold(resolve));
    return promise;
  }

  #hold(done: () => void): void {
    this.#taken += 1;
    setTimeout(() => {
      this.#taken -= 1;
      this.#line.shift()?.();
      done();
    }, holdMs);
  }
}

const downstream = new Downstream();

const catalogue = Array.from({ length: 60 }, (_, id) => ({
  id,
  name: `product ${id}`,
  price: id * 7,
  tags: ["a", "b"],
}));

/** About a tenth of a millisecond, as parsing and rendering take. */
function work(): string {
  return JSON.stringify(JSON.parse(JSON.stringify(catalogue)));
}

async function answer(res: ServerResponse): Promise<void> {
  work();
  await downstream.call();
  const body = work().slice(0, 200);
  res.writeHead(200, { "Content-Type": "application/json", "Content-Length": body.length });
  res.end(body);
}

const handler: RequestListener = (_req: IncomingMessage, res: ServerResponse) => void answer(res);

function createContender(name: string) {
  // Ten places downstream, and two for those that are at work before and after.
  const limit = name === "fixed" ? 12 : "adaptive";
  return name === "node" ? createPlainServer(handler) : createServer({ concurrency: { limit } }, handler);
}

const server = createContender(process.argv[2] ?? "adaptive");
let cpuSince = process.cpuUsage();
let loopSince = performance.eventLoopUtilization();
let since = performance.now();
let delaySince = readDelayMs();

/** How long this thread has been ready to run and was not let, since its start (Linux; elsewhere 0). */
function readDelayMs(): number {
  try {
    return Number(readFileSync("/proc/self/schedstat", "utf8").split(" ")[1]) / 1e6;
  } catch {
    return 0;
  }
}

function report(): Figures {
  const { user, system } = process.cpuUsage(cpuSince);
  const figures = {
    cpuShare: (user + system) / 1_000 / (performance.now() - since),
    loopShare: performance.eventLoopUtilization(loopSince).utilization,
    delayShare: (readDelayMs() - delaySince) / (performance.now() - since),
    rssBytes: process.memoryUsage.rss(),
    waitingDownstream: downstream.waiting,
  };
  cpuSince = process.cpuUsage();
  loopSince = performance.eventLoopUtilization();
  since = performance.now();
  delaySince = readDelayMs();
  return figures;
}

void answerParent({
  listen: async () => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, resolve);
    await promise;
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("The server has no port");
    return { port: address.port };
  },
  report,
});

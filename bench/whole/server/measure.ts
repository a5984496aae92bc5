/**
 * Measures every server under one load process: CPU time in rounds (see `../rounds.ts`), then what idle connections
 * hold, each in a process that has done nothing else.
 */

import { Child, figure } from "../../support/child.ts";
import { startGo } from "../go.ts";
import { runRounds } from "../rounds.ts";
import type { Contender, Plan, Readings } from "../rounds.ts";
import { answerBody } from "../work.ts";
import { answerType, idleTimeoutMs } from "./peer.ts";
import { isMeasuredInNode } from "./peers.ts";
import type { PeerId } from "./peers.ts";

export interface ServerPlan extends Plan<PeerId> {
  readonly blockMs: number;
  readonly warmMs: number;
}

/** One block of one peer. */
export interface Reading {
  readonly cpuUs: number;
  readonly requestsPerSecond: number;
  readonly loadCpuUs: number;
}

export async function measureServers(plan: ServerPlan): Promise<Readings<PeerId, Reading>> {
  await using load = startLoad();
  return await runRounds(plan, async (id, stack) => {
    const child = stack.use(startServer(id, stack));
    const port = figure(await child.ask("listen"), "port");
    return new RunningPeer(child, port, load, plan);
  });
}

/** A peer's process. Invariant: the load has connections only within `warm` and `runBlock`, and only to one peer. */
class RunningPeer implements Contender<Reading> {
  readonly #child: Child;
  readonly #port: number;
  readonly #load: Child;
  readonly #plan: ServerPlan;
  #requestsPerBlock = 0;

  constructor(child: Child, port: number, load: Child, plan: ServerPlan) {
    this.#child = child;
    this.#port = port;
    this.#load = load;
    this.#plan = plan;
  }

  async warm(): Promise<void> {
    const { warmMs, blockMs } = this.#plan;
    await this.#load.ask("aim", this.#port);
    const rate = figure(await this.#load.ask("warm", warmMs), "rate");
    this.#requestsPerBlock = Math.ceil((rate * blockMs) / 1000);
  }

  async runBlock(): Promise<Reading> {
    const count = this.#requestsPerBlock;
    await this.#load.ask("aim", this.#port);
    await this.#load.ask("open");
    const before = figure(await this.#child.ask("usage"), "cpuUs");
    const block = await this.#load.ask("block", count);
    const after = figure(await this.#child.ask("usage"), "cpuUs");
    await this.#load.ask("close");
    return {
      cpuUs: (after - before) / count,
      requestsPerSecond: count / (figure(block, "wallMs") / 1000),
      loadCpuUs: figure(block, "cpuUs") / count,
    };
  }
}

export interface MemoryPlan {
  readonly ids: readonly PeerId[];
  readonly random: Plan<PeerId>["random"];
  readonly launches: number;
  /** How many connections are held at each reading, in rising order. */
  readonly steps: readonly number[];
  readonly onProgress: (text: string) => void;
}

/** Bytes for each idle connection that has had one request: resident ones, and of these what is on the heap of V8. */
export interface MemoryReading {
  readonly residentBytes: number;
  readonly heapBytes: number | undefined;
}

export async function measureMemory(plan: MemoryPlan): Promise<ReadonlyMap<PeerId, readonly MemoryReading[]>> {
  const readings = new Map<PeerId, MemoryReading[]>(plan.ids.map((id) => [id, []]));
  for (let launch = 1; launch <= plan.launches; launch += 1) {
    for (const id of plan.random.shuffle(plan.ids)) {
      plan.onProgress(`memory, launch ${launch}/${plan.launches}: ${id}`);
      readings.get(id)?.push(await readMemoryPerConnection(id, plan.steps));
    }
  }
  return readings;
}

/** The slope over all steps: what the process holds anyway is in none of it, and one odd reading counts for little. */
async function readMemoryPerConnection(id: PeerId, steps: readonly number[]): Promise<MemoryReading> {
  await using stack = new AsyncDisposableStack();
  // In this order: the server goes first, so that its connections end without a wait on either side.
  const load = stack.use(startLoad());
  const child = stack.use(startServer(id, stack));
  await load.ask("aim", figure(await child.ask("listen"), "port"));
  const resident: number[] = [];
  const heap: number[] = [];
  for (const step of steps) {
    await load.ask("hold", step);
    const memory = await child.ask("memory");
    const open = figure(await load.ask("held"), "open");
    if (open !== step) throw new Error(`${id}: of ${step} idle connections ${open} are open`);
    resident.push(figure(memory, "rssBytes"));
    if (memory["heapBytes"] !== undefined) heap.push(memory["heapBytes"]);
  }
  return { residentBytes: slopeOf(steps, resident), heapBytes: heap.length > 0 ? slopeOf(steps, heap) : undefined };
}

/** Least squares. */
function slopeOf(xs: readonly number[], ys: readonly number[]): number {
  const meanX = meanOf(xs);
  const meanY = meanOf(ys);
  const covariance = meanOf(xs.map((x, index) => (x - meanX) * ((ys[index] ?? meanY) - meanY)));
  return covariance / meanOf(xs.map((x) => (x - meanX) ** 2));
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function startLoad(): Child {
  return Child.node(new URL("load-process.ts", import.meta.url));
}

function startServer(id: PeerId, stack: AsyncDisposableStack): Child {
  if (isMeasuredInNode(id)) return Child.node(new URL("peer-process.ts", import.meta.url), id);
  return startGo(new URL("go/", import.meta.url), [answerBody, answerType, String(idleTimeoutMs)], stack);
}

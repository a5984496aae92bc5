/**
 * Runs every peer against one target: each in its own process, warmed once, then in blocks whose order is shuffled
 * anew in every round. A machine that is busy for a while is then busy for all of them, and a ratio of two peers is
 * taken within a round, never between figures from different times.
 */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Child, figure } from "../../support/child.ts";
import type { Random } from "../../support/random.ts";
import { inFlight, targetBody } from "./peer.ts";
import { isMeasuredInNode, peers } from "./peers.ts";
import type { PeerId } from "./peers.ts";

export interface Plan {
  readonly ids: readonly PeerId[];
  readonly random: Random;
  readonly rounds: number;
  readonly blockMs: number;
  readonly warmMs: number;
  readonly onProgress: (text: string) => void;
}

/** One block of one peer. */
export interface Reading {
  readonly cpuUs: number;
  readonly requestsPerSecond: number;
  readonly targetCpuUs: number;
}

/** What came of a peer: a reading for each round, or why there is none. */
export type Outcome =
  | { readonly state: "measured"; readonly readings: readonly Reading[]; readonly connections: number }
  | { readonly state: "missing"; readonly reason: string };

export async function measureClients(plan: Plan): Promise<ReadonlyMap<PeerId, Outcome>> {
  await using target = Child.node(new URL("target.ts", import.meta.url));
  const port = figure(await target.ask("listen"), "port");
  await using stack = new AsyncDisposableStack();
  const outcomes = new Map<PeerId, Outcome>();
  const running: RunningPeer[] = [];
  for (const id of plan.ids) {
    plan.onProgress(`warming ${id}`);
    try {
      // One at a time: two peers that warm up together would share the target.
      // oxlint-disable-next-line no-await-in-loop
      running.push(await RunningPeer.start(id, port, target, { stack, plan }));
    } catch (error) {
      outcomes.set(id, { state: "missing", reason: error instanceof Error ? error.message : String(error) });
    }
  }
  for (let round = 1; round <= plan.rounds; round += 1) {
    for (const [index, peer] of plan.random.shuffle(running).entries()) {
      plan.onProgress(`round ${round}/${plan.rounds}, ${index + 1}/${running.length}: ${peer.id}`);
      // oxlint-disable-next-line no-await-in-loop
      await peer.runBlock();
    }
  }
  for (const { id, readings, connections } of running) outcomes.set(id, { state: "measured", readings, connections });
  return outcomes;
}

/** A peer's process, and what has been read of it. */
class RunningPeer {
  readonly id: PeerId;
  readonly readings: Reading[] = [];
  connections: number;
  readonly #child: Child;
  readonly #target: Child;
  readonly #requestsPerBlock: number;

  static async start(
    id: PeerId,
    port: number,
    target: Child,
    { stack, plan }: { readonly stack: AsyncDisposableStack; readonly plan: Plan },
  ): Promise<RunningPeer> {
    const child = stack.use(startChild(id, port, stack));
    const before = await target.ask("usage");
    const rate = figure(await child.ask("warm", plan.warmMs), "rate");
    const connections = figure(await target.ask("usage"), "accepted") - figure(before, "accepted");
    return new RunningPeer(id, {
      child,
      target,
      connections,
      requestsPerBlock: Math.ceil((rate * plan.blockMs) / 1000),
    });
  }

  private constructor(
    id: PeerId,
    made: {
      readonly child: Child;
      readonly target: Child;
      readonly connections: number;
      readonly requestsPerBlock: number;
    },
  ) {
    this.id = id;
    this.#child = made.child;
    this.#target = made.target;
    this.connections = made.connections;
    this.#requestsPerBlock = made.requestsPerBlock;
  }

  async runBlock(): Promise<void> {
    const count = this.#requestsPerBlock;
    const before = await this.#target.ask("usage");
    const block = await this.#child.ask("block", count);
    const after = await this.#target.ask("usage");
    // The target also served the short lap before the block.
    const served = count + inFlight * 4;
    this.readings.push({
      cpuUs: figure(block, "cpuUs") / count,
      requestsPerSecond: count / (figure(block, "wallMs") / 1000),
      targetCpuUs: (figure(after, "cpuUs") - figure(before, "cpuUs")) / served,
    });
    this.connections = Math.max(this.connections, figure(after, "accepted") - figure(before, "accepted"));
  }
}

function startChild(id: PeerId, port: number, stack: AsyncDisposableStack): Child {
  if (isMeasuredInNode(id)) return Child.node(new URL("peer-process.ts", import.meta.url), id, String(port));
  const folder = mkdtempSync(join(tmpdir(), "sluice-bench-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const program = join(folder, "client");
  execFileSync("go", ["build", "-o", program, "."], { cwd: fileURLToPath(new URL("go", import.meta.url)) });
  // One processor, as the JavaScript of the others has: more of them cost Go CPU time without need in this test.
  const env = { ...process.env, GOMAXPROCS: "1" };
  return new Child(program, [String(port), String(inFlight), String(targetBody.length)], env);
}

/** The label of a peer, Go's included. */
export function labelOf(id: PeerId): string {
  return isMeasuredInNode(id) ? peers[id].label : "Go net/http (one processor)";
}

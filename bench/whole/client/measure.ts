/**
 * Runs every peer against one target: each in its own process, warmed once, then in blocks whose order is shuffled
 * anew in every round. A machine that is busy for a while is then busy for all of them, and a ratio of two peers is
 * taken within a round, never between figures from different times.
 *
 * All processes are launched several times. What the compiler makes of a program is settled in its first second and
 * differs from launch to launch by more than the peers differ, so that one launch each would measure luck.
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
  readonly launches: number;
  readonly roundsPerLaunch: number;
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

/** What came of a peer: a reading for each round of each launch. */
export interface Outcome {
  readonly readings: readonly Reading[];
  readonly connections: number;
}

export async function measureClients(plan: Plan): Promise<ReadonlyMap<PeerId, Outcome>> {
  await using target = await Target.start();
  const outcomes = new Map<PeerId, Outcome>();
  for (let launch = 1; launch <= plan.launches; launch += 1) {
    const say = (text: string): void => plan.onProgress(`launch ${launch}/${plan.launches}, ${text}`);
    // oxlint-disable-next-line no-await-in-loop
    await using stack = new AsyncDisposableStack();
    const running: RunningPeer[] = [];
    for (const id of plan.random.shuffle(plan.ids)) {
      say(`warming ${id}`);
      const peer = new RunningPeer(id, target, stack);
      // One at a time: two peers that warm up together would share the target.
      // oxlint-disable-next-line no-await-in-loop
      await peer.warm(plan);
      running.push(peer);
    }
    for (let round = 1; round <= plan.roundsPerLaunch; round += 1) {
      for (const peer of plan.random.shuffle(running)) {
        say(`round ${round}/${plan.roundsPerLaunch}: ${peer.id}`);
        // oxlint-disable-next-line no-await-in-loop
        await peer.runBlock();
      }
    }
    for (const { id, readings, connections } of running) {
      const { readings: before = [], connections: opened = 0 } = outcomes.get(id) ?? {};
      outcomes.set(id, { readings: [...before, ...readings], connections: Math.max(opened, connections) });
    }
  }
  return outcomes;
}

/** The target's process. */
class Target implements AsyncDisposable {
  readonly port: number;
  readonly #child: Child;

  static async start(): Promise<Target> {
    const child = Child.node(new URL("target.ts", import.meta.url));
    return new Target(child, figure(await child.ask("listen"), "port"));
  }

  private constructor(child: Child, port: number) {
    this.#child = child;
    this.port = port;
  }

  /** What it has used so far: CPU time, and connections accepted. */
  async usage(): Promise<{ readonly cpuUs: number; readonly accepted: number }> {
    const usage = await this.#child.ask("usage");
    return { cpuUs: figure(usage, "cpuUs"), accepted: figure(usage, "accepted") };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#child[Symbol.asyncDispose]();
  }
}

/** A peer's process, and what has been read of it. */
class RunningPeer {
  readonly id: PeerId;
  readonly readings: Reading[] = [];
  /** The most that were opened in one turn. */
  connections = 0;
  readonly #child: Child;
  readonly #target: Target;
  #requestsPerBlock = 0;

  /** The process ends with the stack. */
  constructor(id: PeerId, target: Target, stack: AsyncDisposableStack) {
    this.id = id;
    this.#target = target;
    this.#child = stack.use(startChild(id, target.port, stack));
  }

  async warm({ warmMs, blockMs }: Plan): Promise<void> {
    const before = await this.#target.usage();
    const rate = figure(await this.#child.ask("warm", warmMs), "rate");
    this.#requestsPerBlock = Math.ceil((rate * blockMs) / 1000);
    this.connections = (await this.#target.usage()).accepted - before.accepted;
  }

  async runBlock(): Promise<void> {
    const count = this.#requestsPerBlock;
    const before = await this.#target.usage();
    const block = await this.#child.ask("block", count);
    const after = await this.#target.usage();
    // The target also served the short lap before the block.
    const served = count + inFlight * 4;
    this.readings.push({
      cpuUs: figure(block, "cpuUs") / count,
      requestsPerSecond: count / (figure(block, "wallMs") / 1000),
      targetCpuUs: (after.cpuUs - before.cpuUs) / served,
    });
    this.connections = Math.max(this.connections, after.accepted - before.accepted);
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

/** Runs every client against one target, in rounds: see `../rounds.ts`. */

import { Child, figure } from "../../support/child.ts";
import { startGo } from "../go.ts";
import { runRounds } from "../rounds.ts";
import type { Contender, Plan, Readings } from "../rounds.ts";
import { answerBody, inFlight } from "../work.ts";
import { isMeasuredInNode } from "./peers.ts";
import type { PeerId } from "./peers.ts";

export interface ClientPlan extends Plan<PeerId> {
  readonly blockMs: number;
  readonly warmMs: number;
}

/** One block of one peer. */
export interface Reading {
  readonly cpuUs: number;
  readonly requestsPerSecond: number;
  readonly targetCpuUs: number;
  /** The most connections that were opened in one turn so far. */
  readonly connections: number;
}

export async function measureClients(plan: ClientPlan): Promise<Readings<PeerId, Reading>> {
  await using target = await Target.start();
  return await runRounds(plan, async (id, stack) => new RunningPeer(id, target, plan, stack));
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

/** A peer's process. */
class RunningPeer implements Contender<Reading> {
  readonly #child: Child;
  readonly #target: Target;
  readonly #plan: ClientPlan;
  #connections = 0;
  #requestsPerBlock = 0;

  /** The process ends with the stack. */
  constructor(id: PeerId, target: Target, plan: ClientPlan, stack: AsyncDisposableStack) {
    this.#target = target;
    this.#plan = plan;
    this.#child = stack.use(startChild(id, target.port, stack));
  }

  async warm(): Promise<void> {
    const { warmMs, blockMs } = this.#plan;
    const before = await this.#target.usage();
    const rate = figure(await this.#child.ask("warm", warmMs), "rate");
    this.#requestsPerBlock = Math.ceil((rate * blockMs) / 1000);
    this.#connections = (await this.#target.usage()).accepted - before.accepted;
  }

  async runBlock(): Promise<Reading> {
    const count = this.#requestsPerBlock;
    const before = await this.#target.usage();
    const block = await this.#child.ask("block", count);
    const after = await this.#target.usage();
    // The target also served the short lap before the block.
    const served = count + inFlight * 4;
    this.#connections = Math.max(this.#connections, after.accepted - before.accepted);
    return {
      cpuUs: figure(block, "cpuUs") / count,
      requestsPerSecond: count / (figure(block, "wallMs") / 1000),
      targetCpuUs: (after.cpuUs - before.cpuUs) / served,
      connections: this.#connections,
    };
  }
}

function startChild(id: PeerId, port: number, stack: AsyncDisposableStack): Child {
  if (isMeasuredInNode(id)) return Child.node(new URL("peer-process.ts", import.meta.url), id, String(port));
  const args = [String(port), String(inFlight), String(answerBody.length)];
  return startGo(new URL("go/", import.meta.url), args, stack);
}

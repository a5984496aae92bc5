/** Takers of jobs for the tests of stores: one in this process, and one in a process that can be stopped and killed. */

/* oxlint-disable no-await-in-loop -- one thing after the other is what is asked for */

import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Consumer, Delivery, QueueLevels, QueueSettings, Settled, Store } from "sluice/tasks";

/** Things that come one by one, for whoever asks first. */
class Arrivals<Item> {
  /** All so far. */
  readonly all: Item[] = [];
  readonly #what: string;
  #asked = 0;
  #wake: (() => void)[] = [];

  constructor(what: string) {
    this.#what = what;
  }

  push(item: Item): void {
    this.all.push(item);
    for (const wake of this.#wake.splice(0)) wake();
  }

  /** The next one that nobody has asked for yet. */
  async next(withinMs: number): Promise<Item> {
    const index = this.#asked++;
    const untilMs = performance.now() + withinMs;
    for (;;) {
      const item = this.all[index];
      if (item !== undefined) return item;
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0) throw new Error(`no ${this.#what} within ${withinMs} ms; there were ${index} before`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake.push(resolve);
      const timer = setTimeout(resolve, leftMs);
      await promise;
      clearTimeout(timer);
    }
  }
}

/** Takes jobs from a handle of this process and settles none by itself. */
export class Taker {
  readonly #arrivals = new Arrivals<Delivery>("job");
  #consumer: Consumer | undefined;

  static async start(store: Store, queue: string, concurrency: number): Promise<Taker> {
    const taker = new Taker();
    taker.#consumer = await store.consume(queue, concurrency, (delivery) => taker.#arrivals.push(delivery));
    return taker;
  }

  /** All deliveries so far. */
  get deliveries(): readonly Delivery[] {
    return this.#arrivals.all;
  }

  get consumer(): Consumer {
    assert.ok(this.#consumer !== undefined);
    return this.#consumer;
  }

  next(withinMs: number = 10_000): Promise<Delivery> {
    return this.#arrivals.next(withinMs);
  }

  /** The next `count` ones, in the order of their coming. */
  nextOnes(count: number, withinMs?: number): Promise<Delivery[]> {
    return Promise.all(Array.from({ length: count }, () => this.next(withinMs)));
  }
}

interface Told {
  readonly event: "ready" | "taken" | "settled" | "lost";
  readonly id: string;
  readonly attempt: number;
  readonly settled: Settled;
}

/** Takes jobs in another process; see `store-taker.ts`. */
export class OtherProcess {
  readonly #child: ChildProcess;
  readonly #taken = new Arrivals<Told>("job in another process");
  readonly #settled = new Arrivals<Told>("settled job in another process");
  readonly #lost = new Arrivals<Told>("lost lease in another process");

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(
    elsewhere: { readonly module: URL; readonly argument: string } | undefined,
    queue: string,
    settings: QueueSettings,
    concurrency: number,
  ): Promise<OtherProcess> {
    assert.ok(elsewhere !== undefined, "the place cannot be reached from another process");
    const script = fileURLToPath(new URL("store-taker.ts", import.meta.url));
    const setup = JSON.stringify({ ...elsewhere, queue, settings, concurrency });
    const child = spawn(process.execPath, ["--conditions=sluice-source", script, setup], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const other = new OtherProcess(child);
    const { promise, resolve } = Promise.withResolvers<void>();
    createInterface({ input: child.stdout }).on("line", (line) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the script writes nothing else
      const told = JSON.parse(line) as Told;
      if (told.event === "ready") resolve();
      else if (told.event === "taken") other.#taken.push(told);
      else if (told.event === "settled") other.#settled.push(told);
      else other.#lost.push(told);
    });
    const failed = once(child, "exit").then(([code]) => {
      throw new Error(`the other process ended with code ${code} before it was ready`);
    });
    await Promise.race([promise, failed]);
    failed.catch(() => {});
    return other;
  }

  next(withinMs: number = 10_000): Promise<Told> {
    return this.#taken.next(withinMs);
  }

  /** The next lease that the process was told to have lost. */
  nextLost(withinMs: number = 10_000): Promise<Told> {
    return this.#lost.next(withinMs);
  }

  /** Settles a job there, and resolves to what came of it. */
  async settle(id: string, how: "done" | "release", withinMs: number = 10_000): Promise<Settled> {
    this.#child.stdin?.write(`${how} ${id}\n`);
    const told = await this.#settled.next(withinMs);
    assert.equal(told.id, id);
    return told.settled;
  }

  /** Stands still until `wake`, as a process does that is swapped out or held in a debugger. */
  freeze(): void {
    this.#child.kill("SIGSTOP");
  }

  wake(): void {
    this.#child.kill("SIGCONT");
  }

  /** As a machine does that loses its power. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

/** The same, in whatever order. */
export function assertSameJobs(
  actual: readonly (string | undefined)[],
  expected: readonly (string | undefined)[],
): void {
  assert.deepEqual(actual.map(String).toSorted(), expected.map(String).toSorted());
}

/** Waits until the levels of a queue are as expected: an engine may take a moment to count. */
export async function assertLevels(store: Store, queue: string, expected: Partial<QueueLevels>): Promise<void> {
  const look = async (): Promise<Partial<QueueLevels>> =>
    Object.fromEntries(Object.entries(await store.levels(queue)).filter(([name]) => name in expected));
  await assertSoon(look, expected, 5_000);
}

/** Waits until `look` resolves to what is expected, for at most `withinMs`. */
export async function assertSoon<Seen>(look: () => Promise<Seen>, expected: Seen, withinMs: number): Promise<void> {
  const untilMs = performance.now() + withinMs;
  for (;;) {
    const seen = await look();
    try {
      assert.deepEqual(seen, expected);
      return;
    } catch (error) {
      if (performance.now() > untilMs) throw error;
    }
    await sleep(50);
  }
}

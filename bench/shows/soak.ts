/**
 * Show: hours of trouble leave nothing behind. Every fault of faulty-server.ts, met in every way of soak-deeds.ts, 48
 * at a time over 16 connections; in the end no socket, timer, listener or context is left, and the heap is as it was.
 * `npm run soak`, which is `node --conditions=sluice-source bench/shows/soak.ts [--seconds 600] [--seed n]`
 */

import { getEventListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Transport } from "sluice/client";
import { createContext } from "sluice/core";
import { Child, figure } from "../support/child.ts";
import { compareInventories, takeInventory, type Inventory } from "../support/inventory.ts";
import { isMain, numbersFrom } from "../support/main.ts";
import { inMegabytes, inPercent, readSettledMemory } from "../support/memory.ts";
import type { Memory } from "../support/memory.ts";
import { formatTable, print, showProgress } from "../support/print.ts";
import { seededRandom } from "../support/random.ts";
import { spreadOf } from "../support/statistics.ts";
import { CrossedAnswer, deeds } from "./soak-deeds.ts";
import type { Deed, DeedTools } from "./soak-deeds.ts";

export interface SoakSize {
  readonly seconds: number;
  readonly seed: number;
}

export interface SoakFigures {
  readonly done: number;
  /** Outcomes by deed: "answered", or the code of the error. */
  readonly outcomes: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** Deeds that ended otherwise than a correct client ends them, the first of each kind in words. */
  readonly surprises: readonly string[];
  /** Deeds that had not ended after `stuckMs`. */
  readonly stuck: number;
  readonly memory: readonly Memory[];
  /** The median heap of the last quarter, as a part of that of the second. */
  readonly heapGrowth: number;
  /** What there is more of than before, by name: empty when nothing is left. */
  readonly left: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
}

const lanes = 48;
const stuckMs = 15_000;

export async function soak({ seconds, seed }: SoakSize): Promise<SoakFigures> {
  await using server = Child.node(new URL("faulty-server.ts", import.meta.url), String(seed));
  const origin = `http://127.0.0.1:${figure(await server.ask("listen"), "port")}`;
  const warnings: string[] = [];
  const onWarning = (warning: Error): void => {
    if (warning.name !== "ExperimentalWarning") warnings.push(`${warning.name}: ${warning.message}`);
  };
  // The first second loads what is loaded lazily and starts the timers that a module keeps for ever.
  await new Run(origin, seed).last(1, 1);
  await sleep(500);
  const before = takeInventory();
  process.on("warning", onWarning);
  const run = new Run(origin, seed);
  const left = await run.last(seconds, Math.min(60, Math.max(8, Math.floor(seconds / 5))));
  process.off("warning", onWarning);
  const leftBehind = await settledDifference(before);
  const open = figure(await server.ask("report"), "open");
  return {
    done: run.done,
    outcomes: run.outcomes,
    surprises: [...run.surprises.values()],
    stuck: run.stuck,
    memory: run.memory,
    heapGrowth: growthOf(run.memory.map(({ heapBytes }) => heapBytes)),
    left: { ...left, ...leftBehind, ...(open > 0 ? { openAtServer: open } : {}) },
    warnings,
  };
}

/** One transport, from its first request until it is closed. */
class Run {
  readonly outcomes = new Map<string, Map<string, number>>();
  readonly surprises = new Map<string, string>();
  readonly memory: Memory[] = [];
  done = 0;
  stuck = 0;
  readonly #origin: string;
  readonly #controller = new AbortController();
  readonly #tools: DeedTools;

  constructor(origin: string, seed: number) {
    this.#origin = origin;
    this.#tools = { random: seededRandom(seed), signal: this.#controller.signal };
  }

  /** Runs for the time given, reads the memory in between, closes, and tells what the transport still held. */
  async last(seconds: number, samples: number): Promise<Readonly<Record<string, number>>> {
    const transport = new Transport({
      maxConnsPerHost: 16,
      // Longer than a server that shares two cores with its load may be kept waiting by the machine.
      responseHeaderTimeout: "2s",
      bodyTimeout: "2s",
      idleConnTimeout: "1s",
    });
    const until = performance.now() + seconds * 1000;
    const lane = async (): Promise<void> => {
      // oxlint-disable-next-line no-await-in-loop
      while (performance.now() < until) await this.#doOne(transport);
    };
    const running = Promise.all(Array.from({ length: lanes }, lane));
    for (let sample = 1; sample <= samples; sample += 1) {
      // oxlint-disable-next-line no-await-in-loop
      await sleep((seconds * 1000) / samples);
      // oxlint-disable-next-line no-await-in-loop
      this.memory.push(await readSettledMemory());
      showProgress(`${Math.round((sample / samples) * seconds)}/${seconds} s, ${this.done} done`);
    }
    await running;
    const { inUse, waiting, connecting, inFlight } = await settledStats(transport);
    const listeners = getEventListeners(this.#controller.signal, "abort").length;
    await transport.close();
    const held = Object.entries({ inUse, waiting, connecting, inFlight, listeners });
    return Object.fromEntries(held.filter(([, count]) => count > 0));
  }

  async #doOne(transport: Transport): Promise<void> {
    const deed = this.#tools.random.pick(deeds);
    const context = createContext({ timeout: stuckMs * 2 });
    const ended = context
      .run(() => deed.run(transport, this.#origin, this.#tools))
      .then(
        () => undefined,
        (error: unknown) => error ?? new Error("Rejected with nothing"),
      );
    const late = Symbol("late");
    const stop = new AbortController();
    const outcome = await Promise.race([ended, sleep(stuckMs, late, { signal: stop.signal }).catch(() => late)]);
    stop.abort();
    context.cancel();
    if (outcome === late) this.stuck += 1;
    else this.#count(deed, outcome);
    this.done += 1;
  }

  #count({ name, expected }: Deed, error: unknown): void {
    const counts = this.outcomes.get(name) ?? new Map<string, number>();
    this.outcomes.set(name, counts);
    const outcome = error === undefined ? "answered" : nameOf(error);
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    // fetch's own TypeErrors have a cause; one without is a mistake in the code, whatever was expected.
    const mistaken = error instanceof TypeError && error.cause === undefined;
    const right =
      expected === "either" || error instanceof CrossedAnswer || (error === undefined) === (expected === "answer");
    if (right && !mistaken) return;
    this.surprises.set(
      `${name} ${outcome}`,
      `${name}: ${outcome}${error instanceof Error ? ` (${error.message})` : ""}`,
    );
  }
}

/** The code; fetch has none of its own and wraps what went wrong, so its cause is what tells. */
function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ("code" in error && typeof error.code === "string") return error.code;
  return error.cause instanceof Error ? nameOf(error.cause) : error.message;
}

/** What is left when all has had three seconds to go: a last timer or socket may take a moment, a leak takes for ever. */
async function settledDifference(before: Inventory): Promise<Readonly<Record<string, number>>> {
  for (let turn = 0; turn < 30; turn += 1) {
    // oxlint-disable-next-line no-await-in-loop
    await sleep(100);
    if (Object.keys(compareInventories(before, takeInventory())).length === 0) return {};
  }
  return compareInventories(before, takeInventory());
}

/** Bodies left unread, and what was given up, end shortly after the last deed: within a second, or they are left. */
async function settledStats(transport: Transport): Promise<ReturnType<Transport["stats"]>> {
  for (let turn = 0; turn < 20 && transport.stats().inUse > 0; turn += 1) {
    // oxlint-disable-next-line no-await-in-loop
    await sleep(50);
  }
  return transport.stats();
}

function growthOf(heap: readonly number[]): number {
  const quarter = Math.max(1, Math.floor(heap.length / 4));
  return spreadOf(heap.slice(-quarter)).median / spreadOf(heap.slice(quarter, quarter * 2)).median;
}

export function describeSoak(shown: SoakFigures): string {
  const rows = [...shown.outcomes.keys()]
    .toSorted()
    .map((name) => [
      name,
      [...(shown.outcomes.get(name) ?? [])].map(([outcome, count]) => `${outcome} ${count}`).join(", "),
    ]);
  const left = Object.entries(shown.left).map(([name, count]) => `${name} ${count}`);
  return [
    formatTable(rows, 2),
    `${shown.done} done, ${shown.stuck} stuck`,
    `heap ${shown.memory.map(({ heapBytes }) => inMegabytes(heapBytes)).join(", ")}`,
    `resident ${shown.memory.map(({ rssBytes }) => inMegabytes(rssBytes)).join(", ")}`,
    `heap of the last quarter against the second: ${inPercent(1, shown.heapGrowth)}`,
    `surprises: ${shown.surprises.join("; ") || "none"}`,
    `left behind: ${left.join(", ") || "nothing"}`,
    `warnings: ${shown.warnings.join("; ") || "none"}`,
  ].join("\n");
}

if (isMain(import.meta.url)) {
  const size = numbersFrom({ seconds: 600, seed: Math.floor(Math.random() * 2 ** 31) });
  print(`Soak of ${size.seconds} s, seed ${size.seed}`);
  const shown = await soak(size);
  showProgress("");
  print(describeSoak(shown));
  const failed = shown.stuck > 0 || shown.surprises.length > 0 || Object.keys(shown.left).length > 0;
  process.exitCode = failed || shown.heapGrowth > 1.05 ? 1 : 0;
}

/**
 * Show: a rolling restart that nobody notices. Two instances of a service stand behind Debian's HAProxy, then behind
 * nginx; under constant load one after the other gets SIGTERM, ends, and is started again. How many requests, uploads
 * and event streams fail? `node:http` beside it, under the same script: once as its manual has it, once with the care that
 * one can take by hand (see rolling-restart-service.ts).
 *
 * `node --conditions=sluice-source bench/shows/rolling-restart.ts [--drains 100] [--proxy haproxy,nginx]
 * [--service sluice,node:http,careful] [--gets 150] [--posts 100] [--seed n] [--trace] [--keep]`
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { describeMachine } from "../support/machine.ts";
import { isMain } from "../support/main.ts";
import { formatTable, print, showProgress } from "../support/print.ts";
import { seededRandom } from "../support/random.ts";
import { spreadOf } from "../support/statistics.ts";
import type { Spread } from "../support/statistics.ts";
import { Instance, services } from "./rolling-restart-instance.ts";
import type { ServiceName } from "./rolling-restart-instance.ts";
import { kinds, Load } from "./rolling-restart-load.ts";
import type { Failure, Kind, LoadSize, Tally } from "./rolling-restart-load.ts";
import { freePorts, Proxy, versionOfProxy } from "./rolling-restart-proxy.ts";
import type { ProxyName } from "./rolling-restart-proxy.ts";

export interface RestartSize extends LoadSize {
  readonly drains: number;
  readonly seed: number;
  /** Hears of each drain. */
  readonly onDrain?: (drain: DrainTrace) => void;
}

export interface RestartFigures {
  readonly proxy: ProxyName;
  readonly service: ServiceName;
  readonly drains: number;
  readonly tallies: Readonly<Record<Kind, Tally>>;
  readonly failures: readonly Failure[];
  /** Uploads that more than one instance took, or one of them twice. */
  readonly uploadedTwice: number;
  /** From SIGTERM until the process was gone. */
  readonly drainMs: Spread;
}

/** One restart. Times in milliseconds since SIGTERM, those of the failures too. */
interface DrainTrace {
  readonly turn: number;
  readonly goneAt: number;
  readonly listeningAt: number;
  readonly inRotationAt: number;
  readonly failures: readonly Failure[];
}

const usualLoad: LoadSize = { gets: 150, posts: 100, slowPosts: 5, streams: 20 };
const rotationPatienceMs = 30_000;

export async function restartUnderLoad(
  proxyName: ProxyName,
  service: ServiceName,
  size: RestartSize,
): Promise<RestartFigures> {
  const [front = 0, a = 0, b = 0] = await freePorts(3);
  const uploads = new Map<string, number>();
  await using pair = new Pair(service, [a, b], (path) => void uploads.set(path, (uploads.get(path) ?? 0) + 1));
  await Promise.all([pair.start(0, 0), pair.start(1, 0)]);
  await using _proxy = await Proxy.start(proxyName, { front, a, b });
  const load = new Load(`http://127.0.0.1:${front}`, size, seededRandom(size.seed));
  const drainMs: number[] = [];
  try {
    await inRotation(load, pair.name(0));
    await inRotation(load, pair.name(1));
    for (let turn = 1; turn <= size.drains; turn += 1) {
      const trace = await restartOne(pair, load, turn);
      drainMs.push(trace.goneAt);
      size.onDrain?.(trace);
    }
  } finally {
    await load.stop();
  }
  const uploadedTwice = [...uploads.values()].filter((times) => times > 1).length;
  const { tallies, failures } = load;
  return {
    proxy: proxyName,
    service,
    drains: size.drains,
    tallies,
    failures,
    uploadedTwice,
    drainMs: spreadOf(drainMs),
  };
}

/** Invariant: after the first start of each, there are two instances at any time but during a restart. */
class Pair implements AsyncDisposable {
  readonly #service: ServiceName;
  readonly #ports: readonly [number, number];
  readonly #onUpload: (path: string) => void;
  readonly #running = new Map<number, Instance>();

  constructor(service: ServiceName, ports: readonly [number, number], onUpload: (path: string) => void) {
    this.#service = service;
    this.#ports = ports;
    this.#onUpload = onUpload;
  }

  name(index: number): string {
    return this.#running.get(index)?.name ?? "none";
  }

  async start(index: number, turn: number): Promise<void> {
    const name = `${index === 0 ? "a" : "b"}${turn}`;
    const port = this.#ports[index] ?? 0;
    this.#running.set(index, await Instance.start(this.#service, { name, port, onUpload: this.#onUpload }));
  }

  async drain(index: number): Promise<void> {
    await this.#running.get(index)?.drain();
    this.#running.delete(index);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running.values()].map((instance) => instance[Symbol.asyncDispose]()));
  }
}

async function restartOne(pair: Pair, load: Load, turn: number): Promise<DrainTrace> {
  const index = turn % 2;
  const failedBefore = load.failures.length;
  const from = performance.now();
  await pair.drain(index);
  const goneAt = performance.now() - from;
  await pair.start(index, turn);
  const listeningAt = performance.now() - from;
  await inRotation(load, pair.name(index));
  const inRotationAt = performance.now() - from;
  const failures = load.failures.slice(failedBefore).map(({ kind, reason, sentAt, failedAt }) => {
    return { kind, reason, sentAt: sentAt - from, failedAt: failedAt - from };
  });
  return { turn, goneAt, listeningAt, inRotationAt, failures };
}

/** Until the load has had some answers from it. */
async function inRotation(load: Load, instance: string): Promise<void> {
  const until = performance.now() + rotationPatienceMs;
  while (load.answersOf(instance) < 5) {
    if (performance.now() > until) throw new Error(`${instance} got no requests for ${rotationPatienceMs} ms`);
    await sleep(10);
  }
}

export function describeRestart(shown: RestartFigures): string {
  const { proxy, service, drains, tallies, failures, uploadedTwice, drainMs } = shown;
  const rows = kinds.map((kind) => {
    const { sent, slowestMs } = tallies[kind];
    const reasons = Object.entries(reasonsOf(failures, kind)).map(([reason, count]) => `${count} ${reason}`);
    const failed = failures.filter((failure) => failure.kind === kind).length;
    return [kind, String(sent), String(failed), kind === "stream" ? "" : slowestMs.toFixed(0), reasons.join(", ")];
  });
  const spread = `${drainMs.median.toFixed(0)} ms (${drainMs.min.toFixed(0)}..${drainMs.max.toFixed(0)})`;
  return [
    `${service} behind ${proxy}: ${drains} drains of ${spread}, ${failures.length} failed, ${uploadedTwice} uploads taken twice`,
    formatTable([["", "sent", "failed", "slowest ms", "how"], ...rows]),
    "",
  ].join("\n");
}

function reasonsOf(failures: readonly Failure[], kind: Kind): Record<string, number> {
  const reasons: Record<string, number> = {};
  for (const failure of failures) {
    if (failure.kind === kind) reasons[failure.reason] = (reasons[failure.reason] ?? 0) + 1;
  }
  return reasons;
}

function describeTrace({ turn, goneAt, listeningAt, inRotationAt, failures }: DrainTrace): string {
  const [gone, listening, back] = [goneAt, listeningAt, inRotationAt].map((ms) => ms.toFixed(0));
  const first = failures.slice(0, 4).map((failure) => {
    const { kind, reason, sentAt, failedAt } = failure;
    return `\n  ${kind}: ${reason}, sent at ${sentAt.toFixed(0)}, failed at ${failedAt.toFixed(0)}`;
  });
  return `drain ${turn}: gone at ${gone}, listening at ${listening}, in rotation at ${back}, ${failures.length} failed${first.join("")}`;
}

/** Those named in `text`, of those there are. */
function choose<Name extends string>(text: string | undefined, known: readonly Name[]): readonly Name[] {
  if (text === undefined) return known;
  const wanted = text.split(",");
  const unknown = wanted.filter((name) => !known.some((one) => one === name));
  if (unknown.length > 0) throw new RangeError(`${unknown.join(", ")} is none of ${known.join(", ")}`);
  return known.filter((name) => wanted.includes(name));
}

async function main(): Promise<void> {
  const { values: given } = parseArgs({
    options: {
      drains: { type: "string", default: "100" },
      proxy: { type: "string" },
      service: { type: "string" },
      gets: { type: "string", default: String(usualLoad.gets) },
      posts: { type: "string", default: String(usualLoad.posts) },
      seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
      trace: { type: "boolean", default: false },
      keep: { type: "boolean", default: false },
    },
  });
  const load = { ...usualLoad, gets: Number(given.gets), posts: Number(given.posts) };
  const [drains, seed] = [Number(given.drains), Number(given.seed)];
  const machine = describeMachine();
  const shown: RestartFigures[] = [];
  print(`Rolling restart: ${drains} drains each, seed ${seed}, ${JSON.stringify(load)}\n`);
  for (const proxy of choose(given.proxy, ["haproxy", "nginx"] as const)) {
    for (const service of choose(given.service, services)) {
      let failed = 0;
      const onDrain = (trace: DrainTrace): void => {
        failed += trace.failures.length;
        if (given.trace) print(describeTrace(trace));
        showProgress(`${service} behind ${proxy}: ${trace.turn}/${drains} drains, ${failed} failed`);
      };
      const figures = await restartUnderLoad(proxy, service, { ...load, drains, seed, onDrain });
      showProgress("");
      print(describeRestart(figures));
      shown.push(figures);
    }
  }
  if (given.keep) keepResults(shown, { seed, load, machine });
}

function keepResults(shown: readonly RestartFigures[], circumstances: object): void {
  const date = new Date().toISOString().slice(0, 10);
  const versions = { node: process.versions.node, haproxy: versionOfProxy("haproxy"), nginx: versionOfProxy("nginx") };
  const command = ["node", ...process.execArgv, "bench/shows/rolling-restart.ts", ...process.argv.slice(2)].join(" ");
  const rows = shown.map(({ failures, tallies, ...rest }) => ({
    ...rest,
    failed: failures.length,
    tallies,
    failures: Object.fromEntries(kinds.map((kind) => [kind, reasonsOf(failures, kind)])),
  }));
  const folder = new URL("../results/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  const kept = { schema: 1, date, command, versions, ...circumstances, rows };
  writeFileSync(new URL(`rolling-restart-${date}.json`, folder), `${JSON.stringify(kept, undefined, 2)}\n`);
  print(`kept in bench/results/rolling-restart-${date}.json`);
}

if (isMain(import.meta.url)) await main();

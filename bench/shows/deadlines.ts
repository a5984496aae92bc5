/**
 * Show: each limit on time is met within 100 ms, alone and beside 5,000 other connections, before and while the server
 * drains. `node --conditions=sluice-source bench/shows/deadlines.ts [--others 5000] [--keep]`
 *
 * All limits are a second. Node's own server stands beside it, with every option that it has for the purpose.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Child, figure } from "../support/child.ts";
import { describeMachine, describeVersions } from "../support/machine.ts";
import { isMain } from "../support/main.ts";
import { formatTable, print, showProgress } from "../support/print.ts";
import { probes, type Config, type Kind, type Outcome, type Probe, type Scene } from "./deadline-probes.ts";

export type ContenderName = "sluice" | "node";
export type Phase = "serving" | "draining";

/** What became of the probes of one kind. */
export interface Finding {
  readonly contender: ContenderName;
  readonly kind: Kind;
  readonly others: number;
  readonly phase: Phase;
  readonly probe: string;
  /** Milliseconds until each of them was told or cut; `null` for never. */
  readonly tookMs: readonly (number | null)[];
}

/** What else is to be known of one server's run. */
export interface Run {
  readonly findings: readonly Finding[];
  /** The longest time for which the event loop of the server stood still. */
  readonly lagMs: number;
  /** Connections of the crowd that were closed though they had done nothing. */
  readonly lost: number;
}

export interface Stage {
  readonly contender: ContenderName;
  readonly kind: Kind;
  readonly config: Config;
  readonly others: number;
}

export const limitMs = 1_000;
export const allowedMs = 100;
/** Of each probe at once. */
const copies = 3;
/** Most of the crowd does little, some of it asks all the time. */
const busyShare = 0.2;

/** Sends the probes of a configuration to one server, and then those that are still there when it drains. */
export async function probeDeadlines({ contender, kind, config, others }: Stage): Promise<Run> {
  await using server = Child.node(new URL("deadline-server.ts", import.meta.url), contender, kind, config);
  const port = figure(await server.ask("listen"), "port");
  await using crowd = Child.node(new URL("bystanders.ts", import.meta.url), kind, String(port));
  const busy = Math.round(others * busyShare);
  if (others > 0) {
    await crowd.ask(config === "whole" ? "idle" : "held", others - busy, 120_000);
    await crowd.ask(config === "whole" ? "quick" : "slow", busy, 120_000);
    await sleep(1_500);
  }
  await server.ask("lag");
  const ended = async (number: number): Promise<number> => figure(await server.ask("ended", number), "afterMs");
  const scene: Scene = { kind, port, ended };
  const those = probes.filter((probe) => probe.config === config && probe.kinds.includes(kind));
  const serving = await runAll(those, scene);
  const lost = others - figure(await crowd.ask("leave"), "open");
  const draining = runAll(
    those.filter(({ drains }) => drains),
    scene,
  );
  await sleep(300);
  await server.ask("drain");
  const findings = [
    ...serving.map((tookMs, index) => find("serving", those[index], tookMs)),
    ...(await draining).map((tookMs, index) => find("draining", those.filter(({ drains }) => drains)[index], tookMs)),
  ];
  const lagMs = figure(await server.ask("lag"), "longestMs");
  return { findings, lagMs, lost };

  function find(phase: Phase, probe: Probe | undefined, tookMs: readonly Outcome[]): Finding {
    return { contender, kind, others, phase, probe: probe?.name ?? "", tookMs: tookMs.map((ms) => ms ?? null) };
  }
}

function runAll(those: readonly Probe[], scene: Scene): Promise<Outcome[][]> {
  return Promise.all(those.map((probe) => Promise.all(Array.from({ length: copies }, () => probe.run(scene)))));
}

/** By how much the worst of the probes missed the limit, in either direction; `Infinity` for never. */
export function worstMissMs({ tookMs }: Finding): number {
  return Math.max(...tookMs.map((ms) => (ms === null ? Infinity : Math.abs(ms - limitMs))));
}

function describe(finding: Finding | undefined): string {
  if (finding === undefined) return "";
  const worst = finding.tookMs.toSorted((a, b) => (a ?? Infinity) - (b ?? Infinity)).at(-1) ?? null;
  return worst === null ? "never" : (worst / 1_000).toFixed(2);
}

const kinds: readonly Kind[] = ["http", "https", "http2"];
const contenders: readonly ContenderName[] = ["sluice", "node"];
const phases: readonly Phase[] = ["serving", "draining"];

function printTable(findings: readonly Finding[], crowds: readonly number[]): void {
  const columns = contenders.flatMap((contender) =>
    phases.flatMap((phase) => crowds.map((others) => ({ contender, phase, others }))),
  );
  const heads = [
    ["", "", ...columns.map(({ contender }) => contender)],
    ["", "", ...columns.map(({ phase }) => phase)],
    ["limit of 1 s", "", ...columns.map(({ others }) => `${others} others`)],
  ];
  const rows = probes.flatMap(({ name, kinds: those }) =>
    those.map((kind) => [
      name,
      kind,
      ...columns.map((column) =>
        describe(
          findings.find(
            ({ contender, phase, others, ...one }) =>
              one.probe === name &&
              one.kind === kind &&
              contender === column.contender &&
              phase === column.phase &&
              others === column.others,
          ),
        ),
      ),
    ]),
  );
  print(formatTable([...heads, ...rows], 2));
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { others: { type: "string", default: "5000" }, keep: { type: "boolean", default: false } },
  });
  const crowds = [0, Number(values.others)];
  const machine = describeMachine();
  const findings: Finding[] = [];
  const runs: (Stage & Pick<Run, "lagMs" | "lost">)[] = [];
  const stages = crowds.flatMap((others) =>
    kinds.flatMap((kind) =>
      (["whole", "flow"] as const).flatMap((config) =>
        contenders.map((contender) => ({ contender, kind, config, others })),
      ),
    ),
  );
  for (const stage of stages) {
    showProgress(Object.values(stage).join(" "));
    // oxlint-disable-next-line no-await-in-loop -- together they would share the machine
    const run = await probeDeadlines(stage);
    findings.push(...run.findings);
    runs.push({ ...stage, lagMs: run.lagMs, lost: run.lost });
  }
  showProgress("");
  printTable(findings, crowds);
  const ours = findings.filter(({ contender }) => contender === "sluice");
  const missed = ours.filter((finding) => worstMissMs(finding) > allowedMs);
  const lagMs = Math.max(...runs.filter(({ contender }) => contender === "sluice").map((run) => run.lagMs));
  const lost = runs.filter(({ contender }) => contender === "sluice").reduce((sum, run) => sum + run.lost, 0);
  print("");
  print(`Seconds until the last of ${copies} clients was told or cut; node has no limit for what is never.`);
  print(`sluice: ${ours.length - missed.length} of ${ours.length} within ${allowedMs} ms, ${lost} of the crowd lost;`);
  print(`the event loop stood still for ${lagMs.toFixed(0)} ms at the most.`);
  for (const finding of missed) {
    print(
      `MISS  ${finding.probe}, ${finding.kind}, ${finding.phase}, ${finding.others} others: ${describe(finding)} s`,
    );
  }
  if (!values.keep) return;
  const date = new Date().toISOString().slice(0, 10);
  const folder = new URL("../results/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  const kept = { schema: 1, date, machine, versions: describeVersions([]), limitMs, allowedMs, copies, runs, findings };
  writeFileSync(new URL(`deadlines-${date}.json`, folder), `${JSON.stringify(kept, undefined, 2)}\n`);
  print(`kept in bench/results/deadlines-${date}.json`);
}

if (isMain(import.meta.url)) await main();

/**
 * What V8's profilers give, as profiles that `go tool pprof` reads.
 *
 * V8 tells a tree of calls, with places counted from 0, and samples that point into it. Lines are those of the source
 * that was written: where Node keeps source maps (`--enable-source-maps`), generated lines are led back.
 */

import { findSourceMap, type SourceMapping } from "node:module";
import { fileURLToPath } from "node:url";
import { ProfileBuilder, type ProfileFrame } from "./pprof.ts";

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
  readonly columnNumber: number;
}

interface CpuNode {
  readonly id: number;
  readonly callFrame: CallFrame;
  readonly children?: readonly number[] | undefined;
}

/** A `.cpuprofile`: times in microseconds. */
export interface CpuProfile {
  readonly nodes: readonly CpuNode[];
  readonly startTime: number;
  readonly endTime: number;
  readonly samples?: readonly number[] | undefined;
  readonly timeDeltas?: readonly number[] | undefined;
}

interface HeapNode {
  readonly callFrame: CallFrame;
  readonly selfSize: number;
  readonly children?: readonly HeapNode[] | undefined;
}

/** A `.heapprofile`. */
export interface HeapProfile {
  readonly head: HeapNode;
}

const nanosecondsPerMicrosecond = 1_000;

/** Waiting for work is no work. What stands for the collector and for native code stays. */
const notMeasured: ReadonlySet<string> = new Set(["(idle)", "(root)"]);

/** CPU time by stack. Idle time is left out. */
export function fromCpuProfile(
  profile: CpuProfile,
  { intervalMicros, startedAt }: { readonly intervalMicros: number; readonly startedAt: number },
): ProfileBuilder {
  const builder = new ProfileBuilder({
    valueTypes: [
      { type: "samples", unit: "count" },
      { type: "cpu", unit: "nanoseconds" },
    ],
    period: { type: { type: "cpu", unit: "nanoseconds" }, value: intervalMicros * nanosecondsPerMicrosecond },
    startedAt,
    durationMs: (profile.endTime - profile.startTime) / 1_000,
  });
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map(profile.nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])));
  const frames = new Frames();
  for (const [id, { count, micros }] of sumSamples(profile)) {
    const stack: ProfileFrame[] = [];
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const frame = nodes.get(at)?.callFrame;
      if (frame !== undefined && frame.functionName !== "(root)") stack.push(frames.find(frame));
    }
    const leaf = nodes.get(id)?.callFrame.functionName ?? "(idle)";
    if (!notMeasured.has(leaf)) builder.add(stack, [count, micros * nanosecondsPerMicrosecond]);
  }
  return builder;
}

/** Each sample stands for the time since the one before it. */
function sumSamples({ samples = [], timeDeltas = [] }: CpuProfile): Map<number, { count: number; micros: number }> {
  const sums = new Map<number, { count: number; micros: number }>();
  for (const [index, id] of samples.entries()) {
    const sum = sums.get(id) ?? { count: 0, micros: 0 };
    sum.count += 1;
    // A clock that was set back gives a negative one.
    sum.micros += Math.max(0, timeDeltas[index] ?? 0);
    sums.set(id, sum);
  }
  return sums;
}

/** Bytes that were taken and are still held, by the stack that took them. */
export function fromHeapProfile(
  { head }: HeapProfile,
  { intervalBytes, startedAt }: { readonly intervalBytes: number; readonly startedAt: number },
): ProfileBuilder {
  const builder = new ProfileBuilder({
    valueTypes: [{ type: "inuse_space", unit: "bytes" }],
    period: { type: { type: "space", unit: "bytes" }, value: intervalBytes },
    startedAt,
  });
  const frames = new Frames();
  // Not by recursion: a stack of the program may be deeper than ours.
  const open: { readonly node: HeapNode; readonly stack: readonly ProfileFrame[] }[] = [{ node: head, stack: [] }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { node, stack } = next;
    const own = node.callFrame.functionName === "(root)" ? stack : [frames.find(node.callFrame), ...stack];
    if (node.selfSize > 0) builder.add(own, [node.selfSize]);
    for (const child of node.children ?? []) open.push({ node: child, stack: own });
  }
  return builder;
}

/** Each place is looked up once: source maps are slow. */
class Frames {
  readonly #known = new Map<string, ProfileFrame>();

  find(frame: CallFrame): ProfileFrame {
    const key = `${frame.url}:${frame.lineNumber}:${frame.columnNumber}:${frame.functionName}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const made = toFrame(frame);
    this.#known.set(key, made);
    return made;
  }
}

function toFrame({ functionName, url, lineNumber, columnNumber }: CallFrame): ProfileFrame {
  const name = functionName === "" ? "(anonymous)" : functionName;
  const file = toPath(url);
  if (lineNumber < 0) return { name, file, line: 0 };
  // Without an entry it is an empty object.
  const origin: Partial<SourceMapping> = findSourceMap(file)?.findEntry(lineNumber, Math.max(columnNumber, 0)) ?? {};
  const { originalSource, originalLine } = origin;
  if (originalSource === undefined || originalLine === undefined) return { name, file, line: lineNumber + 1 };
  return { name, file: toPath(originalSource), line: originalLine + 1 };
}

function toPath(url: string): string {
  if (!url.startsWith("file:")) return url;
  try {
    return fileURLToPath(url);
  } catch {
    // A URL that is no path on this system is a name all the same.
    return url;
  }
}

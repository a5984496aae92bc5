/**
 * Show: clients that stop reading cost the others nothing. 1,000 clients of one channel, 100 of which are paused, get 10,000
 * events: how much waits for the paused ones, what each of the others got, and what the paused ones get when they read
 * on. Then 10,000 clients to whom nothing is sent: what each takes.
 * `node --conditions=sluice-source bench/shows/slow-consumer.ts [--clients 1000] [--paused 100] [--events 10000]
 * [--bytes 600] [--idle 10000]`
 */

import type { OverflowPolicy } from "sluice/streams";
import { Child, figure } from "../support/child.ts";
import { isMain, numbersFrom } from "../support/main.ts";
import { inMegabytes } from "../support/memory.ts";
import { print, showProgress } from "../support/print.ts";

export interface SlowConsumerSize {
  readonly clients: number;
  readonly paused: number;
  readonly events: number;
  /** Of each event. */
  readonly bytes: number;
}

export interface SlowConsumerFigures {
  readonly policy: OverflowPolicy;
  /** Resident memory of the server before the first event, and the most while they were sent. */
  readonly rssBefore: number;
  readonly mostRss: number;
  /** The most that waited in the streams, by their own count. */
  readonly mostBuffered: number;
  /** What the channel keeps for who comes again. */
  readonly historyBytes: number;
  /** Paused clients that were disconnected, and events that the others did not get. */
  readonly overflowed: number;
  readonly dropped: number;
  /** Numbers that a client missed without a word, and those that it got twice. */
  readonly gaps: number;
  readonly repeats: number;
  /** Times that a client was told that it has missed something. */
  readonly told: number;
  /** Those that came again, and the events that were sent to them once more. */
  readonly reconnects: number;
  readonly replayed: number;
  /** How long the clients that read took for all events, in milliseconds. */
  readonly tookMs: number;
  /** CPU time of the server for one event to one client, in microseconds. */
  readonly cpuMicros: number;
}

/** What is sent before the readers are waited for: half of what may wait for one of them. */
export const aheadBytes = 131_072;

async function crowd(
  server: Child,
  count: number,
): Promise<{ readonly clients: Child; readonly rssBefore: number; readonly port: number }> {
  const port = figure(await server.ask("listen"), "port");
  const rssBefore = figure(await server.ask("memory"), "rssBytes");
  const clients = Child.node(new URL("slow-consumer-crowd.ts", import.meta.url), String(port));
  await clients.ask("come", count);
  return { clients, rssBefore, port };
}

/** Sends to many of whom some do not read, and lets those read on. */
export async function consumeSlowly(
  policy: OverflowPolicy,
  { clients: count, paused, events, bytes }: SlowConsumerSize,
): Promise<SlowConsumerFigures> {
  await using server = Child.node(new URL("slow-consumer-server.ts", import.meta.url), String(bytes), policy);
  const { clients } = await crowd(server, count);
  await using _clients = clients;
  const rssBefore = figure(await server.ask("memory"), "rssBytes");
  const cpuBefore = figure(await server.ask("report"), "cpuMs");
  await clients.ask("pause", paused);
  const ahead = Math.ceil(aheadBytes / bytes);
  const from = performance.now();
  for (let sent = 0; sent < events; sent += ahead) {
    const upTo = Math.min(sent + ahead, events);
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await server.ask("send", upTo - sent);
    // oxlint-disable-next-line no-await-in-loop
    await clients.ask("reach", upTo);
    showProgress(`${policy}: ${upTo} events`);
  }
  const tookMs = performance.now() - from;
  const before = await server.ask("report");
  await clients.ask("resume");
  await clients.ask("reach", events);
  const seen = await clients.ask("report");
  const after = await server.ask("report");
  return {
    policy,
    rssBefore,
    mostRss: figure(before, "mostRss"),
    mostBuffered: figure(before, "mostBuffered"),
    historyBytes: figure(before, "historyBytes"),
    overflowed: figure(before, "overflowed"),
    dropped: figure(after, "dropped"),
    gaps: figure(seen, "gaps"),
    repeats: figure(seen, "repeats"),
    told: figure(seen, "told"),
    reconnects: figure(seen, "reconnects"),
    replayed: figure(after, "replayed"),
    tookMs,
    cpuMicros: ((figure(before, "cpuMs") - cpuBefore) * 1_000) / (events * count),
  };
}

export interface IdleFigures {
  /** What a client takes to whom nothing is sent, in bytes of the server's resident memory, and of its heap. */
  readonly bytesEach: number;
  readonly heapBytesEach: number;
  /** How long the first turn of one event to all of them keeps the loop from others: the median of 9, in milliseconds. */
  readonly turnMs: number;
  /** How long until all have had it, likewise. */
  readonly reachMs: number;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

/** Keeps many to whom nothing is sent, and then one event, a few times. */
export async function holdIdle(count: number): Promise<IdleFigures> {
  await using server = Child.node(new URL("slow-consumer-server.ts", import.meta.url));
  // The first ones compile the code and size the tables.
  const { clients } = await crowd(server, 200);
  await using _clients = clients;
  const before = await server.ask("memory");
  await clients.ask("come", count);
  const after = await server.ask("memory");
  const each = (name: string): number => (figure(after, name) - figure(before, name)) / count;
  const turns: number[] = [];
  const reaches: number[] = [];
  for (let sent = 1; sent <= 9; sent += 1) {
    const from = performance.now();
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    turns.push(figure(await server.ask("broadcast"), "turnMs"));
    // oxlint-disable-next-line no-await-in-loop
    await clients.ask("reach", sent);
    reaches.push(performance.now() - from);
  }
  const bytesEach = each("rssBytes");
  return { bytesEach, heapBytesEach: each("heapBytes"), turnMs: median(turns), reachMs: median(reaches) };
}

export function describeConsumers(size: SlowConsumerSize, shown: SlowConsumerFigures): string {
  const { clients, paused, events } = size;
  return [
    `${shown.policy}: ${events} events of ${size.bytes} bytes to ${clients} clients, ${paused} of them paused, in ${(shown.tookMs / 1_000).toFixed(1)} s ` +
      `(${shown.cpuMicros.toFixed(1)} us of CPU for an event to a client)`,
    `  server's memory ${inMegabytes(shown.rssBefore)} -> at most ${inMegabytes(shown.mostRss)}; its history ${inMegabytes(shown.historyBytes)}; ` +
      `at most ${inMegabytes(shown.mostBuffered)} waited, which others share`,
    `  paused: ${shown.overflowed} disconnected, ${shown.dropped} events left out, ${shown.told} times told of a gap`,
    `  all ${clients} in the end: ${shown.gaps} numbers missed without a word, ${shown.repeats} twice; ` +
      `${shown.reconnects} came again, ${shown.replayed} events were sent once more`,
  ].join("\n");
}

if (isMain(import.meta.url)) {
  const { idle, ...size } = numbersFrom({ clients: 1_000, paused: 100, events: 10_000, bytes: 600, idle: 10_000 });
  for (const policy of ["disconnect", "drop-oldest"] as const) {
    // oxlint-disable-next-line no-await-in-loop
    print(describeConsumers(size, await consumeSlowly(policy, size)));
  }
  const { bytesEach, heapBytesEach, turnMs, reachMs } = await holdIdle(idle);
  print(
    `${idle} idle clients: ${(bytesEach / 1_024).toFixed(1)} KB each, ${(heapBytesEach / 1_024).toFixed(1)} KB of that in the heap; ` +
      `one event reaches all of them in ${reachMs.toFixed(0)} ms, and keeps the loop for ${turnMs.toFixed(0)} ms at a time`,
  );
}

/**
 * How much of what was written the other side has not acknowledged: the only sign of a slow reader's progress.
 *
 * Node tells when the kernel takes bytes, and the kernel takes some when a third of its send buffer is free, which is
 * more than a megabyte on a fast link: a client that reads 200 KB/s from there looks as if it stood still for 7 s
 * (measured, loopback, Linux 6.18). Linux shows the queue of each socket in `/proc/net/tcp`, though only of all of
 * them at once: 2.7 us for each socket of the machine, and 5 ms to walk through an empty table. Elsewhere the answer
 * is `undefined`.
 *
 * So the tables are read when somebody is about to be cut, once for all who ask, and in a thread of its own: in that of
 * the server, even in small pieces, thousands of clients that do not read would make all others wait.
 */

import { fstatSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { now, systemClock } from "../core/clock.ts";
import { outside } from "../core/outside.ts";
import { readTables, type TableReading } from "./send-queue-tables.ts";

/** Of `self`, since `/proc/net` is the same by a link that containers may lack. */
const linuxTables: readonly string[] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
const tablesHere: readonly string[] = process.platform === "linux" ? linuxTables : [];

/**
 * From the start of one read to that of the next: an eighth of the grace of those who ask; so long that reading takes a
 * 20th of the time, but no longer than a sixth of the grace; and in any case twice the time that a read takes.
 */
function restMs(tookMs: number, graceMs: number): number {
  return Math.max(graceMs / 8, Math.min(20 * tookMs, graceMs / 6), 2 * tookMs);
}

/** How long the thread stays when nobody asks: it takes 40 ms to start, and some megabytes. */
const threadLingersMs = 30_000;

const threadSource = `
const { parentPort, workerData } = require("node:worker_threads");
const fs = require("node:fs");
const __name = (named) => named; // put around functions by bundlers that keep names
const read = ${readTables.toString()};
parentPort.on("message", () => {
  const from = performance.now();
  let reading = { exists: true, queues: undefined };
  try {
    reading = read(fs, workerData);
  } catch (error) {
    // A table that breaks off is there another time; what is no function of ours never will be.
    if (!("code" in error)) throw error;
  }
  parentPort.postMessage({ ...reading, tookMs: performance.now() - from });
});`;

/** What the thread says. */
interface Answer extends TableReading {
  readonly tookMs: number;
}

/** The queue of one socket at a moment between `askedAt` and `toldAt`. */
export interface SendQueue {
  readonly askedAt: number;
  readonly toldAt: number;
  /** Bytes that the kernel has been given, and the other side has not acknowledged. */
  readonly unackedBytes: number;
}

/** Queues by inode, as far as they are not empty. */
interface Snapshot {
  readonly askedAt: number;
  readonly toldAt: number;
  readonly queues: ReadonlyMap<number, number>;
}

/**
 * Invariant: at most one read is under way, begun at `#askedAt`, and `#snapshot` is what the last one that succeeded has
 * found. While there is a thread, `#callOff` calls off its end.
 */
export class SendQueues {
  readonly #tables: readonly string[];
  #thread: Worker | undefined;
  #callOff: (() => void) | undefined;
  #snapshot: Snapshot | undefined;
  #isReading = false;
  #askedAt = -Infinity;
  #tookMs = 0;
  /** Whether there is anything to read. Until it has been tried, that is hoped. */
  #isReadable: boolean;

  constructor(tables: readonly string[] = tablesHere) {
    this.#tables = tables;
    this.#isReadable = tables.length > 0;
  }

  /** `false` where nothing can be told. */
  get isReadable(): boolean {
    return this.#isReadable;
  }

  /** The queue of this descriptor's socket when the tables were read last; `undefined` if they never were. */
  look(descriptor: number): SendQueue | undefined {
    if (this.#snapshot === undefined) return undefined;
    const { askedAt, toldAt, queues } = this.#snapshot;
    return { askedAt, toldAt, unackedBytes: queues.get(inodeOf(descriptor)) ?? 0 };
  }

  /** Has the tables read, for whoever compares over a grace; unless that is being done, or has just been done. */
  refresh(graceMs: number): void {
    const at = now();
    if (!this.#isReadable || this.#isReading || at < this.#askedAt + restMs(this.#tookMs, graceMs)) return;
    // Not in the scope of the request that asks first.
    const thread = (this.#thread ??= outside(() => this.#startThread()));
    if (thread === undefined) return;
    this.#isReading = true;
    this.#askedAt = at;
    this.#lingerOn();
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that is of windows, this is a thread
    thread.postMessage("read");
  }

  /** Ends the thread. It starts again when it is needed. */
  close(): void {
    const thread = this.#thread;
    this.#thread = undefined;
    this.#isReading = false;
    this.#callOff?.();
    this.#callOff = undefined;
    void thread?.terminate();
  }

  #startThread(): Worker | undefined {
    try {
      const thread = new Worker(threadSource, {
        eval: true,
        name: "sluice send queues",
        workerData: this.#tables,
        // It needs none of what the program was started with.
        execArgv: [],
        env: {},
        resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 },
      });
      thread.on("message", (answer: Answer) => this.#onAnswer(thread, answer));
      thread.on("error", () => this.#giveUp(thread));
      thread.unref();
      return thread;
    } catch {
      // The program may be forbidden to have threads (`--permission`).
      this.#isReadable = false;
      return undefined;
    }
  }

  #onAnswer(thread: Worker, { exists, queues, tookMs }: Answer): void {
    if (thread !== this.#thread) return;
    this.#isReading = false;
    this.#isReadable = exists;
    this.#tookMs = tookMs;
    if (!exists) this.close();
    if (queues === undefined || !exists) return;
    const byInode = new Map<number, number>();
    for (let at = 0; at < queues.length; at += 2) byInode.set(queues[at] ?? 0, queues[at + 1] ?? 0);
    this.#snapshot = { askedAt: this.#askedAt, toldAt: now(), queues: byInode };
  }

  #giveUp(thread: Worker): void {
    if (thread !== this.#thread) return;
    this.#isReadable = false;
    this.close();
  }

  #lingerOn(): void {
    this.#callOff?.();
    this.#callOff = systemClock.wakeAfter(threadLingersMs, () => this.close());
  }
}

/** NaN, which is nobody's, if it is not open any more. */
function inodeOf(descriptor: number): number {
  try {
    return fstatSync(descriptor).ino;
  } catch {
    return NaN;
  }
}

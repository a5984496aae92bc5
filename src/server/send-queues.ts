/**
 * How much of what was written the other side has not acknowledged: the only sign of a slow reader's progress.
 *
 * Node tells when the kernel takes bytes, and the kernel takes some when a third of its send buffer is free, which is
 * more than a megabyte on a fast link: a client that reads 200 KB/s from there looks as if it stood still for 7 s
 * (measured, loopback, Linux 6.18). Linux shows the queue of each socket in `/proc/net/tcp`, though only of all of
 * them at once. So that is read when somebody is about to be cut, once for all who ask, off the main thread, and for
 * no more than 3 % of the time. Elsewhere the answer is `undefined`.
 */

import { fstatSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { now } from "../core/clock.ts";
import { outside } from "../core/outside.ts";

/** Of `self`, since `/proc/net` is the same by a link that containers may lack. */
const linuxTables: readonly string[] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
const tablesHere: readonly string[] = process.platform === "linux" ? linuxTables : [];

/** The kernel hands out no more at a time, whatever is asked for. */
const pageSize = 4_096;
const laneCount = 16;
/** A page costs 40 us: so many milliseconds from one look to the next, for each page, are 3 % of a core. */
const restPerPageMs = 1.3;
const leastRestMs = 10;

/** What a socket without unacknowledged bytes has in its line: most have. */
const nothingQueued = " 00000000:";
/** "0: 0100007F:1F90 0100007F:A2A1 01 00038D40:00000000 02:000A7D8C 00000000 0 0 2738465 ...": queue and inode. */
const linePattern = /^ *\d+: \S+ \S+ \S+ ([\dA-F]{8}):\S+ \S+ \S+ +\d+ +\d+ (\d+) /;

/** The queue of one socket. */
export interface SendQueue {
  readonly takenAt: number;
  /** Bytes that the kernel has been given, and the other side has not acknowledged. */
  readonly unackedBytes: number;
}

/** Queues by inode, as they were at one moment. */
interface Snapshot {
  readonly takenAt: number;
  readonly queues: ReadonlyMap<number, number>;
}

/** Invariant: at most one read is under way, and `#snapshot` is what the last one that ended has found. */
export class SendQueues {
  readonly #tables: readonly string[];
  #snapshot: Snapshot | undefined;
  #isReading = false;
  #notBefore = 0;
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

  /**
   * The queue of this descriptor's socket, at `since` or later. `"later"` if that is only being found out, `undefined`
   * if it cannot be, or if all is acknowledged.
   */
  look(descriptor: number, since: number): SendQueue | "later" | undefined {
    if (!this.#isReadable) return undefined;
    const snapshot = this.#snapshot;
    if (snapshot === undefined || snapshot.takenAt < since) {
      this.#refresh();
      return "later";
    }
    const unackedBytes = snapshot.queues.get(inodeOf(descriptor));
    return unackedBytes === undefined ? undefined : { takenAt: snapshot.takenAt, unackedBytes };
  }

  #refresh(): void {
    if (this.#isReading || now() < this.#notBefore) return;
    this.#isReading = true;
    // Not in the scope of the request that asks first.
    outside(() => void this.#read());
  }

  async #read(): Promise<void> {
    const takenAt = now();
    const queues = new Map<number, number>();
    const outcomes = await Promise.all(this.#tables.map((table) => readTable(table, queues)));
    const pages = outcomes.reduce<number>((sum, outcome) => sum + (outcome ?? 0), 0);
    this.#isReading = false;
    this.#notBefore = takenAt + Math.max(restPerPageMs * pages, leastRestMs);
    this.#isReadable = outcomes.some((outcome) => outcome !== undefined);
    // A table that could be read has at least a line with the names of its columns.
    if (pages > 0) this.#snapshot = { takenAt, queues };
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

/**
 * Puts the queues of a table into `queues`, and returns how many pages it has: `undefined` if there is no such table, as
 * in some containers, and 0 if it could not be read now, for want of a descriptor.
 *
 * Several reads are under way at once, or on a busy event loop each page would wait for another turn of it. The kernel
 * makes each page of whole lines when it is asked for, so it does not matter which of them gets which page.
 */
async function readTable(table: string, queues: Map<number, number>): Promise<number | undefined> {
  try {
    await using file = await open(table);
    const lanes = Array.from({ length: laneCount }, () => readPages(file, queues));
    return (await Promise.all(lanes)).reduce((sum, pages) => sum + pages, 0);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    return code === "ENOENT" || code === "EACCES" || code === "EPERM" ? undefined : 0;
  }
}

async function readPages(file: FileHandle, queues: Map<number, number>): Promise<number> {
  const buffer = Buffer.allocUnsafe(pageSize);
  for (let pages = 0; ; pages += 1) {
    // oxlint-disable-next-line no-await-in-loop -- one page after the other
    const { bytesRead } = await file.read(buffer, 0, pageSize, null);
    if (bytesRead === 0) return pages;
    for (const line of buffer.toString("latin1", 0, bytesRead).split("\n")) addLine(line, queues);
  }
}

function addLine(line: string, queues: Map<number, number>): void {
  if (line.includes(nothingQueued)) return;
  const [, queue = "", inode] = linePattern.exec(line) ?? [];
  if (inode !== undefined) queues.set(Number(inode), Number.parseInt(queue, 16));
}

/**
 * Reads the kernel's tables of TCP sockets: `/proc/net/tcp` has a line for each socket of the network namespace,
 * "0: 0100007F:1F90 0100007F:A2A1 01 00038D40:00000000 02:000A7D8C 00000000 0 0 2738465 ...", the fifth word of which
 * begins with the length of its send queue, and the tenth is its inode.
 *
 * It runs in a thread of its own (`send-queues.ts`), and looks at bytes, since nearly all lines are of no interest.
 */

import type fs from "node:fs";

/** What it needs of `node:fs`. */
export type TableFiles = Pick<typeof fs, "openSync" | "readSync" | "closeSync">;

export interface TableReading {
  /** Whether there are such tables, as not in all containers. */
  readonly exists: boolean;
  /**
   * Inode and length of each send queue that is not empty, one after the other; `undefined` if the tables could not be
   * read now, for want of a descriptor.
   */
  readonly queues: Uint32Array | undefined;
}

/**
 * Its source is what the thread is started with: a file of its own would be lost when somebody bundles the package. So
 * it uses nothing that is not its own.
 */
export function readTables(fs: TableFiles, tables: readonly string[]): TableReading {
  /** The kernel hands out no more at a time, whatever is asked for. */
  const pageSize = 4_096;
  const buffer = Buffer.allocUnsafe(2 * pageSize);
  const found: number[] = [];
  let exists = false;
  for (const table of tables) {
    let file: number;
    try {
      file = fs.openSync(table, "r");
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      // Another time there may be a descriptor to spare. All else will stay as it is.
      if (code === "EMFILE" || code === "ENFILE" || code === "ENOMEM") return { exists: true, queues: undefined };
      continue;
    }
    exists = true;
    try {
      readLines(file);
    } finally {
      fs.closeSync(file);
    }
  }
  return { exists, queues: Uint32Array.from(found) };

  function readLines(file: number): void {
    let held = 0;
    for (;;) {
      const bytes = fs.readSync(file, buffer, held, pageSize, null);
      if (bytes === 0) return;
      const end = held + bytes;
      let from = 0;
      for (let to = buffer.indexOf(10); to !== -1 && to < end; to = buffer.indexOf(10, from)) {
        addLine(from);
        from = to + 1;
      }
      // The kernel's pages are of whole lines; whatever else is read may not be.
      buffer.copyWithin(0, from, end);
      held = Math.min(end - from, pageSize);
    }
  }

  function addLine(from: number): void {
    let at = skipWords(from, 4);
    let length = 0;
    for (const last = at + 8; at < last; at += 1) {
      const byte = buffer[at] ?? 0;
      const digit = byte < 58 ? byte - 48 : (byte | 32) - 87;
      // The line with the names of the columns.
      if (digit < 0 || digit > 15) return;
      length = length * 16 + digit;
    }
    if (length === 0) return;
    let inode = 0;
    for (at = skipWords(at, 5); buffer[at] !== 32 && buffer[at] !== 10; at += 1) {
      inode = inode * 10 + (buffer[at] ?? 0) - 48;
    }
    found.push(inode, length);
  }

  /** Where the word begins that comes after so many, the present one included. */
  function skipWords(from: number, count: number): number {
    let at = from;
    while (buffer[at] === 32) at += 1;
    for (let word = 0; word < count; word += 1) {
      while (buffer[at] !== 32 && buffer[at] !== 10) at += 1;
      while (buffer[at] === 32) at += 1;
    }
    return at;
  }
}

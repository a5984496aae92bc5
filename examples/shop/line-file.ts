/**
 * A file of JSON lines that only grows: the orders, and the audit log.
 *
 * A line counts once it is on the disk. A process that is killed while it writes leaves half a line, which is nobody's:
 * what it was about was never answered for.
 */

import { open, readFile } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";

/** Invariant: one write at a time, in the order of the calls. */
export class LineFile implements AsyncDisposable {
  readonly #file: FileHandle;
  #last: Promise<void> = Promise.resolve();
  #isWhole = true;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Opens the file, or makes it; readable by its owner alone, for there are addresses of people in it. */
  static async open(path: string): Promise<LineFile> {
    const file = await open(path, "a", 0o600);
    await file.write("\n"); // after half a line there may be; empty lines are skipped
    return new LineFile(file);
  }

  /** Resolves once the line is on the disk. */
  append(value: unknown): Promise<void> {
    const written = this.#last.then(() => this.#write(`${JSON.stringify(value)}\n`));
    this.#last = written.catch(() => undefined); // told to whoever wrote it; the next one tries for itself
    return written;
  }

  async #write(line: string): Promise<void> {
    // After one that failed there may be half a line.
    const start = this.#isWhole ? "" : "\n";
    this.#isWhole = false;
    await this.#file.appendFile(start + line);
    await this.#file.datasync();
    this.#isWhole = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last;
    await this.#file.close();
  }
}

/** All whole lines of a file; none if there is no file. */
export async function readLines(path: string): Promise<readonly unknown[]> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw error;
  });
  return text.split("\n").flatMap((line) => {
    try {
      return line === "" ? [] : [JSON.parse(line) as unknown];
    } catch {
      return [];
    }
  });
}

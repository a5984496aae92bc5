/** Where the shop keeps what outlives it: orders, queue, audit log and outbox. */

import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export class DataFolder implements AsyncDisposable {
  readonly path: string;
  readonly isTemporary: boolean;

  private constructor(path: string, isTemporary: boolean) {
    this.path = path;
    this.isTemporary = isTemporary;
  }

  /** The given folder, which is kept; without one, a folder of its own that goes with the shop. */
  static async open(given: string | undefined): Promise<DataFolder> {
    if (given === undefined) return new DataFolder(await mkdtemp(join(tmpdir(), "millrace-")), true);
    const path = resolve(given);
    await mkdir(path, { recursive: true });
    return new DataFolder(path, false);
  }

  file(name: string): string {
    return join(this.path, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isTemporary) await rm(this.path, { recursive: true, force: true });
  }
}

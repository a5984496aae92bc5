/**
 * Show: a full disk refuses jobs in clear words, loses none that were acknowledged, and takes jobs again when there is room,
 * without anybody's doing. On a tmpfs of some megabytes, in a mount namespace.
 * `node --conditions=sluice-source bench/shows/full-disk.ts [--megabytes 32]`
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isMain, numbersFrom } from "../support/main.ts";
import { hasOwnDisk, ownDiskCommand } from "../support/own-disk.ts";
import { print } from "../support/print.ts";

export interface FullDiskFigures {
  readonly acknowledged: number;
  /** Jobs that the disk took until it was full. */
  readonly stock: number;
  /** Jobs that it took in place of those that were done then. */
  readonly readded: number;
  /** The codes of the errors that `add` gave. */
  readonly refusals: readonly string[];
  /** The names of the errors that the host was told. */
  readonly told: readonly string[];
  readonly slowestRefusalMs: number;
  /** Jobs whose end was on record while there was no room for new ones. */
  readonly doneWhileFull: number;
  /** And while there was no room at all. */
  readonly doneWithoutRoom: number;
  /** From when there was room until the first add was taken. */
  readonly recoveredMs: number;
  readonly lost: number;
  readonly twice: number;
  readonly fileBytes: number;
}

const script = fileURLToPath(new URL("full-disk-process.ts", import.meta.url));

/** `undefined` where no small disk can be had. */
export function fillDisk(megabytes: number): FullDiskFigures | undefined {
  if (!hasOwnDisk()) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "sluice-disk-"));
  const words = [process.execPath, "--conditions=sluice-source", script, folder];
  try {
    const [command, ...args] = ownDiskCommand(folder, megabytes, ...words);
    const { status, stdout } = spawnSync(command, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
      timeout: 60_000,
    });
    if (status !== 0) throw new Error(`The process on the small disk ended with ${status}`);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the script prints nothing else
    return JSON.parse(stdout) as FullDiskFigures;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (isMain(import.meta.url)) {
  const { megabytes } = numbersFrom({ megabytes: 32 });
  const shown = fillDisk(megabytes);
  if (shown === undefined) print("No small disk can be had here: it takes Linux, and the right to mount a tmpfs");
  else {
    print(`acknowledged         ${shown.acknowledged}, ${shown.stock} until the disk was full`);
    print(`refused with         ${shown.refusals.join(", ")}, within ${shown.slowestRefusalMs.toFixed(0)} ms`);
    print(`told to the host     ${shown.told.join(", ") || "nothing"}`);
    print(`done while full      ${shown.doneWhileFull}, in place of which ${shown.readded} were taken`);
    print(`done without room    ${shown.doneWithoutRoom}`);
    print(`taken again after    ${shown.recoveredMs.toFixed(0)} ms of room`);
    print(`lost, done twice     ${shown.lost}, ${shown.twice}`);
    if (shown.lost + shown.twice > 0) process.exitCode = 1;
  }
}

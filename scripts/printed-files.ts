/**
 * Writes files that are printed from the source, or checks that the committed ones are still what would be printed.
 */

import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./exports.ts";

/** What is printed into one folder. */
export interface Printout {
  /** Relative to the root of the repository. */
  readonly folder: string;
  /** Ending of the files in `folder` that are printed; others there are left alone. */
  readonly ending: string;
  /** Command that prints them, for the message. */
  readonly command: string;
  /** Text by file name. */
  readonly files: ReadonlyMap<string, string>;
}

/** Writes the files and removes those that are no longer printed. With `--check` in argv it changes nothing, and fails. */
export function writeOrCheck(printout: Printout): void {
  const { folder, ending, command, files } = printout;
  const old = globSync(`*${ending}`, { cwd: join(root, folder) }).filter((name) => !files.has(name));
  const changed = [...files.keys()].filter((name) => {
    const file = join(root, folder, name);
    return !existsSync(file) || readFileSync(file, "utf8") !== files.get(name);
  });
  if (process.argv.includes("--check")) {
    for (const name of [...changed, ...old]) console.error(`${folder}/${name} is not what the source says`);
    if (changed.length + old.length > 0) {
      console.error(`Run \`${command}\`, look at the difference, and commit it.`);
      process.exitCode = 1;
    } else {
      console.log(`${folder}: ${files.size} files are up to date`);
    }
    return;
  }
  mkdirSync(join(root, folder), { recursive: true });
  for (const name of old) rmSync(join(root, folder, name));
  for (const name of changed) writeFileSync(join(root, folder, name), files.get(name) ?? "");
  console.log(`${folder}: ${changed.length} of ${files.size} files written, ${old.length} removed`);
}

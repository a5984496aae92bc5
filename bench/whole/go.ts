/** Builds and starts a Go program that speaks the lines of `support/child.ts`. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Child } from "../support/child.ts";

/** The program is built in a folder that goes with the stack. The caller disposes of the child. */
export function startGo(folder: URL, args: readonly string[], stack: AsyncDisposableStack): Child {
  const output = mkdtempSync(join(tmpdir(), "sluice-bench-"));
  stack.defer(() => rmSync(output, { recursive: true, force: true }));
  const program = join(output, "program");
  execFileSync("go", ["build", "-o", program, "."], { cwd: fileURLToPath(folder) });
  // One processor, as the JavaScript of the others has: more of them cost Go CPU time without need in this test.
  return new Child(program, args, { ...process.env, GOMAXPROCS: "1" });
}

/**
 * Runs something on Node 24, the oldest line that sluice supports: `node scripts/node24.ts --test test/a.test.ts`.
 *
 * The runtime comes from npm like the pinned Node 26 does, but from the package of one platform: the `node` package
 * chooses among them in an install script, and two of it in one project would fight for `node_modules/.bin/node`. It
 * is kept in `node_modules/.cache`, and fetched once.
 */

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const version = "24.21.0";
const cache = fileURLToPath(new URL("../node_modules/.cache/sluice", import.meta.url));
const folder = join(cache, `node-${version}`);
const binary = process.platform === "win32" ? "node.exe" : "node";

/** Name of the npm package that holds Node for this platform. */
function packageName(): string {
  const os = process.platform === "win32" ? "win" : process.platform;
  const prefix = os === "darwin" && process.arch === "arm64" ? "node-bin" : "node";
  return `${prefix}-${os}-${process.arch}`;
}

/** Path of Node 24, or `undefined` while it was never fetched. */
export function findNode24(): string | undefined {
  const file = join(folder, "node_modules", packageName(), "bin", binary);
  return existsSync(file) ? file : undefined;
}

/** Path of Node 24; fetches it from npm the first time. */
export function fetchNode24(): string {
  const found = findNode24();
  if (found !== undefined) return found;
  mkdirSync(cache, { recursive: true });
  // Installed beside its place and moved there, so that an interrupted download is never taken for a runtime.
  const unfinished = mkdtempSync(join(cache, "unfinished-"));
  try {
    writeFileSync(join(unfinished, "package.json"), '{ "private": true }\n');
    const args = ["install", "--no-audit", "--no-fund", "--loglevel=error", `${packageName()}@${version}`];
    const npm = spawnSync("npm", args, {
      cwd: unfinished,
      stdio: ["ignore", 2, 2],
      shell: process.platform === "win32",
    });
    if (npm.status !== 0) throw new Error(`npm could not install Node ${version}; its own message is above`);
    if (findNode24() === undefined) renameSync(unfinished, folder);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  const file = findNode24();
  if (file === undefined) throw new Error(`${packageName()}@${version} holds no ${binary}`);
  return file;
}

/** Runs Node 24 with `args` and ends as it ends. Programs that it starts as `node` are Node 24 too. */
function runNode24(args: readonly string[]): void {
  const file = fetchNode24();
  const env = { ...process.env, PATH: [dirname(file), process.env["PATH"]].join(delimiter) };
  const child = spawn(file, args, { stdio: "inherit", env });
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? 128 + constants.signals[signal ?? "SIGTERM"];
  });
}

if (import.meta.main) runNode24(process.argv.slice(2));

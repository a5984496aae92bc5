/**
 * Makes `npm start` and `npm test` work as the first command typed after `git clone`.
 *
 * It runs before every script that needs the packages, on whatever Node the machine has (20 is enough, hence plain
 * JavaScript): when `node_modules` does not match `package-lock.json`, it runs `npm ci` once. The `node` package
 * among them brings the runtime that everything else uses, and where npm was told to run no install scripts, the
 * one script of that package is run here. It downloads nothing but npm packages, and prints on stderr only, so that
 * the output of the script that follows can be piped.
 */

import { spawnSync } from "node:child_process";
import { existsSync, lstatSync, readFileSync, realpathSync } from "node:fs";
import { delimiter, join, sep } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const modules = join(root, "node_modules");
const neededMajor = 24;

/** @param {string} line */
function say(line) {
  process.stderr.write(`sluice: ${line}\n`);
}

/** @param {string[]} lines */
function fail(...lines) {
  for (const line of lines) say(line);
  process.exit(1);
}

/** @param {string} file */
function readJson(file) {
  return JSON.parse(readFileSync(file, "utf8"));
}

/** Why the installed packages are not those of the lock file, or `undefined` when they are. */
function whatIsMissing() {
  // npm writes this file last, so an interrupted install has none.
  const hidden = join(modules, ".package-lock.json");
  if (!existsSync(hidden)) return "the packages are not installed";
  const wanted = readJson(join(root, "package-lock.json")).packages;
  const installed = readJson(hidden).packages;
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === "") continue;
    const found = installed[path];
    // Binaries for other platforms are optional and never installed.
    if (found === undefined && entry.optional) continue;
    if (found === undefined) return `${path} is missing`;
    if (found.version !== entry.version || found.integrity !== entry.integrity) return `${path} is out of date`;
    if (!existsSync(join(root, path, "package.json"))) return `${path} was removed`;
  }
  return undefined;
}

/** The pinned runtime starts and is new enough. */
function runtimeWorks() {
  const file = join(modules, ".bin", process.platform === "win32" ? "node.cmd" : "node");
  if (!existsSync(file)) return false;
  const asked = spawnSync(file, ["--version"], { encoding: "utf8", shell: process.platform === "win32" });
  return asked.status === 0 && Number.parseInt(asked.stdout.slice(1), 10) >= neededMajor;
}

/**
 * Runs a command with its output on stderr.
 *
 * Without `node_modules/.bin` in PATH: npm must not run on the very Node that it is about to replace.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {string} cwd
 */
function run(command, args, cwd) {
  const path = (process.env.PATH ?? "").split(delimiter).filter((folder) => !folder.startsWith(modules + sep));
  // What npm sets for the script that it runs now would make the inner npm believe that it runs in that script.
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^npm_(?:lifecycle_|package_|config_local_prefix|execpath|command)/.test(name),
  );
  const env = { ...Object.fromEntries(kept), PATH: path.join(delimiter) };
  const shell = process.platform === "win32";
  return spawnSync(command, args, { cwd, env, shell, stdio: ["ignore", 2, 2] });
}

/** @param {string} reason */
function installPackages(reason) {
  if (existsSync(modules) && lstatSync(modules).isSymbolicLink()) {
    // `npm ci` would empty a folder that belongs to another checkout.
    fail(
      `${reason}, and node_modules is a link to ${realpathSync(modules)}.`,
      "Run `npm ci` there, or remove the link.",
    );
  }
  say(`${reason}: running npm ci, which takes about a minute once`);
  const before = Date.now();
  const npm = run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], root);
  if (npm.status !== 0) {
    const how = npm.error ? npm.error.message : `exit code ${npm.status ?? npm.signal}`;
    fail(
      `npm ci failed (${how}); npm's own message is above.`,
      "Packages come from the npm registry. Offline, or behind a proxy? Connect, or set `npm config set registry URL`",
      "or `npm config set https-proxy URL`, and run the same command again.",
    );
  }
  say(`packages installed in ${Math.round((Date.now() - before) / 1000)} s`);
}

function installRuntime() {
  say("npm ran no install scripts, so the pinned Node is fetched now");
  const folder = join(modules, "node");
  const fetched = run(process.execPath, ["installArchSpecificPackage.js"], folder);
  // Only links `node_modules/.bin/node`, which npm left out because there was nothing to link to.
  const linked = run("npm", ["rebuild", "node", "--ignore-scripts", "--loglevel=error"], root);
  if (fetched.status === 0 && linked.status === 0 && runtimeWorks()) return;
  fail(
    `the pinned Node (package "node" of package.json) does not run on this machine.`,
    `Is the npm registry reachable? Else run the commands of package.json with a Node of your own, ${neededMajor} or newer.`,
  );
}

const reason = whatIsMissing();
if (reason !== undefined) installPackages(reason);
if (!runtimeWorks()) installRuntime();

/**
 * A network of one's own for a show with thousands of connections, where Linux and its rights allow it.
 *
 * On loopback a segment has 64 KB and the buffers of a connection grow to megabytes: thousands of slow readers would
 * take all memory that the kernel has for TCP, from everybody. In a network namespace segments have the size that they
 * have on Ethernet, and the limits of buffers are its own.
 */

import { spawnSync } from "node:child_process";

const prepare = [
  "ip link set lo up mtu 1500",
  "sysctl -qw net.ipv4.tcp_wmem='4096 16384 131072' net.ipv4.tcp_rmem='4096 16384 131072'",
];

function run(command: string, output: "ignore" | "inherit"): number | null {
  const arguments_ = ["--net", "sh", "-c", [...prepare, command].join(" && ")];
  return spawnSync("unshare", arguments_, { stdio: ["ignore", output, output] }).status;
}

/** Runs this very command there with one more argument, and returns its status; `undefined` if that cannot be had. */
export function runInOwnNetwork(argument: string): number | undefined {
  if (process.platform !== "linux" || run("true", "ignore") !== 0) return undefined;
  const words = [process.execPath, ...process.execArgv, ...process.argv.slice(1), argument];
  return run(`exec ${words.map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`).join(" ")}`, "inherit") ?? 1;
}

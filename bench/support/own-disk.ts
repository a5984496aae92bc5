/** A small disk of one's own for a show that fills it, where Linux and its rights allow it: a tmpfs in a mount namespace. */

import { spawnSync } from "node:child_process";

/** `--map-root-user` lets those mount who are not root, where the kernel has user namespaces for all. */
const namespace = ["--mount", ...(process.getuid?.() === 0 ? [] : ["--map-root-user"])];

/** Whether {@link ownDiskCommand} works here. */
export function hasOwnDisk(): boolean {
  if (process.platform !== "linux") return false;
  const [command, ...args] = ownDiskCommand("/tmp", 1, "true");
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

/** The command that runs `words` with a disk of `megabytes` in `folder`, which only that process sees. */
export function ownDiskCommand(folder: string, megabytes: number, ...words: readonly string[]): [string, ...string[]] {
  const script = 'mount -t tmpfs -o "size=$1m" tmpfs "$2" && shift 2 && exec "$@"';
  return ["unshare", ...namespace, "sh", "-c", script, "sh", String(megabytes), folder, ...words];
}

/** What a figure has to be read with: the machine, its system, and the versions that were measured. */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem, type } from "node:os";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly kernel: string;
  readonly loadAverage: number;
}

export function describeMachine(): Machine {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? "unknown",
    cores: processors.length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release()}`,
    loadAverage: Number((loadavg()[0] ?? 0).toFixed(2)),
  };
}

/** The versions of what was measured: Node, the undici inside it, Go when there is one, and the named packages. */
export function describeVersions(packages: readonly string[]): Readonly<Record<string, string>> {
  const installed = packages.map((name) => [name, versionOf(name)] as const);
  return {
    node: process.versions.node,
    "node's undici": process.versions["undici"] ?? "unknown",
    ...Object.fromEntries(installed),
    go: goVersion() ?? "absent",
  };
}

function versionOf(name: string): string {
  const manifest: unknown = JSON.parse(
    readFileSync(new URL(`../../node_modules/${name}/package.json`, import.meta.url), "utf8"),
  );
  return typeof manifest === "object" && manifest !== null && "version" in manifest
    ? String(manifest.version)
    : "unknown";
}

/** `undefined` when there is no `go` on the path. */
export function goVersion(): string | undefined {
  try {
    return execFileSync("go", ["env", "GOVERSION"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return undefined;
  }
}

/** Said in place of Go's row. */
export const goSkipped = "Go net/http: skipped; to include it install Go (apt-get install golang-go, or go.dev/dl)";

/** How many descriptors a process may have. Node raises the soft limit to the hard one by itself. */
export function descriptorLimit(): number {
  const report: { readonly userLimits?: { readonly open_files?: { readonly soft?: unknown } } } =
    process.report.getReport();
  const soft = report.userLimits?.open_files?.soft;
  return typeof soft === "number" ? soft : Infinity;
}

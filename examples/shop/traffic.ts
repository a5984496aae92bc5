/** Sends the customers' process out, turns its reports into a status line, and calls it back. */

import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { styleText } from "node:util";
import type { Report } from "./customers.ts";
import type { PoolLine } from "./pages.ts";
import type { Terminal } from "./terminal.ts";

export interface TrafficPlan {
  readonly url: string;
  readonly rate: number;
  readonly seed: number;
  readonly readPool: () => PoolLine;
}

/** Starts the traffic; disposing ends it. One line a second on a terminal, one in ten seconds through a pipe. */
export function startTraffic({ url, rate, seed, readPool }: TrafficPlan, terminal: Terminal): AsyncDisposable {
  const file = fileURLToPath(import.meta.resolve("./customers.ts"));
  const everyMs = terminal.isLive ? 1000 : 10_000;
  const child = fork(file, [url, rate, seed, everyMs].map(String), { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  let stopping = false;
  child.on("message", (message) => {
    if (!stopping && isReport(message)) terminal.show(describe(message, readPool()));
  });
  child.on("exit", (code, signal) => {
    if (!stopping) terminal.log(`The customers are gone (${signal ?? `code ${code}`}). The shop stays open.`);
  });
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      stopping = true;
      terminal.endStatus();
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      const force = setTimeout(() => child.kill("SIGKILL"), 500);
      if (child.connected) child.disconnect();
      await exited;
      clearTimeout(force);
    },
  };
}

function isReport(message: unknown): message is Report {
  return typeof message === "object" && message !== null && "p99Ms" in message;
}

function describe(report: Report, pool: PoolLine): string {
  const { seconds, answered, failed, skipped, ordered, watching, p50Ms, p99Ms } = report;
  const bad = failed + skipped;
  const parts = [
    `${styleText(bad > 0 ? "red" : "green", "●")} ${(answered / seconds).toFixed(0)} pages/s`,
    `p50 ${p50Ms.toFixed(0)} ms`,
    `p99 ${p99Ms.toFixed(0)} ms`,
    bad > 0 ? styleText("red", `${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`) : "0 failed",
    `${ordered} ordered, ${watching} watching`,
    styleText("dim", `pool: ${pool.open} open, ${pool.opened} opened, ${pool.reused.toLocaleString("en")} reused`),
  ];
  return `  ${parts.join("  ")}`;
}

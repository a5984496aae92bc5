/**
 * Keeps the three upstream processes running: starts them, learns their ports, restarts one that died, stops them all.
 *
 * A restart is bounded (a service that dies again and again stays down, and the shop shows what it can without it),
 * and takes the former port, so that an address never changes while the shop runs.
 */

import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export const roles = ["catalog", "stock", "reviews"] as const;
export type Role = (typeof roles)[number];

export interface UpstreamStatus {
  readonly state: "starting" | "up" | "restarting" | "down" | "stopped";
  readonly url: string;
  readonly pid: number | undefined;
  readonly restarts: number;
}

const startLimitMs = 10_000;
const stopLimitMs = 500;
const restartDelayMs = 250;
/** More deaths than this within a minute, and the service is left alone. */
const maxDeathsPerMinute = 5;

/**
 * One process and its successors.
 *
 * Invariant: at most one of `#child` (alive) and `#restart` (planned) is set, and neither after `stop()`. Whatever goes
 * wrong with a process ends in `#onExit`, the only place that decides about the next one.
 */
class Upstream {
  readonly role: Role;
  /** Resolves when the service listens for the first time, rejects when it is given up before. */
  readonly ready: Promise<void>;
  readonly #settleReady: { readonly resolve: () => void; readonly reject: (reason: Error) => void };
  readonly #log: (line: string) => void;
  #state: UpstreamStatus["state"] = "starting";
  #child: ChildProcess | undefined;
  #restart: NodeJS.Timeout | undefined;
  #port = 0;
  #restarts = 0;
  #deaths: readonly number[] = [];

  constructor(role: Role, log: (line: string) => void) {
    this.role = role;
    this.#log = log;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#settleReady = { resolve, reject };
    this.#start();
  }

  get status(): UpstreamStatus {
    const url = `http://127.0.0.1:${this.#port}`;
    return { state: this.#state, url, pid: this.#child?.pid, restarts: this.#restarts };
  }

  /** Ends the process: by asking, and by force if it doesn't listen. */
  async stop(): Promise<void> {
    this.#state = "stopped";
    clearTimeout(this.#restart);
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    const force = setTimeout(() => child.kill("SIGKILL"), stopLimitMs);
    if (child.connected) child.disconnect();
    await exited;
    clearTimeout(force);
  }

  #start(): void {
    const file = fileURLToPath(import.meta.resolve("./upstream.ts"));
    const child = fork(file, [this.role, String(this.#port)], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
    this.#child = child;
    const limit = setTimeout(() => child.kill("SIGKILL"), startLimitMs);
    child.once("message", (message) => {
      clearTimeout(limit);
      if (this.#child === child) this.#onListening(message);
    });
    const ended = (reason: string): void => {
      clearTimeout(limit);
      if (this.#child === child) this.#onExit(reason);
    };
    child.once("exit", (code, signal) => ended(signal ?? `code ${code}`));
    child.on("error", (error) => ended(error.message)); // it could not be started: there is no "exit" then
  }

  #onListening(message: unknown): void {
    if (typeof message !== "object" || message === null || !("port" in message)) return;
    this.#port = Number(message.port);
    if (this.#state === "restarting") this.#log(`${this.role} is back on ${this.status.url}`);
    this.#state = "up";
    this.#settleReady.resolve();
  }

  #onExit(reason: string): void {
    this.#child = undefined;
    const now = Date.now();
    this.#deaths = [...this.#deaths.filter((at) => now - at < 60_000), now];
    if (this.#deaths.length > maxDeathsPerMinute) {
      this.#state = "down";
      const verdict = `${this.role} ended (${reason}), the ${this.#deaths.length}th time within a minute: it stays down`;
      this.#log(verdict);
      this.#settleReady.reject(new Error(verdict));
      return;
    }
    this.#state = "restarting";
    const delay = restartDelayMs * 2 ** (this.#deaths.length - 1);
    this.#log(`${this.role} ended (${reason}), restart in ${delay} ms`);
    this.#restart = setTimeout(() => {
      this.#restart = undefined;
      this.#restarts += 1;
      this.#start();
    }, delay);
  }
}

export class Upstreams implements AsyncDisposable {
  readonly #all: readonly Upstream[];

  constructor(log: (line: string) => void) {
    this.#all = roles.map((role) => new Upstream(role, log));
  }

  /** Resolves when every service listens. */
  async ready(): Promise<void> {
    await Promise.all(this.#all.map((upstream) => upstream.ready));
  }

  status(): Readonly<Record<string, UpstreamStatus>> {
    return Object.fromEntries(this.#all.map((upstream) => [upstream.role, upstream.status]));
  }

  url(role: Role): string {
    return this.#all[roles.indexOf(role)]?.status.url ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#all.map((upstream) => upstream.stop()));
  }
}

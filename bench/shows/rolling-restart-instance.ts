/** One of the two instances of the rolling restart, from one start to its end: a child process and its SIGTERM. */

import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** See rolling-restart-service.ts. */
export const services = ["sluice", "node:http", "careful"] as const;
export type ServiceName = (typeof services)[number];

export interface InstanceOptions {
  /** Unlike that of any other start of either instance. */
  readonly name: string;
  readonly port: number;
  /** Hears of each upload that was taken. */
  readonly onUpload: (path: string) => void;
}

/** No drain takes longer, or something holds it for ever. */
const stuckMs = 30_000;

export class Instance implements AsyncDisposable {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #exit: Promise<unknown>;

  private constructor(name: string, process: ChildProcess) {
    this.name = name;
    this.#process = process;
    this.#exit = once(process, "exit");
  }

  /** Resolves when it listens. */
  static async start(service: ServiceName, { name, port, onUpload }: InstanceOptions): Promise<Instance> {
    const file = fileURLToPath(new URL("rolling-restart-service.ts", import.meta.url));
    const child = fork(file, [service, name, String(port)], { execArgv: ["--conditions=sluice-source"] });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    child.on("message", (message) => {
      if (message === "listening") resolve();
      else if (typeof message === "object" && "uploaded" in message) onUpload(String(message.uploaded));
    });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${name} ended with ${code} before it listened`)));
    await promise;
    return new Instance(name, child);
  }

  /** SIGTERM, and resolves when the process is gone. */
  async drain(): Promise<void> {
    this.#process.kill("SIGTERM");
    const stuck = setTimeout(() => this.#process.kill("SIGKILL"), stuckMs);
    await this.#exit;
    clearTimeout(stuck);
    const { signalCode, exitCode } = this.#process;
    if (exitCode !== 0) throw new Error(`${this.name} ended with ${signalCode ?? exitCode}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill("SIGKILL");
    await this.#exit;
  }
}

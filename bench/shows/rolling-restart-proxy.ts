/**
 * The proxies of the rolling restart: Debian's HAProxy and nginx in the foreground, on loopback, as nobody, with a
 * configuration of their own in a temporary folder.
 */

import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export type ProxyName = "haproxy" | "nginx";

export interface ProxyPorts {
  /** Where clients come in. */
  readonly front: number;
  /** The two instances. */
  readonly a: number;
  readonly b: number;
}

/** Debian keeps both out of the PATH of those who are not root. */
const env = { ...process.env, PATH: `${process.env["PATH"] ?? ""}${delimiter}/usr/sbin` };

/** Debian's nobody: a proxy that root starts does not stay root. */
const nobody = { uid: 65_534, gid: 65_534 };

export class Proxy implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #folder: string;

  private constructor(process: ChildProcess, folder: string) {
    this.#process = process;
    this.#folder = folder;
  }

  /** Resolves when it accepts connections. */
  static async start(name: ProxyName, ports: ProxyPorts): Promise<Proxy> {
    const folder = mkdtempSync(join(tmpdir(), `sluice-${name}-`));
    const file = name === "haproxy" ? "rolling-restart-haproxy.cfg" : "rolling-restart-nginx.conf";
    const template = readFileSync(new URL(file, import.meta.url), "utf8");
    const config = join(folder, file);
    writeFileSync(config, fillIn(template, { ...ports, folder }));
    const asRoot = process.getuid?.() === 0;
    if (asRoot) chownSync(folder, nobody.uid, nobody.gid);
    if (asRoot) chownSync(config, nobody.uid, nobody.gid);
    const args = name === "haproxy" ? ["-db", "-q", "-f", config] : ["-e", "stderr", "-p", folder, "-c", config];
    const child = spawn(name, args, { env, stdio: ["ignore", "ignore", "inherit"], ...(asRoot ? nobody : {}) });
    const proxy = new Proxy(child, folder);
    try {
      await proxy.#accepting(name, ports.front);
    } catch (error) {
      await proxy[Symbol.asyncDispose]();
      throw error;
    }
    return proxy;
  }

  async #accepting(name: ProxyName, port: number): Promise<void> {
    let failure: Error | undefined;
    this.#process.once("error", (error) => (failure = error));
    this.#process.once("exit", (code) => (failure = new Error(`${name} ended with ${code} before it listened`)));
    for (let tries = 0; tries < 500; tries += 1) {
      if (failure !== undefined) throw failure;
      // oxlint-disable-next-line no-await-in-loop
      if (await accepts(port)) return;
      // oxlint-disable-next-line no-await-in-loop
      await sleep(20);
    }
    throw new Error(`${name} does not listen on port ${port}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { exitCode, signalCode, pid } = this.#process;
    if (exitCode === null && signalCode === null && pid !== undefined) {
      const exit = once(this.#process, "exit");
      this.#process.kill("SIGTERM");
      await exit;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** As it calls itself, such as "2.6.12-1+deb12u4". */
export function versionOfProxy(name: ProxyName): string {
  const { stdout, stderr } = spawnSync(name, ["-v"], { env, encoding: "utf8" });
  return /(?:version |nginx\/)(\S+)/.exec(`${stdout ?? ""}${stderr ?? ""}`)?.[1] ?? "unknown";
}

function fillIn(template: string, values: Readonly<Record<string, string | number>>): string {
  return template.replaceAll(/@(\w+)@/g, (place, name: string) => String(values[name] ?? place));
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    // Refused: not yet.
    return false;
  } finally {
    socket.destroy();
  }
}

/**
 * Ports that are free and stay so while nobody listens: an instance comes back to its port, and below the range of
 * outgoing connections none of those can have taken it meanwhile.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    // oxlint-disable-next-line no-await-in-loop
    if (!ports.includes(port) && (await isFree(port))) ports.push(port);
  }
  return ports;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
    return true;
  } catch {
    // Somebody else's.
    return false;
  } finally {
    server.close();
  }
}

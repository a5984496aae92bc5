/**
 * Engines of one's own: a Redis, a PostgreSQL or a NATS server on a free port, with its files in a temporary folder, to
 * be killed and started again. What is shared with others stays alone.
 */

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findProgram } from "../../test/support/require.ts";
import { freePorts } from "../shows/rolling-restart-proxy.ts";

export type EngineName = "redis" | "postgres" | "nats";

interface Recipe {
  /** Names of the program. */
  readonly programs: readonly string[];
  readonly args: (folder: string, port: number) => readonly string[];
  readonly url: (port: number) => string;
  /** Whether it runs already for whoever asks; asked again and again until it does. */
  readonly isReady: (port: number, folder: string) => Promise<boolean>;
  /** Done once, before the first start. */
  readonly prepare?: (folder: string, owner: Owner) => void;
}

interface Owner {
  readonly uid?: number;
  readonly gid?: number;
}

const recipes: Readonly<Record<EngineName, Recipe>> = {
  // Every write is on disk before it is answered: what a queue in Redis needs to keep its word.
  redis: {
    programs: ["valkey-server", "redis-server"],
    args: (dir, port) =>
      [
        "--port",
        port,
        "--dir",
        dir,
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--save",
        "",
        "--bind",
        "127.0.0.1",
      ].map(String),
    url: (port) => `redis://127.0.0.1:${port}`,
    isReady: (port) => answers(port, "PING\r\n", "+PONG"),
  },
  postgres: {
    programs: ["postgres"],
    args: (dir, port) => ["-D", dir, "-p", String(port), "-k", dir, "-h", "127.0.0.1"],
    url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
    // An SSL request is answered by a postmaster that takes connections, also by one that is still recovering; then a
    // start-up message is refused by a whole sentence and not with `R`.
    isReady: (port) => answers(port, startupMessage(), "R"),
    prepare(folder, owner) {
      const made = spawnSync(findEngineProgram(["initdb"]), ["-D", folder, "-U", "postgres", "-A", "trust", "-N"], {
        ...owner,
        stdio: "pipe",
        encoding: "utf8",
      });
      if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`);
    },
  },
  nats: {
    programs: ["nats-server"],
    args: (dir, port) => ["-a", "127.0.0.1", "-p", String(port), "-js", "-sd", dir],
    url: (port) => `nats://127.0.0.1:${port}`,
    isReady: (port) => answers(port, 'CONNECT {"verbose":false}\r\nPING\r\n', "PONG"),
  },
};

/** Debian keeps PostgreSQL's programs in a folder for each version. */
const folders = [
  process.env["PATH"] ?? "",
  "/usr/sbin",
  ...Array.from({ length: 10 }, (_, index) => `/usr/lib/postgresql/${20 - index}/bin`),
].join(":");

function findEngineProgram(names: readonly string[]): string {
  const found = findProgram(folders, names);
  if (found === undefined) throw new Error(`${names.join(" or ")} is not on this machine`);
  return found;
}

/** A start-up message of PostgreSQL's protocol 3.0 (its manual, "Message Formats"). */
function startupMessage(): Buffer {
  const words = Buffer.from("user\0postgres\0database\0postgres\0\0");
  const head = Buffer.alloc(8);
  head.writeInt32BE(8 + words.length, 0);
  head.writeInt32BE(196_608, 4);
  return Buffer.concat([head, words]);
}

/** Whether the server on `port`, sent `question`, says `answer` within a second. */
async function answers(port: number, question: string | Buffer, answer: string): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  const { promise, resolve } = Promise.withResolvers<boolean>();
  let heard = "";
  socket.setTimeout(1_000, () => resolve(false));
  socket.on("error", () => resolve(false)).on("close", () => resolve(false));
  socket.on("data", (chunk) => {
    heard += chunk.toString("latin1");
    if (answer === "R" ? heard.startsWith("R") : heard.includes(answer)) resolve(true);
  });
  socket.write(question);
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

/** The user of an engine that root starts: PostgreSQL does not run as root. */
function ownerOf(name: EngineName): Owner {
  if (name !== "postgres" || process.getuid?.() !== 0) return {};
  const uid = Number(spawnSync("id", ["-u", "postgres"], { encoding: "utf8" }).stdout) || 65_534;
  const gid = Number(spawnSync("id", ["-g", "postgres"], { encoding: "utf8" }).stdout) || 65_534;
  return { uid, gid };
}

/** One engine of one's own. Disposing of it kills it and removes its files. */
export class Engine implements AsyncDisposable {
  readonly name: EngineName;
  readonly port: number;
  readonly #folder: string;
  readonly #owner: Owner;
  #process: ChildProcess | undefined;

  private constructor(name: EngineName, port: number, folder: string, owner: Owner) {
    this.name = name;
    this.port = port;
    this.#folder = folder;
    this.#owner = owner;
  }

  /** Resolves when it answers. */
  static async start(name: EngineName): Promise<Engine> {
    const [port = 0] = await freePorts(1);
    const folder = mkdtempSync(join(tmpdir(), `sluice-${name}-`));
    const owner = ownerOf(name);
    if (owner.uid !== undefined && owner.gid !== undefined) chownSync(folder, owner.uid, owner.gid);
    const engine = new Engine(name, port, folder, owner);
    try {
      recipes[name].prepare?.(folder, owner);
      await engine.start();
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
    return engine;
  }

  get url(): string {
    return recipes[this.name].url(this.port);
  }

  /** After `kill`: on the same port, with what it has on disk. */
  async start(): Promise<void> {
    const { programs, args, isReady } = recipes[this.name];
    const child = spawn(findEngineProgram(programs), args(this.#folder, this.port), {
      ...this.#owner,
      stdio: "ignore",
    });
    this.#process = child;
    for (let tries = 0; tries < 1_000; tries += 1) {
      if (child.exitCode !== null) throw new Error(`${this.name} ended with ${child.exitCode} before it was ready`);
      // oxlint-disable-next-line no-await-in-loop
      if (await isReady(this.port, this.#folder)) return;
      // oxlint-disable-next-line no-await-in-loop
      await sleep(20);
    }
    throw new Error(`${this.name} does not answer on port ${this.port}`);
  }

  /** As a power cut does. Of PostgreSQL this is the postmaster; its children end when they notice. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill(this.name === "postgres" ? "SIGQUIT" : "SIGKILL");
    await exit;
  }

  /** Stands still and answers nothing, with its connections open, until `wake`. */
  freeze(): void {
    this.#process?.kill("SIGSTOP");
  }

  wake(): void {
    this.#process?.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.wake();
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

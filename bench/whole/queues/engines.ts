/** The engines behind the other queues: Redis servers of the run's own, and a PostgreSQL that is there. */

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createServer, connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";

/** As the tests have it. */
export const database: string = process.env["DATABASE_URL"] ?? "postgres://postgres@127.0.0.1:5432/test";

export async function hasDatabase(): Promise<boolean> {
  const client = new Client({ connectionString: database, connectionTimeoutMillis: 2_000 });
  try {
    await client.connect();
    await client.end();
    return true;
  } catch {
    return false;
  }
}

/** What the run has left there; processes that are ended do not clear up themselves. */
export async function dropSchemas(names: readonly string[]): Promise<void> {
  const client = new Client({ connectionString: database });
  await client.connect();
  for (const name of names) await client.query(`DROP SCHEMA IF EXISTS "${name}" CASCADE`);
  await client.end();
}

export function hasRedis(): boolean {
  return spawnSync("redis-server", ["--version"], { stdio: "ignore" }).status === 0;
}

/** A Redis that keeps its jobs on disk; `always` before it answers, `everysec` up to a second later. */
export class OwnRedis implements AsyncDisposable {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(port: number, process: ChildProcess) {
    this.port = port;
    this.#process = process;
  }

  static async start(folder: string, sync: "always" | "everysec"): Promise<OwnRedis> {
    const port = await freePort();
    const dir = join(folder, `redis-${sync}`);
    mkdirSync(dir);
    const settings = { port, bind: "127.0.0.1", dir, save: "", appendonly: "yes", appendfsync: sync };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const redis = new OwnRedis(port, spawn("redis-server", args, { stdio: "ignore" }));
    for (let tries = 0; tries < 100 && !(await answers(port)); tries += 1) await sleep(50);
    return redis;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exit = once(this.#process, "exit");
    this.#process.kill();
    await exit;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  const isUp = await new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
  });
  socket.destroy();
  return isUp;
}

/** The reference shop as a process, and what a test does with it over HTTP. */

// oxlint-disable no-await-in-loop -- each step follows the one before it
// oxlint-disable typescript/no-unsafe-type-assertion -- a wrong shape fails the test that looks at it

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** What is asked, beside the address. */
export interface Question {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Upstream {
  readonly pid: number;
  readonly url: string;
  readonly state: string;
  readonly restarts: number;
}

const mainFile = fileURLToPath(new URL("../../examples/shop/main.ts", import.meta.url));

/** Whatever the shops of one test file leave behind, one that was killed for instance. */
const root = mkdtempSync(join(tmpdir(), "millrace-test-"));
after(() => rmSync(root, { recursive: true, force: true }));

/** The shop as its user has it: a program that prints where it is. */
export class ShopProcess {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown>;
  output = "";
  errors = "";

  constructor(t: TestContext, ...args: string[]) {
    this.child = spawn(process.execPath, ["--conditions=sluice-source", mainFile, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, NODE_TEST_CONTEXT: undefined, TMPDIR: root },
    });
    this.exited = once(this.child, "close");
    // Also after a failure, and by asking: only the shop can end a service that a test has halted.
    t.after(() => this.stop());
    this.child.stdout?.on("data", (chunk: Buffer) => (this.output += chunk.toString()));
    this.child.stderr?.on("data", (chunk: Buffer) => (this.errors += chunk.toString()));
  }

  /** The address that the shop printed. */
  async url(): Promise<string> {
    return until(() => {
      if (this.child.exitCode !== null) throw new Error(`the shop did not start: ${this.errors}`);
      return /Shop\s+(http:\/\/127\.0\.0\.1:\d+)\//.exec(this.output)?.[1];
    });
  }

  async upstreams(): Promise<Record<string, Upstream>> {
    const { body } = await get(`${await this.url()}/debug/upstreams`);
    return JSON.parse(body) as Record<string, Upstream>;
  }

  /** Ends the shop at once, and its services with it. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exited;
  }

  /** Ends the shop as its user would. A second call waits for the same end. */
  async stop(): Promise<void> {
    this.child.kill("SIGTERM");
    const force = setTimeout(() => this.child.kill("SIGKILL"), 5000);
    await this.exited;
    clearTimeout(force);
  }
}

/** Asks again until there is an answer; ten seconds are plenty for a slow machine. */
export async function until<T>(ask: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (const limit = Date.now() + 10_000; Date.now() < limit; await sleep(25)) {
    const found = await ask();
    if (found !== undefined) return found;
  }
  throw new Error("what the test waited for did not happen within 10 s");
}

/** One request on a connection of its own. */
export async function get(url: string, { method = "GET", headers = {}, body = "" }: Question = {}): Promise<Answer> {
  const sent = request(url, { method, headers, agent: false });
  sent.end(body);
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  const chunks = (await response.toArray()) as Buffer[];
  return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString() };
}

/** A data folder for a shop that is started twice, gone with the test file. */
export function makeFolder(): string {
  return mkdtempSync(join(root, "data-"));
}

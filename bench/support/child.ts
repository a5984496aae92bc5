/**
 * Another process that does a piece of the measurement: a client under test, the server it talks to. Its own process,
 * so that its CPU time is its own and no two peers share an event loop, a JIT or a heap.
 *
 * The two sides speak lines: `verb number` down the child's stdin, one JSON object of numbers (or `{"error": text}`)
 * back for each. A program in another language can speak that too, which is why this is not `process.send`.
 * A child ends when its stdin ends, so none outlives its parent.
 */

import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";

/** What a child answers: names and numbers. */
export type Figures = Readonly<Record<string, number>>;

export function figure(figures: Figures, name: string): number {
  const value = figures[name];
  if (value === undefined) throw new Error(`The child's answer has no figure named ${name}`);
  return value;
}

interface Question {
  readonly resolve: (figures: Figures) => void;
  readonly reject: (error: Error) => void;
}

/** Invariant: `#questions` holds what was asked and not answered, oldest first; the child answers in that order. */
export class Child implements AsyncDisposable {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #questions: Question[] = [];
  #ended: Error | undefined;

  /** Starts `node file ...args` from source. */
  static node(file: URL, ...args: readonly string[]): Child {
    return new Child(process.execPath, ["--conditions=sluice-source", fileURLToPath(file), ...args]);
  }

  constructor(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    this.#process = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"], env });
    createInterface({ input: this.#process.stdout }).on("line", (line) => this.#onAnswer(line));
    this.#process.on("error", (error) => this.#onEnd(error));
    this.#process.on("exit", (code, signal) => this.#onEnd(new Error(`${command} ended with ${signal ?? code}`)));
    this.#process.stdin.on("error", (error) => this.#onEnd(error));
  }

  /** Asks, and waits for the answer for at most `withinMs`. */
  ask(verb: string, argument = 0, withinMs = 60_000): Promise<Figures> {
    const { promise, resolve, reject } = Promise.withResolvers<Figures>();
    if (this.#ended) {
      reject(this.#ended);
      return promise;
    }
    const late = setTimeout(() => {
      this.#onEnd(new Error(`No answer to "${verb} ${argument}" within ${withinMs} ms`));
      this.#process.kill("SIGKILL");
    }, withinMs);
    this.#questions.push({ resolve, reject });
    this.#process.stdin.write(`${verb} ${argument}\n`);
    return promise.finally(() => clearTimeout(late));
  }

  #onAnswer(line: string): void {
    const question = this.#questions.shift();
    const answer: unknown = JSON.parse(line);
    if (isFigures(answer)) question?.resolve(answer);
    else question?.reject(new Error(describeFailure(answer, line)));
  }

  #onEnd(reason: Error): void {
    this.#ended ??= reason;
    for (const question of this.#questions.splice(0)) question.reject(this.#ended);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#process;
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    const stuck = setTimeout(() => child.kill("SIGKILL"), 2_000);
    const exit = once(child, "exit");
    child.stdin.end();
    await exit;
    clearTimeout(stuck);
  }
}

/** The child's side: answers each line on stdin by the verb's function, one after the other, until stdin ends. */
export async function answerParent(
  verbs: Readonly<Record<string, (argument: number) => Figures | Promise<Figures>>>,
): Promise<never> {
  for await (const line of createInterface({ input: process.stdin })) {
    const [verb = "", argument = "0"] = line.split(" ");
    const answer = await answerTo(verbs[verb], verb, Number(argument));
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  process.exit(0);
}

async function answerTo(
  handle: ((argument: number) => Figures | Promise<Figures>) | undefined,
  verb: string,
  argument: number,
): Promise<Figures | { readonly error: string }> {
  if (!handle) return { error: `Unknown verb ${verb}` };
  try {
    return await handle(argument);
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

function isFigures(value: unknown): value is Figures {
  return typeof value === "object" && value !== null && Object.values(value).every((item) => typeof item === "number");
}

function describeFailure(answer: unknown, line: string): string {
  return typeof answer === "object" && answer !== null && "error" in answer ? String(answer.error) : line;
}

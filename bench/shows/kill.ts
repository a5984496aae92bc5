/**
 * Show: whatever is killed, and whenever, no acknowledged job is lost. Two processes at a time share a queue, add jobs and
 * do them; each is killed (SIGKILL) at a random moment and followed by another. In the end one process does what is left.
 *
 * A job may be done twice only if its lease was lost: whoever did it first was killed before that was on record.
 * `node --conditions=sluice-source bench/shows/kill.ts [sqlite] [--kills 200] [--seed n]`
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { isMain, numbersFrom } from "../support/main.ts";
import { print, showProgress } from "../support/print.ts";
import { seededRandom, type Random } from "../support/random.ts";
import { killStores } from "./kill-stores.ts";

export interface KillSize {
  readonly kills: number;
  readonly seed: number;
}

export interface KillFigures {
  readonly kills: number;
  readonly acknowledged: number;
  readonly done: number;
  readonly givenUp: number;
  /** Acknowledged and neither done nor given up, or given up and not among the dead. */
  readonly lost: readonly string[];
  /** Begun again although its end was on record. */
  readonly againAfterEnd: readonly string[];
  /** Begun again while the process that had it was well. */
  readonly againWithoutReason: readonly string[];
  /** Done more than once, because whoever did it first was killed before it was on record. */
  readonly doneTwice: number;
  /** What is wrong with the place. */
  readonly damage: readonly string[];
}

const leaseMs = 300;
const atOnce = 2;
const queue = "kill";

/** What one process knew of one job. */
interface Try {
  readonly process: number;
  readonly attempt: string;
  readonly beganUs: number;
  endedUs: number;
  /** As in kill-process.ts: `d`, `x`, `r`, `l`; none if it was killed before. */
  end: string | undefined;
}

/** What became of every job, from what the processes have written. */
class Book {
  readonly acknowledged = new Set<string>();
  readonly tries = new Map<string, Try[]>();
  readonly done = new Map<string, number>();
  readonly dead = new Set<string>();

  /** What one process has written; nothing if it was killed before it could. */
  read(process: number, file: string): void {
    if (!existsSync(file)) return;
    // The last line may have been cut short.
    for (const line of readFileSync(file, "utf8").split("\n").slice(0, -1)) this.#write(process, line);
  }

  #write(process: number, line: string): void {
    const [fact = "", id = "", attempt = "", us = ""] = line.split(" ");
    if (fact === "a") this.acknowledged.add(id);
    else if (fact === "z") this.dead.add(id);
    else if (fact === "h") this.done.set(id, (this.done.get(id) ?? 0) + 1);
    else if (fact === "s") {
      const all = this.tries.get(id) ?? [];
      all.push({ process, attempt, beganUs: Number(us), endedUs: Infinity, end: undefined });
      this.tries.set(id, all);
    } else {
      const last = this.tries.get(id)?.find((each) => each.process === process && each.attempt === attempt);
      if (last === undefined) return;
      last.end = fact;
      last.endedUs = Number(us);
    }
  }

  /** Jobs of which two tries stand in a relation that they must not. */
  pairs(isWrong: (one: Try, other: Try) => boolean): string[] {
    return [...this.tries].flatMap(([id, all]) =>
      all.some((one) => all.some((other) => one !== other && isWrong(one, other))) ? [id] : [],
    );
  }

  endsWith(end: string): string[] {
    return [...this.tries].flatMap(([id, all]) => (all.some((each) => each.end === end) ? [id] : []));
  }
}

const script = fileURLToPath(new URL("kill-process.ts", import.meta.url));

/** One process of the show, and when it was killed. */
class Victim {
  readonly #child: ReturnType<typeof spawn>;
  readonly #facts = new Map<string, PromiseWithResolvers<void>>();
  readonly #ended: Promise<unknown>;

  constructor(args: readonly string[]) {
    this.#child = spawn(process.execPath, ["--conditions=sluice-source", script, ...args], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const { stdout } = this.#child;
    if (stdout === null) throw new Error("the process has no output");
    const lines = createInterface({ input: stdout });
    lines.on("line", (line) => this.#fact(line).resolve());
    this.#ended = once(this.#child, "exit");
  }

  #fact(name: string): PromiseWithResolvers<void> {
    let fact = this.#facts.get(name);
    if (fact === undefined) this.#facts.set(name, (fact = Promise.withResolvers()));
    return fact;
  }

  /** Resolves once it has said so; rejects if it ends before. */
  async until(name: string): Promise<void> {
    const ended = this.#ended.then(() => Promise.reject(new Error(`The process ended before it was ${name}`)));
    await Promise.race([this.#fact(name).promise, ended]);
    ended.catch(() => undefined);
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  async leave(): Promise<void> {
    this.#child.stdin?.end();
    await this.#ended;
  }
}

export async function killProcesses(name: string, { kills, seed }: KillSize): Promise<KillFigures> {
  const store = killStores[name];
  if (store === undefined) throw new RangeError(`There is no store named ${name}`);
  await using place = await store.newPlace();
  const random = seededRandom(seed);
  const folder = mkdtempSync(join(tmpdir(), "sluice-kill-facts-"));
  using _folder = { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
  let killed = 0;
  let started = 0;
  const start = (adds: "adds" | "clears"): Victim => {
    started += 1;
    const facts = join(folder, String(started));
    return new Victim([name, place.argument, queue, String(leaseMs), String(seed + started), adds, facts]);
  };
  const lane = async (): Promise<void> => {
    while (killed < kills) {
      killed += 1;
      const victim = start("adds");
      await livesFor(victim, random);
      await victim.kill();
      showProgress(`${name}: ${killed} of ${kills} kills`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  const last = start("clears");
  await last.until("empty");
  await last.leave();
  showProgress("");
  const book = new Book();
  for (let process = 1; process <= started; process += 1) book.read(process, join(folder, String(process)));
  return { kills: killed, ...judge(book, started), damage: await place.inspect() };
}

/** Some die before they are up, some in their first milliseconds, some in the midst of their work. */
async function livesFor(victim: Victim, random: Random): Promise<void> {
  if (random.below(10) === 0) return sleep(random.below(100));
  await victim.until("ready");
  return sleep(random.below(120));
}

function isOver({ end }: Try): boolean {
  return end === "d" || end === "x";
}

function judge(book: Book, survivor: number): Omit<KillFigures, "kills" | "damage"> {
  const isKept = (id: string): boolean => book.done.has(id) || book.dead.has(id);
  // Of a killed process nobody knows what it had on record; of the others, and of what was told, everything.
  const wasKilled = ({ process, end }: Try): boolean => process !== survivor && end === undefined;
  return {
    acknowledged: book.acknowledged.size,
    done: book.done.size,
    givenUp: book.dead.size,
    lost: [...book.acknowledged, ...book.endsWith("x")].filter((id) => !isKept(id)),
    againAfterEnd: book.pairs((one, other) => isOver(one) && other.beganUs > one.endedUs),
    againWithoutReason: book.pairs(
      (one, other) => other.beganUs >= one.beganUs && !wasKilled(one) && one.end !== "r" && one.end !== "l",
    ),
    doneTwice: [...book.done.values()].filter((times) => times > 1).length,
  };
}

if (isMain(import.meta.url)) {
  const isNamed = process.argv[2]?.startsWith("--") === false;
  const [name = "sqlite"] = isNamed ? process.argv.splice(2, 1) : [];
  const size = numbersFrom({ kills: 200, seed: Math.floor(Math.random() * 2 ** 31) });
  print(`${name}, ${size.kills} kills, ${atOnce} processes at a time, seed ${size.seed}`);
  const shown = await killProcesses(name, size);
  print(`acknowledged           ${shown.acknowledged}`);
  print(`done                   ${shown.done}, of these twice ${shown.doneTwice} (killed before it was on record)`);
  print(`given up               ${shown.givenUp}`);
  print(`lost                   ${shown.lost.length}`);
  print(`begun again after end  ${shown.againAfterEnd.length}`);
  print(`begun again for no reason ${shown.againWithoutReason.length}`);
  for (const line of shown.damage) print(`damage: ${line}`);
  const wrong = shown.lost.length + shown.againAfterEnd.length + shown.againWithoutReason.length + shown.damage.length;
  if (wrong > 0) process.exitCode = 1;
}

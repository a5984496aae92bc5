/**
 * Show: a server closes idle connections around the moment of the client's next request, and the caller never hears of
 * it. `node --conditions=sluice-source bench/shows/keep-alive-race.ts [--requests 200000] [--posts 20000] [--seed n]`
 *
 * GETs and PUTs may be repeated, so none may fail. A POST without a key may fail, but is never processed twice.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { Child, figure } from "../support/child.ts";
import { isMain, numbersFrom } from "../support/main.ts";
import { formatTable, print, showProgress } from "../support/print.ts";
import { seededRandom } from "../support/random.ts";
import type { Random } from "../support/random.ts";
import { openContender } from "./contender.ts";
import type { Call, Contender, ContenderName } from "./contender.ts";

export interface RaceSize {
  /** GETs, and as many PUTs. */
  readonly requests: number;
  readonly posts: number;
  readonly seed: number;
}

/** What became of the requests of one method. */
export interface Tally {
  readonly sent: number;
  readonly ok: number;
  readonly errors: Readonly<Record<string, number>>;
}

export interface RaceFigures {
  readonly name: ContenderName;
  readonly tallies: Readonly<Record<RaceMethod, Tally>>;
  readonly replays: number;
  /** Connections that the server closed, by kind, and POSTs that it processed and then cut off. */
  readonly serverClosed: { readonly fin: number; readonly close: number; readonly reset: number; readonly cut: number };
  readonly postsProcessedTwice: number;
  readonly seconds: number;
}

export type RaceMethod = "GET" | "PUT" | "POST";

const inFlight = 64;
/** The server closes within this time after an answer, and the client sends again within it. */
const windowMs = 2;
const closeShare = 0.1;

export async function raceKeepAlive(name: ContenderName, { requests, posts, seed }: RaceSize): Promise<RaceFigures> {
  const arguments_ = [seed, windowMs, closeShare].map(String);
  await using server = Child.node(new URL("racing-server.ts", import.meta.url), ...arguments_);
  const origin = `http://127.0.0.1:${figure(await server.ask("listen"), "port")}`;
  await using client = openContender(name, { maxConnsPerHost: inFlight, idleConnTimeoutMs: 30_000 });
  const random = seededRandom(seed);
  const counters = { GET: new Counter(), PUT: new Counter(), POST: new Counter() };
  const plan = new Plan({ GET: requests, PUT: requests, POST: posts }, random);
  const from = performance.now();
  const lane = async (): Promise<void> => {
    for (let next = plan.take(); next; next = plan.take()) {
      // oxlint-disable-next-line no-await-in-loop
      await sendOne(client, origin, next, counters[next.method]);
      // oxlint-disable-next-line no-await-in-loop
      await sleep(random.next() * windowMs);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  const report = await server.ask("report");
  return {
    name,
    tallies: { GET: counters.GET.tally(), PUT: counters.PUT.tally(), POST: counters.POST.tally() },
    replays: client.replays(),
    serverClosed: {
      fin: figure(report, "fin"),
      close: figure(report, "close"),
      reset: figure(report, "reset"),
      cut: figure(report, "cut"),
    },
    postsProcessedTwice: figure(report, "twice"),
    seconds: (performance.now() - from) / 1000,
  };
}

interface Next {
  readonly method: RaceMethod;
  readonly id: number;
}

/** The requests still to be sent: each method in its share, mixed at random. */
class Plan {
  readonly #left: Record<RaceMethod, number>;
  readonly #random: Random;
  #sent = 0;

  constructor(counts: Record<RaceMethod, number>, random: Random) {
    this.#left = counts;
    this.#random = random;
  }

  take(): Next | undefined {
    const { GET, PUT, POST } = this.#left;
    if (GET + PUT + POST === 0) return undefined;
    const drawn = this.#random.below(GET + PUT + POST);
    const method = drawn < GET ? "GET" : drawn < GET + PUT ? "PUT" : "POST";
    this.#left[method] -= 1;
    this.#sent += 1;
    if (this.#sent % 5_000 === 0) showProgress(`${this.#sent} sent`);
    return { method, id: this.#sent };
  }
}

class Counter {
  #sent = 0;
  #ok = 0;
  readonly #errors: Record<string, number> = {};

  succeeded(): void {
    this.#sent += 1;
    this.#ok += 1;
  }

  failed(error: unknown): void {
    this.#sent += 1;
    const name = error instanceof Error && "code" in error ? String(error.code) : String(error);
    this.#errors[name] = (this.#errors[name] ?? 0) + 1;
  }

  tally(): Tally {
    return { sent: this.#sent, ok: this.#ok, errors: this.#errors };
  }
}

async function sendOne(client: Contender, origin: string, { method, id }: Next, counter: Counter): Promise<void> {
  const call: Call = method === "GET" ? { method } : { method, body: `{"id":${id}}` };
  try {
    const response = await client.request(`${origin}/${method.toLowerCase()}/${id}`, call);
    const text = await response.body.text();
    if (response.statusCode !== 200 || text !== "ok") throw new Error(`${response.statusCode} ${text}`);
    counter.succeeded();
  } catch (error) {
    counter.failed(error);
  }
}

export function describeRace(race: RaceFigures): string {
  const { fin, close, reset, cut } = race.serverClosed;
  const rows = Object.entries(race.tallies).map(([method, { sent, ok, errors }]) => [
    `  ${method}`,
    Object.entries(errors)
      .map(([code, count]) => `${code} ${count}`)
      .join(", ") || "none",
    String(sent),
    String(ok),
  ]);
  return [
    `${race.name}: ${race.seconds.toFixed(1)} s, ${race.replays} replays, ${race.postsProcessedTwice} POSTs processed twice`,
    `  the server closed ${fin} by FIN, ${close} by close, ${reset} by reset, and cut ${cut} POSTs off`,
    formatTable([["  method", "errors that the caller saw", "sent", "answered"], ...rows], 2),
  ].join("\n");
}

if (isMain(import.meta.url)) {
  const size = numbersFrom({ requests: 200_000, posts: 20_000, seed: Math.floor(Math.random() * 2 ** 31) });
  print(`Keep-alive race: ${inFlight} in flight, seed ${size.seed}`);
  // One after the other: together they would share the machine.
  for (const name of ["sluice", "undici"] as const) {
    // oxlint-disable-next-line no-await-in-loop
    const race = await raceKeepAlive(name, size);
    showProgress("");
    print(describeRace(race));
  }
}

/**
 * Show: far more clients than `maxConns`, all at once, on connections that they would keep. With `wait` all are served,
 * with `reject` all others read a whole 503, and neither resets anybody; node:http's own `maxConnections` beside it.
 * `node --conditions=sluice-source bench/shows/limit.ts [--clients 1000] [--limit 10] [--work 20]`
 */

import { connect } from "node:net";
import { Child, figure } from "../support/child.ts";
import { isMain, numbersFrom } from "../support/main.ts";
import { formatTable, print } from "../support/print.ts";

export type LimitKind = "wait" | "reject" | "node";

export interface LimitSize {
  readonly clients: number;
  /** The server's limit of connections. */
  readonly limit: number;
  /** How long the handler takes, in milliseconds. */
  readonly work: number;
}

/** What a client saw: a whole answer, or that its connection ended before there was one. */
export type Fate = "served" | "refused" | "reset" | "closed" | "no answer";

export interface LimitFigures {
  readonly kind: LimitKind;
  readonly fates: Readonly<Record<Fate, number>>;
  /** Connections that were reset, before or after their answer. */
  readonly resets: number;
  /** The most requests that the server worked on at one time. */
  readonly peak: number;
  /** From the start until the last client knew. */
  readonly seconds: number;
  /** The same for the client in the middle, in milliseconds. */
  readonly medianMs: number;
}

const patienceMs = 30_000;

export async function crowdIn(kind: LimitKind, { clients, limit, work }: LimitSize): Promise<LimitFigures> {
  await using server = Child.node(new URL("limit-server.ts", import.meta.url), kind, String(limit), String(work));
  const port = figure(await server.ask("listen"), "port");
  const from = performance.now();
  const visitors = Array.from({ length: clients }, () => new Visitor(port));
  await Promise.all(visitors.map(({ known }) => known));
  const times = visitors.map(({ knownAt }) => knownAt - from).toSorted((a, b) => a - b);
  const report = await server.ask("report");
  for (const visitor of visitors) visitor.leave();
  const count = (fate: Fate): number => visitors.filter((visitor) => visitor.fate === fate).length;
  return {
    kind,
    fates: {
      served: count("served"),
      refused: count("refused"),
      reset: count("reset"),
      closed: count("closed"),
      "no answer": count("no answer"),
    },
    resets: visitors.filter(({ wasReset }) => wasReset).length,
    peak: figure(report, "peak"),
    seconds: (times.at(-1) ?? 0) / 1_000,
    medianMs: times[Math.floor(times.length / 2)] ?? 0,
  };
}

/** Asks once, on a connection that it keeps until the other side closes it. */
class Visitor {
  readonly #socket;
  readonly #known = Promise.withResolvers<void>();
  readonly #patience: NodeJS.Timeout;
  #text = "";
  fate: Fate | undefined;
  knownAt = 0;
  wasReset = false;

  constructor(port: number) {
    this.#socket = connect({ port, host: "127.0.0.1" });
    this.#socket.setEncoding("latin1").write("GET / HTTP/1.1\r\nHost: limit\r\n\r\n");
    this.#socket.on("data", (chunk: string) => {
      this.#text += chunk;
      if (isWhole(this.#text)) this.#conclude(this.#text.startsWith("HTTP/1.1 200 ") ? "served" : "refused");
    });
    this.#socket.on("error", () => {
      this.wasReset = true;
      this.#conclude("reset");
    });
    this.#socket.on("close", () => this.#conclude("closed"));
    this.#patience = setTimeout(() => this.#conclude("no answer"), patienceMs);
  }

  get known(): Promise<void> {
    return this.#known.promise;
  }

  leave(): void {
    this.#socket.destroy();
  }

  #conclude(fate: Fate): void {
    if (this.fate !== undefined) return;
    clearTimeout(this.#patience);
    this.fate = fate;
    this.knownAt = performance.now();
    this.#known.resolve();
  }
}

/** Whether it is one answer with its length, and a refusal says when to come again. */
function isWhole(text: string): boolean {
  const end = text.indexOf("\r\n\r\n") + 4;
  if (end === 3) return false;
  const head = text.slice(0, end).toLowerCase();
  const body = text.slice(end);
  const isRefusal = head.startsWith("http/1.1 503 ") && /\r\nretry-after: \d+\r\n/.test(head);
  if (!isRefusal && !head.startsWith("http/1.1 200 ")) return false;
  if (head.includes("\r\ntransfer-encoding: chunked\r\n")) return body.endsWith("0\r\n\r\n");
  return body.length === Number(/\r\ncontent-length: (\d+)\r\n/.exec(head)?.[1]);
}

const names: Readonly<Record<LimitKind, string>> = {
  wait: 'sluice, overflow: "wait"',
  reject: 'sluice, overflow: "reject"',
  node: "node:http, maxConnections",
};

export function describeLimits(shown: readonly LimitFigures[]): string {
  const rows = shown.map(({ kind, fates, resets, peak, seconds, medianMs }) => [
    names[kind],
    String(fates.served),
    String(fates.refused),
    String(fates.reset + fates.closed),
    String(fates["no answer"]),
    String(resets),
    String(peak),
    `${seconds.toFixed(2)} s`,
    `${Math.round(medianMs)} ms`,
  ]);
  const head = ["", "served", "told 503", "cut off", "no answer", "resets", "most at once", "last knew", "half knew"];
  return formatTable([head, ...rows]);
}

if (isMain(import.meta.url)) {
  const size = numbersFrom({ clients: 1_000, limit: 10, work: 20 });
  print(`Limit: ${size.clients} clients at once, at most ${size.limit} connections, ${size.work} ms of work each`);
  const shown: LimitFigures[] = [];
  // One after the other: together they would share the machine.
  // oxlint-disable-next-line no-await-in-loop
  for (const kind of ["wait", "reject", "node"] as const) shown.push(await crowdIn(kind, size));
  print(describeLimits(shown));
}

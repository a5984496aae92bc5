/**
 * Show: the engine of the queues is killed while a service adds to them, and comes back. An add settles within its
 * timeout and says what is wrong, requests that need no queue stay as fast as they were, all flows again within five
 * seconds of the engine's return, and nothing that was acknowledged is lost. Then it is killed for good, and the drain
 * keeps its limits.
 *
 * `node --conditions=sluice-source bench/shows/engine-down.ts [--places redis,postgres,bullmq-postgres,nats] [--down 10000] [--up 3000]`
 */

import { once } from "node:events";
import { Agent, createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Tasks, type Queue } from "sluice/tasks";
import { describeMachine } from "../support/machine.ts";
import { isMain } from "../support/main.ts";
import { formatTable, print } from "../support/print.ts";
import { newPlace, openStore, placeNames, placesFrom, type Place } from "./store-places.ts";

export interface OutageSize {
  /** For how long the engine is well before it is killed. */
  readonly upMs: number;
  /** For how long it is gone. */
  readonly downMs: number;
  readonly addTimeoutMs: number;
  /** Between two requests of one kind. */
  readonly everyMs: number;
}

export interface OutageFigures {
  /** Orders that were answered with an acknowledgement, and those that were refused while the engine was gone. */
  readonly acknowledged: number;
  readonly refused: number;
  /** What the refused ones were told: the codes of the errors. */
  readonly codes: readonly string[];
  /** The order that took longest to be answered. */
  readonly slowestMs: number;
  /** Requests that need no queue: the 99th percentile while the engine was well, and while it was gone. */
  readonly plainUpMs: number;
  readonly plainDownMs: number;
  /** From the engine's return until an order was acknowledged, and until one added since was done. */
  readonly addedAfterMs: number;
  readonly doneAfterMs: number;
  /** Orders that were acknowledged and never done, and those done more than once. */
  readonly lost: number;
  readonly doneTwice: number;
  readonly drainMs: number;
  readonly drainLimitMs: number;
  /** The longest turn of the event loop: what times are to be read with. */
  readonly lagMs: number;
}

const drain = { grace: 1_000, abort: 300, stop: 1_500 };
const patienceMs = 15_000;

interface Answer {
  readonly n: number;
  readonly status: number;
  readonly text: string;
  readonly sentAt: number;
  readonly answeredAt: number;
}

export async function killEngine(place: Place, size: OutageSize): Promise<OutageFigures> {
  const { engine } = place;
  if (engine === undefined) throw new TypeError(`${place.name} has no engine to kill`);
  const done = new Map<number, number[]>();
  const tasks = new Tasks({ store: openStore(place.name, place.where), drain });
  const orders = tasks.queue<number>(
    "orders",
    { addTimeout: size.addTimeoutMs, lease: "5s", backoff: { from: "100ms", to: "1s" } },
    ({ data }) => void done.set(data, [...(done.get(data) ?? []), performance.now()]),
  );
  await using service = await Service.start(orders);
  const lag = monitorEventLoopDelay({ resolution: 5 });
  // The first orders wait for the store to start.
  await service.ask("/order", 0);
  lag.enable();

  service.load(size.everyMs);
  await sleep(size.upMs);
  const killedAt = performance.now();
  await engine.kill();
  await sleep(size.downMs);
  await engine.start();
  const backAt = performance.now();
  const addedAt = await service.firstAcknowledged(backAt);
  await service.endLoad();
  const acknowledged = service.orders.filter(({ status }) => status === 202);
  await waitUntil(() => acknowledged.every(({ n }) => done.has(n)));

  await engine.kill();
  const drainFrom = performance.now();
  await tasks.drain();
  const drainMs = performance.now() - drainFrom;
  lag.disable();
  const refused = service.orders.filter(({ status }) => status !== 202);
  const sinceBack = acknowledged.filter(({ sentAt }) => sentAt >= backAt).flatMap(({ n }) => done.get(n) ?? []);
  return {
    acknowledged: acknowledged.length,
    refused: refused.length,
    codes: [...new Set(refused.map(({ text }) => text))],
    slowestMs: Math.max(...service.orders.map(({ sentAt, answeredAt }) => answeredAt - sentAt)),
    plainUpMs: percentile99(service.plain.filter(({ answeredAt }) => answeredAt < killedAt)),
    plainDownMs: percentile99(service.plain.filter(({ sentAt }) => sentAt >= killedAt && sentAt < backAt)),
    addedAfterMs: addedAt - backAt,
    doneAfterMs: Math.min(...sinceBack) - backAt,
    lost: acknowledged.filter(({ n }) => !done.has(n)).length,
    doneTwice: [...done.values()].filter((times) => times.length > 1).length,
    drainMs,
    drainLimitMs: drain.grace + drain.abort + 2 * drain.stop,
    lagMs: lag.max / 1e6,
  };
}

/** A small service of two routes, and its clients. */
class Service implements AsyncDisposable {
  readonly orders: Answer[] = [];
  readonly plain: Answer[] = [];
  readonly #server: Server;
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #underWay = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #next = 1;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.#port = port;
  }

  static async start(orders: Queue<number>): Promise<Service> {
    const server = createServer((asked, response) => {
      if (asked.url === "/plain") {
        response.end("plain");
        return;
      }
      orders.add(Number(asked.headers["x-n"])).then(
        () => response.writeHead(202).end(),
        (error: unknown) =>
          response.writeHead(503).end(error instanceof Error && "code" in error ? String(error.code) : String(error)),
      );
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on a port
    return new Service(server, (server.address() as AddressInfo).port);
  }

  /** One of each every `everyMs`, whatever becomes of those before. */
  load(everyMs: number): void {
    this.#timer = setInterval(() => {
      const n = this.#next++;
      this.#follow(this.ask("/order", n), this.orders);
      this.#follow(this.ask("/plain", n), this.plain);
    }, everyMs);
  }

  /** When the first order that was sent since `since` was acknowledged. */
  async firstAcknowledged(since: number): Promise<number> {
    const find = (): Answer | undefined => this.orders.find(({ status, sentAt }) => status === 202 && sentAt >= since);
    await waitUntil(() => find() !== undefined);
    return find()?.answeredAt ?? Infinity;
  }

  async endLoad(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay);
  }

  async ask(path: string, n: number): Promise<Answer> {
    const sentAt = performance.now();
    const asking = request({ port: this.#port, path, agent: this.#agent, headers: { "x-n": n } });
    asking.end();
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the event brings
    const [response] = (await once(asking, "response")) as [NodeJS.ReadableStream & { readonly statusCode: number }];
    let text = "";
    for await (const chunk of response) text += chunk.toString();
    return { n, status: response.statusCode, text, sentAt, answeredAt: performance.now() };
  }

  #follow(asking: Promise<Answer>, answers: Answer[]): void {
    const following = asking.then((answer) => void answers.push(answer));
    this.#underWay.add(following);
    void following.finally(() => this.#underWay.delete(following));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.endLoad();
    this.#agent.destroy();
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

async function waitUntil(isSo: () => boolean): Promise<void> {
  const untilMs = performance.now() + patienceMs;
  // oxlint-disable-next-line no-await-in-loop -- looked at again and again
  while (!isSo() && performance.now() < untilMs) await sleep(10);
}

function percentile99(answers: readonly Answer[]): number {
  const sorted = answers.map(({ sentAt, answeredAt }) => answeredAt - sentAt).toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      places: { type: "string", default: placeNames.filter((name) => name !== "sqlite").join(",") },
      down: { type: "string", default: "10000" },
      up: { type: "string", default: "3000" },
    },
  });
  const machine = describeMachine();
  print(`${machine.cores} cores, ${machine.cpu}, load ${machine.loadAverage}, Node ${process.versions.node}\n`);
  const size = { upMs: Number(values.up), downMs: Number(values.down), addTimeoutMs: 500, everyMs: 10 };
  const rows = [
    [
      "",
      "acked",
      "refused",
      "slowest",
      "plain up",
      "plain down",
      "added after",
      "done after",
      "lost",
      "twice",
      "drain",
      "of",
      "lag",
    ],
  ];
  for (const name of placesFrom(values.places)) {
    // oxlint-disable no-await-in-loop -- one after the other: they share the machine
    await using place = await newPlace(name);
    const shown = await killEngine(place, size);
    // oxlint-enable no-await-in-loop
    const { codes, ...figures } = shown;
    rows.push([name, ...Object.values(figures).map((each) => each.toFixed(each < 10 && each % 1 > 0 ? 1 : 0))]);
    print(`${name}: refused with ${codes.join(", ")}`);
  }
  print(`\n${formatTable(rows)}\n\nTimes in ms; adds have ${size.addTimeoutMs} ms.`);
}

if (isMain(import.meta.url)) await main();

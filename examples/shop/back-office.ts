/**
 * What goes on behind the counter: the tasks, the queue and the files that outlive the shop.
 *
 * It closes after the server and before the Transport: jobs under way still need their services. What is not over by then
 * stays in the queue, in the data folder, for the next start.
 */

import { join } from "node:path";
import { Registry } from "sluice/core";
import { sqlite, Tasks } from "sluice/tasks";
import type { DrainReport, Store, TasksStats } from "sluice/tasks";
import type { DataFolder } from "./data-folder.ts";
import { LineFile } from "./line-file.ts";
import { OrderDesk, orderQueues } from "./order-desk.ts";
import type { OrderEvents } from "./order-events.ts";
import { OrderBook } from "./orders.ts";
import { Outbox } from "./outbox.ts";
import type { Services } from "./services.ts";
import type { Shelves } from "./shelves.ts";

export interface OfficePlan {
  readonly data: DataFolder;
  readonly isMailBroken: boolean;
  readonly services: Services;
  readonly shelves: Shelves;
  readonly events: OrderEvents;
  readonly log: (line: string) => void;
}

export interface BackOffice {
  readonly tasks: Tasks;
  readonly book: OrderBook;
  readonly desk: OrderDesk;
  /** From here on it is counted what is finished. */
  beginToClose(): void;
  /** Finishes what is under way, within a few seconds, and says in one line what came of it. */
  close(): Promise<string>;
}

export async function openBackOffice(plan: OfficePlan): Promise<BackOffice> {
  const { data, isMailBroken, services, shelves, events, log } = plan;
  const book = await OrderBook.open(data.file("orders.jsonl"), (order, event) => events.tell(order, event));
  const audit = await LineFile.open(data.file("audit.jsonl"));
  const outbox = await Outbox.open(join(data.path, "outbox"), isMailBroken);
  const store = (): Store => sqlite({ path: data.file("jobs.db") });
  const tasks = new Tasks({
    store: store(),
    drain: { grace: "2s", abort: "500ms", stop: "1s" }, // for the impatience of a terminal
    onError: (error, { task, queue = "store" }) => log(`${task ?? queue}: ${toMessage(error)}`),
  });
  const desk = new OrderDesk({ tasks, services, book, audit, outbox, onStock: shelves.note });
  tasks
    .queue("stock-refresh", { concurrency: 1, attempts: 1, timeout: "2s", maxDead: 10 }, () => shelves.refresh())
    .schedule("*/10 * * * * *", {});
  await desk.resume(isMailBroken);
  let before = countOk(tasks.stats());
  return {
    tasks,
    book,
    desk,
    beginToClose(): void {
      before = countOk(tasks.stats());
    },
    async close(): Promise<string> {
      const report = await tasks.drain();
      const after = countOk(tasks.stats());
      await audit[Symbol.asyncDispose]();
      await book[Symbol.asyncDispose]();
      const finished = { tasks: after.tasks - before.tasks, jobs: after.jobs - before.jobs };
      return describeEnd({ finished, kept: await countKept(store()), report, isTemporary: data.isTemporary });
    },
  };
}

/** What ended well so far. The refreshing of levels is nothing to tell of. */
function countOk({ tasks, queues }: TasksStats): Finished {
  const jobs = queues.filter(({ name }) => name !== "stock-refresh").map(({ attempts }) => attempts.ok);
  return { tasks: sum(tasks.map(({ outcomes }) => outcomes.ok)), jobs: sum(jobs) };
}

/** Jobs of orders that the next start will find: asked of the file itself, once the shop has let go of it. */
async function countKept(store: Store): Promise<number | undefined> {
  await using look = new Tasks({ store, registry: new Registry() });
  try {
    const levels = await Promise.all(orderQueues.map((name) => look.queue(name).levels()));
    return sum(levels.map(({ ready, delayed, active }) => ready + delayed + active));
  } catch {
    return undefined;
  }
}

interface Finished {
  readonly tasks: number;
  readonly jobs: number;
}

interface End {
  readonly finished: Finished;
  readonly kept: number | undefined;
  readonly report: DrainReport;
  readonly isTemporary: boolean;
}

function describeEnd({ finished, kept, report, isTemporary }: End): string {
  const where = isTemporary
    ? "gone with the temporary folder (--data keeps it)"
    : "kept in the queue for the next start";
  const left = report.abandoned.map(({ name, count }) => `${count} ${name}`).join(", ");
  const parts = [
    `${plural(finished.tasks, "task")} and ${plural(finished.jobs, "job")} finished`,
    kept === undefined ? "the queue did not answer" : `${plural(kept, "job")} ${where}`,
    left === "" ? "nothing abandoned" : `abandoned: ${left}`,
    ...(report.storeError === undefined ? [] : [`the store did not stop well: ${toMessage(report.storeError)}`]),
  ];
  return `${parts.join("; ")}.`;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function toMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * What goes on behind the counter: the tasks, the queue and the files that outlive the shop.
 *
 * It closes after the server and before the Transport: jobs under way still need their services. What is not over by then
 * stays in the queue, in the data folder, for the next start.
 */

import { join } from "node:path";
import { sqlite, Tasks } from "sluice/tasks";
import type { DrainReport, TasksStats } from "sluice/tasks";
import type { DataFolder } from "./data-folder.ts";
import { LineFile } from "./line-file.ts";
import { OrderDesk } from "./order-desk.ts";
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
  /** Finishes what is under way, within a few seconds, and says in one line what came of it. */
  close(): Promise<string>;
}

export async function openBackOffice(plan: OfficePlan): Promise<BackOffice> {
  const { data, isMailBroken, services, shelves, events, log } = plan;
  const book = await OrderBook.open(data.file("orders.jsonl"), (order, event) => events.tell(order, event));
  const audit = await LineFile.open(data.file("audit.jsonl"));
  const outbox = await Outbox.open(join(data.path, "outbox"), isMailBroken);
  const tasks = new Tasks({
    store: sqlite({ path: data.file("jobs.db") }),
    drain: { grace: "2s", abort: "500ms", stop: "1s" }, // for the impatience of a terminal
    onError: (error, { task, queue = "store" }) => log(`${task ?? queue}: ${toMessage(error)}`),
  });
  const desk = new OrderDesk({ tasks, services, book, audit, outbox, onStock: shelves.note });
  tasks
    .queue("stock-refresh", { concurrency: 1, attempts: 1, timeout: "2s", maxDead: 10 }, () => shelves.refresh())
    .schedule("*/10 * * * * *", {});
  await desk.resume(isMailBroken);
  return {
    tasks,
    book,
    desk,
    async close(): Promise<string> {
      const before = tasks.stats();
      const waiting = await countWaiting(desk);
      const report = await tasks.drain();
      await audit[Symbol.asyncDispose]();
      await book[Symbol.asyncDispose]();
      return describeEnd({ before, after: tasks.stats(), waiting, report, isTemporary: data.isTemporary });
    },
  };
}

/** Jobs of orders in the queue, worked on or not; `undefined` if the store does not say. */
async function countWaiting(desk: OrderDesk): Promise<number | undefined> {
  try {
    const levels = await Promise.all(desk.queues.map((queue) => queue.levels()));
    return levels.reduce((sum, { ready, delayed, active }) => sum + ready + delayed + active, 0);
  } catch {
    return undefined;
  }
}

interface End {
  readonly before: TasksStats;
  readonly after: TasksStats;
  /** At the beginning. */
  readonly waiting: number | undefined;
  readonly report: DrainReport;
  readonly isTemporary: boolean;
}

function describeEnd({ before, after, waiting, report, isTemporary }: End): string {
  const tasks = countTasks(after) - countTasks(before);
  const [was, is] = [countJobs(before), countJobs(after)];
  const done = is.done - was.done;
  const kept = waiting === undefined ? undefined : waiting + is.added - was.added - done - (is.dead - was.dead);
  const where = isTemporary
    ? "gone with the temporary folder (--data keeps it)"
    : "kept in the queue for the next start";
  const left = report.abandoned.map(({ name, count }) => `${count} ${name}`).join(", ");
  const parts = [
    `${plural(tasks, "task")} and ${plural(done, "job")} finished`,
    kept === undefined ? "the queue did not answer" : `${plural(kept, "job")} ${where}`,
    left === "" ? "nothing abandoned" : `abandoned: ${left}`,
    ...(report.storeError === undefined ? [] : [`the store did not stop well: ${toMessage(report.storeError)}`]),
  ];
  return `${parts.join("; ")}.`;
}

function countTasks({ tasks }: TasksStats): number {
  return tasks.reduce((sum, { outcomes }) => sum + outcomes.ok, 0);
}

/** Those of orders; the refreshing of levels is nothing to tell of. */
function countJobs({ queues }: TasksStats): { readonly added: number; readonly done: number; readonly dead: number } {
  const told = queues.filter(({ name }) => name !== "stock-refresh");
  const sum = (pick: (queue: (typeof told)[number]) => number): number =>
    told.reduce((total, queue) => total + pick(queue), 0);
  return {
    added: sum(({ added }) => added.added),
    done: sum(({ attempts }) => attempts.ok),
    dead: sum(({ dead }) => Object.values(dead).reduce((total, count) => total + count, 0)),
  };
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function toMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

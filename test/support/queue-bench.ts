/** A queue on a store that does what a test tells it. */

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { now, Registry } from "sluice/core";
import {
  Tasks,
  type JobHandler,
  type Queue,
  type QueueOptions,
  type ReportContext,
  type TasksOptions,
} from "sluice/tasks";
import { HandStore, type Settlement } from "./hand-store.ts";

/** A queue, and all that a test looks at beside it. */
export interface QueueBench {
  readonly store: HandStore;
  readonly tasks: Tasks;
  readonly queue: Queue<unknown>;
  readonly registry: Registry;
  readonly reports: { readonly error: unknown; readonly about: ReportContext }[];
}

/** Resolves once `condition` holds; fails after 20 s. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = now() + 20_000;
  while (!condition()) {
    assert.ok(now() < deadline, `not within 20 s: ${what}`);
    // oxlint-disable-next-line no-await-in-loop
    await sleep(1);
  }
}

/** Tasks with instruments of their own, and all that they report. */
export function makeTasks(
  t: TestContext,
  store: HandStore,
  options: TasksOptions = {},
): Omit<QueueBench, "queue" | "store"> {
  const timer = setInterval(() => {}, 60_000);
  t.after(() => clearInterval(timer));
  const reports: QueueBench["reports"] = [];
  const registry = new Registry();
  const onError: TasksOptions["onError"] = (error, about) => void reports.push({ error, about });
  const drain = { grace: 100, abort: 50, stop: 100 };
  return { tasks: new Tasks({ registry, onError, store, drain, ...options }), registry, reports };
}

/** A queue on a store that a test holds in its hand, ready to be delivered to. */
export async function makeQueue(
  t: TestContext,
  handler: JobHandler<unknown> | undefined,
  options: QueueOptions = {},
  more: TasksOptions = {},
): Promise<QueueBench> {
  const store = new HandStore();
  const made = makeTasks(t, store, more);
  const queue = made.tasks.queue<unknown>("mail", options, handler);
  if (handler !== undefined) await until(() => store.isConsumed, "the queue is consumed");
  return { store, queue, ...made };
}

/** What the store was told about a delivery; fails if that was not exactly one thing. */
export async function settlementOf({ store }: QueueBench, id: string): Promise<Settlement> {
  await until(() => store.settlements.some((settlement) => settlement.id === id), `${id} is settled`);
  await nextTurn();
  const settlements = store.settlements.filter((settlement) => settlement.id === id);
  assert.equal(settlements.length, 1, `${id} is settled once`);
  return settlements[0] ?? assert.fail();
}

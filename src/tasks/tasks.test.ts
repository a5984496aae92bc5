/** Tasks of one process: how many run, which are not run, how each of them ends, and what is told of it. */

import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { test, type TestContext } from "node:test";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { context, contextKey, createContext, now, Registry, shutdown, traceparentKey } from "../core/index.ts";
import { Tasks, type DrainReport, type ReportContext, type TasksOptions } from "./index.ts";

/** Deadlines of tasks keep no process alive, and here nothing else does. */
function stayAwake(t: TestContext): void {
  const timer = setInterval(() => {}, 60_000);
  t.after(() => clearInterval(timer));
}

interface Reported {
  readonly error: unknown;
  readonly about: ReportContext;
}

/** Tasks with instruments of their own, and all that they reported. */
function makeTasks(
  t: TestContext,
  options: TasksOptions = {},
): { tasks: Tasks; reports: Reported[]; registry: Registry } {
  stayAwake(t);
  const reports: Reported[] = [];
  const registry = new Registry();
  const onError: TasksOptions["onError"] = (error, about) => void reports.push({ error, about });
  const drain = { grace: "1s", abort: "1s", stop: "1s" } as const;
  const tasks = new Tasks({ registry, onError, drain, ...options });
  return { tasks, reports, registry };
}

function hold(): void {
  const endsAt = now() + 1_000;
  while (now() < endsAt);
}

const deaf = (): Promise<void> => new Promise(() => {});

/** What only JavaScript can do. */
function make(options: unknown): Tasks {
  return new Tasks(options as TasksOptions);
}

/** A task that runs until it is told to end. */
function makeGate(): { readonly open: () => void; readonly fn: () => Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { open: resolve, fn: () => promise };
}

function valueOf(registry: Registry, name: string, ...labels: readonly string[]): number | undefined {
  for (const family of registry.collect()) {
    if (family.name !== name || family.type === "histogram") continue;
    return family.samples.find((sample) => String(sample.labels) === String(labels))?.value;
  }
  return undefined;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = now() + 20_000;
  while (!condition()) {
    assert.ok(now() < deadline, `not within 20 s: ${what}`);
    await sleep(2);
  }
}

test("a task does not start in the stack of whoever asks for it", async (t) => {
  const { tasks } = makeTasks(t);
  let hasStarted = false;

  const handle = tasks.run("later", undefined, () => (hasStarted = true));

  assert.equal(hasStarted, false);
  assert.equal(handle.state, "queued");
  assert.equal(await handle.accepted, true);
  assert.equal((await handle.done).outcome, "ok");
  assert.equal(hasStarted, true);
});

test("no more than maxRunning run, and the others start in the order in which they came", async (t) => {
  const { tasks } = makeTasks(t, { maxRunning: 3 });
  const gates = Array.from({ length: 10 }, makeGate);
  const started: number[] = [];
  const handles = gates.map(({ fn }, index) =>
    tasks.run("ordered", undefined, () => {
      started.push(index);
      return fn();
    }),
  );

  await until(() => started.length === 3, "three have started");
  await sleep(20);
  assert.deepEqual(started, [0, 1, 2]);
  assert.deepEqual([tasks.stats().running, tasks.stats().queued], [3, 7]);
  for (const [index, gate] of gates.entries()) {
    gate.open();
    await handles[index]?.done;
    assert.ok(tasks.stats().running <= 3);
  }

  assert.deepEqual(started, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test("a task beyond the queue is rejected with the numbers of the moment, and reported", async (t) => {
  const { tasks, reports, registry } = makeTasks(t, { maxRunning: 1, maxQueued: 2 });
  const gate = makeGate();
  const kept = Array.from({ length: 3 }, () => tasks.run("kept", undefined, gate.fn));

  const refused = tasks.run("refused", undefined, gate.fn);

  assert.equal(await refused.accepted, false);
  const end = await refused.done;
  assert.equal(end.outcome, "rejected");
  assert.ok(end.error instanceof Error && "reason" in end.error);
  assert.equal(end.error.reason, "queue_full");
  assert.match(end.error.message, /3 of 2 are queued|2 of 2 are queued/);
  assert.deepEqual(
    reports.map(({ about }) => [about.task, about.level]),
    [["refused", "error"]],
  );
  assert.equal(valueOf(registry, "background_tasks_total", "refused", "rejected"), 1);
  gate.open();
  for (const handle of kept) assert.equal((await handle.done).outcome, "ok");
});

test("with drop-oldest the newest task takes the place of the one that has waited longest", async (t) => {
  const { tasks } = makeTasks(t, { maxRunning: 1, maxQueued: 2, overflow: "drop-oldest" });
  const gate = makeGate();
  const first = tasks.run("first", undefined, gate.fn);
  await until(() => first.state === "running", "the first runs");
  const handles = ["a", "b", "c"].map((name) => tasks.run(name, undefined, gate.fn));

  assert.equal((await handles[0]?.done)?.outcome, "dropped");
  gate.open();
  assert.deepEqual(await Promise.all([handles[1]?.done, handles[2]?.done].map(async (done) => (await done)?.outcome)), [
    "ok",
    "ok",
  ]);
});

test("with caller-waits a producer that awaits its handles is as fast as the tasks, and none is lost", async (t) => {
  const { tasks } = makeTasks(t, { maxRunning: 2, maxQueued: 3, maxWaiting: 1, overflow: "caller-waits" });
  let ended = 0;
  let most = 0;

  for (let index = 0; index < 200; index += 1) {
    const handle = tasks.run("paced", undefined, async () => {
      await nextTurn();
      ended += 1;
    });
    assert.equal(await handle.accepted, true);
    const { running, queued, waiting } = tasks.stats();
    most = Math.max(most, running + queued + waiting);
  }

  await until(() => ended === 200, "all have run");
  assert.ok(most <= 2 + 3 + 1, `${most} at once`);
});

test("with caller-waits a producer that does not wait is bounded by maxWaiting", async (t) => {
  const { tasks } = makeTasks(t, { maxRunning: 1, maxQueued: 2, maxWaiting: 4, overflow: "caller-waits" });
  const gate = makeGate();
  const handles = Array.from({ length: 20 }, () => tasks.run("heedless", undefined, gate.fn));

  assert.deepEqual(
    handles.map(({ state }) => state).filter((state) => state === "ended").length,
    20 - (1 + 2 + 4),
    "one that will run, two queued, four that wait",
  );
  assert.equal(tasks.stats().waitingForRoom, 4);
  gate.open();
  const outcomes = await Promise.all(handles.map(async ({ done }) => (await done).outcome));
  assert.equal(outcomes.filter((outcome) => outcome === "ok").length, 7);
});

test("a throw, a rejection and what is no error each end as a counted and reported outcome", async (t) => {
  const { tasks, reports, registry } = makeTasks(t);
  const thrown = new TypeError("thrown at once");
  const rejected = new RangeError("rejected later");

  const ends = await Promise.all([
    tasks.run("throws", undefined, () => {
      throw thrown;
    }).done,
    tasks.run("rejects", undefined, async () => {
      await nextTurn();
      throw rejected;
    }).done,
    // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- what a task may do
    tasks.run("odd", undefined, () => Promise.reject(undefined)).done,
    tasks.run("trap", undefined, () => ({
      // oxlint-disable-next-line unicorn/no-thenable -- what a task may do
      then() {
        throw thrown;
      },
    })).done,
  ]);

  assert.deepEqual(
    ends.map(({ outcome, error }) => [outcome, error]),
    [
      ["error", thrown],
      ["error", rejected],
      ["error", undefined],
      ["error", thrown],
    ],
  );
  assert.deepEqual(new Set(reports.map(({ about }) => about.task)), new Set(["throws", "rejects", "odd", "trap"]));
  assert.ok(reports.every(({ about }) => about.mechanism === "task" && about.level === "error"));
  assert.equal(valueOf(registry, "background_tasks_total", "throws", "error"), 1);
  assert.equal(valueOf(registry, "background_tasks_active", "throws"), 0);
});

test("a task that heeds its signal ends as a timeout and is not stuck", async (t) => {
  const { tasks, reports } = makeTasks(t);

  const end = await tasks.run("slow", { timeout: 50 }, ({ signal }) => sleep(60_000, undefined, { signal })).done;

  assert.equal(end.outcome, "timeout");
  assert.ok(end.durationMs >= 50);
  assert.ok(end.error instanceof Error && "code" in end.error && "isStuck" in end.error);
  assert.deepEqual([end.error.code, end.error.isStuck], ["ERR_TASK_TIMEOUT", false]);
  assert.equal(tasks.stats().stuck, 0);
  assert.equal(reports.length, 1);
});

test("a promise that never settles is counted as stuck after its deadline and the time to abort, and keeps its place", async (t) => {
  const { tasks, registry } = makeTasks(t, { maxRunning: 1, drain: { grace: "1s", abort: 100 } });
  const gate = makeGate();
  const startedAt = now();
  const stuck = tasks.run("deaf", { timeout: 50 }, gate.fn);
  const next = tasks.run("next", undefined, () => {});

  const end = await stuck.done;

  assert.equal(end.outcome, "timeout");
  assert.ok(now() - startedAt >= 150, "not before deadline and abort time");
  assert.ok(end.error instanceof Error);
  assert.match(end.error.message, /ignored its signal for 100 ms and still runs/);
  assert.equal(stuck.state, "stuck");
  assert.equal(valueOf(registry, "background_tasks_stuck", "deaf"), 1);
  await sleep(50);
  assert.equal(next.state, "queued", "the place is not given up");
  gate.open();
  assert.equal((await next.done).outcome, "ok");
  assert.equal(stuck.state, "ended");
  assert.equal(valueOf(registry, "background_tasks_stuck", "deaf"), 0);
  assert.equal(valueOf(registry, "background_tasks_total", "deaf", "timeout"), 1);
});

test("with stuck: release others run beside stuck tasks, up to maxRunning of them", async (t) => {
  const { tasks } = makeTasks(t, { maxRunning: 2, stuck: "release", drain: { grace: 100, abort: 30 } });
  const handles = Array.from({ length: 4 }, () => tasks.run("deaf", { timeout: 20 }, deaf));

  for (const handle of handles) assert.equal((await handle.done).outcome, "timeout");

  const last = tasks.run("last", undefined, () => {});
  await sleep(50);
  assert.equal(tasks.stats().stuck, 4);
  assert.equal(last.state, "queued", "two beyond maxRunning keep their places");
});

test("a synchronous loop of a second says in its outcome for how long it held the event loop", async (t) => {
  const { tasks, reports, registry } = makeTasks(t);
  const atOnce = await tasks.run("at-once", undefined, hold).done;
  const later = await tasks.run("later", undefined, async () => {
    await sleep(30);
    hold();
    await sleep(30);
  }).done;

  for (const { outcome, heldMs, durationMs } of [atOnce, later]) {
    assert.equal(outcome, "ok");
    // It may have begun just before a tick that was due, and is never more than what ran.
    assert.ok(heldMs >= 950 && heldMs <= durationMs, `held for ${heldMs} of ${durationMs} ms`);
  }
  assert.equal(valueOf(registry, "background_tasks_held_total", "at-once"), 1);
  assert.ok((valueOf(registry, "background_tasks_held_total", "later") ?? 0) >= 1);
  const held = reports.filter(({ about }) => about.level === "warning");
  assert.ok(held.length >= 2);
  assert.match(String(held[0]?.error), /EventLoopHeldError: The event loop stood still for \d+ ms while "at-once" ran/);
});

test("a task has the values of whoever asked for it, a deadline of its own, and not their end", async (t) => {
  const { tasks } = makeTasks(t);
  const key = contextKey<string>("tenant");
  const request = createContext({ timeout: "1h" });
  const seen: unknown[] = [];

  const handle = request
    .withValue(key, "acme")
    .withValue(traceparentKey, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    .run(() =>
      tasks.run("audit", { timeout: "3s" }, async (ctx) => {
        seen.push(context() === ctx, ctx.value(key), ctx.value(traceparentKey), ctx.remaining() <= 3_000, ctx.done);
        await sleep(10);
        seen.push(context() === ctx, ctx.done);
      }),
    );
  request.cancel();

  assert.equal((await handle.done).outcome, "ok");
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  assert.deepEqual(seen, [true, "acme", traceparent, true, false, true, false]);
});

test("what a task started in its context ends with it", async (t) => {
  const { tasks } = makeTasks(t);
  let signal: AbortSignal | undefined;

  await tasks.run("leaves-work", undefined, (ctx) => void ({ signal } = ctx)).done;

  assert.equal(signal?.aborted, true);
});

test("cancel takes a queued task out and aborts a running one, and neither is reported", async (t) => {
  const { tasks, reports } = makeTasks(t, { maxRunning: 1 });
  const running = tasks.run("running", undefined, ({ signal }) => sleep(60_000, undefined, { signal }));
  const queued = tasks.run("queued", undefined, () => assert.fail("it was cancelled"));
  await until(() => running.state === "running", "it runs");

  queued.cancel(new Error("not needed"));
  running.cancel(new Error("not needed either"));

  assert.equal((await queued.done).outcome, "cancelled");
  assert.equal((await running.done).outcome, "cancelled");
  running.cancel();
  assert.deepEqual(reports, []);
});

test("a shutdown of all contexts reaches tasks that run", async (t) => {
  const { tasks } = makeTasks(t);
  const handle = tasks.run("long", undefined, ({ signal }) => sleep(60_000, undefined, { signal }));
  await until(() => handle.state === "running", "it runs");

  shutdown();

  assert.equal((await handle.done).outcome, "cancelled");
});

test("misuse does not throw: it is a rejected task, and is reported", async (t) => {
  const { tasks, reports } = makeTasks(t);
  // What only JavaScript can do.
  const run = tasks.run.bind(tasks) as (...args: unknown[]) => ReturnType<Tasks["run"]>;

  const ends = await Promise.all([
    run("misspelt", { timeuot: "3s" }, () => {}).done,
    run("zero", { timeout: 0 }, () => {}).done,
    run("no function", {}, undefined).done,
    run(undefined, {}, () => {}).done,
  ]);

  assert.deepEqual(
    ends.map(({ outcome }) => outcome),
    ["rejected", "rejected", "rejected", "rejected"],
  );
  assert.match(String(ends[0]?.error), /Task.timeuot is not an option; did you mean timeout\?/);
  assert.equal(reports.length, 4);
});

test("a flood of one failure is reported a few times a minute, and what reports may throw", async (t) => {
  stayAwake(t);
  const registry = new Registry();
  let calls = 0;
  const onError = (): void => {
    calls += 1;
    throw new Error("the reporter is broken");
  };
  const tasks = new Tasks({ registry, onError, maxReportsPerMinute: 5 });
  const handles = Array.from({ length: 100 }, () =>
    tasks.run("flood", undefined, () => {
      throw new Error("again");
    }),
  );

  for (const handle of handles) assert.equal((await handle.done).outcome, "error");

  assert.equal(calls, 5);
  assert.equal(valueOf(registry, "background_reports_total", "suppressed"), 95);
  assert.equal(valueOf(registry, "background_reports_total", "failed"), 5);
});

test("each end is published, for whoever wants all of them", async (t) => {
  const { tasks } = makeTasks(t);
  const messages: unknown[] = [];
  const follow = (message: unknown): void => void messages.push(message);
  subscribe("sluice.tasks.task.ended", follow);
  t.after(() => unsubscribe("sluice.tasks.task.ended", follow));

  const end = await tasks.run("told", undefined, () => {}).done;

  assert.deepEqual(messages, [{ task: "told", ...end }]);
});

test("names beyond the bound share one series", async (t) => {
  const { tasks } = makeTasks(t, { maxQueued: 1_000 });

  const handles = Array.from({ length: 300 }, (_, index) => tasks.run(`user-${index}`, undefined, () => {}));
  await Promise.all(handles.map(({ done }) => done));

  const { tasks: kinds } = tasks.stats();
  assert.equal(kinds.length, 201);
  assert.equal(kinds.find(({ name }) => name === "_OTHER")?.outcomes.ok, 100);
});

async function drainWith(t: TestContext, fn: Parameters<Tasks["run"]>[2]): Promise<DrainReport & { tookMs: number }> {
  const { tasks } = makeTasks(t, { maxRunning: 1, drain: { grace: 200, abort: 200, stop: 100 } });
  tasks.run("running", undefined, fn);
  tasks.run("queued", undefined, () => {});
  await nextTurn();
  const beganAt = now();
  const report = await tasks.drain();
  assert.equal(tasks.state, "drained");
  return { ...report, tookMs: now() - beganAt };
}

test("a drain waits for what runs and for what is queued", async (t) => {
  const report = await drainWith(t, () => sleep(100));

  assert.deepEqual(report.abandoned, []);
  assert.ok(report.tookMs >= 90);
});

test("a drain names what had not begun, and aborts what runs beyond the grace", async (t) => {
  const report = await drainWith(t, ({ signal }) => sleep(60_000, undefined, { signal }));

  assert.deepEqual(report.abandoned, [{ name: "queued", state: "queued", count: 1 }]);
});

test("a drain names what ignores its signal, and is over all the same", async (t) => {
  const report = await drainWith(t, () => new Promise(() => {}));

  assert.deepEqual(
    report.abandoned.map(({ name, state }) => [name, state]),
    [
      ["queued", "queued"],
      ["running", "running"],
    ],
  );
});

test("a drain refuses what is new, and a second one gets the report of the first", async (t) => {
  const { tasks } = makeTasks(t);
  const gate = makeGate();
  const running = tasks.run("running", undefined, gate.fn);
  const draining = tasks.drain();

  const refused = tasks.run("new", undefined, () => assert.fail("it was refused"));

  const { error, outcome } = await refused.done;
  assert.equal(outcome, "rejected");
  assert.ok(error instanceof Error && "reason" in error);
  assert.equal(error.reason, "draining");
  gate.open();
  assert.equal((await running.done).outcome, "ok");
  assert.equal(await tasks.drain(), await draining);
});

test("unknown options and impossible values are errors that name the option", () => {
  assert.throws(() => make({ maxRuning: 1 }), /Tasks.maxRuning is not an option; did you mean maxRunning\?/);
  assert.throws(() => make({ maxRunning: 0 }), /Tasks.maxRunning must be a whole number from 1 up/);
  assert.throws(() => make({ drain: { grace: 0 } }), /Tasks.drain.grace must be longer than 0/);
  assert.throws(() => make({ store: {} }), /Tasks.store must be a store/);
  assert.throws(() => make({ reporter: () => {} }), /Tasks.reporter must have the methods report and flush/);
});

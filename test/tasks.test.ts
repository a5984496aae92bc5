/** Tasks beside a guarded server, through their public names; and what is shown at full size in `bench/shows`. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { context, now, Registry, traceparentKey } from "sluice/core";
import { createServer } from "sluice/server";
import { memory, Tasks, type TaskHandle } from "sluice/tasks";
import { leaveTasksBehind, runMany } from "../bench/shows/tasks-memory.ts";
import { listen } from "./support/loopback.ts";
import { until } from "./support/queue-bench.ts";

function stayAwake(t: TestContext): void {
  const timer = setInterval(() => {}, 60_000);
  t.after(() => clearInterval(timer));
}

test("a task outlives its request's context, knows its trace, and cannot touch the answer", async (t) => {
  stayAwake(t);
  const registry = new Registry();
  await using tasks = new Tasks({ registry });
  const { promise, resolve } = Promise.withResolvers<TaskHandle>();
  const seen: unknown[] = [];
  const server = createServer({ registry, handlerTimeout: 200 }, (_req, res) => {
    const request = context();
    resolve(
      tasks.after(res, "audit", { timeout: "5s" }, async (ctx) => {
        // Longer than the handler may take.
        await sleep(300);
        seen.push(ctx.done, request.done || request !== ctx, ctx.value(traceparentKey));
      }),
    );
    res.end("fine");
  });
  await using listening = await listen(server);
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

  const response = await fetch(`http://127.0.0.1:${listening.port}/`, {
    headers: { traceparent, connection: "close" },
  });

  assert.equal(await response.text(), "fine");
  assert.equal((await (await promise).done).outcome, "ok");
  assert.deepEqual(seen, [false, true, traceparent]);
  assert.equal(server.stats().lateWrites, 0);
});

test("a client that leaves ends its request's context, and not the task that was to follow", async (t) => {
  stayAwake(t);
  const registry = new Registry();
  await using tasks = new Tasks({ registry });
  const { promise, resolve } = Promise.withResolvers<TaskHandle>();
  const codes: unknown[] = [];
  const server = createServer({ registry }, (_req, res) => {
    context().onDone((cause) => void codes.push(Reflect.get(Object(cause), "code")));
    res.write("half");
    resolve(tasks.after(res, "clean-up", undefined, async (ctx) => void codes.push(ctx.done)));
  });
  await using listening = await listen(server);
  const socket = connect(listening.port, "127.0.0.1");
  socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const handle = await promise;
  await once(socket, "data");

  socket.destroy();

  assert.equal((await handle.done).outcome, "ok");
  assert.deepEqual(codes, ["ERR_CLIENT_GONE", false]);
});

test("server, then tasks: a drain under load loses nothing of what was answered", async (t) => {
  stayAwake(t);
  const registry = new Registry();
  const drain = { grace: "20s", abort: "1s", stop: "1s" } as const;
  const tasks = new Tasks({ registry, store: memory(), drain, maxRunning: 4 });
  let audited = 0;
  let mailed = 0;
  const queue = tasks.queue<number>("mail", { concurrency: 4 }, async () => {
    await sleep(1);
    mailed += 1;
  });
  const server = createServer({ registry, drain: { grace: "10s" } }, (_req, res) => {
    tasks.after(res, "audit", { onlyIfDelivered: true }, async () => {
      await sleep(2);
      // What follows from a task that still runs is not refused in a drain.
      await queue.add(1);
      audited += 1;
    });
    res.end("ok");
  });
  await using listening = await listen(server);
  let answered = 0;
  let isOver = false;
  const customers = Array.from({ length: 20 }, async () => {
    while (!isOver) {
      try {
        // One after the other, as a customer does.
        // oxlint-disable-next-line no-await-in-loop
        const response = await fetch(`http://127.0.0.1:${listening.port}/`);
        // oxlint-disable-next-line no-await-in-loop
        if ((await response.text()) === "ok") answered += 1;
      } catch {
        isOver = true;
      }
    }
  });
  await until(() => answered > 300, "there is load");

  await server.drain();
  const { abandoned } = await tasks.drain();
  isOver = true;
  await Promise.all(customers);

  assert.deepEqual(abandoned, []);
  assert.ok(audited >= answered, `${audited} audited of ${answered} answered`);
  // The store in memory forgets what is left when it stops; a durable one has it for the next process.
  assert.equal(queue.stats().added.added, audited);
  assert.equal(queue.stats().attempts.ok, mailed);
  assert.equal(queue.stats().attempts.cancelled, 0);
});

test("two processes' worth of queues that plan one schedule add each job once", async (t) => {
  stayAwake(t);
  const store = memory();
  const ran: string[] = [];
  const plans = [1, 2].map(() => {
    const tasks = new Tasks({ registry: new Registry(), store });
    const queue = tasks.queue<string>("digest", {}, ({ id }) => void ran.push(id));
    return { tasks, queue, schedule: queue.schedule("* * * * * *", "x", { name: "every second" }) };
  });
  t.after(() => plans[0]?.tasks.drain());
  const startedAt = now();

  await until(() => ran.length >= 4, "four have run");

  const stats = plans.map(({ queue }) => queue.stats().added);
  assert.equal(new Set(ran).size, ran.length);
  assert.ok(
    stats.every(({ added, duplicate }) => added + duplicate >= 60),
    "both plan a minute ahead",
  );
  const added = stats.reduce((sum, each) => sum + each.added, 0);
  assert.ok(added <= 60 + (now() - startedAt) / 1_000 + 2, `${added} were added`);
  for (const { schedule } of plans) schedule[Symbol.dispose]();
});

test("a hundred thousand tasks go through a bound of ten thousand, and the heap stays where it was", async () => {
  const { ran, mostAtOnce, heapBytes } = await runMany(100_000);

  const [first = NaN] = heapBytes;
  assert.equal(ran, 100_000);
  assert.ok(mostAtOnce <= 10_000 + 256 + 1, `${mostAtOnce} at once`);
  assert.ok((heapBytes.at(-1) ?? NaN) < first + 2 ** 20, `from ${first} to ${heapBytes.at(-1)} bytes`);
});

test("a hundred requests whose tasks never settle leave nothing but the tasks", async (t) => {
  stayAwake(t);
  const { running, kept } = await leaveTasksBehind(100);

  assert.deepEqual([running, kept], [100, 0]);
});

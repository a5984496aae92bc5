/** Part of the contract of `framework-contract.ts`: going away, by the guard and by the framework's own `close`. */

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { context } from "sluice/core";
import type { Caller } from "./framework-caller.ts";
import type { Open, Stage } from "./framework-contract.ts";
import { until } from "./loopback.ts";

/** One after another until the server says that it goes away, as behind a balancer with a readiness probe. */
async function askUntilDraining(stage: Stage, counts: { asked: number; answered: number }): Promise<void> {
  let caller: Caller = stage.call();
  while (!stage.app.guarded.draining) {
    counts.asked += 1;
    // oxlint-disable-next-line no-await-in-loop -- one request at a time
    const { status, headers } = await caller.ask("/work");
    assert.equal(status, 200);
    counts.answered += 1;
    if (headers["connection"] === "close") caller = stage.call();
  }
}

async function drains(open: Open, leave: (stage: Stage) => Promise<unknown>): Promise<void> {
  const { promise: gate, resolve } = Promise.withResolvers<string>();
  await using stage = await open(
    {
      answer: ({ req }) => (req.headers["x-wait"] === undefined ? sleep(1, "done") : gate),
      source: () => Readable.from(slowly(gate)),
    },
    { drain: { settle: 150, grace: "5s" } },
  );
  const { guarded } = stage.app;
  await stage.call().ask("/items/7"); // and stays connected, idle
  const waiting = Array.from({ length: 3 }, () => stage.call().ask("/work", { headers: { "x-wait": "1" } }));
  const streamed = stage.call().send("/source");
  streamed.body.end();
  const stream = text((await streamed.answer).body);
  await until(() => guarded.stats().inFlight === 4);
  const counts = { asked: 0, answered: 0 };
  const traffic = Promise.all([1, 2, 3, 4].map(() => askUntilDraining(stage, counts)));
  await until(() => counts.answered > 20);

  const left = leave(stage);
  await until(() => guarded.draining);
  await traffic;
  const late = await stage.call().ask("/items/7");
  assert.equal(late.status, 200, "while it settles it still accepts");
  await sleep(200);
  resolve("done");
  await left;

  for (const reply of await Promise.all(waiting)) {
    assert.deepEqual([reply.status, reply.body], [200, "done"]);
    if (stage.protocol !== "h2") assert.equal(reply.headers["connection"], "close");
  }
  assert.equal(await stream, "begin, end");
  assert.ok(counts.answered > 20 && counts.answered === counts.asked, JSON.stringify(counts));
  const { state, connections, inFlight } = guarded.stats();
  assert.deepEqual([state, connections.active, connections.idle, inFlight], ["drained", 0, 0, 0]);
  await assert.rejects(stage.call().ask("/items/7"), /ECONNREFUSED/);
}

async function* slowly(gate: Promise<unknown>): AsyncGenerator<string> {
  yield "begin, ";
  await gate;
  yield "end";
}

async function endsContextsAtTheGrace(open: Open): Promise<void> {
  await using stage = await open(
    {
      answer: async () => {
        const { signal } = context();
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        return "told to end";
      },
    },
    { drain: { grace: 50 } },
  );
  const reply = stage.call().ask("/work");
  await until(() => stage.app.guarded.stats().inFlight === 1);
  await stage.app.close();
  assert.deepEqual([(await reply).status, (await reply).body], [200, "told to end"]);
}

export const drainCases: Readonly<Record<string, (open: Open) => Promise<void>>> = {
  "drain() loses nothing": (open) => drains(open, ({ app }) => app.guarded.drain()),
  "the framework's own close() loses nothing": (open) => drains(open, ({ app }) => app.close()),
  "a handler whose context ends at the end of the grace has a last word": endsContextsAtTheGrace,
};

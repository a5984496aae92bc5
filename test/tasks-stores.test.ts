/**
 * The same queues on every store: what the runtime adds to them does not depend on the engine.
 *
 * Two `Tasks` with a handle of their own each stand for two processes.
 */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { Redis } from "ioredis";
import { Client } from "pg";
import { bullmq } from "sluice/adapters/bullmq";
import { jetStream } from "sluice/adapters/jetstream";
import { pgBoss } from "sluice/adapters/pg-boss";
import { createContext, now, Registry, traceparentKey } from "sluice/core";
import { Permanent, RetryAfter, sqlite, Tasks, type Job, type Queue, type Store } from "sluice/tasks";
import { natsUrl, postgresUrl, redisUrl, unlessAnswers } from "./support/engines.ts";
import { natsPort } from "./stores/jetstream-elsewhere.ts";

interface Place {
  readonly open: () => Store;
  readonly remove: () => Promise<void>;
}

const name = (): string => `tasks_${randomUUID().slice(0, 8)}`;

const places: Readonly<Record<string, () => Place>> = {
  sqlite() {
    const folder = mkdtempSync(join(tmpdir(), "sluice-tasks-"));
    return {
      open: () => sqlite({ path: join(folder, "jobs.db") }),
      remove: async () => rmSync(folder, { recursive: true }),
    };
  },
  redis() {
    const prefix = name();
    const remove = async (): Promise<void> => {
      const redis = new Redis(redisUrl);
      for await (const keys of redis.scanStream({ match: `${prefix}:*`, count: 1_000 })) {
        if (Array.isArray(keys) && keys.length > 0) await redis.unlink(...keys.map(String));
      }
      await redis.quit();
    };
    return { open: () => bullmq({ url: redisUrl, prefix }), remove };
  },
  postgres() {
    const schema = name();
    const remove = async (): Promise<void> => {
      const client = new Client({ connectionString: postgresUrl });
      await client.connect();
      await client.query(`drop schema if exists "${schema}" cascade`);
      await client.end();
    };
    return { open: () => pgBoss({ url: postgresUrl, schema, maxConns: 4, pollInterval: "500ms" }), remove };
  },
  nats() {
    const prefix = name();
    const remove = async (): Promise<void> => {
      await using nc = await connect({ port: natsPort });
      const { streams } = await jetstreamManager(nc);
      for await (const { config } of streams.list()) {
        if (config.name.startsWith(prefix)) await streams.delete(config.name);
      }
    };
    return { open: () => jetStream({ servers: `127.0.0.1:${natsPort}`, prefix }), remove };
  },
};

interface Process {
  readonly tasks: Tasks;
  readonly queue: Queue<string>;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = now() + 40_000;
  while (!condition()) {
    assert.ok(now() < deadline, `not within 40 s: ${what}`);
    // oxlint-disable-next-line no-await-in-loop
    await sleep(5);
  }
}

/** Two processes that take jobs of one queue; all is gone after the test. */
function startTwo(t: TestContext, place: Place, handler: (job: Job<string>) => unknown): readonly [Process, Process] {
  const timer = setInterval(() => {}, 60_000);
  const start = (): Process => {
    const tasks = new Tasks({
      registry: new Registry(),
      store: place.open(),
      drain: { grace: "5s", abort: "1s", stop: "5s" },
    });
    const options = { attempts: 3, backoff: { from: "20ms" }, addTimeout: "20s", deadFor: Infinity } as const;
    return { tasks, queue: tasks.queue<string>("mail", options, handler) };
  };
  const pair = [start(), start()] as const;
  t.after(async () => {
    clearInterval(timer);
    await Promise.all(pair.map(({ tasks }) => tasks.drain()));
    await place.remove();
  });
  return pair;
}

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

const urls: Readonly<Record<string, string>> = { redis: redisUrl, postgres: postgresUrl, nats: natsUrl };

for (const [engine, makePlace] of Object.entries(places)) {
  const url = urls[engine];
  // oxlint-disable-next-line no-await-in-loop -- before the first test
  const skip = url === undefined ? false : await unlessAnswers(url);
  test(
    `${engine}: jobs of two processes are done, tried again, dead and redriven as their handlers say`,
    { skip },
    async (t) => {
      const done: string[] = [];
      let isWell = false;
      const pair = startTwo(t, makePlace(), ({ data, attempt, context }) => {
        if (data === "permanent" && !isWell) throw new Permanent("no such address");
        if (data === "hopeless" && !isWell) throw new Error("never");
        if (data === "later" && attempt === 1) throw new RetryAfter("50ms");
        if (data === "retry" && attempt < 3) throw new Error("busy");
        done.push(data === "traced" ? (context.value(traceparentKey) ?? "") : data);
      });
      const [{ queue }, other] = pair;
      const dead = (): number =>
        pair.reduce((sum, each) => sum + each.queue.stats().dead.attempts + each.queue.stats().dead.permanent, 0);

      for (const data of ["plain", "permanent", "hopeless", "later", "retry"]) await queue.add(data);
      await createContext()
        .withValue(traceparentKey, traceparent)
        .run(() => other.queue.add("traced"));
      await until(() => done.length === 4 && dead() === 2, "four are done and two dead");

      const letters = await other.queue.dead.list();
      assert.deepEqual(
        new Map(
          letters.map(({ data, attempts, failure }) => [data, `${attempts} ${failure.name}: ${failure.message}`]),
        ),
        new Map([
          ["permanent", "1 Permanent: no such address"],
          ["hopeless", "3 Error: never"],
        ]),
      );
      isWell = true;
      assert.equal(await queue.dead.redrive("all"), 2);
      await until(() => done.length === 6, "the dead are done too");
      assert.deepEqual(new Set(done), new Set(["plain", "later", "retry", traceparent, "permanent", "hopeless"]));
    },
  );

  test(`${engine}: a schedule that two processes plan runs each of its jobs once`, { skip }, async (t) => {
    const ran: string[] = [];
    const pair = startTwo(t, makePlace(), ({ id }) => void ran.push(id));
    await Promise.all(pair.map(({ queue }) => queue.levels()));

    const schedules = pair.map(({ queue }) => queue.schedule("* * * * * *", "x", { name: "every second" }));
    await until(() => ran.length >= 4, "four have run");
    for (const schedule of schedules) schedule[Symbol.dispose]();

    assert.equal(new Set(ran).size, ran.length);
    assert.ok(pair.every(({ queue }) => queue.stats().added.added + queue.stats().added.duplicate >= 4));
    assert.ok(
      pair.some(({ queue }) => queue.stats().added.duplicate > 0),
      "both have planned the same",
    );
  });
}

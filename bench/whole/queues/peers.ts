/** The queues side by side, each used as by somebody who knows it. */

import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { Queue, Worker } from "bullmq";
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import { PgBoss } from "pg-boss";
import { sqlite, type NewJob } from "sluice/tasks";
import { concurrency, type Payload, type Place, type QueuePeer } from "./peer.ts";

export const peerIds = ["sluice", "bullmq", "bullmq-everysec", "pg-boss", "graphile-worker"] as const;

export type PeerId = (typeof peerIds)[number];

export const peerLabels: Readonly<Record<PeerId, string>> = {
  sluice: "sluice, SQLite (full sync)",
  bullmq: "BullMQ, Redis (AOF always)",
  "bullmq-everysec": "BullMQ, Redis (AOF everysec)",
  "pg-boss": "pg-boss, PostgreSQL",
  "graphile-worker": "graphile-worker, PostgreSQL",
};

export const peers: Readonly<Record<PeerId, (place: Place) => Promise<QueuePeer>>> = {
  sluice: openSluice,
  bullmq: openBullmq,
  "bullmq-everysec": openBullmq,
  "pg-boss": openPgBoss,
  "graphile-worker": openGraphile,
};

let lastMs = 0;
let sequence = 0;

/** A UUID of version 7, as the runtime of tasks makes them. */
function newId(): string {
  const nowMs = Math.max(Date.now(), lastMs);
  sequence = nowMs > lastMs ? 0 : (sequence + 1) & 0xfff;
  lastMs = sequence === 0xfff ? nowMs + 1 : nowMs;
  const head = nowMs.toString(16).padStart(12, "0");
  // The rest of one of version 4 is as random, and comes from Node's own reserve of random bytes.
  const tail = randomUUID().slice(18);
  return `${head.slice(0, 8)}-${head.slice(8)}-7${sequence.toString(16).padStart(3, "0")}${tail}`;
}

async function openSluice({ folder, name }: Place): Promise<QueuePeer> {
  const store = sqlite({ path: join(folder, `${name}.db`) });
  await store.start({
    onError(error) {
      throw error;
    },
  });
  await store.open(name, { leaseMs: 30_000, maxDead: 1_000, deadForMs: 3_600_000 });
  const jobOf = (data: Payload): NewJob => ({
    id: newId(),
    queue: name,
    body: JSON.stringify({ v: 1, headers: {}, data }),
    delayMs: 0,
    priority: 0,
  });
  return {
    addOne: async (job) => void (await store.add([jobOf(job)], 10_000)),
    addMany: async (jobs) => void (await store.add(jobs.map(jobOf), 30_000)),
    work: async (onJob) => {
      const consumer = await store.consume(name, concurrency, (delivery) => {
        const { data }: { readonly data: Payload } = JSON.parse(delivery.body);
        onJob(data.n);
        void delivery.done();
      });
      return () => consumer.stop();
    },
    close: () => store.stop(5_000),
  };
}

async function openBullmq({ name, redisPort }: Place): Promise<QueuePeer> {
  const connection = { host: "127.0.0.1", port: redisPort };
  // What is done is kept for ever otherwise, in Redis' memory.
  const defaultJobOptions = { removeOnComplete: true, removeOnFail: 1_000 };
  const queue = new Queue<Payload>(name, { connection, defaultJobOptions });
  await queue.waitUntilReady();
  return {
    addOne: async (job) => void (await queue.add("job", job)),
    addMany: async (jobs) => void (await queue.addBulk(jobs.map((data) => ({ name: "job", data })))),
    work: async (onJob) => {
      const worker = new Worker<Payload>(name, async ({ data }) => onJob(data.n), { connection, concurrency });
      await worker.waitUntilReady();
      return () => worker.close();
    },
    close: () => queue.close(),
  };
}

async function openPgBoss({ name, database }: Place): Promise<QueuePeer> {
  const boss = new PgBoss({ connectionString: database, schema: name, useListenNotify: true, max: 10 });
  boss.on("error", (error) => {
    throw error;
  });
  await boss.start();
  await boss.createQueue("bench", { notify: true });
  return {
    addOne: async (job) => void (await boss.send("bench", job)),
    addMany: async (jobs) =>
      void (await boss.insert(
        "bench",
        jobs.map((data) => ({ data })),
      )),
    work: async (onJob) => {
      const options = { batchSize: 100, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 };
      await boss.work<Payload>("bench", options, async (jobs) => jobs.forEach(({ data }) => onJob(data.n)));
      return () => boss.offWork("bench", { wait: true });
    },
    close: () => boss.stop({ graceful: false }),
  };
}

const quiet = new Logger(() => () => undefined);

async function openGraphile({ name, database }: Place): Promise<QueuePeer> {
  const settings = { connectionString: database, schema: name, logger: quiet };
  const utils = await makeWorkerUtils(settings);
  await utils.migrate();
  return {
    addOne: async (job) => void (await utils.addJob("job", job)),
    addMany: async (jobs) => void (await utils.addJobs(jobs.map((job) => ({ identifier: "job", payload: job })))),
    work: async (onJob) => {
      const runner = await run({
        ...settings,
        noHandleSignals: true,
        concurrency: 10,
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what `addOne` and `addMany` have put there
        taskList: { job: (job) => onJob((job as Payload).n) },
        preset: { worker: { localQueue: { size: 100 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
      });
      return () => runner.stop();
    },
    close: async () => utils.release(),
  };
}

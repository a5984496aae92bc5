/** What only the SQLite store has: its file, its limits, its thread. What all stores must do is in test/stores/sqlite.test.ts. */

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { randomFrom } from "../../../test/support/random.ts";
import type { Delivery, NewJob, Store } from "../store.ts";
import type { SqliteOptions } from "./sqlite-options.ts";
import { sqlite } from "./sqlite.ts";

const settings = { leaseMs: 5_000, maxDead: 100, deadForMs: 3_600_000 };
const failure = { name: "Error", message: "on purpose" };

function newFile(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "sluice-sqlite-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, "jobs.db");
}

async function started(t: TestContext, options: SqliteOptions, errors: Error[] = []): Promise<Store> {
  const store = sqlite(options);
  t.after(() => store.stop(2_000));
  await store.start({ onError: (error) => errors.push(error) });
  await store.open("mail", settings);
  return store;
}

function modeOf(file: string): number {
  return statSync(file).mode & 0o777;
}

function startOn(path: string): Promise<void> {
  return sqlite({ path }).start({ onError() {} });
}

let last = 0;

function job(given: Partial<NewJob> = {}): NewJob {
  last += 1;
  const id = `00000000-0000-7000-8000-${String(last).padStart(12, "0")}`;
  return { id, queue: "mail", body: JSON.stringify({ n: last }), delayMs: 0, priority: 0, ...given };
}

/** Runs `code` as a module of a process of its own, in which `path` is the file's. */
function runElsewhere(code: string, path: string): { readonly out: string; readonly err: string; readonly ms: number } {
  const index = new URL("../index.ts", import.meta.url).href;
  const source = `const { sqlite } = await import(${JSON.stringify(index)}); const path = ${JSON.stringify(path)};
    const settings = ${JSON.stringify(settings)}; const job = { id: "a", queue: "mail", body: "{}", delayMs: 0, priority: 0 };
    ${code}`;
  const begin = performance.now();
  const args = ["--conditions=sluice-source", "--input-type=module", "--eval", source];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 20_000 });
  assert.equal(status, 0, stderr);
  return { out: stdout.trim(), err: stderr.trim(), ms: performance.now() - begin };
}

test("importing the part neither loads node:sqlite nor warns, and using the store does not warn either", (t) => {
  const { out, err } = runElsewhere(
    `const isLoaded = () => process.moduleLoadList.some((name) => name.endsWith(" sqlite"));
     const before = isLoaded(); const store = sqlite({ path }); await store.start({ onError() {} }); await store.stop(1_000);
     console.log(before, isLoaded());`,
    newFile(t),
  );
  assert.equal(out, "false false");
  assert.equal(err, "");
});

test("a process that only adds ends by itself, and what it has added is there", async (t) => {
  const path = newFile(t);
  runElsewhere(
    `const store = sqlite({ path }); await store.start({ onError() {} }); await store.open("mail", settings);
     void store.add([job], 5_000);`,
    path,
  );
  const store = await started(t, { path });
  assert.equal((await store.levels("mail")).ready, 1);
});

test("an idle consumer costs next to nothing, keeps its process alive, and no longer once it is stopped", (t) => {
  const { out, ms } = runElsewhere(
    `const store = sqlite({ path }); await store.start({ onError() {} }); await store.open("mail", settings);
     const consumer = await store.consume("mail", 16, () => {});
     await new Promise((resolve) => setTimeout(resolve, 500));
     const before = process.cpuUsage();
     setTimeout(async () => {
       const { user, system } = process.cpuUsage(before);
       console.log(user + system);
       await consumer.stop();
     }, 2_000).unref();`,
    newFile(t),
  );
  assert.ok(ms > 2_500, `ended after ${ms} ms`);
  assert.ok(Number(out) < 100_000, `${out} us of CPU time in 2 s`);
});

test("a path that is none, a word too many and a size below the least are refused by name", () => {
  assert.throws(() => sqlite({ path: "" }), { code: "ERR_OPTION", option: "sqlite.path" });
  assert.throws(() => sqlite({ path: ":memory:" }), /use memory\(\)/);
  assert.throws(() => sqlite({ path: "file:///tmp/a.db" }), /fileURLToPath/);
  assert.throws(() => sqlite({ path: "a\0b" }), /NUL/);
  // @ts-expect-error -- on purpose
  assert.throws(() => sqlite({}), { code: "ERR_OPTION", option: "sqlite.path" });
  // @ts-expect-error -- on purpose
  assert.throws(() => sqlite({ path: "a.db", maxByte: 1 }), /did you mean maxBytes/);
  assert.throws(() => sqlite({ path: "a.db", maxBytes: "1kb" }), /at least 1048576/);
});

test("a new file and its log are the owner's alone, and the mode of one that was there stays", async (t) => {
  const [path, other] = [newFile(t), newFile(t)];
  await started(t, { path });
  new DatabaseSync(other).exec("CREATE TABLE orders (id INTEGER PRIMARY KEY)");
  chmodSync(other, 0o640);
  await started(t, { path: other });
  assert.deepEqual([path, `${path}-wal`].map(modeOf), [0o600, 0o600]);
  assert.equal(modeOf(other), 0o640);
});

test("what is no database, has no folder, or is of a newer sluice is refused at the start, in words", async (t) => {
  const [text, newer] = [newFile(t), newFile(t)];
  writeFileSync(text, "not a database at all, but long enough to be taken for one".repeat(100));
  await (await started(t, { path: newer })).stop(1_000);
  using db = new DatabaseSync(newer);
  db.exec("UPDATE sluice_meta SET value = 99");
  await assert.rejects(startOn(text), { code: "ERR_STORE_UNAVAILABLE", message: /not a database.*restore a copy/ });
  await assert.rejects(startOn(join(tmpdir(), "no", "such", "folder.db")), /folder must be there/);
  await assert.rejects(startOn(newer), /version 99, and this sluice knows 1/);
});

test("a store that is not started says so at once, can be stopped, and can be started after a failure", async (t) => {
  const path = newFile(t);
  const errors: Error[] = [];
  const store = sqlite({ path });
  await assert.rejects(store.open("mail", settings), { code: "ERR_STORE_UNAVAILABLE", message: /is not started/ });
  await sqlite({ path }).stop(10_000);
  writeFileSync(path, "not a database".repeat(100));
  await assert.rejects(store.start({ onError: (error) => errors.push(error) }), /not a database/);
  rmSync(path);
  await store.start({ onError: (error) => errors.push(error) });
  t.after(() => store.stop(2_000));
  await store.open("mail", settings);
  await store.add([job()], 5_000);
  assert.deepEqual(errors, []);
});

test("at maxBytes add is refused as full, jobs are still done, and that makes room", async (t) => {
  const store = await started(t, { path: newFile(t), maxBytes: "1mb" });
  const body = "x".repeat(5_000);
  const add = (): Promise<unknown> =>
    store.add(
      Array.from({ length: 10 }, () => job({ body })),
      5_000,
    );
  const fill = async (): Promise<void> => {
    for (;;) await add();
  };
  await assert.rejects(fill(), { code: "ERR_STORE_FULL", message: /maxBytes/ });
  const { ready } = await store.levels("mail");
  assert.ok(ready > 100, `${ready} jobs in 1 MB`);

  let done = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  await store.consume("mail", 10, (delivery) => void delivery.done().then(() => (++done === ready ? resolve() : 0)));
  await promise;
  await add();
});

test("what waits to be written is bounded, and beyond it add fails at once", async (t) => {
  const store = await started(t, { path: newFile(t), maxPendingBytes: "1mb" });
  const adds = Array.from({ length: 20 }, () => store.add([job({ body: "x".repeat(200_000) })], 10_000));
  const outcomes = await Promise.allSettled(adds);
  const refused = outcomes.filter(({ status }) => status === "rejected");
  assert.equal(refused.length, 15);
  for (const outcome of refused) assert.equal(outcome.status === "rejected" && outcome.reason.code, "ERR_STORE_FULL");
  await store.add([job({ body: "x".repeat(200_000) })], 10_000);
});

test("addWithin takes nothing but a connection to the same file in a transaction", async (t) => {
  const [path, other] = [newFile(t), newFile(t)];
  const store = await started(t, { path });
  await started(t, { path: other });
  using same = new DatabaseSync(path);
  using another = new DatabaseSync(other);
  another.exec("BEGIN");
  const add = async (transaction: unknown): Promise<unknown> => store.addWithin?.(transaction, [job()]);
  await assert.rejects(add({}), /takes the DatabaseSync/);
  await assert.rejects(add(same), /in a transaction/);
  await assert.rejects(add(another), /store's own file/);
});

test("a job added in a transaction of the application's reaches a waiting consumer soon after the commit", async (t) => {
  const path = newFile(t);
  const store = await started(t, { path });
  const { promise, resolve } = Promise.withResolvers<Delivery>();
  await store.consume("mail", 1, resolve);
  using db = new DatabaseSync(path, { timeout: 2_000 });
  db.exec("CREATE TABLE orders (id INTEGER PRIMARY KEY); BEGIN IMMEDIATE; INSERT INTO orders VALUES (1)");
  await store.addWithin?.(db, [job({ id: "order-1" })]);
  await assert.rejects(async () => store.addWithin?.(db, [job(), job({ priority: NaN })]));
  db.exec("COMMIT");
  assert.equal((await promise).id, "order-1");
  // Of the call that failed nothing is left.
  assert.deepEqual({ ...(await store.levels("mail")), oldestReadyMs: 0 }, levels({ active: 1 }));
});

function levels(given: Readonly<Record<string, number>>): object {
  return { ready: 0, delayed: 0, active: 0, dead: 0, oldestReadyMs: 0, ...given };
}

const { seed } = randomFrom();

test(`the levels that are kept are those that would be counted (seed ${seed})`, async (t) => {
  const path = newFile(t);
  const random = randomFrom(seed);
  const store = await started(t, { path });
  const consumer = await store.consume("mail", 8, (delivery) => {
    const ends = [() => delivery.done(), () => delivery.retry(random.below(30), failure), () => delivery.release()];
    // Not all are settled, and those released come again soon enough.
    if (random.below(10) > 0) void random.pick([...ends, () => delivery.dead(failure), () => delivery.done()])();
  });
  for (let round = 0; round < 60; round += 1) {
    const jobs = Array.from({ length: random.below(20) }, () =>
      job({ delayMs: random.below(3) * 10, priority: random.below(3) }),
    );
    await store.add([...jobs, ...jobs.slice(0, 1)], 5_000);
    if (random.below(5) === 0) await store.redrive("mail", "all");
    if (random.below(10) === 0) await store.discard("mail", "all");
  }
  await consumer.stop();
  await store.stop(2_000);
  using db = new DatabaseSync(path);
  const countOf = (query: string): unknown => Object.values(db.prepare(query).get() ?? {});
  assert.deepEqual(
    countOf("SELECT ready, delayed, active, dead FROM sluice_queues"),
    [0, 1, 2]
      .flatMap((state) => countOf(`SELECT count(*) FROM sluice_jobs WHERE state = ${state}`))
      .concat(countOf("SELECT count(*) FROM sluice_dead")),
  );
});

test("the log stays small however much goes through it, and is gone when the store is", async (t) => {
  const path = newFile(t);
  const store = await started(t, { path });
  let largest = 0;
  for (let round = 0; round < 60; round += 1) {
    await store.add(
      Array.from({ length: 500 }, () => job({ body: "x".repeat(1_000) })),
      10_000,
    );
    largest = Math.max(largest, statSync(`${path}-wal`).size);
  }
  assert.ok(largest < 16 * 1_048_576, `${largest} bytes of log for ${statSync(path).size} bytes of jobs`);
  await store.stop(5_000);
  assert.equal(statSync(`${path}-wal`, { throwIfNoEntry: false }), undefined);
});

test("a file that is moved away under the store is not written any more, and its successor is", async (t) => {
  const path = newFile(t);
  const errors: Error[] = [];
  const store = await started(t, { path }, errors);
  await store.add([job()], 5_000);
  for (const ending of ["", "-wal", "-shm"]) renameSync(`${path}${ending}`, `${path}.old${ending}`);
  await assert.rejects(store.add([job()], 5_000), {
    code: "ERR_STORE_UNAVAILABLE",
    message: /moved, replaced or removed/,
  });
  assert.equal(errors.length, 1);
  const isBack = async (): Promise<boolean> =>
    store.add([job()], 5_000).then(
      () => true,
      () => false,
    );
  const begin = performance.now();
  while (!(await isBack()) && performance.now() - begin < 5_000) await sleep(20);
  assert.equal((await store.levels("mail")).ready, 1);
});

test("two processes and two handles do a thousand jobs once each", async (t) => {
  const path = newFile(t);
  const stores = [await started(t, { path }), await started(t, { path })];
  const module = new URL("../../../test/support/store-taker.ts", import.meta.url);
  const elsewhere = new URL("../../../test/support/sqlite-elsewhere.ts", import.meta.url);
  const setup = JSON.stringify({ module: elsewhere, argument: path, queue: "mail", settings, concurrency: 8 });
  const child = spawn(process.execPath, ["--conditions=sluice-source", fileURLToPath(module), setup], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.after(() => child.kill());
  const seen = new Map<string, number>();
  const see = (id: string): void => void seen.set(id, (seen.get(id) ?? 0) + 1);
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => {
    const lines = (text + chunk.toString()).split("\n");
    text = lines.pop() ?? "";
    for (const { event, id } of lines.map((line) => JSON.parse(line))) {
      if (event !== "taken") continue;
      see(id);
      child.stdin.write(`done ${id}\n`);
    }
  });
  await once(child.stdout, "data");
  for (const store of stores) {
    await store.consume("mail", 8, (delivery) => {
      see(delivery.id);
      void delivery.done();
    });
  }
  for (let round = 0; round < 20; round += 1)
    await stores[round % 2]?.add(
      Array.from({ length: 50 }, () => job()),
      10_000,
    );
  const deadline = performance.now() + 20_000;
  while (seen.size < 1_000 && performance.now() < deadline) await sleep(20);
  assert.equal(seen.size, 1_000);
  assert.deepEqual(
    [...seen.values()].filter((times) => times !== 1),
    [],
  );
});

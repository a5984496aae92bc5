/** An order and the job that follows from it, in one transaction of the caller's, through the runtime. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { Client } from "pg";
import { pgBoss } from "sluice/adapters/pg-boss";
import { Tasks, type Queue } from "sluice/tasks";
import { postgresUrl, unlessAnswers } from "../support/engines.ts";

interface Stage extends AsyncDisposable {
  readonly client: Client;
  readonly orders: Queue<{ readonly order: number }>;
  /** Orders of which the job has run. */
  readonly confirmed: number[];
  /** Orders in the table. */
  stored(): Promise<number[]>;
}

const skip = await unlessAnswers(postgresUrl);

async function open(): Promise<Stage> {
  const schema = `outbox_${randomUUID().slice(0, 8)}`;
  const client = new Client({ connectionString: postgresUrl });
  await client.connect();
  await client.query(`create schema ${schema}`);
  await client.query(`create table ${schema}.orders (id int primary key)`);
  await client.query(`set search_path to ${schema}`);
  const tasks = new Tasks({ store: pgBoss({ url: postgresUrl, schema, maxConns: 2 }) });
  const confirmed: number[] = [];
  const orders = tasks.queue<{ readonly order: number }>("orders", {}, async ({ data }) => {
    confirmed.push(data.order);
  });
  return {
    client,
    orders,
    confirmed,
    stored: async () =>
      (await client.query<{ id: number }>("select id from orders order by id")).rows.map(({ id }) => id),
    async [Symbol.asyncDispose]() {
      await tasks.drain();
      await client.query(`drop schema ${schema} cascade`);
      await client.end();
    },
  };
}

async function until(condition: () => boolean): Promise<void> {
  const untilMs = performance.now() + 10_000;
  while (!condition()) {
    assert.ok(performance.now() < untilMs, "it has not come true within 10 s");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("an order that is rolled back has no job, and one that is committed has one", { skip }, async () => {
  await using stage = await open();
  const { client, orders, confirmed } = stage;
  await orders.add({ order: 0 });
  await until(() => confirmed.length === 1);

  await client.query("begin");
  await client.query("insert into orders values (1)");
  await orders.addWithin(client, { order: 1 });
  await client.query("rollback");
  await client.query("begin");
  await client.query("insert into orders values (2)");
  await orders.addWithin(client, { order: 2 });
  const before = [...confirmed];
  await client.query("commit");
  await until(() => confirmed.length === 2);

  assert.deepEqual(before, [0]);
  assert.deepEqual(confirmed, [0, 2]);
  assert.deepEqual(await stage.stored(), [2]);
});

test("a transaction that pg-boss has wrapped for another library is taken as well", { skip }, async () => {
  await using stage = await open();
  const { client, orders, confirmed } = stage;
  const db = { executeSql: (sql: string, values?: unknown[]) => client.query(sql, values) };

  await client.query("begin");
  await orders.addWithin(db, { order: 1 });
  await client.query("commit");

  await until(() => confirmed.length === 1);
});

test("what is no transaction is refused with what one is", { skip }, async () => {
  await using stage = await open();

  await assert.rejects(stage.orders.addWithin({}, { order: 1 }), /client of pg/);
});

/** The contract of stores, kept by pg-boss on PostgreSQL. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { Client } from "pg";
import { pgBoss, type PgBossOptions } from "sluice/adapters/pg-boss";
import { startDeafProxy } from "../support/deaf-proxy.ts";
import { postgresUrl, through, unlessAnswers } from "../support/engines.ts";
import { testStore, type StorePlace } from "../support/store-contract.ts";

async function newPlace(): Promise<StorePlace> {
  const proxy = await startDeafProxy(Number(new URL(postgresUrl).port));
  const options: PgBossOptions = {
    url: through(postgresUrl, proxy.port),
    schema: `contract_${randomUUID().slice(0, 8)}`,
    commandTimeout: "5s",
    maxConns: 4,
    pollInterval: "500ms",
  };
  const control = new Client({ connectionString: postgresUrl });
  await control.connect();
  return {
    open: () => pgBoss(options),
    elsewhere: { module: new URL("../support/pg-boss-store.ts", import.meta.url), argument: JSON.stringify(options) },
    async begin() {
      const client = new Client({ connectionString: postgresUrl });
      await client.connect();
      await client.query("begin");
      const end = async (word: string): Promise<void> => {
        await client.query(word);
        await client.end();
      };
      return { transaction: client, commit: () => end("commit"), rollback: () => end("rollback") };
    },
    async silence() {
      proxy.silence();
      return async () => proxy.speak();
    },
    async refuse() {
      proxy.refuse();
      return async () => proxy.speak();
    },
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await control.query(`drop schema if exists "${options.schema}" cascade`);
      await control.end();
    },
  };
}

testStore({
  name: "pg-boss",
  skip: await unlessAnswers(postgresUrl),
  caps: {
    delay: true,
    priority: true,
    dedup: "until-done",
    transactions: true,
    sharedBy: "network",
    durable: true,
  },
  leaseMs: 1_000,
  slackMs: 2_500,
  hasEngine: true,
  newPlace,
});

test("a schema that would have to be quoted, and an option that is none, are refused", () => {
  assert.throws(() => pgBoss({ schema: 'a"; drop table orders; --' }), { code: "ERR_OPTION", message: /schema/ });
  assert.throws(() => pgBoss({ shema: "a" } as object), { code: "ERR_OPTION", message: /schema/ });
});

/** The contract of stores, kept by BullMQ on Redis and on PostgreSQL. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { Redis } from "ioredis";
import { Client } from "pg";
import { bullmq, type BullmqOptions } from "sluice/adapters/bullmq";
import type { StoreCaps } from "sluice/tasks";
import { startDeafProxy } from "../support/deaf-proxy.ts";
import { postgresUrl, redisUrl, through, unlessAnswers } from "../support/engines.ts";
import { testStore, type StorePlace } from "../support/store-contract.ts";

const caps: StoreCaps = {
  delay: true,
  priority: true,
  dedup: "until-done",
  transactions: false,
  sharedBy: "network",
  durable: true,
};

/** A place behind a proxy of its own; `remove` forgets what lies under its prefix. */
async function newPlace(url: string, remove: (prefix: string) => Promise<void>): Promise<StorePlace> {
  const proxy = await startDeafProxy(Number(new URL(url).port));
  const options: BullmqOptions = {
    url: through(url, proxy.port),
    prefix: `contract_${randomUUID().slice(0, 8)}`,
    commandTimeout: "5s",
  };
  return {
    open: () => bullmq(options),
    elsewhere: { module: new URL("../support/bullmq-store.ts", import.meta.url), argument: JSON.stringify(options) },
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
      await remove(options.prefix ?? "");
    },
  };
}

async function removeKeys(prefix: string): Promise<void> {
  const redis = new Redis(redisUrl);
  for await (const keys of redis.scanStream({ match: `${prefix}:*`, count: 1_000 })) {
    if (Array.isArray(keys) && keys.length > 0) await redis.unlink(...keys.map(String));
  }
  await redis.quit();
}

async function dropSchema(prefix: string): Promise<void> {
  const client = new Client({ connectionString: postgresUrl });
  await client.connect();
  await client.query(`drop schema if exists "${prefix}" cascade`);
  await client.end();
}

const shared = { caps, leaseMs: 1_000, slackMs: 2_500, hasEngine: true };

testStore({
  ...shared,
  name: "bullmq on Redis",
  skip: await unlessAnswers(redisUrl),
  newPlace: () => newPlace(redisUrl, removeKeys),
});

testStore({
  ...shared,
  name: "bullmq on PostgreSQL",
  skip: await unlessAnswers(postgresUrl),
  newPlace: () => newPlace(postgresUrl, dropSchema),
});

test("an address that is no engine of BullMQ's, and an option that is none, are refused", () => {
  assert.throws(() => bullmq({ url: "http://127.0.0.1" }), { code: "ERR_OPTION", message: /redis:.*postgres:/ });
  assert.throws(() => bullmq({ prefx: "p" } as object), { code: "ERR_OPTION", message: /prefix/ });
});

/** The contract of stores, kept by the one in a SQLite file. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { sqlite } from "sluice/tasks";
import { testStore, type OpenTransaction, type StorePlace } from "../support/store-contract.ts";

testStore({
  name: "sqlite",
  caps: { delay: true, priority: true, dedup: "until-done", transactions: true, sharedBy: "machine", durable: true },
  leaseMs: 1_200,
  slackMs: 2_000,
  hasEngine: true,
  newPlace: async () => newPlace(),
});

function newPlace(): StorePlace {
  const folder = mkdtempSync(join(tmpdir(), "sluice-sqlite-"));
  const path = join(folder, "jobs.db");
  return {
    // So that calls to a locked file fail soon.
    open: () => sqlite({ path, timeout: "3s" }),
    elsewhere: { module: new URL("../support/sqlite-elsewhere.ts", import.meta.url), argument: path },
    begin: async () => begin(path),
    silence: async () => silence(path),
    [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** A connection of the application's own, in a transaction. */
async function begin(path: string): Promise<OpenTransaction> {
  const transaction = await lock(path);
  const end = async (statement: string): Promise<void> => {
    transaction.exec(statement);
    transaction.close();
  };
  return { transaction, commit: () => end("COMMIT"), rollback: () => end("ROLLBACK") };
}

/** Another program that holds the file's lock, and does not let go of it. */
async function silence(path: string): Promise<() => Promise<void>> {
  const other = await lock(path);
  return async () => {
    other.exec("ROLLBACK");
    other.close();
  };
}

/** Not by a wait within SQLite: that would hold up this thread, in which another test may have the lock. */
async function lock(path: string): Promise<DatabaseSync> {
  const db = new DatabaseSync(path, { timeout: 0 });
  for (;;) {
    try {
      db.exec("BEGIN IMMEDIATE");
      return db;
    } catch (error) {
      if (!(error instanceof Error && error.message === "database is locked")) throw error;
    }
    // oxlint-disable-next-line no-await-in-loop -- one try after the other
    await sleep(2);
  }
}

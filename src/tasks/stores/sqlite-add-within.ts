/** Jobs added in a transaction of the application's own, on its own connection: they are there if what they are about is. */

import { statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import type { AddedJob, NewJob } from "../store.ts";
import { JobTables } from "./sqlite-jobs.ts";

/**
 * Adds within the transaction that `transaction`, a `DatabaseSync`, is in. Nothing is on record before its commit.
 *
 * @throws TypeError if it is no such connection, is in no transaction, or has another file than `path`: two files cannot be
 * committed as one.
 */
export function addInTransaction(
  transaction: unknown,
  path: string,
  jobs: readonly NewJob[],
  queueNumber: (name: string) => number,
): AddedJob[] {
  if (!isDatabase(transaction)) {
    throw new TypeError("addWithin takes the DatabaseSync of node:sqlite in which the transaction was begun");
  }
  if (!transaction.isTransaction) {
    throw new TypeError('addWithin takes a DatabaseSync in a transaction: call exec("BEGIN IMMEDIATE") on it first');
  }
  const file = transaction.location();
  if (file === null || !isSameFile(file, path)) {
    throw new TypeError(
      `addWithin takes a DatabaseSync of the store's own file ${path}; this one is of ${file ?? "memory"}`,
    );
  }
  // Prepared anew each time: a connection may be closed and opened again, which ends its statements.
  const tables = new JobTables(transaction);
  const now = Date.now();
  return tables.within(() =>
    jobs.map(({ id, queue, body, key, delayMs, priority }) => {
      const first = tables.add([id, queueNumber(queue), body, key ?? null, delayMs, priority], 0, now);
      return { id: first ?? id, isDuplicate: first !== undefined };
    }),
  );
}

/** By its shape: the module is not loaded for this. */
function isDatabase(value: unknown): value is DatabaseSync {
  return (
    typeof value === "object" && value !== null && "isTransaction" in value && "location" in value && "prepare" in value
  );
}

function isSameFile(a: string, b: string): boolean {
  const [one, other] = [a, b].map((path) => statSync(path, { throwIfNoEntry: false }));
  return one !== undefined && other !== undefined && one.ino === other.ino && one.dev === other.dev;
}

/** The stores of which `kill.ts` kills the processes: how to make a place for jobs, and how to open it from any process. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sqlite } from "sluice/tasks";
import type { Store } from "sluice/tasks";
import { bullmq } from "sluice/adapters/bullmq";
import { pgBoss } from "sluice/adapters/pg-boss";
import { Engine } from "../support/engine.ts";

/** Somewhere for jobs, removed in the end. `argument` leads another process there. */
export interface KillPlace extends AsyncDisposable {
  readonly argument: string;
  /** What is wrong with the place after all that was done to it; empty if nothing is. */
  readonly inspect: () => Promise<readonly string[]>;
}

export interface KillStore {
  readonly newPlace: () => Promise<KillPlace>;
  readonly open: (argument: string) => Promise<Store>;
}

export const killStores: Readonly<Record<string, KillStore>> = {
  sqlite: {
    newPlace: async () => {
      const folder = mkdtempSync(join(tmpdir(), "sluice-kill-"));
      const argument = join(folder, "jobs.db");
      return {
        argument,
        inspect: async () => inspectFile(argument),
        [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true, force: true }),
      };
    },
    open: async (path) => sqlite({ path }),
  },
  redis: onEngine("redis", (url) => bullmq({ url })),
  postgres: onEngine("postgres", (url) => pgBoss({ url })),
};

/** SQLite's own check, and whether what the store has counted is what is there. */
export function inspectFile(path: string): readonly string[] {
  using db = new DatabaseSync(path);
  const check = db
    .prepare("PRAGMA integrity_check")
    .all()
    .map((row) => String(Object.values(row)[0]));
  const miscounted = db
    .prepare(
      `SELECT name FROM sluice_queues q WHERE
         ready <> (SELECT count(*) FROM sluice_jobs j WHERE j.queue = q.queue AND state = 0) OR
         delayed <> (SELECT count(*) FROM sluice_jobs j WHERE j.queue = q.queue AND state = 1) OR
         active <> (SELECT count(*) FROM sluice_jobs j WHERE j.queue = q.queue AND state = 2) OR
         dead <> (SELECT count(*) FROM sluice_dead d WHERE d.queue = q.queue)`,
    )
    .all();
  return [
    ...check.filter((line) => line !== "ok"),
    ...miscounted.map(({ name }) => `the levels of ${String(name)} are wrong`),
  ];
}

function onEngine(name: "redis" | "postgres", open: (url: string) => Store): KillStore {
  return {
    newPlace: async () => {
      const engine = await Engine.start(name);
      return {
        argument: engine.url,
        inspect: async () => [],
        [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
      };
    },
    open: async (url) => open(url),
  };
}

/** The same queue on every engine: which one is a line. Given the name of a store, it needs that engine on its usual port. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bullmq } from "sluice/adapters/bullmq";
import { jetStream } from "sluice/adapters/jetstream";
import { pgBoss } from "sluice/adapters/pg-boss";
import { memory, sqlite, Tasks, type Store } from "sluice/tasks";

const folder = mkdtempSync(join(tmpdir(), "sluice-example-"));
const path = join(folder, "jobs.db");

const stores: Readonly<Record<string, () => Store>> = {
  memory: () => memory(),
  sqlite: () => sqlite({ path }),
  redis: () => bullmq({ url: "redis://127.0.0.1:6379" }),
  postgres: () => pgBoss({ url: "postgres://postgres@127.0.0.1:5432/test" }),
  nats: () => jetStream({ servers: "127.0.0.1:4222" }),
};
const store = (stores[process.env["STORE"] ?? ""] ?? stores["sqlite"])?.();

const tasks = new Tasks({ ...(store !== undefined && { store }) });
const { promise: sent, resolve } = Promise.withResolvers<string>();
const mail = tasks.queue<string>("mail", { attempts: 5 }, ({ data }) => resolve(data));
await mail.add("ada@example.com");

console.log("sent to", await sent);
await tasks.drain();
rmSync(folder, { recursive: true });

/** A durable queue in a file: a job that fails is tried again, one that cannot succeed is a dead letter, and comes back. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Permanent, sqlite, Tasks } from "sluice/tasks";

interface Mail {
  readonly to: string;
}

const folder = mkdtempSync(join(tmpdir(), "sluice-example-"));
const tasks = new Tasks({ store: sqlite({ path: join(folder, "jobs.db") }) });
const refused = new Set(["nobody@example.com"]);

const mail = tasks.queue<Mail>(
  "mail",
  { concurrency: 16, attempts: 5, backoff: { from: "20ms", to: "1s" }, timeout: "30s" },
  async ({ data, attempt, signal }) => {
    await sleep(1, undefined, { signal });
    if (refused.has(data.to)) throw new Permanent(`there is no ${data.to}`);
    if (attempt < 3) throw new Error("the mail server is busy");
    console.log(`sent to ${data.to} at attempt ${attempt}`);
  },
);

const first = await mail.add({ to: "ada@example.com" }, { key: "welcome-ada" });
const second = await mail.add({ to: "ada@example.com" }, { key: "welcome-ada" });
console.log("the same job:", first.id === second.id && second.isDuplicate);
await untilSent(1);

await mail.add({ to: "nobody@example.com" });
while (mail.stats().dead.permanent < 1) await sleep(5);
for (const { data, attempts, failure } of await mail.dead.list()) {
  console.log(`dead after ${attempts} attempt: ${data?.to}: ${failure.message}`);
}
refused.clear();
console.log("redriven:", await mail.dead.redrive("all"));
await untilSent(2);

await tasks.drain();
rmSync(folder, { recursive: true });

async function untilSent(count: number): Promise<void> {
  while (mail.stats().attempts.ok < count) await sleep(5);
}

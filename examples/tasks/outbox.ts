/** A job that exists exactly if the order exists: added in the transaction of the order, in the same file. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sqlite, Tasks } from "sluice/tasks";

const folder = mkdtempSync(join(tmpdir(), "sluice-example-"));
const path = join(folder, "shop.db");
const shop = new DatabaseSync(path);
shop.exec("PRAGMA journal_mode = WAL; CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT)");

const tasks = new Tasks({ store: sqlite({ path }) });
const { promise: confirmed, resolve } = Promise.withResolvers<unknown>();
const confirmations = tasks.queue<{ readonly item: string }>("confirmations", {}, ({ data }) => resolve(data));
// The file knows the queue from here on: a transaction should not wait for that.
await confirmations.levels();

async function order(item: string): Promise<void> {
  shop.exec("BEGIN IMMEDIATE");
  try {
    shop.prepare("INSERT INTO orders (item) VALUES (?)").run(item);
    await confirmations.addWithin(shop, { item });
    if (item === "") throw new RangeError("an order needs an item");
    shop.exec("COMMIT");
  } catch (error) {
    shop.exec("ROLLBACK");
    throw error;
  }
}

await order("").catch((error: unknown) => console.log(String(error)));
await order("mug");
console.log("confirmed:", await confirmed);
await tasks.drain();
shop.close();
rmSync(folder, { recursive: true });

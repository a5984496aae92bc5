/** What is done for a client that has left: nothing more, except for what was detached. */

import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Transport } from "sluice/client";
import { context, ContextError } from "sluice/core";
import { createServer } from "sluice/server";

/** A service behind this one, which takes five seconds. */
const slow = createServer({}, (_req, res) => setTimeout(() => res.end("at last\n"), 5_000).unref());
await once(slow.listen(0, "127.0.0.1"), "listening");
const slowAddress = slow.address();
const slowUrl = `http://127.0.0.1:${typeof slowAddress === "object" ? slowAddress?.port : 0}`;

const transport = new Transport();
const client = new Transport();

async function audit(): Promise<void> {
  await sleep(600);
  console.log("audit written, and its context is", context().done ? "done" : "not done");
}

const server = createServer({ handlerTimeout: "10s" }, async (_req, res) => {
  console.log(Math.round(context().remaining() / 1_000), "s are left for this request");
  const ownTime = context().detach({ timeout: "5s" });
  void ownTime.run(audit).finally(() => ownTime.cancel());
  try {
    res.end(await (await transport.fetch(slowUrl)).text()); // no argument says so, but it ends with the request
  } catch {
    const { cause } = context();
    console.log("given up:", cause instanceof ContextError ? cause.code : cause);
  }
});
await once(server.listen(0, "127.0.0.1"), "listening");
const address = server.address();
const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;

await client.fetch(url, { signal: AbortSignal.timeout(300) }).catch(() => undefined);
while (server.stats().inFlight > 0) await sleep(5); // oxlint-disable-line no-await-in-loop
console.log("in flight:", transport.stats().inFlight, "to the other service");
await sleep(600);
await Promise.all([server.drain(), slow.drain(), transport.close(), client.close()]);

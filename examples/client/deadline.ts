/** One deadline for all calls of a job: a context is inherited by whatever is called in it, and ends it. */

import { setTimeout as sleep } from "node:timers/promises";
import { context, SluiceError } from "sluice";
import { Transport } from "sluice/client";

const shop = process.argv[2] ?? "http://127.0.0.1:8080";

const transport = new Transport();
const url = `${shop}/api/products/stoneware-mug`;

async function job(): Promise<void> {
  console.log((await transport.fetch(url)).status);
  await sleep(1_000);
  await transport.fetch(url); // no argument says so, but its time is over
}

using limited = context().child({ timeout: "800ms" });
try {
  await limited.run(job);
} catch (error) {
  const cause = error instanceof TypeError ? error.cause : error;
  if (!(cause instanceof SluiceError)) throw error;
  console.log(cause.code);
}
await transport.close();

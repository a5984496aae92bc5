/** What a failure says: a code to match on, the phase it happened in, and whether the server may have seen the request. */

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { ClientError, Transport } from "sluice/client";

const silent = createServer(() => {}); // takes requests and never answers
silent.listen(0, "127.0.0.1");
await once(silent, "listening");
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on TCP
const { port } = silent.address() as AddressInfo;
const url = `http://127.0.0.1:${port}/`;

const transport = new Transport({ maxConnsPerHost: 1, poolTimeout: "100ms", responseHeaderTimeout: "200ms" });

async function order(): Promise<void> {
  try {
    await transport.fetch(url, { method: "POST", body: "one mug" });
  } catch (error) {
    // fetch throws a TypeError, as the standard wants it; what happened is its cause.
    const cause = error instanceof TypeError ? error.cause : error;
    if (!(cause instanceof ClientError)) throw error;
    console.log(cause.code, `in phase ${cause.phase}:`, cause.sent ? "ask the server first" : "safe to repeat");
  }
}

await Promise.all([order(), order()]); // the second one waits for the connection of the first

await transport.close();
silent.close();

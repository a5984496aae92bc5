/** What a request leaves behind on a connection that is kept. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Registry } from "../core/instruments.ts";
import { listen } from "../../test/support/loopback.ts";
import { wireClient } from "../../test/support/wire-client.ts";
import { createServer } from "./server.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

// Node's parser keeps the last one until the next comes (nodejs/node#9668).
test("a request and its answer can be collected while their connection is idle", async () => {
  const seen: WeakRef<object>[] = [];
  const server = createServer({ registry: new Registry() }, (req, res) => {
    seen.push(new WeakRef(req), new WeakRef(res));
    res.end("ok");
  });
  await using listening = await listen(server);
  await using client = await wireClient(listening.port);
  client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await client.answer();

  const until = performance.now() + 5_000;
  while (seen.some((ref) => ref.deref() !== undefined) && performance.now() < until) {
    // oxlint-disable-next-line no-await-in-loop -- a WeakRef holds for its turn
    await sleep(5);
    collectGarbage();
  }

  assert.deepEqual(
    seen.map((ref) => ref.deref() === undefined),
    [true, true],
  );
  assert.equal(server.stats().connections.idle, 1);
});

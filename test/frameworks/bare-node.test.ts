/** A handler cannot tell a guarded server from a bare one by the events and flags of its requests and responses. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { Registry } from "sluice/core";
import { guard } from "sluice/server";
import { listen, until } from "../support/loopback.ts";
import { randomFrom } from "../support/random.ts";
import { observe, scenarioParts, type Scenario } from "../support/request-events.ts";

/** `SCENARIOS=10000` plays all of them, in half a minute. */
const sampleSize = Number(process.env["SCENARIOS"] ?? 400);

function guarded(): Server {
  const server = createServer();
  guard(server, { registry: new Registry() });
  return server;
}

function allScenarios(): Scenario[] {
  const { request, reader, answer, listener, order } = scenarioParts;
  return request.flatMap((one) =>
    reader.flatMap((two) =>
      answer.flatMap((three) =>
        listener.flatMap((four) =>
          order.map((five) => ({ request: one, reader: two, answer: three, listener: four, order: five })),
        ),
      ),
    ),
  );
}

test("events, flags and answers are those of a bare server, in every order of answer, body and end", async (t) => {
  const random = randomFrom();
  const left = allScenarios();
  t.diagnostic(`SEED=${random.seed}: ${sampleSize} of ${left.length} scenarios`);
  for (let index = 0; index < sampleSize; index += 1) {
    const scenario = random.take(left);
    if (scenario === undefined) break;
    let bare = await observe(createServer(), scenario);
    let ours = await observe(guarded(), scenario);
    // On a busy machine the kernel may take longer to deliver than the turns that are waited for.
    for (let again = 0; again < 3 && !isDeepStrictEqual(ours, bare); again += 1) {
      bare = await observe(createServer(), scenario);
      ours = await observe(guarded(), scenario);
    }
    assert.deepEqual(ours, bare, JSON.stringify(scenario));
  }
});

test("a handler that has answered may read on for longer than an unread body is waited for", async () => {
  const server = guarded();
  const read: string[] = [];
  server.on("request", (req, res) => {
    req.on("data", (chunk) => read.push(String(chunk)));
    req.on("end", () => read.push("end"));
    res.writeHead(202).end("accepted");
  });
  await using listening = await listen(server);
  const client = connect(listening.port, "127.0.0.1");
  client.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n");
  await once(client, "data");

  await sleep(2_200);
  client.write("first");
  await sleep(100);
  client.write("other");
  await until(() => read.length === 3);

  assert.deepEqual(read, ["first", "other", "end"]);
  client.destroy();
});

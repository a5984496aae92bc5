import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { createServer } from "node:http";
import { test } from "node:test";
import { EventStreamClient } from "../../test/support/event-stream-client.ts";
import { listen } from "../../test/support/loopback.ts";
import { until } from "../../test/support/patience.ts";
import { Registry } from "../core/instruments.ts";
import { SseChannel } from "./sse-channel.ts";
import { Streams } from "./streams.ts";
import { WebSockets } from "./web-sockets.ts";

/** Every series that is not 0, as `name{labels}`. */
function read(registry: Registry): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { name, samples } of registry.collect()) {
    for (const sample of samples) {
      if ("value" in sample && sample.value !== 0) found[`${name}{${sample.labels.join(",")}}`] = sample.value;
    }
  }
  return found;
}

test("what streams do is in the metrics, in the statistics, and on the channels", async (t) => {
  const registry = new Registry();
  const streams = new Streams({ registry, name: "orders", maxStreams: 2, addressOf: () => "someone" });
  const channel = new SseChannel();
  const messages: [topic: string, message: Record<string, unknown>][] = [];
  for (const name of ["sluice.streams.opened", "sluice.streams.closed", "sluice.streams.rejected"]) {
    const onMessage = (message: unknown): void => {
      const fields = message as Record<string, unknown>;
      if (fields["streams"] === "orders") messages.push([name.slice(15), fields]);
    };
    subscribe(name, onMessage);
    t.after(() => unsubscribe(name, onMessage));
  }
  await using server = await listen(createServer((req, res) => void streams.sse(req, res, { channel })));
  const { port } = server;

  const first = await EventStreamClient.open({ port });
  await using _second = await EventStreamClient.open({ port });
  await using third = await EventStreamClient.open({ port });
  await third.ended();
  channel.send({ data: 1 });
  await first.until(() => first.events.length === 1);
  const { lastEventId } = first.parser;
  await first[Symbol.asyncDispose]();
  await until(() => streams.stats().active === 1);
  channel.send({ data: 2 });
  await using again = await EventStreamClient.open({ port, lastEventId });
  await again.until(() => again.events.length === 1);

  assert.deepEqual(read(registry), {
    "sse_connections_total{orders}": 3,
    "sse_messages_total{orders}": 5,
    "sse_rejected_total{orders,limit}": 1,
    "sse_closed_total{orders,client}": 1,
    "sse_replayed_total{orders}": 1,
    "sse_connections_active{orders}": 2,
    "sse_connections_limit{orders,total}": 2,
    "sse_connections_limit{orders,address}": Infinity,
  });
  const { active, opened, sent, replayed, rejected, closed, limits } = streams.stats();
  assert.deepEqual([active, opened, sent, replayed, rejected.limit, closed.client], [2, 3, 5, 1, 1, 1]);
  assert.deepEqual(limits, { maxStreams: 2, maxStreamsPerAddress: Infinity });
  assert.ok(Object.isFrozen(streams.stats()));
  assert.deepEqual(
    messages.map(([topic]) => topic),
    ["opened", "opened", "rejected", "closed", "opened"],
  );
  const [, closing] = messages[3] ?? assert.fail("nobody heard of the end");
  const [, reopening] = messages[4] ?? assert.fail("nobody heard of the second beginning");
  assert.deepEqual([closing["kind"], closing["address"], closing["reason"]], ["sse", "someone", "client"]);
  assert.equal(reopening["lastEventId"], lastEventId);
});

test("the levels leave the metrics with the drain, the counts stay", async () => {
  const registry = new Registry();
  const streams = new Streams({ registry, name: "one" });
  const sockets = new WebSockets({}, { registry, name: "two" });

  assert.equal(read(registry)["ws_connections_limit{two,total}"], 10_000);
  await Promise.all([streams.drain(), sockets.drain()]);

  assert.deepEqual(read(registry), {});
  assert.ok([...registry.collect()].some(({ name }) => name === "ws_closed_total"));
});

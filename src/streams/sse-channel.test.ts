import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { EventStreamClient } from "../../test/support/event-stream-client.ts";
import { listen } from "../../test/support/loopback.ts";
import { until } from "../../test/support/patience.ts";
import { randomFrom } from "../../test/support/random.ts";
import { Registry } from "../core/instruments.ts";
import { SseChannel } from "./sse-channel.ts";
import type { SseChannelOptions } from "./sse-channel-options.ts";
import type { SseOptions } from "./sse-options.ts";
import { Streams } from "./streams.ts";

interface Made extends AsyncDisposable {
  readonly channel: SseChannel;
  readonly streams: Streams;
  readonly open: (lastEventId?: string) => Promise<EventStreamClient>;
}

async function serve(options: SseChannelOptions & { readonly sse?: SseOptions } = {}): Promise<Made> {
  const { sse, ...ofChannel } = options;
  const channel = new SseChannel(ofChannel);
  const streams = new Streams({ registry: new Registry() });
  const server = createServer((req, res) => void streams.sse(req, res, { channel, ...sse }));
  const { port, [Symbol.asyncDispose]: close } = await listen(server);
  return {
    channel,
    streams,
    open: (lastEventId) => EventStreamClient.open({ port, ...(lastEventId === undefined ? {} : { lastEventId }) }),
    [Symbol.asyncDispose]: close,
  };
}

function sendMany(channel: SseChannel, from: number, to: number): void {
  for (let number = from; number < to; number += 1) channel.send({ data: number });
}

const numbers = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, at) => String(from + at));

test("all clients of a channel get each event, with its id, in order", async () => {
  await using made = await serve();
  const clients = await Promise.all(Array.from({ length: 20 }, () => made.open()));

  sendMany(made.channel, 0, 50);
  await Promise.all(clients.map((client) => client.until(() => client.events.length === 50)));

  for (const client of clients) {
    assert.deepEqual(client.data, numbers(0, 50));
    assert.deepEqual(client.events, clients[0]?.events);
  }
  assert.equal(new Set(clients[0]?.events.map(({ lastEventId }) => lastEventId)).size, 50);
  assert.deepEqual([made.channel.size, made.channel.stats().events], [20, 50]);
  await clients[0]?.[Symbol.asyncDispose]();
  await until(() => made.channel.size === 19);
  assert.equal(made.channel.size, 19);
});

test("a client that comes again gets what it has missed, once and in order", async () => {
  await using made = await serve();
  const client = await made.open();
  sendMany(made.channel, 0, 10);
  await client.until(() => client.events.length === 10);
  await client[Symbol.asyncDispose]();
  sendMany(made.channel, 10, 30);

  await using again = await made.open(client.parser.lastEventId);
  await again.until(() => again.events.length >= 20);
  sendMany(made.channel, 30, 40);
  await again.until(() => again.events.length >= 30);

  assert.deepEqual(again.data, numbers(10, 40));
  assert.equal(made.streams.stats().replayed, 20);
  assert.equal(made.streams.stats().gaps, 0);
});

test("a client whose connection broke before its first event misses nothing either", async () => {
  await using made = await serve();
  sendMany(made.channel, 0, 5);
  const client = await made.open();
  await client.until(() => client.parser.lastEventId !== "");
  assert.deepEqual(client.events, []);
  await client[Symbol.asyncDispose]();
  sendMany(made.channel, 5, 8);

  await using again = await made.open(client.parser.lastEventId);
  await again.until(() => again.events.length >= 3);

  assert.deepEqual(again.data, numbers(5, 8));
});

test("a client that was away for too long is told that there is a gap, and gets what is kept", async () => {
  await using made = await serve({ history: { maxEvents: 5 } });
  const client = await made.open();
  sendMany(made.channel, 0, 3);
  await client.until(() => client.events.length === 3);
  await client[Symbol.asyncDispose]();
  sendMany(made.channel, 3, 20);

  await using again = await made.open(client.parser.lastEventId);
  await again.until(() => again.events.length >= 6);

  assert.deepEqual(again.events[0], { type: "gap", data: '{"reason":"expired"}', lastEventId: "" });
  assert.deepEqual(again.data.slice(1), numbers(15, 20));
  assert.equal(made.streams.stats().gaps, 1);
});

test("an id that this channel has never given is a gap, and all that comes next is new", async () => {
  await using made = await serve();
  sendMany(made.channel, 0, 5);
  const { lastEventId } = await newestOf(made);
  const future = lastEventId.replace(/-5$/, "-99");
  assert.notEqual(future, lastEventId);

  for (const id of ["of another process-3", future, "é\u2028", "x".repeat(200)]) {
    await using client = await made.open(Buffer.from(id).toString("latin1"));
    await client.until(() => client.events.length === 1 && client.parser.lastEventId === lastEventId);
    assert.deepEqual([client.events[0]?.type, client.data[0]], ["gap", '{"reason":"unknown"}'], id);
  }
  await using tooLong = await made.open("x".repeat(300));
  await tooLong.until(() => tooLong.parser.lastEventId === lastEventId);
  assert.deepEqual(tooLong.events, [], "what is no id is taken for none");
});

async function newestOf({ open }: Made): Promise<{ readonly lastEventId: string }> {
  await using client = await open();
  await client.until(() => client.parser.lastEventId !== "");
  return { lastEventId: client.parser.lastEventId };
}

test("ids of the program's own are what a client resumes by, also beyond ASCII", async () => {
  await using made = await serve();
  for (const id of ["änderung-1", "änderung-2\r\ndata: forged", "änderung-3"])
    made.channel.send({ id, data: id.slice(-1) });

  await using client = await made.open(Buffer.from("änderung-1").toString("latin1"));
  await client.until(() => client.events.length === 2);

  assert.deepEqual(
    client.events.map(({ lastEventId }) => lastEventId),
    ["änderung-2data: forged", "änderung-3"],
  );
});

test("what is replayed goes out as the client reads it, and does not count against its limit", async () => {
  await using made = await serve({ sse: { maxBufferedBytes: "100kb" } });
  const { lastEventId } = await newestOf(made);
  const text = "x".repeat(16_384);
  for (let number = 0; number < 500; number += 1) made.channel.send({ data: `${number} ${text}` });

  await using client = await made.open(lastEventId);
  client.pause();
  await sleep(100);
  const waiting = made.streams.stats().bufferedBytes;
  // It reads along with what is sent meanwhile.
  for (let number = 500; number < 600; number += 1) made.channel.send({ data: `${number} ${text}` });
  client.resume();
  await client.until(() => client.events.length >= 600);
  made.channel.send({ data: "600" });
  await client.until(() => client.events.length >= 601);

  assert.ok(waiting > 0 && waiting < 200_000, `${waiting} bytes wait`);
  assert.deepEqual(
    client.data.map((data) => Number.parseInt(data, 10)),
    Array.from({ length: 601 }, (_, at) => at),
  );
});

test("a reader that is overtaken while it catches up is told what it has missed", async () => {
  await using made = await serve({ history: { maxEvents: 200 } });
  const { lastEventId } = await newestOf(made);
  const text = "x".repeat(65_536);
  for (let number = 0; number < 200; number += 1) made.channel.send({ data: `${number} ${text}` });

  await using client = await made.open(lastEventId);
  client.pause();
  await sleep(50);
  for (let number = 200; number < 400; number += 1) made.channel.send({ data: `${number} ${text}` });
  client.resume();
  await client.until(() => client.data.at(-1)?.startsWith("399 ") === true);

  const gap = client.events.findIndex(({ type }) => type === "gap");
  const { missed } = JSON.parse(client.data[gap] ?? "{}");
  const seen = client.data.map((data) => Number.parseInt(data, 10));
  assert.ok(gap > 0);
  assert.deepEqual(
    seen.slice(0, gap),
    Array.from({ length: gap }, (_, at) => at),
  );
  assert.equal(seen[gap + 1], gap + missed);
  assert.deepEqual(
    seen.slice(gap + 1),
    Array.from({ length: 400 - gap - missed }, (_, at) => gap + missed + at),
  );
});

test("an event is made into bytes once, whoever gets it", async () => {
  await using made = await serve();
  const clients = await Promise.all(Array.from({ length: 10 }, () => made.open()));
  let asked = 0;
  const data = {
    toJSON: () => {
      asked += 1;
      return "once";
    },
  };

  made.channel.send({ data });
  await Promise.all(clients.map((client) => client.until(() => client.data[0] === '"once"')));

  assert.equal(asked, 1);
});

test("with more clients than an event reaches in one turn, each has every event once and in order, whoever comes and goes", async () => {
  const random = randomFrom();
  await using made = await serve();
  const seen: string[][] = Array.from({ length: 400 }, () => []);
  const clients = await Promise.all(seen.map(() => made.open()));
  let sent = 0;
  const sendSome = (count: number): void => {
    sendMany(made.channel, sent, sent + count);
    sent += count;
  };

  for (let round = 0; round < 30; round += 1) {
    // Between the turns of a pass, clients leave, and come again by their last id.
    sendSome(1 + random.below(20));
    const moving = Array.from({ length: 10 }, () => random.below(clients.length));
    await Promise.all(
      [...new Set(moving)].map(async (at) => {
        const client = clients[at];
        if (client === undefined) return;
        await client.until(() => client.parser.lastEventId !== "");
        await client[Symbol.asyncDispose]();
        seen[at]?.push(...client.data);
        sendSome(random.below(3));
        clients[at] = await made.open(client.parser.lastEventId);
      }),
    );
  }
  sendSome(1);
  const last = String(sent - 1);
  await Promise.all(clients.map((client) => client.until(() => client.data.at(-1) === last)));

  for (const [at, client] of clients.entries()) {
    assert.deepEqual([...(seen[at] ?? []), ...client.data], numbers(0, sent), `client ${at}, seed ${random.seed}`);
  }
  assert.equal(made.streams.stats().gaps, 0);
});

test("what was sent last comes before the end, also to those whose turn it was not yet", async () => {
  await using made = await serve();
  const clients = await Promise.all(Array.from({ length: 400 }, () => made.open()));

  made.channel.send({ data: "first" });
  made.channel.send({ data: "last" });
  made.channel.end();
  await Promise.all(clients.map((client) => client.ended()));

  for (const client of clients) assert.deepEqual(client.data, ["first", "last"]);
});

test("a program that sends without a pause fills nothing but what its clients may have", async () => {
  await using made = await serve({
    history: { maxEvents: 10 },
    sse: { overflow: "drop-oldest", maxBufferedBytes: "64kb" },
  });
  const clients = await Promise.all(Array.from({ length: 300 }, () => made.open()));
  const before = process.memoryUsage().arrayBuffers;

  // 200 MB in one turn.
  for (let number = 0; number < 20_000; number += 1) made.channel.send({ data: `${number} ${"x".repeat(10_000)}` });
  const grown = process.memoryUsage().arrayBuffers - before;
  await Promise.all(clients.map((client) => client.until(() => client.data.at(-1)?.startsWith("19999 ") === true)));

  assert.ok(grown < 100 * 2 ** 20, `${grown} bytes`);
  assert.ok(made.streams.stats().dropped.overflow > 0);
});

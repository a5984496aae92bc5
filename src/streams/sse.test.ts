import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createSecureServer } from "node:http2";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { serverCertificate } from "../../test/support/certificates.ts";
import { EventStreamClient } from "../../test/support/event-stream-client.ts";
import { listen, type LoopbackServer } from "../../test/support/loopback.ts";
import { until } from "../../test/support/patience.ts";
import { Registry } from "../core/instruments.ts";
import { SseChannel } from "./sse-channel.ts";
import type { SseOptions } from "./sse-options.ts";
import type { SseStream } from "./sse-stream.ts";
import { Streams } from "./streams.ts";
import type { StreamsOptions } from "./streams-options.ts";

interface Setup extends StreamsOptions {
  readonly sse?: SseOptions;
  readonly http2?: boolean;
  readonly before?: (req: IncomingMessage, res: ServerResponse) => void;
}

interface Made extends AsyncDisposable {
  readonly port: number;
  readonly streams: Streams;
  /** In the order in which they were opened. */
  readonly opened: SseStream[];
  readonly server: LoopbackServer;
  readonly open: (lastEventId?: string) => Promise<EventStreamClient>;
}

/** A server whose every answer is an event stream. */
async function serve({ sse = {}, http2 = false, before, ...options }: Setup = {}): Promise<Made> {
  const streams = new Streams({ registry: new Registry(), ...options });
  const opened: SseStream[] = [];
  const handle = (req: IncomingMessage, res: ServerResponse): void => {
    before?.(req, res);
    opened.push(streams.sse(req, res, sse));
  };
  // The compatibility API of HTTP/2 has the same shape.
  const server = http2
    ? createSecureServer({ ...serverCertificate }, handle as unknown as Parameters<typeof createSecureServer>[1])
    : createServer(handle);
  const listening = await listen(server);
  return {
    port: listening.port,
    streams,
    opened,
    server: listening,
    open: (lastEventId) =>
      EventStreamClient.open({ port: listening.port, http2, ...(lastEventId === undefined ? {} : { lastEventId }) }),
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}

/** Sends to a client that does not read until nothing moves any more. */
async function hold(streams: Streams, stream: SseStream): Promise<void> {
  for (let looks = 0; looks < 5; looks += 1) {
    if (streams.stats().bufferedBytes === 0) {
      stream.send("x".repeat(65_536));
      looks = 0;
    }
    await sleep(5);
  }
}

/** Sends until its client is behind. */
function fall(stream: SseStream, text = "x".repeat(16_384)): number {
  let sent = 0;
  while (stream.bufferedBytes < 100_000) {
    stream.send({ data: `${sent} ${text}` });
    sent += 1;
  }
  return sent;
}

for (const http2 of [false, true]) {
  describe(http2 ? "over HTTP/2" : "over HTTP/1", () => {
    test("a client gets what is sent, with a header that nobody on the way keeps or gathers", async () => {
      await using made = await serve({ http2, before: (_req, res) => res.setHeader("x-own", "1") });
      await using client = await made.open();
      const [stream] = made.opened;

      stream?.send({ event: "greeting", id: "1", data: { hello: "world" } });
      stream?.send("two\nlines");
      stream?.end();
      await client.ended();

      assert.deepEqual(client.events, [
        { type: "greeting", data: '{"hello":"world"}', lastEventId: "1" },
        { type: "message", data: "two\nlines", lastEventId: "1" },
      ]);
      assert.equal(client.status, 200);
      assert.equal(client.headers["content-type"], "text/event-stream; charset=utf-8");
      assert.equal(client.headers["cache-control"], "no-cache, no-transform");
      assert.equal(client.headers["x-accel-buffering"], "no");
      assert.equal(client.headers["x-own"], "1");
      assert.ok(!client.isBroken);
      const retry = client.parser.retryMs ?? 0;
      assert.ok(retry >= 2_000 && retry <= 3_000, `retry ${retry}`);
      await until(() => stream?.state === "closed");
      assert.deepEqual([stream?.state, stream?.closeReason, stream?.send("late")], ["closed", "ended", false]);
      assert.equal(made.streams.stats().closed.ended, 1);
    });

    test("a client that leaves ends the context of its stream", async () => {
      await using made = await serve({ http2 });
      const client = await made.open();
      const [stream] = made.opened;
      assert.equal(stream?.context.done, false);
      const { context } = stream;

      await client[Symbol.asyncDispose]();
      await until(() => context.done);

      assert.equal((context.cause as { code?: string }).code, "ERR_CLIENT_GONE");
      assert.deepEqual([stream?.state, stream?.closeReason], ["closed", "client"]);
      assert.equal(made.streams.stats().active, 0);
    });

    test("a reader that stops is disconnected at its limit, and what waited for it is given back", async () => {
      await using made = await serve({ http2, sse: { maxBufferedBytes: "1mb" } });
      await using client = await made.open();
      const [stream] = made.opened;
      assert.ok(stream !== undefined);
      client.pause();

      let most = 0;
      for (let sent = 0; stream.state === "open" && sent < 2_000; sent += 1) {
        stream.send("x".repeat(32_768));
        most = Math.max(most, stream.bufferedBytes);
        await sleep(0);
      }

      assert.deepEqual([stream.state, stream.closeReason], ["closed", "overflow"]);
      assert.ok(most > 500_000 && most <= 1_048_576 + 65_536, `${most} bytes waited`);
      client.resume();
      await client.ended();
      assert.deepEqual([made.streams.stats().bufferedBytes, made.streams.stats().active], [0, 0]);
    });

    test("one that may miss the oldest is told how many it has missed, and has the rest in order", async () => {
      await using made = await serve({ http2, sse: { overflow: "drop-oldest", maxBufferedBytes: "1mb" } });
      await using client = await made.open();
      const [stream] = made.opened;
      assert.ok(stream !== undefined);
      client.pause();

      const sent = 600;
      for (let number = 0; number < sent; number += 1) {
        stream.send(`${number} ${"x".repeat(32_768)}`);
        assert.ok(stream.bufferedBytes <= 1_048_576, `${stream.bufferedBytes} bytes wait`);
        if (number % 20 === 0) await sleep(0);
      }
      client.resume();
      await client.until(() => client.data.at(-1)?.startsWith(`${sent - 1} `) === true);

      const gap = client.events.findIndex(({ type }) => type === "gap");
      const numbers = client.data.map((data) => Number.parseInt(data, 10));
      const { reason, missed } = JSON.parse(client.events[gap]?.data ?? "{}");
      const first = numbers[gap + 1] ?? NaN;
      assert.equal(reason, "overflow");
      assert.deepEqual(
        numbers.slice(0, gap),
        Array.from({ length: gap }, (_, index) => index),
      );
      assert.equal(missed, first - gap, "between what came before and what came after");
      assert.deepEqual(
        numbers.slice(gap + 1),
        Array.from({ length: sent - first }, (_, index) => first + index),
      );
      assert.equal(made.streams.stats().dropped.overflow, missed);
      assert.equal(made.streams.stats().bufferedBytes, 0);
    });

    test("one that wants only the latest has the latest of each key, however long it slept", async () => {
      await using made = await serve({ http2, sse: { overflow: "latest-only" } });
      await using client = await made.open();
      const channel = new SseChannel();
      const [stream] = made.opened;
      assert.ok(stream !== undefined);
      channel.add(stream);
      client.pause();
      await hold(made.streams, stream);

      for (let tick = 0; tick < 20_000; tick += 1) channel.send({ event: "price", key: `k${tick % 7}`, data: tick });
      const waiting = stream.bufferedBytes;
      client.resume();
      await client.until(() => client.data.at(-1) === "19999");

      const prices = client.events.filter(({ type }) => type === "price").map(({ data }) => Number(data));
      assert.deepEqual(prices.slice(-7), [19_993, 19_994, 19_995, 19_996, 19_997, 19_998, 19_999]);
      assert.ok(prices.length < 100, `${prices.length} prices came`);
      assert.ok(waiting < 1_048_576, `${waiting} bytes waited`);
      assert.ok(made.streams.stats().dropped.superseded > 19_000);
    });

    test("a client that takes nothing is cut, and one that has nothing to take is not", async () => {
      await using made = await serve({ http2, sse: { stallTimeout: "300ms", heartbeat: "100ms" } });
      await using idle = await made.open();
      await using stuck = await made.open();
      const [, stream] = made.opened;
      assert.ok(stream !== undefined);
      stuck.pause();
      await hold(made.streams, stream);
      const from = performance.now();

      await until(() => stream.state === "closed");
      const took = performance.now() - from;

      assert.equal(stream.closeReason, "stalled");
      assert.ok(took >= 250, `after ${took} ms`);
      assert.equal(made.opened[0]?.state, "open");
      assert.ok(idle.parser.comments > 0);
    });
  });
}

test("a comment is sent when nothing else was for a while, and only then", async () => {
  await using made = await serve({ sse: { heartbeat: "200ms" } });
  await using quiet = await made.open();
  await using busy = await made.open();
  const timer = setInterval(() => made.opened[1]?.send("tick"), 50);

  await quiet.until(() => quiet.parser.comments >= 4);
  clearInterval(timer);

  // A blocked loop may hold back a tick, not four of them.
  assert.ok(busy.parser.comments <= 1, `${busy.parser.comments} heartbeats between ${busy.events.length} events`);
  assert.ok(busy.events.length >= 4);
});

test("no connection grows older than its limit, and clients do not all come again at once", async () => {
  await using made = await serve({ sse: { maxAge: "500ms" } });
  const clients = await Promise.all(Array.from({ length: 30 }, () => made.open()));

  await Promise.all(clients.map((client) => client.ended()));

  assert.equal(made.streams.stats().closed.max_age, 30);
  const ends = clients.map((client) => client.endedAt ?? 0);
  assert.ok(Math.max(...ends) - Math.min(...ends) > 25, "all ended together");
  assert.ok(clients.every((client) => !client.isBroken));
});

test("ready waits for a slow reader, and tells when it has left", async () => {
  await using made = await serve();
  const client = await made.open();
  const [stream] = made.opened;
  assert.ok(stream !== undefined);
  assert.equal(await stream.ready(), true);
  client.pause();
  let sent = 0;
  const produce = async (): Promise<void> => {
    while (await stream.ready()) {
      stream.send("x".repeat(65_536));
      sent += 1;
    }
  };
  const produced = produce();
  await until(() => stream.bufferedBytes > 0 && sent > 3);
  await sleep(50);
  const before = sent;
  await sleep(50);
  assert.equal(sent, before, "it goes on although nobody reads");
  assert.ok(stream.bufferedBytes < 200_000);

  client.resume();
  await until(() => sent > before);
  await client[Symbol.asyncDispose]();
  await produced;

  assert.ok(sent > before);
  assert.equal(stream.state, "closed");
});

test("what waits is sent before the end, and nothing after it", async () => {
  await using made = await serve();
  await using client = await made.open();
  const [stream] = made.opened;
  assert.ok(stream !== undefined);
  client.pause();
  const sent = fall(stream);
  stream.end();
  assert.deepEqual([stream.state, stream.send("late")], ["ending", false]);

  client.resume();
  await client.ended();

  assert.equal(client.events.length, sent);
  assert.ok(!client.isBroken);
  await until(() => stream.state === "closed");
  assert.equal(stream.closeReason, "ended");
});

test("beyond the limit a stream says when to come again, and its place is free when another has ended", async () => {
  await using made = await serve({ maxStreams: 2 });
  await using first = await made.open();
  await using second = await made.open();
  await using third = await made.open();

  await third.ended();
  assert.deepEqual([third.status, third.events.length], [200, 0]);
  const retry = third.parser.retryMs ?? 0;
  assert.ok(retry >= 10_000 && retry <= 30_000, `retry ${retry}`);
  assert.equal(made.opened[2]?.state, "closed");
  assert.equal(made.opened[2]?.context.done, true);
  await first[Symbol.asyncDispose]();
  await until(() => made.streams.stats().active === 1);
  await using fourth = await made.open();
  made.opened[3]?.send("in");
  await fourth.until(() => fourth.events.length === 1);
  assert.equal(made.streams.stats().rejected.limit, 1);
  assert.equal(second.endedAt, undefined);
});

test("a client that knows it is told 503", async () => {
  await using made = await serve({ maxStreams: 0, refusal: "status" });
  await using client = await made.open();

  await client.ended();

  assert.deepEqual([client.status, client.headers["retry-after"]], [503, "10"]);
});

function userOf({ headers }: IncomingMessage): string | undefined {
  return String(headers["x-user"]);
}

test("the limit of an address holds for that address", async () => {
  await using made = await serve({ maxStreamsPerAddress: 1, addressOf: userOf });
  const open = (user: string) => EventStreamClient.open({ port: made.port, headers: { "x-user": user } });
  await using first = await open("ada");
  await using second = await open("ada");
  await using third = await open("bob");

  await second.ended();
  made.opened[0]?.send("a");
  made.opened[2]?.send("b");
  await first.until(() => first.data[0] === "a");
  await third.until(() => third.data[0] === "b");

  assert.equal(made.streams.stats().rejected.address, 1);
});

test("a drain ends all streams with a time to wait for each, and refuses who comes later", async () => {
  await using made = await serve({ drain: { retry: "8s" } });
  const clients = await Promise.all(Array.from({ length: 40 }, () => made.open()));
  for (const stream of made.opened) stream.send("last");

  const report = await made.streams.drain();
  await Promise.all(clients.map((client) => client.ended()));

  assert.deepEqual([report.ended, report.cut], [40, 0]);
  const retries = clients.map(({ parser }) => parser.retryMs ?? 0);
  assert.ok(
    retries.every((ms) => ms >= 800 && ms <= 8_000),
    String(retries),
  );
  assert.ok(Math.max(...retries) - Math.min(...retries) > 3_000, "all come again at once");
  assert.ok(clients.every(({ isBroken, data }) => !isBroken && data[0] === "last"));
  await using late = await made.open();
  await late.ended();
  assert.deepEqual([late.status, late.parser.retryMs !== undefined], [200, true]);
  assert.deepEqual([made.streams.stats().state, made.streams.stats().rejected.draining], ["drained", 1]);
});

test("a drain does not wait longer than its grace for a client that does not read", async () => {
  await using made = await serve({ drain: { grace: "200ms" } });
  await using client = await made.open();
  await using reader = await made.open();
  const [stream] = made.opened;
  assert.ok(stream !== undefined);
  client.pause();
  await hold(made.streams, stream);

  const { ended, cut, tookMs } = await made.streams.drain();

  assert.deepEqual([ended, cut], [1, 1]);
  assert.ok(tookMs >= 195 && tookMs < 1_500, `${tookMs} ms`);
  await reader.ended();
});

test("a response whose client has left before is no stream", async () => {
  const streams = new Streams({ registry: new Registry() });
  const { promise, resolve } = Promise.withResolvers<SseStream>();
  const server = createServer((req, res) => {
    res.once("close", () => resolve(streams.sse(req, res)));
  });
  await using listening = await listen(server);
  const controller = new AbortController();
  const asked = fetch(`http://127.0.0.1:${listening.port}/`, { signal: controller.signal }).catch(() => undefined);
  await until(() => listening.connections.size > 0);
  await sleep(50);
  controller.abort();

  const stream = await promise;
  await asked;

  assert.deepEqual([stream.state, stream.closeReason, stream.context.done], ["closed", "client", true]);
  assert.deepEqual([streams.stats().opened, streams.stats().active], [0, 0]);
});

test("whoever asks for the header alone gets it, and the connection is free again", async () => {
  await using made = await serve();

  const { status, headers } = await fetch(`http://127.0.0.1:${made.port}/`, { method: "HEAD" });

  assert.deepEqual([status, headers.get("content-type")], [200, "text/event-stream; charset=utf-8"]);
  assert.deepEqual([made.opened[0]?.state, made.streams.stats().opened], ["closed", 0]);
});

test("an unknown option is an error that names the nearest", async () => {
  const streams = new Streams({ registry: new Registry() });
  assert.throws(() => streams.sse({} as IncomingMessage, {} as ServerResponse, { hartbeat: 1 } as SseOptions), {
    code: "ERR_OPTION",
    message: /heartbeat/,
  });
  assert.throws(() => new Streams({ maxStream: 1 } as StreamsOptions), { code: "ERR_OPTION", message: /maxStreams/ });
  assert.throws(() => new SseChannel({ history: { maxAge: 0 } }), {
    code: "ERR_OPTION",
    message: /SseChannel.history/,
  });
});

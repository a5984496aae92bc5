/** Streams on a guarded server: its deadlines leave them alone, and its drain ends them. */

import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { context, Registry } from "sluice/core";
import { createServer, type ServerOptions } from "sluice/server";
import { SseChannel, Streams, type SseOptions, type SseStream } from "sluice/streams";
import { serverCertificate } from "./support/certificates.ts";
import { EventStreamClient } from "./support/event-stream-client.ts";
import { until } from "./support/patience.ts";

interface Setup extends ServerOptions {
  readonly http2?: boolean;
  readonly sse?: SseOptions;
  readonly onRequest?: (req: IncomingMessage, res: ServerResponse) => void;
}

async function serve({ http2 = false, sse = {}, onRequest, ...limits }: Setup) {
  const streams = new Streams({ registry: new Registry(), drain: { retry: "1s", grace: "500ms" } });
  const opened: SseStream[] = [];
  const handle = (req: IncomingMessage, res: ServerResponse): void => {
    onRequest?.(req, res);
    if (req.url === "/plain") res.end("plain\n");
    else opened.push(streams.sse(req, res, sse));
  };
  const options = { registry: new Registry(), ...limits };
  const server = http2
    ? createServer({ ...options, tls: serverCertificate, http2: true }, handle)
    : createServer(options, handle);
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const open = (lastEventId?: string): Promise<EventStreamClient> =>
    EventStreamClient.open({ port, http2, ...(lastEventId === undefined ? {} : { lastEventId }) });
  return {
    server,
    streams,
    opened,
    open,
    port,
    async [Symbol.asyncDispose]() {
      await server.drain();
    },
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

for (const http2 of [false, true]) {
  const over = http2 ? "over HTTP/2" : "over HTTP/1";

  test(`no deadline of the server's ends a stream, idle or slow, and it holds no place (${over})`, async () => {
    const strict: ServerOptions = {
      handlerTimeout: "200ms",
      writeTimeout: "300ms",
      minResponseRate: { bytesPerSecond: 1_000_000, grace: "200ms" },
      concurrency: { limit: 1, queue: 0 },
      drain: { grace: "1s" },
    };
    await using made = await serve({ http2, ...strict });
    await using idle = await made.open();
    await using slow = await made.open();
    slow.pause();
    const [, stream] = made.opened;
    assert.ok(stream !== undefined, "the second one was not let in");
    await hold(made.streams, stream);
    const sent = made.streams.stats().sent;

    await sleep(1_000);
    slow.resume();
    made.opened[0]?.send("still here");
    await idle.until(() => idle.data[0] === "still here");
    await slow.until(() => slow.events.length === sent);

    assert.deepEqual([idle.isBroken, slow.isBroken], [false, false]);
    assert.deepEqual(
      Object.values(made.server.stats().timeouts).filter((n) => n > 0),
      [],
    );
  });

  test(`when the server drains its streams end by themselves, and nothing is cut (${over})`, async () => {
    await using made = await serve({ http2 });
    const clients = await Promise.all(Array.from({ length: 10 }, () => made.open()));
    for (const stream of made.opened) stream.send("last");

    const report = await made.server.drain();

    assert.equal(report.cut, 0);
    assert.ok(report.tookMs < 3_000, `${report.tookMs} ms`);
    for (const client of clients) {
      // oxlint-disable-next-line no-await-in-loop -- they have ended
      await client.ended();
      assert.deepEqual([client.isBroken, client.data], [false, ["last"]]);
      assert.ok((client.parser.retryMs ?? 0) >= 100 && (client.parser.retryMs ?? 0) <= 1_000);
    }
    assert.equal(made.streams.stats().closed.drain, 10);
    assert.equal(made.streams.stats().state, "serving", "the group may have streams of other servers");
  });
}

test("a stream that comes while the server settles is told to come again", async () => {
  await using made = await serve({ drain: { settle: "400ms", grace: "2s" } });
  await using before = await made.open();

  const drained = made.server.drain();
  await before.ended();
  await using late = await made.open();
  await late.ended();

  assert.deepEqual([late.status, late.headers["content-type"]], [200, "text/event-stream; charset=utf-8"]);
  assert.ok(late.parser.retryMs !== undefined && late.events.length === 0);
  await drained;
});

test("a drain of one server leaves the streams of the other", async () => {
  await using first = await serve({});
  const other = createServer(
    { registry: new Registry() },
    (req, res) => void first.opened.push(first.streams.sse(req, res)),
  );
  await once(other.listen(0, "127.0.0.1"), "listening");
  const address = other.address();
  await using here = await first.open();
  await using there = await EventStreamClient.open({ port: typeof address === "object" ? (address?.port ?? 0) : 0 });

  await other.drain();
  await there.ended();

  first.opened[0]?.send("still here");
  await here.until(() => here.data[0] === "still here");
});

test("the context of a stream is that of its request, and ends with the stream", async () => {
  const seen: unknown[] = [];
  await using made = await serve({
    onRequest: () => seen.push(context()),
  });
  await using client = await made.open();
  const [stream] = made.opened;
  assert.ok(stream !== undefined);
  assert.equal(stream.context.deadline, Infinity, "a stream has no deadline of its request's");
  const { promise, resolve } = Promise.withResolvers<unknown>();
  stream.context.onDone(resolve);

  await client[Symbol.asyncDispose]();

  assert.equal(((await promise) as { code?: string }).code, "ERR_CLIENT_GONE");
  assert.equal(seen.length, 1);
});

test("a client that reads nothing cannot hold up a drain beyond the grace of the streams", async () => {
  await using made = await serve({ drain: { grace: "10s" } });
  await using client = await made.open();
  client.pause();
  const [stream] = made.opened;
  assert.ok(stream !== undefined);
  await hold(made.streams, stream);

  const report = await made.server.drain();

  assert.ok(report.tookMs < 3_000, `${report.tookMs} ms`);
  assert.equal(stream.closeReason, "drain");
});

test("a channel resumes across a restart when the ids are the program's own", async () => {
  const channels = [new SseChannel(), new SseChannel()];
  let at = 0;
  await using made = await serve({ sse: {} });
  const join = (): void => channels[at]?.add(made.opened.at(-1) ?? assert.fail("no stream"));
  const client = await made.open();
  join();
  for (const channel of channels) for (let id = 1; id <= 5; id += 1) channel.send({ id: `db-${id}`, data: id });
  await client.until(() => client.events.length === 5);
  await client[Symbol.asyncDispose]();

  at = 1;
  channels[1]?.send({ id: "db-6", data: 6 });
  await using again = await made.open(client.parser.lastEventId);
  join();
  await again.until(() => again.events.length === 1);

  assert.deepEqual(again.events, [{ type: "message", data: "6", lastEventId: "db-6" }]);
  await until(() => channels[0]?.size === 0);
  assert.equal(channels[0]?.size, 0);
});

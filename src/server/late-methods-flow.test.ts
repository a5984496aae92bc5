import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { PassThrough, pipeline, Readable, Stream } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import {
  connectTo,
  protocols,
  serveGuarded,
  type Handler,
  type KeptConnection,
  type Protocol,
} from "../../test/support/kept-connection.ts";
import { lateCalls, lateCallsOf, type AnyResponse } from "../../test/support/late-calls.ts";
import { until } from "../../test/support/loopback.ts";
import { containLateWrites } from "./late-methods.ts";
import { LateWrites } from "./late-writes.ts";

interface Contained extends AsyncDisposable {
  readonly client: KeptConnection;
  readonly lateWrites: LateWrites;
  readonly methods: () => readonly string[];
}

async function contained(protocol: Protocol, handler: Handler): Promise<Contained> {
  const methods: string[] = [];
  const lateWrites = new LateWrites(({ method }) => methods.push(method));
  const server = await serveGuarded(protocol, (response) => containLateWrites(response, { lateWrites }), handler);
  const client = connectTo(protocol, server.port);
  return {
    client,
    lateWrites,
    methods: () => methods,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

function answerSmall(res: ServerResponse, body = "ok"): void {
  res.setHeader("content-length", body.length);
  res.end(body);
}

/** A response that has been answered, and has come to its end. */
async function answered(protocol: Protocol): Promise<Contained & { readonly res: AnyResponse }> {
  const { promise, resolve } = Promise.withResolvers<AnyResponse>();
  const server = await contained(protocol, (_req, res) => {
    answerSmall(res);
    resolve(res);
  });
  await server.client.ask("/");
  const res = await promise;
  return Object.assign(server, { res });
}

function codeOf(call: () => unknown): unknown {
  try {
    call();
    return undefined;
  } catch (error) {
    return error instanceof Error && "code" in error ? error.code : error;
  }
}

for (const protocol of protocols) {
  test(`${protocol}: while an answer is on its way, a header that is too late throws as it does in Node`, async () => {
    const codes: unknown[] = [];
    const names = lateCallsOf(protocol).filter(
      (name) => lateCalls[name]?.ofHead === true && !(protocol === "HTTP/2" && name.startsWith("write")),
    );
    await using server = await contained(protocol, (_req, res) => {
      res.setHeader("content-length", 5);
      res.write("begun");
      codes.push(...names.map((name) => codeOf(() => lateCalls[name]?.call(res))));
      res.end();
    });

    assert.match(await server.client.ask("/"), /begun/);

    assert.deepEqual(
      new Set(codes),
      new Set([protocol === "HTTP/1" ? "ERR_HTTP_HEADERS_SENT" : "ERR_HTTP2_HEADERS_SENT"]),
    );
    assert.equal(server.lateWrites.count, 0);
  });

  test(`${protocol}: a mistake that has nothing to do with time throws as it does in Node`, async () => {
    const codes: unknown[] = [];
    await using server = await contained(protocol, (_req, res) => {
      codes.push(codeOf(() => res.setHeader("x y", "1")));
      codes.push(codeOf(() => res.setHeader("x", "\n")));
      codes.push(codeOf(() => res.removeHeader(undefined as unknown as string)));
      answerSmall(res);
    });

    await server.client.ask("/");

    assert.ok(!codes.slice(protocol === "HTTP/1" ? 0 : 2).includes(undefined), String(codes));
    assert.equal(server.lateWrites.count, 0);
  });

  test(`${protocol}: the callback of a late call hears of it, once and not at once`, async () => {
    await using server = await answered(protocol);
    const { res } = server;
    const heard: unknown[] = [];
    const hear = (name: string) => (error?: NodeJS.ErrnoException | null) => heard.push([name, error?.code]);

    res.write("late", hear("write"));
    res.write("late", "utf8", hear("write with an encoding"));
    res.end("late", hear("end"));
    res.end("late", "utf8", hear("end with an encoding"));
    res.writeEarlyHints({ link: "</a>; rel=preload" }, hear("writeEarlyHints"));
    const heardAtOnce = heard.length;
    await sleep(1);

    assert.equal(heardAtOnce, 0);
    assert.deepEqual(
      heard,
      ["write", "write with an encoding", "end", "end with an encoding", "writeEarlyHints"].map((name) => [
        name,
        "ERR_STREAM_WRITE_AFTER_END",
      ]),
    );
  });

  test(`${protocol}: ending twice without a chunk is not late, and its callback hears what it hears in Node`, async () => {
    const heard: unknown[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const hear = (name: string) => (error?: NodeJS.ErrnoException | null) => heard.push([name, error?.code]);
    const handler: Handler = (_req, res) => {
      answerSmall(res);
      res.end();
      res.end(hear("at once"));
      res.end("", hear("with nothing"));
      res.on("close", () => {
        res.end();
        res.end(hear("after the answer"));
        setTimeout(resolve, 1);
      });
    };
    await using bare = await serveGuarded(protocol, () => {}, handler);
    await using bareClient = connectTo(protocol, bare.port);
    await bareClient.ask("/");
    await promise;
    const expected = heard.splice(0);
    await using server = await contained(protocol, handler);

    await server.client.ask("/");
    await until(() => heard.length === expected.length);

    assert.deepEqual(heard, expected);
    assert.equal(server.lateWrites.count, 0);
  });

  test(`${protocol}: what can be asked of a complete response stays true after late calls`, async () => {
    await using server = await answered(protocol);
    const { res } = server;
    for (const name of lateCallsOf(protocol)) lateCalls[name]?.call(res);
    await sleep(1);

    res.statusCode = 500;
    res.setTimeout(1_000);
    assert.deepEqual(
      [
        res.headersSent,
        res.writableEnded,
        res.writableFinished,
        res.getHeader("content-length"),
        res.hasHeader("x-late"),
      ],
      [true, true, true, 2, false],
    );
    assert.equal(server.lateWrites.count, lateCallsOf(protocol).length);
  });

  test(`${protocol}: a stream that is piped too late is told by who piped it, gives nothing, and does not flow`, async () => {
    await using server = await answered(protocol);
    let read = 0;
    const source = new Readable({
      highWaterMark: 1,
      read() {
        read += 1;
        this.push("endless");
      },
    });

    source.pipe(server.res);
    for (let turn = 0; turn < 20; turn++) await sleep(0);

    assert.deepEqual(server.methods(), ["pipe"]);
    assert.equal(server.lateWrites.count, 1);
    assert.match(server.lateWrites.places()[0]?.stack ?? "", /late-methods-flow\.test/);
    assert.equal(source.readableFlowing, false);
    assert.ok(read < 20, `it was read ${read} times`);
    assert.equal(source.destroyed, false);
  });

  test(`${protocol}: a stream that is piped too late goes on to where else it is piped`, async () => {
    await using server = await answered(protocol);
    const source = Readable.from(["one", "two", "three"]);
    const other = new PassThrough();

    source.pipe(other);
    source.pipe(server.res);

    assert.equal(await text(other), "onetwothree");
    assert.equal(server.lateWrites.count, 1);
  });

  test(`${protocol}: what is piped while somebody else answers stops, and is not destroyed`, async () => {
    const source = new PassThrough();
    const { promise, resolve } = Promise.withResolvers<void>();
    await using server = await contained(protocol, (_req, res) => {
      source.pipe(res);
      answerSmall(res);
      source.write("late");
      res.on("close", resolve);
    });

    assert.match(await server.client.ask("/"), /ok/);
    await promise;
    source.write("later");
    await sleep(1);

    assert.ok(source.readableLength > 0, "it flows on");
    assert.equal(source.destroyed, false);
  });

  test(`${protocol}: a stream of the oldest kind that is piped too late stops`, async () => {
    await using server = await answered(protocol);
    let paused = 0;
    const source = Object.assign(new Stream(), { pause: () => (paused += 1) });

    source.pipe(server.res);
    source.emit("data", "late");

    assert.deepEqual(server.methods(), ["pipe", "write"]);
    assert.equal(paused, 1);
  });

  test(`${protocol}: stream.pipeline() into an answer that is on its way ends, and destroys its source`, async () => {
    const source = Readable.from(["late"]);
    const { promise, resolve } = Promise.withResolvers<unknown>();
    await using server = await contained(protocol, (_req, res) => {
      answerSmall(res);
      pipeline(source, res, resolve);
    });

    assert.match(await server.client.ask("/"), /ok/);
    await promise;

    assert.equal(source.destroyed, true);
    assert.equal(server.lateWrites.count, 1);
  });
}

/** Part of the contract of `framework-contract.ts`: answers and uploads in pieces, and clients that leave in between. */

import assert from "node:assert/strict";
import { once } from "node:events";
import type { Server } from "node:http";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { background, context, ContextError, type Context } from "sluice/core";
import { WebSocket, WebSocketServer } from "ws";
import { ca } from "./certificates.ts";
import type { Open, RawExchange, Stage } from "./framework-contract.ts";
import { until } from "./loopback.ts";

const pieceBytes = 65_536;

/** Pieces that are made when asked for. */
function madeToOrder(pieces: number): { readonly source: Readable; readonly made: () => number } {
  let made = 0;
  const source = new Readable({
    highWaterMark: 2 * pieceBytes,
    read() {
      if (made === pieces) this.push(null);
      else {
        made += 1;
        this.push(Buffer.alloc(pieceBytes, made % 256));
      }
    },
  });
  return { source, made: () => made };
}

/** Waits until `read()` has stayed the same for a few turns. */
async function settled(read: () => number): Promise<number> {
  for (let before = -1, calm = 0; calm < 20;) {
    const value = read();
    calm = value === before ? calm + 1 : 0;
    before = value;
    // oxlint-disable-next-line no-await-in-loop -- one look after the other
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
  return read();
}

async function streamsAnswers(open: Open): Promise<void> {
  const pieces = 500;
  const { source, made } = madeToOrder(pieces);
  await using stage = await open({ source: () => source });
  const sending = stage.call().send("/source");
  sending.body.end();
  const { body } = await sending.answer;

  const ahead = await settled(made);
  assert.ok(ahead > 0 && ahead < pieces / 2, `${ahead} pieces of ${pieces} were made for a client that reads none`);
  let bytes = 0;
  for await (const chunk of body) bytes += chunk.length;
  assert.equal(bytes, pieces * pieceBytes);
}

async function streamsUploads(open: Open): Promise<void> {
  const got: string[] = [];
  await using stage = await open({
    takeIn: async (body) => {
      for await (const chunk of body) got.push(Buffer.from(chunk).toString());
      return got.join("+");
    },
  });
  const caller = stage.call();
  const sending = caller.send("/upload", { method: "POST", headers: { "content-type": "application/octet-stream" } });
  for (const piece of ["one", "two", "three"]) {
    sending.body.write(piece);
    // oxlint-disable-next-line no-await-in-loop -- each piece is read before the next one is sent
    await until(() => got.at(-1) === piece);
    assert.equal(got.at(-1), piece);
  }
  sending.body.end();
  const { body } = await sending.answer;

  assert.equal(String(await body.setEncoding("utf8").toArray()), "one+two+three");
  assert.equal((await caller.ask("/items/7")).body, "item 7");
  assert.equal(caller.opened, 1);
}

async function* breakOff(): AsyncGenerator<string> {
  yield "begun";
  await sleep(5);
  throw new Error("the source is broken");
}

async function showsBrokenSources(open: Open): Promise<void> {
  await using stage = await open({ source: () => Readable.from(breakOff()) });
  const sending = stage.call().send("/source");
  sending.body.end();
  const { body } = await sending.answer;
  await assert.rejects(text(body), "half of an answer looks like a whole one");
  await until(() => stage.app.guarded.stats().inFlight === 0);
  assert.equal(stage.app.guarded.stats().inFlight, 0);
  assert.equal((await stage.call().ask("/items/7")).body, "item 7");
}

async function showsCutAnswers(open: Open): Promise<void> {
  const source = new Readable({ read: () => undefined });
  source.push("begun");
  await using stage = await open({ source: () => source }, { writeTimeout: 100 });
  const sending = stage.call().send("/source");
  sending.body.end();
  const { body } = await sending.answer;
  await assert.rejects(text(body), "an answer that was cut looks like a whole one");
  assert.equal(stage.app.guarded.stats().timeouts.write, 1);
  await until(() => source.destroyed);
  assert.equal(source.destroyed, true, "the source of the answer lives on");
}

async function endsDownloads(open: Open): Promise<void> {
  const { source } = madeToOrder(10_000);
  let ctx: Context | undefined;
  await using stage = await open({
    source: () => {
      ctx = context();
      return source;
    },
  });
  const sending = stage.call().send("/source");
  sending.body.end();
  const { body } = await sending.answer;
  body.resume();
  await once(body, "data");
  sending.leave();

  await assertGone(stage, () => ctx);
  await until(() => source.destroyed);
  assert.equal(source.destroyed, true, "the source of the answer lives on");
}

async function endsUploads(open: Open): Promise<void> {
  let ctx: Context | undefined;
  const thrown: unknown[] = [];
  let chunks = 0;
  await using stage = await open({
    takeIn: async (body) => {
      ctx = context();
      try {
        for await (const chunk of body) chunks += chunk.length > 0 ? 1 : 0;
      } catch (error) {
        thrown.push(error);
        throw error;
      }
      return "never complete";
    },
  });
  const sending = stage.call().send("/upload", {
    method: "POST",
    headers: { "content-type": "application/octet-stream" },
  });
  const answer = sending.answer.catch(() => undefined);
  sending.body.on("error", () => undefined).write("some");
  await until(() => chunks > 0);
  sending.leave();
  await answer;

  await assertGone(stage, () => ctx);
  await until(() => thrown.length > 0);
  assert.equal(thrown.length, 1, "the reader of the upload was not told");
}

async function assertGone({ app }: Stage, read: () => Context | undefined): Promise<void> {
  await until(() => read()?.done === true && app.guarded.stats().inFlight === 0);
  const ctx = read();
  assert.ok(ctx?.cause instanceof ContextError, "the context of a client that has left is not done");
  assert.equal(ctx.cause.code, "ERR_CLIENT_GONE");
  assert.equal(app.guarded.stats().inFlight, 0);
}

async function upgrades(open: Open): Promise<void> {
  await using stage = await open();
  const { server, guarded } = stage.app;
  const contexts: Context[] = [];
  // As every user of ws attaches it. A server of HTTP/2 speaks HTTP/1 too.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  using sockets = disposable(new WebSocketServer({ server: server as Server }));
  sockets.on("connection", (socket) => {
    contexts.push(context());
    socket.on("message", (data: Buffer) => {
      // A connection's own events are nobody's: whoever wants the context keeps it, as above.
      contexts.push(context());
      socket.send(`${data.toString()} back`);
    });
  });
  const scheme = stage.protocol === "http" ? "ws" : "wss";
  const client = new WebSocket(`${scheme}://127.0.0.1:${stage.port}/`, { ca });
  await once(client, "open");
  client.send("there and");
  const [message]: Buffer[] = await once(client, "message");

  assert.equal(String(message), "there and back");
  assert.equal(guarded.stats().connections.upgraded, 1);
  const [ctx, ctxOfMessage] = contexts;
  assert.equal(ctxOfMessage, background);
  assert.deepEqual([ctx?.done, ctx?.deadline], [false, Infinity]);
  client.close();
  await once(client, "close");
  await until(() => guarded.stats().connections.upgraded === 0);
  assert.equal(guarded.stats().connections.upgraded, 0);
  assert.ok(ctx?.cause instanceof ContextError && ctx.cause.code === "ERR_CLIENT_GONE");
  assert.equal((await stage.call().ask("/items/7")).body, "item 7");
}

function disposable<T extends { close(): void }>(owner: T): T & Disposable {
  return Object.assign(owner, { [Symbol.dispose]: () => owner.close() });
}

/** Wraps what compression, on-headers and sessions wrap, the way they do it. */
function wrapLikeMiddleware({ res }: RawExchange): void {
  let isHeadSeen = false;
  const wrap = (name: "write" | "end" | "writeHead"): void => {
    const method: (...args: never) => unknown = Reflect.get(res, name);
    Reflect.set(res, name, (...args: never) => {
      if (!isHeadSeen && !res.headersSent) res.setHeader("x-wrapped", "1");
      isHeadSeen = true;
      return Reflect.apply(method, res, args);
    });
  };
  wrap("write");
  wrap("end");
  wrap("writeHead");
}

async function bearsWrappers(open: Open): Promise<void> {
  const { source } = madeToOrder(3);
  const { promise: never } = Promise.withResolvers<string>();
  await using stage = await open(
    {
      answer: (raw) => {
        wrapLikeMiddleware(raw);
        return raw.req.headers["x-never"] === undefined ? "wrapped" : never;
      },
      source: (raw) => {
        wrapLikeMiddleware(raw);
        return source;
      },
    },
    { handlerTimeout: 500 },
  );
  const caller = stage.call();
  const whole = await caller.ask("/work");
  assert.deepEqual([whole.status, whole.body, whole.headers["x-wrapped"]], [200, "wrapped", "1"]);
  assert.equal((await caller.ask("/source")).body.length, 3 * pieceBytes);
  const late = await caller.ask("/work", { headers: { "x-never": "1" } });
  assert.deepEqual(
    [late.status, late.body, late.headers["x-wrapped"]],
    [503, "The answer took too long.\n", undefined],
  );
  assert.equal((await caller.ask("/items/7")).body, "item 7");
  assert.equal(caller.opened, 1);
  assert.equal(stage.app.guarded.stats().inFlight, 0);
}

export const streamCases: Readonly<Record<string, (open: Open) => Promise<void>>> = {
  "an answer is made no faster than its client reads it": streamsAnswers,
  "an upload is read while it comes": streamsUploads,
  "an answer whose source breaks looks broken": showsBrokenSources,
  "an answer that is cut looks cut": showsCutAnswers,
  "a client that leaves a download ends its source and its context": endsDownloads,
  "a client that leaves an upload ends its reader and its context": endsUploads,
  "a WebSocket counts as upgraded, and its context ends with it": upgrades,
  "what middlewares wrap around write, end and writeHead works": bearsWrappers,
};

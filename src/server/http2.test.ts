import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type ClientHttp2Session } from "node:http2";
import { request } from "node:https";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ContextError, context } from "../core/context.ts";
import { ca, serverCertificate } from "../../test/support/certificates.ts";
import { RequestRefusedError } from "./errors.ts";
import type { ServerOptions } from "./server-options.ts";
import { createServer, type Handler } from "./server.ts";

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly rstCode: number | undefined;
}

async function start(t: TestContext, options: ServerOptions, handler: Handler) {
  const server = createServer({ ...options, tls: serverCertificate, http2: true }, handler);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // It listens on TCP.
  const { port } = server.address() as AddressInfo;
  const session = connect(`https://localhost:${port}`, { ca, lookup: toLoopback });
  session.on("error", () => undefined);
  t.after(() => {
    session.destroy();
    server.close();
  });
  return { server, port, session };
}

const toLoopback = ((_host: string, _options: object, done: (e: null, found: object[]) => void) =>
  done(null, [{ address: "127.0.0.1", family: 4 }])) as never;

function ask(session: ClientHttp2Session, path: string, body?: string): Promise<Answer> {
  const stream = session.request({ ":path": path, ":method": body === undefined ? "GET" : "POST" });
  if (body !== undefined) stream.end(body);
  let status = 0;
  let text = "";
  stream.on("response", (headers) => (status = Number(headers[":status"])));
  stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  stream.on("error", () => undefined);
  return new Promise((resolve) => stream.on("close", () => resolve({ status, body: text, rstCode: stream.rstCode })));
}

test("requests of HTTP/2 run side by side, and each has its own context", async (t) => {
  const { server, session } = await start(t, {}, async (req, res) => {
    const before = context();
    await sleep(5);
    res.end(String(context() === before && context().deadline < Infinity && req.url));
  });
  const answers = await Promise.all(["/a", "/b", "/c"].map((path) => ask(session, path)));
  assert.deepEqual(
    answers.map(({ status, body }) => `${status} ${body}`),
    ["200 /a", "200 /b", "200 /c"],
  );
  assert.deepEqual(server.stats().connections, { new: 0, active: 0, idle: 1, upgraded: 0 });
  assert.equal(server.stats().requests, 3);
  session.close();
  await server.drain();
});

test("a client of HTTP/1.1 is served on the same port", async (t) => {
  const { server, port, session } = await start(t, {}, (req, res) => res.end(req.httpVersion));
  const body = await new Promise<string>((resolve, reject) => {
    const req = request({ port, host: "127.0.0.1", servername: "localhost", ca }, (res) => {
      res.setEncoding("utf8").on("data", resolve);
    });
    req.on("error", reject).end();
  });
  assert.equal(body, "1.1");
  assert.equal((await ask(session, "/")).body, "2.0");
  session.close();
  await server.drain();
});

test("a handler that is too slow gets 503 and its context ends; others on the session are not touched", async (t) => {
  const causes: unknown[] = [];
  const { server, session } = await start(t, { handlerTimeout: 100 }, (req, res) => {
    if (req.url === "/fast") return res.end("fast");
    context().onDone((cause) => causes.push(cause));
    return undefined;
  });
  const [slow, fast] = await Promise.all([ask(session, "/slow"), ask(session, "/fast")]);
  assert.deepEqual([slow.status, fast.body], [503, "fast"]);
  assert.ok(causes[0] instanceof ContextError && causes[0].code === "ERR_DEADLINE_EXCEEDED");
  assert.equal(server.stats().timeouts.handler, 1);
  session.close();
  await server.drain();
});

test("a stream that its client resets ends the context with ERR_CLIENT_GONE", async (t) => {
  const { promise: ended, resolve } = Promise.withResolvers<unknown>();
  const { promise: asked, resolve: onAsked } = Promise.withResolvers<void>();
  const { server, session } = await start(t, {}, () => {
    context().onDone(resolve);
    onAsked();
  });
  const stream = session.request({ ":path": "/" });
  stream.on("error", () => undefined);
  await asked;
  stream.close(8);
  const cause = await ended;
  assert.ok(cause instanceof ContextError && cause.code === "ERR_CLIENT_GONE");
  session.close();
  await server.drain();
  assert.equal(server.stats().inFlight, 0);
});

test("a body above maxBodyBytes is told 413, announced or not, and so is whoever reads it", async (t) => {
  const thrown: unknown[] = [];
  const { server, session } = await start(t, { maxBodyBytes: 1_000 }, async (req, res) => {
    try {
      for await (const chunk of req) void chunk;
      res.end("read");
    } catch (error) {
      thrown.push(error);
    }
  });
  assert.equal((await ask(session, "/", "x".repeat(1_000))).status, 200);
  assert.equal((await ask(session, "/", "x".repeat(5_000))).status, 413);
  const announced = session.request({ ":path": "/", ":method": "POST", "content-length": "5000" });
  announced.on("error", () => undefined);
  const [headers] = await once(announced, "response");
  assert.equal((headers as Record<string, unknown>)[":status"], 413);
  assert.deepEqual(
    thrown.map((error) => error instanceof RequestRefusedError && error.statusCode),
    [413],
  );
  announced.close();
  session.close();
  await server.drain();
});

test("a reader that never reads a large answer is cut by writeTimeout, and by the slowest rate", async (t) => {
  const limits: Readonly<Record<string, ServerOptions>> = {
    write: { writeTimeout: 300 },
    write_rate: { minResponseRate: { grace: 300 } },
  };
  for (const [kind, options] of Object.entries(limits)) {
    await t.test(kind, async (inner) => {
      const { server, session } = await start(inner, options, (_req, res) => res.end(Buffer.alloc(64 << 20)));
      const stream = session.request({ ":path": "/" });
      stream.on("error", () => undefined);
      stream.pause();
      await once(stream, "response");
      await new Promise((resolve) => stream.on("close", resolve));
      assert.notEqual(stream.rstCode, 0);
      assert.equal(server.stats().timeouts[kind as "write"], 1);
      session.destroy();
      await server.drain();
    });
  }
});

test("a drain tells the session to go, answers what runs, and ends", async (t) => {
  const { promise: asked, resolve: onAsked } = Promise.withResolvers<() => void>();
  const { server, session } = await start(t, {}, (_req, res) => onAsked(() => res.end("whole")));
  const answer = ask(session, "/");
  const finish = await asked;
  const gone = once(session, "goaway");
  const drained = server.drain();
  await gone;
  finish();
  assert.equal((await answer).body, "whole");
  const { cut } = await drained;
  assert.equal(cut, 0);
});

test("an idle session is closed after idleTimeout", async (t) => {
  const { server, session } = await start(t, { idleTimeout: 150 }, (_req, res) => res.end());
  await ask(session, "/");
  await once(session, "close");
  assert.equal(server.stats().timeouts.idle, 1);
  await server.drain();
});

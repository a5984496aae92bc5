/**
 * Where the context of a request is the current one, and where it is not; and what ends it.
 *
 * The guard enters the context and relies on Node to leave it when its parser's callback returns. That holds for every
 * request of a packet, for TLS and for streams, or one request would see the context of another: all are checked here.
 */

import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { afterEach, test } from "node:test";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { background, context, type Context, type OwnedContext } from "../core/context.ts";
import { Registry } from "../core/instruments.ts";
import { serverCertificate } from "../../test/support/certificates.ts";
import { assertNothingLeft, listen, until } from "../../test/support/loopback.ts";
import { SlowClient } from "../../test/support/slow-clients.ts";
import { controller } from "./controller.ts";
import type { Guarded } from "./guard.ts";
import { createServer, type Handler } from "./server.ts";
import type { ServerOptions } from "./server-options.ts";

const get = (path = "/"): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
const post = (body: string): string => `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

afterEach(assertNothingLeft);

function make(secure: boolean, options: ServerOptions, handler: Handler): Server & Guarded {
  const limits = { registry: new Registry(), ...options };
  return secure ? createServer({ ...limits, tls: serverCertificate }, handler) : createServer(limits, handler);
}

function codeOf(cause: unknown): unknown {
  return Reflect.get(Object(cause), "code");
}

for (const secure of [false, true]) {
  const name = secure ? "https" : "http";

  test(`${name}: whatever a handler starts or listens to runs in the context of its request`, async () => {
    const seen: Record<string, Context> = {};
    let own: Context | undefined;
    const see = (where: string) => (): void => void (seen[where] = context());
    const server = make(secure, {}, async (req, res) => {
      own = controller(res).context;
      see("handler")();
      for (const event of ["data", "end", "close"]) req.on(event, see(`req ${event}`));
      for (const event of ["finish", "close"]) res.on(event, see(`res ${event}`));
      req.once("end", see("req once end"));
      setTimeout(see("setTimeout"), 1);
      setImmediate(see("setImmediate"));
      process.nextTick(see("nextTick"));
      queueMicrotask(see("microtask"));
      await once(req, "end");
      see("after await")();
      for await (const _ of sleepThrice()) see("for await")();
      res.end("ok", see("end callback"));
    });
    await using listening = await listen(server);
    await using client = await SlowClient.open({ port: listening.port, secure });

    client.write(post("hello"));
    await until(() => client.isComplete && Object.keys(seen).length === 14);

    assert.notEqual(own, undefined);
    const elsewhere = Object.keys(seen).filter((where) => seen[where] !== own);
    assert.deepEqual([Object.keys(seen).length, elsewhere], [14, []], Object.keys(seen).join());
  });

  test(`${name}: each of the requests of a packet has its own context, and none is left when they are handled`, async () => {
    const contexts = new Set<Context>();
    const outside: string[] = [];
    const server = make(secure, {}, (req, res) => {
      assert.equal(context(), controller(res).context);
      contexts.add(context());
      res.end(req.url);
    });
    const look = (where: string): void => {
      if (context() !== background) outside.push(where);
    };
    server.on("connection", () => look("connection"));
    const emitter = new EventEmitter();
    emitter.on("tick", () => look("an event of somebody else"));
    await using listening = await listen(server);
    const watch = setInterval(() => {
      look("a timer");
      setImmediate(look, "setImmediate");
      emitter.emit("tick");
    }, 1);
    for (let round = 0; round < 5; round += 1) {
      // oxlint-disable-next-line no-await-in-loop -- one connection after the other
      await using client = await SlowClient.open({ port: listening.port, secure });
      client.socket.on("data", () => look("a socket of somebody else"));
      client.write(Array.from({ length: 10 }, (_, index) => get(`/${index}`)).join(""));
      // oxlint-disable-next-line no-await-in-loop -- as above
      await until(() => client.text.endsWith("/9"));
      // The next packet of a connection, after a request has been handled in it.
      client.write(get("/last"));
      // oxlint-disable-next-line no-await-in-loop -- as above
      await until(() => client.text.endsWith("/last"));
    }
    clearInterval(watch);

    assert.equal(contexts.size, 55);
    assert.deepEqual(outside, []);
  });
}

async function* sleepThrice(): AsyncGenerator<number> {
  for (let round = 0; round < 3; round += 1) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    yield await sleep(1, round);
  }
}

test("a connection's own events are not in the context of the request that came with it", async () => {
  const seen: Context[] = [];
  const server = make(false, {}, (req, res) => {
    req.socket.on("close", () => seen.push(context()));
    res.end("ok");
  });
  server.on("connection", (socket) => {
    seen.push(context());
    socket.on("data", () => seen.push(context()));
    socket.once("close", () => seen.push(context()));
  });
  await using listening = await listen(server);
  await using client = await SlowClient.open({ port: listening.port });
  client.write(get());
  await until(() => client.isComplete);
  client.socket.end();
  await until(() => listening.connections.size === 0);

  assert.ok(seen.length >= 4, `${seen.length} events`);
  assert.deepEqual(
    new Set(seen.map((one) => (one === background ? "background" : "a request"))),
    new Set(["background"]),
  );
});

test("the streams of a session have a context each, and nothing between them has one", async () => {
  const contexts = new Set<Context>();
  const wrong: string[] = [];
  const server = createServer(
    { registry: new Registry(), tls: serverCertificate, http2: true },
    async (req: IncomingMessage, res: ServerResponse) => {
      const own = context();
      contexts.add(own);
      if (own !== controller(res).context) wrong.push("handler");
      res.on("close", () => context() === own || wrong.push("close"));
      await turn();
      if (own !== context()) wrong.push("await");
      res.end(req.url);
    },
  );
  server.on("session", () => context() === background || wrong.push("session"));
  await using listening = await listen(server);
  const watch = setInterval(() => {
    if (context() !== background) wrong.push("timer");
    setImmediate(() => context() === background || wrong.push("immediate"));
  }, 1);
  const session = connectHttp2(`https://127.0.0.1:${listening.port}`, { rejectUnauthorized: false });
  const streams = Array.from({ length: 20 }, (_, index) => session.request({ ":path": `/${index}` }).resume());
  await Promise.all(streams.map((stream) => once(stream, "close")));
  clearInterval(watch);
  session.close();
  await once(session, "close");

  assert.deepEqual([contexts.size, wrong], [20, []]);
});

test("the cause says who ended it: the client, the deadline, the shutdown", async () => {
  const causes: Record<string, unknown> = {};
  const server = make(false, { handlerTimeout: 200, drain: { grace: 100 } }, (req) => {
    const { url = "" } = req;
    const { signal } = context();
    context().onDone((cause) => (causes[url] = codeOf(cause)));
    signal.addEventListener("abort", () => (causes[`${url} signal`] = codeOf(signal.reason)));
  });
  await using listening = await listen(server);
  await using gone = await SlowClient.open(listening);
  await using late = await SlowClient.open(listening);
  gone.write(get("/gone"));
  late.write(get("/late"));
  await until(() => server.stats().inFlight === 2);
  gone.socket.destroy();
  await until(() => late.isComplete);
  await using drained = await SlowClient.open(listening);
  drained.write(get("/drained"));
  await until(() => server.stats().inFlight === 1);
  await server.drain();

  assert.deepEqual(causes, {
    "/gone": "ERR_CLIENT_GONE",
    "/gone signal": "ERR_CLIENT_GONE",
    "/late": "ERR_DEADLINE_EXCEEDED",
    "/late signal": "ERR_DEADLINE_EXCEEDED",
    "/drained": "ERR_SHUTTING_DOWN",
    "/drained signal": "ERR_SHUTTING_DOWN",
  });
});

test("when an answer is complete its context is left alone: what still runs in it goes on", async () => {
  const still: boolean[] = [];
  const server = make(false, { handlerTimeout: 5_000 }, async (_req, res) => {
    const { signal } = context();
    res.end("ok");
    await once(res, "close");
    await sleep(20);
    still.push(context().done, signal.aborted);
  });
  await using listening = await listen(server);
  await using client = await SlowClient.open(listening);
  client.write(get());
  await until(() => client.isComplete);
  client.socket.destroy();
  await until(() => still.length > 0);

  assert.deepEqual(still, [false, false]);
});

test("what is detached outlives the client, the answer and the drain", async () => {
  let detached: OwnedContext | undefined;
  const server = make(false, {}, () => {
    detached = context().detach({ timeout: "1m" });
  });
  await using listening = await listen(server);
  await using client = await SlowClient.open(listening);
  client.write(get());
  await until(() => detached !== undefined);
  client.socket.destroy();
  await until(() => server.stats().inFlight === 0);
  await server.drain();

  assert.equal(detached?.done, false);
  detached[Symbol.dispose]();
});

test("the deadline of a context is the handler's, or the caller's if that is earlier", async () => {
  const left: number[] = [];
  const server = make(false, { handlerTimeout: "10s" }, (_req, res) => {
    left.push(context().remaining());
    res.end("ok");
  });
  await using listening = await listen(server);
  await using client = await SlowClient.open(listening);
  for (const line of ["", "X-Request-Timeout-Ms: 2000\r\n", "X-Request-Timeout-Ms: 60000\r\n"]) {
    client.write(`GET / HTTP/1.1\r\nHost: a\r\n${line}\r\n`);
  }
  await until(() => left.length === 3);

  for (const [index, most] of [10_000, 2_000, 10_000].entries()) {
    const found = left[index] ?? 0;
    assert.ok(found <= most && found > most - 500, `${found} ms of ${most} ms are left`);
  }
});

test("a deadline that the handler moves is that of the context, and of those below, at once", async () => {
  const left: Record<string, number> = {};
  const server = make(false, { handlerTimeout: "10s", writeTimeout: "20s" }, (req, res) => {
    const own = context();
    using child = own.child({});
    if (req.url === "/later") controller(res).extend("60s");
    else {
      res.write("begun");
      controller(res).setWriteDeadline("5s");
    }
    // The one below first: to ask the one above brings it up to date.
    Object.assign(left, { [`${req.url} child`]: child.remaining(), [`${req.url} own`]: own.remaining() });
    res.end();
  });
  await using listening = await listen(server);
  await using client = await SlowClient.open(listening);
  for (const path of ["/later", "/sooner"]) client.write(get(path));
  await until(() => Object.keys(left).length === 4);

  const expected = { "/later child": 70_000, "/later own": 70_000, "/sooner child": 5_000, "/sooner own": 5_000 };
  for (const [name, most] of Object.entries(expected)) {
    const found = left[name] ?? 0;
    assert.ok(found <= most && found > most - 500, `${name}: ${found} ms of ${most} ms are left`);
  }
});

/** Hono 4 on a guarded server: by the `createServer` option of its Node server, or on the server that it makes. */

import assert from "node:assert/strict";
import {
  createAdaptorServer,
  getRequestListener,
  upgradeWebSocket,
  type HttpBindings,
  type ServerType,
  type WebSocketServerLike,
} from "@hono/node-server";
import { Hono } from "hono";
import { routePath } from "hono/route";
import { once } from "node:events";
import { createServer } from "node:http";
import { createSecureServer } from "node:http2";
import https from "node:https";
import { Readable } from "node:stream";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { context, type Context } from "sluice/core";
import { controller, createServer as createGuardedServer, guard, type GuardableServer } from "sluice/server";
import { WebSocket, WebSocketServer } from "ws";
import { serverCertificate } from "../support/certificates.ts";
import { openCaller } from "../support/framework-caller.ts";
import { listen, until } from "../support/loopback.ts";
import { testFramework, type App, type MadeServer, type Setup, type Work } from "../support/framework-contract.ts";

function buildApp(work: Work): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>();
  app.use(async (c, next) => {
    await next();
    if (c.res.status !== 404) controller(c.env.outgoing).setRoute(routePath(c, -1));
  });
  app.get("/items/:id", (c) => c.text(`item ${c.req.param("id")}`));
  app.get("/work", async (c) => c.text(await work.answer({ req: c.env.incoming, res: c.env.outgoing })));
  app.get("/source", (c) => {
    const source = work.source({ req: c.env.incoming, res: c.env.outgoing });
    // The two types of web streams differ in names only.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return c.body(Readable.toWeb(source) as ReadableStream);
  });
  app.post("/upload", async (c) => c.text(await work.takeIn(c.req.raw.body ?? new ReadableStream())));
  app.post("/json", async (c) => c.text(await work.name(Reflect.get(Object(await c.req.json()), "name"))));
  app.onError((error, c) => c.text(error.message, 500));
  return app;
}

/** What Hono makes the server of: any function that is called like `createServer` of `node:http`. */
function chooseCreate(setup: Setup, onMade: (made: MadeServer) => void): typeof createServer {
  const create: Record<Setup["protocol"], unknown> = {
    http: createServer,
    https: https.createServer,
    h2: createSecureServer,
  };
  const make = (_options: unknown, handler: Parameters<Setup["make"]>[0]): unknown => {
    const made = setup.make(handler);
    onMade(made);
    return made.server;
  };
  return (setup.guardsOwn ? create[setup.protocol] : make) as typeof createServer;
}

async function build(setup: Setup): Promise<App> {
  const { fetch } = buildApp(setup.work);
  let made: MadeServer | undefined;
  const server = createAdaptorServer({
    fetch,
    createServer: chooseCreate(setup, (one) => (made = one)),
    serverOptions: setup.protocol === "http" ? {} : { ...serverCertificate, allowHTTP1: true },
  } as Parameters<typeof createAdaptorServer>[0]);
  const guarded = made?.guarded ?? guard(asGuardable(server), setup.limits);
  return {
    server: made?.server ?? asGuardable(server),
    guarded,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}

testFramework({ name: "Hono", failure: /^a (?:late )?mistake$/, speaksHttp2: true, build });

test("Hono's WebSockets are upgraded in the context of their request, which ends with them", async () => {
  const contexts: Context[] = [];
  const app = new Hono();
  app.get(
    "/socket",
    upgradeWebSocket(async () => {
      await sleep(1);
      contexts.push(context());
      return { onMessage: (event, socket) => socket.send(`${String(event.data)} back`) };
    }),
  );
  // The two describe the option `noServer` in two ways.
  const sockets = new WebSocketServer({ noServer: true }) as WebSocketServer & WebSocketServerLike;
  const server = createAdaptorServer({ fetch: app.fetch, websocket: { server: sockets } });
  const guarded = guard(asGuardable(server), {});
  await using listening = await listen(server);
  const client = new WebSocket(`ws://127.0.0.1:${listening.port}/socket`);
  await once(client, "open");
  client.send("there and");
  const [message]: Buffer[] = await once(client, "message");

  assert.equal(String(message), "there and back");
  assert.equal(guarded.stats().connections.upgraded, 1);
  assert.deepEqual(
    contexts.map((ctx) => ctx.done),
    [false],
  );
  client.close();
  await until(() => contexts.every((ctx) => ctx.done));
  assert.deepEqual(
    contexts.map((ctx) => ctx.done),
    [true],
  );
});

test("a handler of Hono is one of node:http by getRequestListener", async () => {
  const app = new Hono();
  app.post("/echo", async (c) => c.text(await c.req.text()));
  await using listening = await listen(createGuardedServer({ maxBodyBytes: 10 }, getRequestListener(app.fetch)));
  using caller = openCaller("http", listening.port);

  assert.equal((await caller.ask("/echo", { body: "short" })).body, "short");
  assert.equal((await caller.ask("/echo", { body: "rather too long" })).status, 413);
});

/** It makes one of HTTP/1 unless it is told otherwise. */
function asGuardable(server: ServerType): GuardableServer {
  return server as GuardableServer;
}

/** A handler that answers and then fails: Express's last word on its error is to destroy the connection. */

import assert from "node:assert/strict";
import { once } from "node:events";
import http, { type Server } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import express from "express";
import { Registry } from "../core/instruments.ts";
import { listen, until } from "../../test/support/loopback.ts";
import { wireClient } from "../../test/support/wire-client.ts";
import { guard, type Guarded } from "./guard.ts";
import type { LateWrite } from "./late-writes.ts";

const large = "large ".repeat(700_000);

function makeApp(): express.Express {
  // In "test" it prints no errors.
  const app = express().set("env", "test").disable("etag");
  app.get("/sync", (_req, res) => {
    res.send("ok");
    throw new Error("on purpose");
  });
  app.get("/async", async (_req, res) => {
    res.send("ok");
    await sleep(5);
    throw new Error("on purpose");
  });
  app.get("/next", (_req, res, next) => {
    res.send("ok");
    next(new Error("on purpose"));
  });
  app.get("/large", (_req, res) => {
    res.send(large);
    throw new Error("on purpose");
  });
  app.get("/half", (_req, res) => {
    res.write("half");
    throw new Error("on purpose");
  });
  app.post("/upload", (_req, res) => {
    res.send("ok");
    throw new Error("on purpose");
  });
  app.post("/refused-upload", (req, res) => {
    res.status(413).send("no");
    req.destroy();
  });
  app.get("/fine", (_req, res) => {
    setTimeout(() => res.send("fine"), 20);
  });
  return app;
}

interface Opened extends AsyncDisposable {
  readonly guarded: Guarded;
  readonly port: number;
  readonly reports: readonly LateWrite[];
}

async function open(app = makeApp()): Promise<Opened> {
  const server: Server = http.createServer(app);
  const guarded = guard(server, { registry: new Registry() });
  const reports: LateWrite[] = [];
  server.on("lateWrite", (late: LateWrite) => reports.push(late));
  const listening = await listen(server);
  return {
    guarded,
    reports,
    port: listening.port,
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

for (const path of ["/sync", "/async", "/next", "/large"]) {
  test(`Express: an answer at ${path} is whole although its handler fails, and so is the next on its connection`, async () => {
    await using opened = await open();
    await using client = await wireClient(opened.port);

    for (const turn of [1, 2]) {
      client.write(get(path) + get("/fine"));
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const answer = await client.answer();
      assert.equal(answer?.status, 200);
      assert.ok(answer?.body === (path === "/large" ? large : "ok"), "the answer is not whole");
      // oxlint-disable-next-line no-await-in-loop
      assert.equal((await client.answer())?.body, "fine");
      // oxlint-disable-next-line no-await-in-loop
      await until(() => opened.guarded.stats().lateWrites === turn);
    }

    assert.deepEqual(
      opened.reports.map(({ method, request }) => [method, request]),
      [["destroy", `GET ${path}`]],
    );
    assert.equal(opened.guarded.stats().connections.idle, 1);
  });
}

test("Express: half of an answer whose handler fails is cut, and told to nobody as late", async () => {
  await using opened = await open();
  await using client = await wireClient(opened.port);

  client.write(get("/half") + get("/fine"));
  await client.end();

  assert.equal(opened.guarded.stats().lateWrites, 0);
});

test("Express: an upload is read on after its answer, although its handler fails", async () => {
  await using opened = await open();
  await using client = await wireClient(opened.port);

  client.write(`POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n${"x".repeat(50_000)}`);
  assert.equal((await client.answer())?.body, "ok");
  client.write("x".repeat(50_000) + get("/fine"));

  assert.equal((await client.answer())?.body, "fine");
});

test("Express: a handler that answers and then gives up an upload ends its connection, after the answer", async () => {
  await using opened = await open();
  await using client = await wireClient(opened.port);

  client.write(`POST /refused-upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n${"x".repeat(500_000)}`);
  assert.equal((await client.answer())?.body, "no");
  const from = performance.now();
  await client.end();

  assert.ok(performance.now() - from < 1_000, "it was not ended, but ran out of time");
});

test("Express: a socket can still be asked, listened to and set after the answer", async () => {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const app = express();
  app.use((req, res) => {
    const { socket } = req;
    const heard = once(socket, "close");
    res.send("ok");
    const after = req.socket;
    after.setKeepAlive(true);
    after.setTimeout(60_000);
    void heard.then(() => resolve([after.destroyed, after.remotePort === undefined]));
    assert.equal(after.remoteAddress, "127.0.0.1");
    assert.equal(after.listenerCount("close"), socket.listenerCount("close"));
    assert.equal(after.timeout, socket.timeout);
    assert.equal(after.destroyed, false);
    after.once("close", () => {});
  });
  await using opened = await open(app);
  {
    await using client = await wireClient(opened.port);
    client.write(get("/"));
    assert.equal((await client.answer())?.body, "ok");
  }

  const [destroyed] = (await promise) as [boolean];
  assert.equal(destroyed, true);
});

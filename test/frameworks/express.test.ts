/** Express 5 on a guarded server. */

import assert from "node:assert/strict";
import express, { type Express, type Request } from "express";
import { createServer as createBareServer } from "node:http";
import { pipeline } from "node:stream/promises";
import { test } from "node:test";
import { context, Registry } from "sluice/core";
import { controller, guard } from "sluice/server";
import { openCaller } from "../support/framework-caller.ts";
import { listen } from "../support/loopback.ts";
import { testFramework, type Work } from "../support/framework-contract.ts";

// oxlint-disable oxc/no-async-endpoint-handlers -- Express 5 passes on what they reject with

function buildApp(work: Work): Express {
  const app = express();
  // Else it prints each failure.
  app.set("env", "test");
  app.use(express.json());
  app.get("/items/:id", (req, res) => void res.send(`item ${req.params.id}`));
  app.get("/work", async (req, res) => void res.send(await work.answer({ req, res })));
  app.get("/source", async (req, res) => pipeline(work.source({ req, res }), res));
  app.post("/upload", async (req, res) => void res.send(await work.takeIn(req)));
  app.post("/json", async (req, res) => void res.send(await work.name(Reflect.get(Object(req.body), "name"))));
  return app;
}

testFramework({
  name: "Express",
  failure: /a (?:late )?mistake/,
  route: (req) => Reflect.get(req, "route")?.path,
  build: async ({ work, make }) => {
    const { server, guarded } = make(buildApp(work));
    return { server, guarded, close: () => new Promise((resolve) => server.close(resolve)) };
  },
});

/** The types of node:http do not know what Express puts on a request. */
function wholePattern(req: object): string | undefined {
  const { baseUrl, route } = req as Request;
  return route && baseUrl + route.path;
}

test("a mounted application has its context, its controller, and the whole pattern of its route", async () => {
  const inner = express();
  inner.get("/items/:id", (req, res) => {
    assert.equal(controller(res).context, context());
    assert.equal(controller(req).context, context());
    res.json({ id: req.params.id });
  });
  const outer = express();
  outer.use("/shop", inner);
  const server = createBareServer(outer);
  const registry = new Registry();
  guard(server, { registry, route: wholePattern });
  await using listening = await listen(server);
  using caller = openCaller("http", listening.port);

  assert.equal((await caller.ask("/shop/items/7")).body, '{"id":"7"}');
  assert.equal((await caller.ask("/shop/nothing")).status, 404);

  const requests = registry.collect().find(({ name }) => name === "http_server_requests_total");
  assert.deepEqual(requests?.samples.map(({ labels }) => labels[1]).toSorted(), ["", "/shop/items/:id"]);
});

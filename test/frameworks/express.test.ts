/** Express 5 on a guarded server. */

import express, { type Express } from "express";
import { pipeline } from "node:stream/promises";
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

/** The same limits in front of five frameworks: what each needs for that, and for telling the route to the metrics. */

// oxlint-disable-next-line import/no-unassigned-import -- NestJS needs it
import "reflect-metadata";
import { createAdaptorServer, type HttpBindings } from "@hono/node-server";
import { Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import { routePath } from "hono/route";
import Koa from "koa";
import { once } from "node:events";
import type { Server } from "node:http";
import { controller, createServer, guard, type ServerOptions } from "sluice/server";

const limits: ServerOptions = { handlerTimeout: "5s", maxBodyBytes: 100_000 };

function onExpress(): Server {
  const app = express();
  app.get("/items/:id", (req, res) => {
    controller(res).setRoute(String(req.route.path));
    res.send(`Express: item ${req.params.id}`);
  });
  return createServer(limits, app).listen(0, "127.0.0.1");
}

async function onFastify(): Promise<Server> {
  const app = fastify({
    // What a drain is still to serve it would refuse.
    return503OnClosing: false,
    forceCloseConnections: false,
    serverFactory: (handler) => createServer(limits, handler),
  });
  app.addHook("onRequest", async (req, reply) => controller(reply.raw).setRoute(req.routeOptions.url ?? "none"));
  // oxlint-disable-next-line oxc/no-async-endpoint-handlers -- this is not Express
  app.get<{ Params: { id: string } }>("/items/:id", async (req) => `Fastify: item ${req.params.id}`);
  await app.listen({ port: 0, host: "127.0.0.1" });
  return app.server;
}

function onHono(): Server {
  const app = new Hono<{ Bindings: HttpBindings }>();
  app.use(async (c, next) => {
    await next();
    controller(c.env.outgoing).setRoute(routePath(c, -1));
  });
  app.get("/items/:id", (c) => c.text(`Hono: item ${c.req.param("id")}`));
  // With HTTP/2 it would be another class, which is not made here.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
  guard(server, limits);
  return server.listen(0, "127.0.0.1");
}

function onKoa(): Server {
  const app = new Koa();
  app.use((ctx) => {
    ctx.body = `Koa: item ${ctx.path.slice("/items/".length)}`;
  });
  return createServer(limits, app.callback()).listen(0, "127.0.0.1");
}

async function onNest(): Promise<Server> {
  // oxlint-disable-next-line typescript/no-extraneous-class -- a module of NestJS has nothing else
  class AppModule {}
  Module({})(AppModule); // what @Module({}) does
  const app = await NestFactory.create(AppModule, { logger: false });
  app.use("/items/:id", (req: express.Request, res: express.Response) =>
    res.send(`NestJS: item ${String(req.params["id"])}`),
  );
  // NestJS does not know what kind of server it has made; by itself it makes this one.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const server = app.getHttpServer() as Server;
  guard(server, limits);
  await app.listen(0, "127.0.0.1");
  return server;
}

for (const start of [onExpress, onFastify, onHono, onKoa, onNest]) {
  // oxlint-disable no-await-in-loop -- one after the other
  const server = await start();
  if (!server.listening) await once(server, "listening");
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
  console.log(await (await fetch(`${url}/items/7`)).text());
  const { status } = await fetch(url, { method: "POST", body: "x".repeat(100_001) });
  console.log(`  and 100,001 bytes: ${status}`);
  server.close(); // a drain
}

/** The same stream under Express, Fastify, Hono and Koa: each has Node's request and response somewhere. */

import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { getRequestListener, type HttpBindings } from "@hono/node-server";
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import { once } from "node:events";
import type { Server } from "node:http";
import { createServer } from "sluice/server";
import { sse } from "sluice/streams";

const expressApp = express();
expressApp.get("/events", (req, res) => {
  sse(req, res).send("from Express");
});

const koaApp = new Koa();
koaApp.use((ctx) => {
  ctx.respond = false;
  sse(ctx.req, ctx.res).send("from Koa");
});

const honoApp = new Hono<{ Bindings: HttpBindings }>();
honoApp.get("/events", (c) => {
  sse(c.env.incoming, c.env.outgoing).send("from Hono");
  return RESPONSE_ALREADY_SENT;
});

let fastifyServer: Server | undefined;
const fastifyApp = fastify({ serverFactory: (handler) => (fastifyServer = createServer({}, handler)) });
fastifyApp.get("/events", (req, reply) => {
  reply.hijack();
  sse(req.raw, reply.raw).send("from Fastify");
});
await fastifyApp.ready();

const servers = [
  createServer({}, expressApp),
  createServer({}, koaApp.callback()),
  createServer({}, getRequestListener(honoApp.fetch)),
  ...(fastifyServer === undefined ? [] : [fastifyServer]),
];
for (const server of servers) {
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  const { body, headers } = await fetch(`http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/events`);
  let text = "";
  for await (const chunk of body ?? []) {
    text += Buffer.from(chunk).toString();
    if (text.includes("data: ")) break;
  }
  console.log(/data: .*/.exec(text)?.[0], "as", headers.get("content-type"));
}
for (const server of servers) server.close();

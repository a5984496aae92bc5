/** Fastify 5: one of our servers by its `serverFactory`, its own `close()` for the end, its routes in the metrics. */

import fastify from "fastify";
import { context } from "sluice/core";
import { controller, createServer } from "sluice/server";

const app = fastify({
  serverFactory: (handler) => createServer({ handlerTimeout: "5s", drain: { settle: "100ms" } }, handler),
  // A drain goes on serving until whoever sends requests has moved on; these two would refuse and reset them.
  return503OnClosing: false,
  forceCloseConnections: false,
});
app.addHook("onRequest", async (req, reply) => controller(reply.raw).setRoute(req.routeOptions.url ?? ""));
// oxlint-disable-next-line oxc/no-async-endpoint-handlers -- this is not Express
app.get<{ Params: { id: string } }>("/items/:id", async (req) => ({
  id: req.params.id,
  secondsLeft: Math.round(context().remaining() / 1_000),
}));

// Not "localhost": for that name Fastify would make a second server for the second address.
const url = await app.listen({ port: 0, host: "127.0.0.1" });
console.log(await (await fetch(`${url}/items/7`)).json());

const closed = app.close(); // a drain
const { status, headers } = await fetch(`${url}/items/8`);
console.log(status, "while it goes, connection:", headers.get("connection"));
await closed;

/** Hono 4: its Node server is guarded before it listens, WebSockets included; or its listener is a handler like any other. */

import { createAdaptorServer, getRequestListener, type HttpBindings } from "@hono/node-server";
import { Hono } from "hono";
import { routePath } from "hono/route";
import { once } from "node:events";
import type { Server } from "node:http";
import { controller, createServer, guard } from "sluice/server";

const app = new Hono<{ Bindings: HttpBindings }>();
app.use(async (c, next) => {
  await next();
  controller(c.env.outgoing).setRoute(routePath(c, -1));
});
app.get("/items/:id", (c) => c.json({ id: c.req.param("id") }));

// It is one of `node:http` unless it is told otherwise.
// oxlint-disable-next-line typescript/no-unsafe-type-assertion
const own = createAdaptorServer({ fetch: app.fetch }) as Server;
const guarded = guard(own, { handlerTimeout: "5s" });
const ours = createServer({ handlerTimeout: "5s" }, getRequestListener(app.fetch));

for (const server of [own, ours]) {
  // oxlint-disable no-await-in-loop -- one after the other
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  console.log(await (await fetch(`http://127.0.0.1:${port}/items/7`)).json());
}
await Promise.all([guarded.drain(), ours.drain()]);

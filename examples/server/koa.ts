/** Koa 3: `callback()` is the handler. What its handlers call is over when their client has left. */

import Koa from "koa";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { context } from "sluice/core";
import { controller, createServer } from "sluice/server";

const app = new Koa();
app.use(async (ctx, next) => {
  await next();
  // With a router: its pattern, `ctx._matchedRoute`. Never the path itself.
  controller(ctx.res).setRoute(ctx.path.startsWith("/items/") ? "/items/:id" : "other");
});
app.use(async (ctx) => {
  if (ctx.path === "/slow") await sleep(5_000, undefined, { signal: context().signal });
  ctx.body = { path: ctx.path };
});
app.on("error", (error: Error) => console.log("given up:", error.name));

const server = createServer({ handlerTimeout: "200ms" }, app.callback());
await once(server.listen(0, "127.0.0.1"), "listening");
const address = server.address();
const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;

console.log(await (await fetch(`${url}/items/7`)).json());
console.log((await fetch(`${url}/slow`)).status);
await server.drain();

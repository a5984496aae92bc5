/** Koa 3 on a guarded server. */

import Koa, { type Context } from "koa";
import { json } from "node:stream/consumers";
import { controller } from "sluice/server";
import { testFramework, type Work } from "../support/framework-contract.ts";

/** Koa has no router: this is what one would do. */
async function route(ctx: Context, work: Work): Promise<string | undefined> {
  if (ctx.path.startsWith("/items/")) {
    ctx.body = `item ${ctx.path.slice("/items/".length)}`;
    return "/items/:id";
  }
  switch (ctx.path) {
    case "/work":
      ctx.body = await work.answer(ctx);
      return ctx.path;
    case "/source":
      ctx.body = work.source(ctx);
      return ctx.path;
    case "/upload":
      ctx.body = await work.takeIn(ctx.req);
      return ctx.path;
    case "/json":
      ctx.body = await work.name(Reflect.get(Object(await json(ctx.req)), "name"));
      return ctx.path;
    default:
      return undefined;
  }
}

testFramework({
  name: "Koa",
  failure: /^Internal Server Error$/,
  speaksHttp2: true,
  build: async ({ work, make }) => {
    const app = new Koa();
    app.silent = true;
    app.use(async (ctx) => {
      const pattern = await route(ctx, work);
      if (pattern !== undefined) controller(ctx.res).setRoute(pattern);
    });
    const { server, guarded } = make(app.callback());
    return { server, guarded, close: () => new Promise((resolve) => server.close(resolve)) };
  },
});

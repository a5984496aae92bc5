/** Hono 4 on a guarded server: by the `createServer` option of its Node server, or on the server that it makes. */

import { createAdaptorServer, type HttpBindings } from "@hono/node-server";
import { Hono } from "hono";
import { routePath } from "hono/route";
import type { createServer } from "node:http";
import { Readable } from "node:stream";
import { controller, guard } from "sluice/server";
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

async function build(setup: Setup): Promise<App> {
  const { fetch } = buildApp(setup.work);
  let made: MadeServer | undefined;
  const make = (_options: unknown, handler: Parameters<Setup["make"]>[0]): unknown => {
    made = setup.make(handler);
    return made.server;
  };
  // It takes anything that is called like the function of `node:http`.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const server = createAdaptorServer(
    setup.guardsOwn ? { fetch } : { fetch, createServer: make as typeof createServer },
  );
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it makes none of HTTP/2 by itself
  const guarded = made?.guarded ?? guard(server as ReturnType<typeof createServer>, setup.limits);
  return {
    server: made?.server ?? (server as ReturnType<typeof createServer>),
    guarded,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}

testFramework({ name: "Hono", failure: /^a (?:late )?mistake$/, speaksHttp2: true, build });

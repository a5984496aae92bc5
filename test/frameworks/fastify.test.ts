/** Fastify 5 on a guarded server: by `serverFactory`, or on the server that it makes. */

import fastify, { type FastifyInstance } from "fastify";
import type { Server } from "node:http";
import { controller, guard } from "sluice/server";
import { testFramework, type App, type MadeServer, type Setup } from "../support/framework-contract.ts";

// oxlint-disable oxc/no-async-endpoint-handlers -- this is not Express

const usual = {
  // What closes the server is the guard, which answers while it drains.
  return503OnClosing: false,
  forceCloseConnections: false,
};

function addRoutes(app: FastifyInstance, { work }: Setup): void {
  app.addHook("onRequest", async (request, reply) => controller(reply.raw).setRoute(request.routeOptions.url ?? ""));
  app.addContentTypeParser("application/octet-stream", (_request, payload, done) => done(null, payload));
  app.get<{ Params: { id: string } }>("/items/:id", async (request) => `item ${request.params.id}`);
  app.get("/work", async (request, reply) => work.answer({ req: request.raw, res: reply.raw }));
  app.get("/source", async (request, reply) => work.source({ req: request.raw, res: reply.raw }));
  app.post<{ Body: AsyncIterable<Uint8Array> }>("/upload", async (request) => work.takeIn(request.body));
  app.post<{ Body: { name: unknown } }>("/json", async (request) => work.name(request.body.name));
}

async function build(setup: Setup): Promise<App> {
  let made: MadeServer | undefined;
  const app = setup.guardsOwn
    ? fastify(usual)
    : fastify({
        ...usual,
        serverFactory: (handler) => {
          made = setup.make(handler);
          // Of HTTP/2 in one of the ways; the types of Fastify tell that apart by its options.
          // oxlint-disable-next-line typescript/no-unsafe-type-assertion
          return made.server as Server;
        },
      });
  addRoutes(app, setup);
  const { server } = app;
  const guarded = made?.guarded ?? guard(server, setup.limits);
  return { server, guarded, listen: () => app.listen({ port: 0, host: "127.0.0.1" }), close: () => app.close() };
}

testFramework({ name: "Fastify", failure: /"message":"a (?:late )?mistake"/, speaksHttp2: true, build });

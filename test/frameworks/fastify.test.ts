/** Fastify 5 on a guarded server: by `serverFactory`, or on the server that it makes. */

import fastify, { type FastifyInstance } from "fastify";
import assert from "node:assert/strict";
import { once } from "node:events";
import type { Server } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { controller, createServer, guard } from "sluice/server";
import { serverCertificate } from "../support/certificates.ts";
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

/** An application with a server of its own. */
function makeOwn({ protocol }: Setup): FastifyInstance {
  if (protocol === "http") return fastify(usual);
  const options = { ...usual, https: { ...serverCertificate, allowHTTP1: true } };
  // The types of Fastify tell its servers apart; what is tested here is the same for all.
  return (protocol === "h2" ? fastify({ ...options, http2: true }) : fastify(options)) as unknown as FastifyInstance;
}

async function build(setup: Setup): Promise<App> {
  let made: MadeServer | undefined;
  const app = setup.guardsOwn
    ? makeOwn(setup)
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

test("Fastify's own way with idle connections, at its defaults, does not get in the way of a drain", async (t) => {
  const app = fastify({ serverFactory: (handler) => createServer({ drain: { settle: 100 } }, handler) });
  app.get("/", async () => "hello");
  const { port } = new URL(await app.listen({ port: 0, host: "127.0.0.1" }));
  const client = connect(Number(port), "127.0.0.1");
  t.after(() => client.destroy());
  client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  await once(client, "data");

  const closed = app.close();
  let isOpen = true;
  client.once("end", () => (isOpen = false));
  await sleep(50);
  assert.equal(isOpen, true, "an idle connection is closed before the server has settled");
  client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  const [answer]: Buffer[] = await once(client, "data");

  // That Fastify refuses what comes while it closes is its own default, `return503OnClosing`.
  assert.match(String(answer), /^HTTP\/1\.1 503 [^]*\r\nConnection: close\r\n/i);
  await closed;
});

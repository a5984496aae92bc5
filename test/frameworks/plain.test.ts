/** A handler of `node:http` on a guarded server. */

import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { connect } from "node:net";
import { pipeline } from "node:stream/promises";
import { json, text } from "node:stream/consumers";
import { test } from "node:test";
import { controller, createServer, guard } from "sluice/server";
import { listen, until } from "../support/loopback.ts";
import { testFramework, type Setup } from "../support/framework-contract.ts";

async function serve({ work }: Setup, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const { url = "" } = req;
  if (url.startsWith("/items/")) {
    controller(res).setRoute("/items/:id");
    res.end(`item ${url.slice("/items/".length)}`);
    return;
  }
  switch (url) {
    case "/work":
      res.end(await work.answer({ req, res }));
      return;
    case "/source":
      await pipeline(work.source({ req, res }), res);
      return;
    case "/upload":
      res.end(await work.takeIn(req));
      return;
    case "/json":
      controller(res).setRoute("/json");
      res.end(await work.name(Reflect.get(Object(await json(req)), "name")));
      return;
    default:
      res.writeHead(404).end();
  }
}

testFramework({
  name: "node:http",
  failure: /^a (?:late )?mistake$/,
  speaksHttp2: true,
  build: async (setup) => {
    const { server, guarded } = setup.make((req, res) => {
      serve(setup, req, res).catch((error: unknown) => {
        if (res.headersSent) res.destroy();
        else res.writeHead(500).end(error instanceof Error ? error.message : "");
      });
    });
    return { server, guarded, close: () => new Promise((resolve) => server.close(resolve)) };
  },
});

test("closeIdleConnections() ends idle connections without a reset, and leaves the others alone", async () => {
  const { promise: gate, resolve } = Promise.withResolvers<string>();
  const server = createServer({}, (req, res) => {
    if (req.url === "/wait") void gate.then((answer) => res.end(answer));
    else res.end("at once");
  });
  await using listening = await listen(server);
  const idle = connect(listening.port, "127.0.0.1");
  const busy = connect(listening.port, "127.0.0.1");
  idle.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  busy.write("GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  await once(idle, "data");
  await until(() => server.stats().connections.idle === 1 && server.stats().connections.active === 1);

  server.closeIdleConnections();
  await once(idle, "end");

  resolve("in its own time");
  assert.match(await text(busy), /in its own time$/);
  assert.equal(server.draining, false);
});

test("a server guarded twice, a handler in the place of options and HTTP/2 without TLS are errors", () => {
  assert.throws(() => guard(createServer(), {}), { code: "ERR_OPTION", message: /once/ });
  assert.throws(() => createServer((() => undefined) as object), { code: "ERR_OPTION", message: /options first/ });
  assert.throws(() => createServer({ http2: true } as object), { code: "ERR_OPTION", message: /tls/ });
});

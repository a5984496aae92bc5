/** A handler of `node:http` on a guarded server. */

import { type IncomingMessage, type ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { json } from "node:stream/consumers";
import { controller } from "sluice/server";
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

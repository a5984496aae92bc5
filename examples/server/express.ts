/** Express 5: the application is the handler. Its own answers and errors stay its own; the metrics know its routes. */

import express, { type Request } from "express";
import { once } from "node:events";
import { Registry } from "sluice/core";
import { createServer } from "sluice/server";

const app = express();
app.use(express.json());
app.get("/items/:id", (req, res) => void res.json({ id: req.params.id }));
app.post("/items", (req, res) => void res.status(201).json(req.body));

/** Express leaves the route that it has found on the request; `baseUrl` is where its router is mounted. */
function route(req: object): string | undefined {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- Express has seen it
  const { baseUrl, route: found } = req as Request;
  return found && baseUrl + found.path;
}

const registry = new Registry();
const server = createServer({ handlerTimeout: "5s", maxBodyBytes: "64kb", route, registry }, app);
await once(server.listen(0, "127.0.0.1"), "listening");
const address = server.address();
const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;

console.log(await (await fetch(`${url}/items/7`)).json());
const headers = { "content-type": "application/json" };
for (const body of ['{"name":"mug"}', JSON.stringify({ name: "x".repeat(100_000) })]) {
  // oxlint-disable-next-line no-await-in-loop -- one after the other
  console.log((await fetch(`${url}/items`, { method: "POST", headers, body })).status);
}
await server.drain();

const requests = registry.collect().find(({ name }) => name === "http_server_requests_total");
for (const { labels } of requests?.samples ?? []) console.log(labels.slice(1, 4).join(" "));

/** What there is to see: events, stats, and the instruments behind every metric. */

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Registry } from "sluice/core";
import { controller, createServer, type BadRequestEvent, type ConnectionState } from "sluice/server";

const registry = new Registry();
const server = createServer({ name: "api", registry }, (_req, res) => {
  controller(res).setRoute("/items/:id");
  res.end();
});
const showState = (_socket: Socket, state: ConnectionState): void => console.log("connection:", state);
server.on("connState", showState);
server.on("badRequest", ({ reason, status, message }: BadRequestEvent) => console.log(status, reason, message));
await once(server.listen(0, "127.0.0.1"), "listening");
const address = server.address();
const port = typeof address === "object" ? (address?.port ?? 0) : 0;

await fetch(`http://127.0.0.1:${port}/items/7`);
server.off("connState", showState);
const raw = connect(port, "127.0.0.1").resume();
raw.write("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
await once(raw, "close");

const { accepted, requests, badRequests } = server.stats();
console.log({ accepted, requests, badRequests });
for (const family of registry.collect()) {
  if (family.type === "histogram" || family.name !== "http_server_requests_total") continue;
  for (const { labels, value } of family.samples) console.log(labels, value);
}
await server.drain();

/** Limits for each client behind a proxy: what the proxy says of its client is believed, what others say is not. */

import { once } from "node:events";
import { createServer } from "sluice/server";

const server = createServer(
  {
    trustedProxies: ["127.0.0.0/8", "10.0.0.0/8"], // whose X-Forwarded-For is believed
    maxConnsPerIp: 2, // of a client itself; behind a trusted proxy, its requests in flight
  },
  (_req, res) => void setTimeout(() => res.end("done"), 200),
);
await once(server.listen(0, "127.0.0.1"), "listening");
const address = server.address();
const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;

/** As the proxy would send it on for a client. */
async function ask(client: string): Promise<string> {
  const { status } = await fetch(url, { headers: { "x-forwarded-for": client } });
  return `${client}: ${status}`;
}
const clients = ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"];
console.log((await Promise.all(clients.map(ask))).toSorted());
console.log("shed:", server.stats().shed.address);
await server.drain();

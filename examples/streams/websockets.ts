/** WebSockets with limits, a bound for each reader, and an end with the server. */

import { once } from "node:events";
import { webSockets } from "sluice/adapters/ws";
import { createServer } from "sluice/server";
import { WebSocket } from "ws";

const server = createServer({ drain: { grace: "5s" } });
const stock = webSockets(
  server,
  { path: "/stock", maxConns: 5_000, origins: ["https://shop.example"], overflow: "latest-only" },
  (connection) => {
    // `connection.socket` is the one of `ws`; what is sent goes through the connection.
    connection.socket.on("message", (data: Buffer) => connection.send(`watching ${String(data)}`));
  },
);
await once(server.listen(0, "127.0.0.1"), "listening");
const address = server.address();
const url = `ws://127.0.0.1:${typeof address === "object" ? address?.port : 0}/stock`;

const stranger = new WebSocket(url, { origin: "https://evil.example" });
const [error]: Error[] = await once(stranger, "error");
console.log(error?.message);

const client = new WebSocket(url, { origin: "https://shop.example" });
const messages: string[] = [];
client.on("message", (data: Buffer) => messages.push(String(data)));
await once(client, "open");
client.send("mug");
await once(client, "message");
stock.broadcast(JSON.stringify({ mug: 7 }), { key: "mug" });
await once(client, "message");
console.log(messages);

const drained = server.drain();
const [code]: number[] = await once(client, "close").then(([first]) => [first]);
console.log("closed with", code, "cut:", (await drained).cut);
console.log("refused:", stock.stats().rejected.origin);

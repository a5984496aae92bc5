/** WebSockets count apart, have a context each, and are told when the server goes. */

import { once } from "node:events";
import { context } from "sluice/core";
import { createServer } from "sluice/server";
import { WebSocket, WebSocketServer } from "ws";

const server = createServer({ maxUpgradedConns: 10_000, drain: { grace: "5s" } });
const sockets = new WebSocketServer({ server });
sockets.on("connection", (socket) => {
  // Messages come in no request's context: keep it here.
  const ctx = context();
  ctx.onDone(() => console.log("gone; still upgraded:", server.stats().connections.upgraded));
  socket.on("message", (data: Buffer) => ctx.run(() => socket.send(data.toString().toUpperCase())));
});
// A drain waits for them, and cuts what is left after its grace.
server.onDrain(() => {
  for (const socket of sockets.clients) socket.close(1001, "going away");
});
await once(server.listen(0, "127.0.0.1"), "listening");
const address = server.address();

const client = new WebSocket(`ws://127.0.0.1:${typeof address === "object" ? address?.port : 0}/`);
await once(client, "open");
client.send("hello");
const [message]: Buffer[] = await once(client, "message");
console.log(String(message), "upgraded:", server.stats().connections.upgraded);

const drained = server.drain();
const [code, reason]: [number, Buffer] = await once(client, "close").then(([first, second]) => [first, second]);
console.log(code, String(reason));
console.log("cut:", (await drained).cut);

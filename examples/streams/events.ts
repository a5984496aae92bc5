/** A channel of events, a client that loses its connection and comes again, and a server that goes away. */

import { once } from "node:events";
import { request } from "node:http";
import { createServer } from "sluice/server";
import { sse, SseChannel } from "sluice/streams";

const orders = new SseChannel({ history: { maxEvents: 1_000, maxAge: "5m" } });

const server = createServer({ drain: { grace: "5s" } }, (req, res) => {
  sse(req, res, { channel: orders });
});
await once(server.listen(0, "127.0.0.1"), "listening");
const address = server.address();
const port = typeof address === "object" ? address?.port : 0;

/** What a client gets that has seen everything up to `lastEventId`, until it has `count` events. */
async function listen(count: number, lastEventId: string = ""): Promise<string> {
  const headers = lastEventId === "" ? {} : { "last-event-id": lastEventId };
  const req = request({ port, host: "127.0.0.1", agent: false, headers }).end();
  const [res] = await once(req, "response");
  let text = "";
  for await (const chunk of res) {
    text += String(chunk);
    if (text.split("data: ").length > count) break;
  }
  return text;
}

const first = listen(1);
while (orders.size === 0) await once(server, "request");
orders.send({ event: "order", data: { id: 1, state: "paid" } });
const seen = /^id: (.*)$/gm.exec((await first).slice((await first).lastIndexOf("id: ")))?.[1] ?? "";
console.log("seen:", (await first).match(/data: .*/g));

orders.send({ event: "order", data: { id: 1, state: "packed" } });
orders.send({ event: "order", data: { id: 1, state: "sent" } });
console.log("missed:", (await listen(2, seen)).match(/data: .*/g));

const last = listen(Infinity, seen);
while (orders.size === 0) await once(server, "request");
const { cut } = await server.drain();
console.log("told to come again:", /^retry: \d+\n\n$/m.test(await last), "cut:", cut);

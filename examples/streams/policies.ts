/** Three clients that stop reading, and what becomes of each. */

import { once } from "node:events";
import { connect } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createServer } from "sluice/server";
import { SseChannel, Streams, type OverflowPolicy } from "sluice/streams";

const streams = new Streams({ name: "prices", maxStreams: 10_000 });
const prices = new SseChannel();
const policies: readonly OverflowPolicy[] = ["disconnect", "drop-oldest", "latest-only"];

const server = createServer({ drain: { grace: "1s" } }, (req, res) => {
  const overflow = policies.find((policy) => req.url === `/${policy}`) ?? "disconnect";
  const stream = streams.sse(req, res, { channel: prices, overflow, maxBufferedBytes: "256kb" });
  stream.context.onDone(() => console.log(overflow, "is over:", stream.closeReason));
});
await once(server.listen(0, "127.0.0.1"), "listening");
const address = server.address();
const port = typeof address === "object" ? (address?.port ?? 0) : 0;

const clients = policies.map((policy) => {
  const socket = connect(port, "127.0.0.1").pause();
  socket.write(`GET /${policy} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  return socket;
});
while (prices.size < 3) await nextTurn();

// More than the kernel takes for them: 20 MB.
for (let tick = 0; tick < 20_000; tick += 1) {
  prices.send({ event: "price", key: `share-${tick % 50}`, data: "x".repeat(1_000) });
  if (tick % 100 === 0) await nextTurn();
}
const { bufferedBytes, dropped, closed, active } = streams.stats();
console.log("still there:", active, "disconnected:", closed.overflow);
console.log("waiting, in all, less than 600 KB:", bufferedBytes < 600_000);
console.log("left out:", dropped.overflow > 0, "replaced by a newer one:", dropped.superseded > 0);

for (const client of clients) client.destroy();
await server.drain();

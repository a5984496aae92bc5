/** A producer that is as slow as its reader: it sends when there is room, and stops when the client has left. */

import { once } from "node:events";
import { createServer } from "sluice/server";
import { sse } from "sluice/streams";

let produced = 0;
const { promise: over, resolve: end } = Promise.withResolvers<void>();

const server = createServer({}, async (req, res) => {
  const stream = sse(req, res, { maxBufferedBytes: "256kb" });
  // Whatever it calls ends with the stream: pass `stream.context.signal` on.
  while (await stream.ready()) {
    stream.send({ event: "row", data: `${produced} ${"x".repeat(10_000)}` });
    produced += 1;
  }
  console.log("over:", stream.closeReason, stream.context.done);
  end();
});
await once(server.listen(0, "127.0.0.1"), "listening");
const address = server.address();
const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;

const controller = new AbortController();
const { body } = await fetch(url, { signal: controller.signal });
let bytes = 0;
for await (const chunk of body ?? []) {
  bytes += chunk.length;
  if (bytes > 5_000_000) break;
}
console.log("read 5 MB; produced less than 20 MB:", produced < 2_000);
controller.abort();
await over;
await server.drain();

/** What one request may take that the others may not: a long upload, a stream of events. */

import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { controller, createServer } from "sluice/server";

const streams = new Set<ServerResponse>();

const server = createServer({ handlerTimeout: "200ms", readTimeout: "1s" }, async (req, res) => {
  if (req.url === "/upload") {
    controller(res).extend("10m"); // all of its deadlines
    let bytes = 0;
    await pipeline(req, async (body: AsyncIterable<Buffer>) => {
      for await (const chunk of body) bytes += chunk.length;
    });
    res.end(`${bytes} bytes\n`);
  } else if (req.url === "/events") {
    controller(res).stream(); // no deadline, and no place of the concurrency limit
    streams.add(res);
    res.on("close", () => streams.delete(res));
    res.writeHead(200, { "content-type": "text/event-stream" });
    res.write("data: hello\n\n");
  } else {
    await sleep(500); // too long for the others
    if (!controller(res).context.done) res.end("too late\n");
  }
});
server.onDrain(() => {
  for (const res of streams) res.end("event: bye\ndata: come back\n\n");
});
await once(server.listen(0, "127.0.0.1"), "listening");
const address = server.address();
const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;

async function* slowly(): AsyncGenerator<Uint8Array> {
  for (let piece = 0; piece < 4; piece += 1) {
    yield new Uint8Array(1_000);
    // oxlint-disable-next-line no-await-in-loop -- it is slow
    await sleep(100);
  }
}
console.log(await (await fetch(`${url}/upload`, { method: "POST", body: slowly(), duplex: "half" })).text());
console.log((await fetch(url)).status, "for the one that took too long");
const events = await fetch(`${url}/events`);
const drained = server.drain();
console.log(await events.text());
console.log("cut:", (await drained).cut);

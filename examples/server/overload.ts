/** Eight requests at once to a server that works on two and lets two wait; a probe is answered all the same. */

import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { createServer } from "sluice/server";

const server = createServer({ concurrency: { limit: 2, queue: 2, queueTimeout: "1s" } }, async (req, res) => {
  if (req.url !== "/readyz") await sleep(500);
  res.end();
});
await once(server.listen(0, "127.0.0.1"), "listening");
const address = server.address();
const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;

const eight = Promise.all(Array.from({ length: 8 }, () => fetch(url)));
while (server.stats().shed.concurrency < 4) await sleep(5); // oxlint-disable-line no-await-in-loop
const { inFlight, queued, concurrencyLimit } = server.stats();
console.log({ inFlight, queued, concurrencyLimit });
console.log("probe:", (await fetch(`${url}/readyz`)).status);

const answers = await eight;
const shed = answers.filter(({ status }) => status === 503);
console.log(answers.length - shed.length, "served,", shed.length, "shed; shed:", server.stats().shed.concurrency);
console.log("Retry-After:", shed[0]?.headers.get("retry-after"));
await server.drain();

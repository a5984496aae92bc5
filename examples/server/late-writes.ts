/** A handler that goes on after its answer. node:http would end the process here: nobody catches what a timer throws. */

import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { createServer, type LateWrite } from "sluice/server";

const server = createServer({ name: "shop" }, (req, res) => {
  res.end("done\n");
  if (req.url === "/orders?id=7")
    setTimeout(function notifyTooLate() {
      res.setHeader("x-notified", "yes");
      res.write("one more thing\n");
    }, 20);
});
server.on("lateWrite", ({ request, method, stack }: LateWrite) => {
  console.log(`${request}: ${method} in ${/at Timeout.(\w+)/.exec(stack)?.[1] ?? stack}`);
});
await once(server.listen(0, "127.0.0.1"), "listening");
const address = server.address();
const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;

for (let visit = 0; visit < 3; visit += 1) {
  // oxlint-disable-next-line no-await-in-loop -- one after the other
  await (await fetch(`${url}/orders?id=7`)).text();
}
await sleep(100);
const { lateWrites, lateWritePlaces } = server.stats();
console.log(lateWrites, "late calls at", lateWritePlaces.length, "places");
await server.drain();

/**
 * The server that is attacked, with its defaults: `node attacked-server.ts sluice|node`.
 *
 * `/` is what honest clients ask for, `/upload` reads a body, `/download` sends a megabyte.
 */

import { createServer as createPlainServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { createServer } from "sluice/server";
import { answerParent } from "../support/child.ts";
import { readSettledMemory } from "../support/memory.ts";

const [contender = "sluice", megabytes = "1"] = process.argv.slice(2);
const download = Buffer.alloc(Number(megabytes) * 2 ** 20, "x");
const products = Array.from({ length: 20 }, (_, id) => ({ id, name: `product ${id}`, price: id * 7 }));

function handle(req: IncomingMessage, res: ServerResponse): void {
  if (req.url === "/download") res.end(download);
  else if (req.url === "/upload") req.resume().on("end", () => res.end("ok"));
  else {
    const body = JSON.stringify(products);
    res.writeHead(200, { "content-type": "application/json", "content-length": body.length });
    res.end(body);
  }
}

const server = contender === "sluice" ? createServer({}, handle) : createPlainServer(handle);
let open = 0;
server.on("connection", (socket) => {
  open += 1;
  socket.once("close", () => (open -= 1));
});
const lag = monitorEventLoopDelay({ resolution: 5 });
let cpu = process.cpuUsage();
let since = performance.now();

void answerParent({
  listen: async () => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject).listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, resolve);
    await promise;
    lag.enable();
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("The server has no port");
    return { port: address.port };
  },
  memory: async () => ({ ...(await readSettledMemory()), open }),
  /** Since it was last asked. */
  load: () => {
    const { user, system } = process.cpuUsage(cpu);
    const cpuShare = (user + system) / 1_000 / (performance.now() - since);
    const lagMs = lag.percentile(99) / 1e6;
    cpu = process.cpuUsage();
    since = performance.now();
    lag.reset();
    return { open, cpuShare, lagMs };
  },
});

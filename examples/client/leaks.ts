/** Finds the request whose body nobody reads: it holds its connection, and no timeout ends it. */

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Transport, type LeakedBody } from "sluice/client";

const server = createServer((_request, response) => void response.end(Buffer.alloc(1_000_000)));
server.listen(0, "127.0.0.1");
await once(server, "listening");
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on TCP
const { port } = server.address() as AddressInfo;
const url = `http://127.0.0.1:${port}/report`;

const { promise, resolve } = Promise.withResolvers<LeakedBody>();
const transport = new Transport({ leakAfter: "200ms", onLeak: resolve });

async function forgetsTheBody(): Promise<number> {
  return (await transport.fetch(url)).status;
}
await forgetsTheBody();

const leak = await promise;
console.log(leak.method, leak.path, "unread; made by", /forgetsTheBody/.exec(leak.stack ?? "")?.[0]);
await transport.abort();
server.close();

import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { createServer } from "./server.ts";

test("behind a trusted proxy a request gives its address's place back at its end", async (t) => {
  const held: (() => void)[] = [];
  const server = createServer({ maxConnsPerIp: 1, trustedProxies: ["127.0.0.1"] }, (req, res) => {
    if (req.url === "/held") held.push(() => res.end("held"));
    else res.end("ok");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const ask = async (path: string, address: string): Promise<number> => {
    const headers = { "x-forwarded-for": address };
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
    await response.text();
    return response.status;
  };
  const first = ask("/held", "192.0.2.1");
  while (held.length === 0) await new Promise(setImmediate);
  assert.equal(await ask("/", "192.0.2.1"), 503);
  assert.equal(await ask("/", "192.0.2.2"), 200);
  held[0]?.();
  assert.equal(await first, 200);
  assert.equal(await ask("/", "192.0.2.1"), 200);
  assert.equal(await ask("/", "192.0.2.1"), 200);
});

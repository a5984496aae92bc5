/** ky over a transport: by its `fetch` option, and by an installed transport. */

import assert from "node:assert/strict";
import { test } from "node:test";
import ky from "ky";
import { Transport } from "sluice/client";
import { serve } from "../support/node-http.ts";
import { testPeer } from "../support/peer-contract.ts";

testPeer("ky, fetch option", (transport) => {
  const client = ky.create({ fetch: transport.fetch, retry: 0 });
  return { get: (url, signal) => client.get(url, { ...(signal && { signal }) }).text() };
});

testPeer("ky, installed transport", (transport) => {
  const installed = transport.install();
  return {
    get: (url, signal) => ky.get(url, { retry: 0, ...(signal && { signal }) }).text(),
    dispose: () => installed[Symbol.dispose](),
  };
});

test("ky posts JSON and retries over the transport's connections", async () => {
  let failures = 2;
  await using served = await serve((request, response) => {
    if (failures-- > 0) return response.writeHead(503).end();
    return request.pipe(response);
  });
  await using transport = new Transport();
  const client = ky.create({ fetch: transport.fetch, retry: { limit: 2, methods: ["put"], delay: () => 5 } });
  assert.deepEqual(await client.put(served.url, { json: { a: 1 } }).json(), { a: 1 });
  assert.equal(served.accepted(), 1);
});

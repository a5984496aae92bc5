/** axios over a transport: its http adapter by an agent, its fetch adapter by fetch. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Readable } from "node:stream";
import { create } from "axios";
import { Transport } from "sluice/client";
import { serve } from "../support/node-http.ts";
import { assertQuiet } from "../support/transport-checks.ts";
import { testPeer, type Peer } from "../support/peer-contract.ts";

function overAgent(transport: Transport): Peer {
  const client = create({
    adapter: "http",
    httpAgent: transport.agent(),
    httpsAgent: transport.agent(),
    responseType: "text",
    proxy: false,
  });
  return { get: async (url, signal) => (await client.get<string>(url, { ...(signal && { signal }) })).data };
}

function overFetch(transport: Transport): Peer {
  const client = create({ adapter: "fetch", env: { fetch: transport.fetch }, responseType: "text" });
  return { get: async (url, signal) => (await client.get<string>(url, { ...(signal && { signal }) })).data };
}

testPeer("axios, http adapter", overAgent);
testPeer("axios, fetch adapter", overFetch);

test("axios follows redirects and sends streams over the agent's connections", async () => {
  await using served = await serve((request, response) => {
    if (request.url === "/from") return response.writeHead(302, { location: "/to" }).end();
    return request.pipe(response);
  });
  await using transport = new Transport();
  const client = create({ adapter: "http", httpAgent: transport.agent(), proxy: false });
  assert.equal((await client.get(`${served.url}/from`)).status, 200);
  const pieces = Readable.from(["a stream ", "in pieces"]);
  assert.equal((await client.post<string>(`${served.url}/`, pieces, { maxRedirects: 0 })).data, "a stream in pieces");
  assert.equal((await client.put<string>(`${served.url}/`, "x".repeat(1_000_000))).data.length, 1_000_000);
  // Its redirects destroy the answer that they follow, and with it the connection, as with any agent.
  assert.equal(served.accepted(), 2);
});

test("an axios timeout ends the request and its connection", async () => {
  await using served = await serve(() => {});
  await using transport = new Transport();
  const client = create({ adapter: "http", httpAgent: transport.agent(), timeout: 50, proxy: false });
  await assert.rejects(client.get(served.url), { code: "ECONNABORTED" });
  await assertQuiet(transport);
  assert.equal(transport.stats().closed.aborted, 1);
});

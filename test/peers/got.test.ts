/** got over a transport's agent. */

import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import got, { type Got } from "got";
import { Transport } from "sluice/client";
import { serve } from "../support/node-http.ts";
import { assertQuiet } from "../support/transport-checks.ts";
import { testPeer } from "../support/peer-contract.ts";

function over(transport: Transport): Got {
  const agent = transport.agent();
  return got.extend({ agent: { http: agent, https: agent }, retry: { limit: 0 } });
}

testPeer("got", (transport) => {
  const client = over(transport);
  return { get: (url, signal) => client.get(url, { ...(signal && { signal }) }).text() };
});

test("got streams both ways, follows redirects and retries over the agent's connections", async () => {
  let failures = 2;
  await using served = await serve((request, response) => {
    if (request.url === "/from") return response.writeHead(302, { location: "/to" }).end();
    if (request.url === "/flaky" && failures-- > 0) return response.writeHead(503).end();
    return request.pipe(response);
  });
  await using transport = new Transport();
  const client = over(transport);
  assert.equal((await client.get(`${served.url}/from`)).statusCode, 200);
  const upload = client.stream.post(served.url);
  const [, body] = await Promise.all([pipeline(Readable.from(["a stream ", "in pieces"]), upload), text(upload)]);
  assert.equal(body, "a stream in pieces");
  const retry = { limit: 2, backoffLimit: 10 };
  assert.equal((await client.get(`${served.url}/flaky`, { retry })).statusCode, 200);
  assert.equal(served.accepted(), 1);
});

test("got's timeouts end the request and its connection", async () => {
  await using served = await serve(() => {});
  await using transport = new Transport();
  const client = over(transport);
  await assert.rejects(client.get(served.url, { timeout: { response: 50 } }).text(), { code: "ETIMEDOUT" });
  await assertQuiet(transport);
});

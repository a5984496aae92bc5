/** node-fetch over a transport's agent. */

import assert from "node:assert/strict";
import { createServer } from "node:https";
import { Readable } from "node:stream";
import { test } from "node:test";
import fetch from "node-fetch";
import { Transport } from "sluice/client";
import { ca, serverCertificate } from "../support/certificates.ts";
import { serve } from "../support/node-http.ts";
import { testPeer } from "../support/peer-contract.ts";

testPeer("node-fetch", (transport) => {
  const agent = transport.agent();
  return {
    get: async (url, signal) => (await fetch(url, { agent, ...(signal && { signal }) })).text(),
  };
});

test("node-fetch follows a redirect from http to https with the one agent", async () => {
  await using secure = await serve((request, response) => request.pipe(response), createServer(serverCertificate));
  await using plain = await serve((_request, response) => response.writeHead(307, { location: secure.url }).end());
  await using transport = new Transport({ tls: { ca } });
  const agent = transport.agent();
  const answer = await fetch(plain.url, { agent, method: "POST", body: "again" });
  assert.equal(await answer.text(), "again");
  assert.equal(answer.redirected, true);
  assert.equal(transport.stats().origins.length, 2);
});

test("node-fetch streams both ways", async () => {
  await using served = await serve((request, response) => request.pipe(response));
  await using transport = new Transport();
  const body = Readable.from(["a stream ", "in pieces"]);
  const answer = await fetch(served.url, { agent: transport.agent(), method: "POST", body });
  assert.equal(await answer.text(), "a stream in pieces");
});

/** The fetch of the running Node over a transport: by install(), by its dispatcher option, and undici's own. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { fetch as undiciFetch } from "undici";
import { Transport } from "sluice/client";
import { fetchOver } from "../support/fetch-over.ts";
import { until } from "../support/loopback.ts";
import { idleBooks, serve } from "../support/node-http.ts";
import { testPeer } from "../support/peer-contract.ts";

testPeer(`built-in fetch (undici ${process.versions["undici"]}), installed transport`, (transport) => {
  const installed = transport.install();
  return {
    get: async (url, signal) => (await fetch(url, { ...(signal && { signal }) })).text(),
    dispose: () => installed[Symbol.dispose](),
  };
});

testPeer("built-in fetch, dispatcher option", (transport) => {
  const over = fetchOver(transport);
  return { get: async (url, signal) => (await over(url, { ...(signal && { signal }) })).text() };
});

testPeer("undici's fetch, dispatcher option", (transport) => ({
  get: async (url, signal) => (await undiciFetch(url, { dispatcher: transport, ...(signal && { signal }) })).text(),
}));

test("built-in fetch streams both ways, follows redirects and sends forms over an installed transport", async () => {
  await using served = await serve((request, response) => {
    if (request.url === "/from") return response.writeHead(303, { location: "/to" }).end("look there");
    return request.pipe(response);
  });
  await using transport = new Transport();
  using _installed = transport.install();
  assert.equal((await fetch(`${served.url}/from`, { method: "POST", body: "x" })).redirected, true);
  const body = new Blob(["a stream ", "in pieces"]).stream();
  const answer = await fetch(served.url, { method: "POST", body, duplex: "half" });
  assert.equal(await answer.text(), "a stream in pieces");
  const form = new FormData();
  form.set("field", "value");
  assert.match(await (await fetch(served.url, { method: "POST", body: form })).text(), /name="field"/);
  await until(() => transport.stats().inUse === 0);
  idleBooks(transport);
});

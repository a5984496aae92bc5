/** The fetch of the running Node over a transport: by install(), by its dispatcher option, and undici's own. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { fetch as undiciFetch } from "undici";
import { Transport } from "sluice/client";
import { serve } from "../support/node-http.ts";
import { assertQuiet } from "../support/transport-checks.ts";
import { testPeer } from "../support/peer-contract.ts";

// Taken before anything is installed, as a library does that keeps the fetch that it found.
const builtIn = globalThis.fetch;
const version = process.versions["undici"];

/** Built-in fetch with the transport as its dispatcher. */
function fetchOver(transport: Transport): typeof globalThis.fetch {
  return (input, init) => {
    const over = { ...init };
    // Node's types want undici's class here; fetch itself needs `dispatch` only.
    Object.assign(over, { dispatcher: transport });
    return builtIn(input, over);
  };
}

testPeer(`built-in fetch of undici ${version}, installed transport`, (transport) => {
  const installed = transport.install();
  return {
    get: async (url, signal) => (await builtIn(url, { ...(signal && { signal }) })).text(),
    dispose: () => installed[Symbol.dispose](),
  };
});

testPeer("global fetch, installed transport", (transport) => {
  const installed = transport.install();
  return {
    get: async (url, signal) => (await globalThis.fetch(url, { ...(signal && { signal }) })).text(),
    dispose: () => installed[Symbol.dispose](),
  };
});

testPeer(`built-in fetch of undici ${version}, dispatcher option`, (transport) => {
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
  assert.notEqual(globalThis.fetch, builtIn);
  assert.equal((await builtIn(`${served.url}/from`, { method: "POST", body: "x" })).redirected, true);
  const body = new Blob(["a stream ", "in pieces"]).stream();
  const answer = await builtIn(served.url, { method: "POST", body, duplex: "half" });
  assert.equal(await answer.text(), "a stream in pieces");
  const form = new FormData();
  form.set("field", "value");
  assert.match(await (await builtIn(served.url, { method: "POST", body: form })).text(), /name="field"/);
  await assertQuiet(transport);
});

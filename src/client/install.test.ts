import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { Agent, getGlobalDispatcher, request, setGlobalDispatcher } from "undici";
import { Transport } from "sluice/client";
import { serve } from "../../test/support/node-http.ts";
import { assertQuiet } from "../../test/support/transport-checks.ts";
import { installGlobals } from "./install.ts";

const places = [Symbol.for("undici.globalDispatcher.1"), Symbol.for("undici.globalDispatcher.2"), "fetch"] as const;

function describePlaces(): (PropertyDescriptor | undefined)[] {
  return places.map((key) => Object.getOwnPropertyDescriptor(globalThis, key));
}

function fetchNamed(name: string): typeof globalThis.fetch {
  return Object.defineProperty(() => Promise.reject(new Error(name)), "name", { value: name });
}

function layer(name: string): { readonly transport: Transport; readonly fetch: typeof globalThis.fetch } {
  return { transport: new Transport({ name }), fetch: fetchNamed(name) };
}

test("an installed transport serves built-in fetch and undici, and nothing of it is left afterwards", async () => {
  const before = describePlaces();
  let accepted = 0;
  await using served = await serve((_request, response) => response.end("ok"));
  await using transport = new Transport();
  {
    using _installed = transport.install();
    assert.equal(getGlobalDispatcher(), transport);
    for (let round = 0; round < 5; round += 1) {
      // oxlint-disable-next-line no-await-in-loop -- one after another is the point
      assert.equal(await (await fetch(served.url)).text(), "ok");
      // oxlint-disable-next-line no-await-in-loop -- one after another is the point
      assert.equal(await (await request(served.url)).body.text(), "ok");
    }
    accepted = served.accepted();
  }
  assert.deepEqual(describePlaces(), before);
  assert.equal(accepted, 1);
  await assertQuiet(transport);
  assert.equal(transport.stats().reused, 9);
});

test("two installations are undone exactly in every order", () => {
  const before = describePlaces();
  for (const order of [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ]) {
    const layers = ["first", "second", "third"].map(layer);
    const installed = layers.map(({ transport, fetch }) => installGlobals(transport, fetch));
    const left = new Set([0, 1, 2]);
    for (const index of order) {
      installed[index]?.[Symbol.dispose]();
      left.delete(index);
      const top = layers[Math.max(...left)];
      if (top === undefined) continue;
      assert.equal(getGlobalDispatcher(), top.transport, `after ${index} of ${order.join()}`);
      assert.equal(globalThis.fetch, top.fetch);
    }
    assert.deepEqual(describePlaces(), before);
  }
});

test("one transport installed twice stays until it is undone twice", () => {
  const before = describePlaces();
  const { transport, fetch } = layer("twice");
  const [first, second] = [installGlobals(transport, fetch), installGlobals(transport, fetch)];
  first[Symbol.dispose]();
  assert.equal(getGlobalDispatcher(), transport);
  assert.equal(globalThis.fetch, fetch);
  second[Symbol.dispose]();
  assert.deepEqual(describePlaces(), before);
});

test("what somebody else has put there meanwhile is left alone", (t) => {
  const [, dispatcherBefore, fetchBefore] = describePlaces();
  t.after(() => {
    setGlobalDispatcher(dispatcherBefore?.value);
    Object.defineProperty(globalThis, "fetch", fetchBefore ?? {});
  });
  const { transport, fetch } = layer("ours");
  const installed = installGlobals(transport, fetch);
  const theirs = new Agent();
  setGlobalDispatcher(theirs);
  const theirFetch = fetchNamed("theirs");
  globalThis.fetch = theirFetch;
  installed[Symbol.dispose]();
  assert.equal(getGlobalDispatcher(), theirs);
  assert.equal(globalThis.fetch, theirFetch);
});

test("disposing twice undoes nothing that came later", () => {
  const before = describePlaces();
  const { transport, fetch } = layer("disposed twice");
  const first = installGlobals(transport, fetch);
  first[Symbol.dispose]();
  const second = installGlobals(transport, fetch);
  first[Symbol.dispose]();
  assert.equal(getGlobalDispatcher(), transport);
  second[Symbol.dispose]();
  assert.deepEqual(describePlaces(), before);
});

test("fetch and undici work in a process that first loads them between install and its undoing", async () => {
  await using served = await serve((_request, response) => response.end("ok"));
  const script = `
    const { Transport } = await import("sluice/client");
    const transport = new Transport();
    const before = globalThis.fetch;
    const installed = transport.install();
    const url = process.argv[1];
    await (await fetch(url)).text();
    const { request } = await import("undici");
    await (await request(url)).body.text();
    const { opened } = transport.stats();
    installed[Symbol.dispose]();
    await transport.close();
    await (await request(url)).body.text();
    const { status } = await fetch(url);
    console.log(JSON.stringify({ opened, status, same: globalThis.fetch === before }));
    process.exit();
  `;
  const args = ["--conditions=sluice-source", "--input-type=module", "--eval", script, served.url];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  assert.deepEqual(JSON.parse(stdout), { opened: 1, status: 200, same: true });
});

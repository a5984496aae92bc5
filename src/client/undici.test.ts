import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import type * as Undici from "undici";
import { Transport } from "./transport.ts";
import { api, Dispatcher, Dispatcher1Wrapper, errors, getClient, loadClient, parseHeaders } from "./undici.ts";

const require = createRequire(import.meta.url);

test("making a transport loads neither undici's index nor its fetch, and leaves the global dispatcher alone", async () => {
  const symbol = Symbol.for("undici.globalDispatcher.2");
  const before: unknown = Reflect.get(globalThis, symbol);
  await new Transport().close();
  const loaded = Object.keys(require.cache).filter((file) =>
    /undici\/(index\.js|lib\/web\/fetch\/index\.js)$/.test(file),
  );
  assert.deepEqual(loaded, []);
  assert.equal(Reflect.get(globalThis, symbol), before);
});

test("each piece is the one that undici's index exports", async () => {
  await loadClient();
  const undici = require("undici") as typeof Undici;
  assert.equal(Dispatcher, undici.Dispatcher);
  assert.equal(Dispatcher1Wrapper, undici.Dispatcher1Wrapper);
  assert.equal(errors, undici.errors);
  assert.equal(parseHeaders, undici.util.parseHeaders);
  assert.equal(getClient(), undici.Client);
  for (const method of ["connect", "pipeline", "request", "stream", "upgrade"] as const) {
    assert.equal(api[method], undici.Dispatcher.prototype[method], method);
  }
  await using transport = new Transport();
  assert.ok(transport instanceof undici.Dispatcher);
});

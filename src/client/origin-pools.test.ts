/** Which pool a request belongs to, and in whose books it stands. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { afterEach, test } from "node:test";
import { assertNothingLeft, until } from "../../test/support/loopback.ts";
import { answer, holdingServer, rawServer } from "../../test/support/raw-server.ts";
import { ask, failure } from "../../test/support/send.ts";
import { Registry } from "../core/instruments.ts";
import { openTransport } from "../../test/support/transport-checks.ts";

afterEach(assertNothingLeft);

const retry = { attempts: 1, backoff: { from: 1 } } as const;

test("a retry is counted however its origin is written, and whichever name its Host header asks for", async () => {
  const server = await rawServer((socket) => answer(socket));
  await server[Symbol.asyncDispose]();
  await using transport = openTransport({ retry });
  const secure = server.origin.replace("http:", "https:");

  await failure(ask(transport, { origin: `${server.origin}/` }));
  await failure(ask(transport, { origin: secure, headers: { host: "shop.test" } }));

  assert.deepEqual(
    transport.stats().origins.map(({ origin, retries }) => [origin, retries]),
    [
      [server.origin, 1],
      [secure, 1],
    ],
  );
});

test("the concurrency limit of an origin has a gauge, and so has who waits for it", async () => {
  await using server = await holdingServer();
  const registry = new Registry();
  await using transport = openTransport({ registry, concurrency: { limit: 1 } });
  const gauge = (name: string): number | undefined => {
    const family = Array.from(registry.collect()).find((each) => each.name === name);
    return family?.type === "gauge" ? family.samples[0]?.value : undefined;
  };
  const both = [1, 2].map(() => ask(transport, { origin: server.origin }));
  await until(() => server.held.length === 1);

  assert.deepEqual([gauge("http_client_concurrency_limit"), gauge("http_client_concurrency_waiting")], [1, 1]);

  server.release();
  await until(() => server.held.length === 1);
  server.release();
  await Promise.all(both);
  assert.equal(gauge("http_client_concurrency_waiting"), 0);
});

test("every metric that the words on an option name exists, with the label that they name", () => {
  const registry = new Registry();
  openTransport({ registry });
  const families = new Map(Array.from(registry.collect(), (family) => [family.name, family.labelNames]));
  const files = ["transport-options.ts", "policies/options.ts"].map((file) => `${import.meta.dirname}/${file}`);
  const named = files.flatMap((file) =>
    Array.from(readFileSync(file, "utf8").matchAll(/@metric (\w+)(?:\{(\w+)=)?/g), ([, name, label]) => [name, label]),
  );

  assert.ok(named.length > 15);
  for (const [name = "", label] of named) {
    assert.ok(families.get(name)?.includes(label ?? "pool"), `${name} with the label ${label ?? "pool"}`);
  }
});

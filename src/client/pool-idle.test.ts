/** How long a connection may stay idle, and how many may. */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assertNothingLeft, until } from "../../test/support/loopback.ts";
import { answer, holdingServer, rawServer } from "../../test/support/raw-server.ts";
import { ask } from "../../test/support/send.ts";
import { assertQuiet, openTransport } from "../../test/support/transport-checks.ts";

afterEach(assertNothingLeft);

test("a connection above maxIdleConnsPerHost is closed when it is given back", async () => {
  await using server = await holdingServer();
  const { held, release } = server;
  await using transport = openTransport({ maxIdleConnsPerHost: 2 });
  const all = Array.from({ length: 5 }, () => ask(transport, { origin: server.origin }));
  await until(() => held.length === 5);

  release();
  await Promise.all(all);

  await assertQuiet(transport);
  assert.deepEqual({ idle: transport.stats().idle, closed: transport.stats().closed.max_idle }, { idle: 2, closed: 3 });
});

test("an idle connection is closed after idleConnTimeout", async () => {
  await using server = await rawServer((socket) => answer(socket));
  await using transport = openTransport({ idleConnTimeout: 40 });
  await ask(transport, { origin: server.origin });
  assert.equal(transport.stats().idle, 1);

  await until(() => transport.stats().idle === 0);

  await assertQuiet(transport);
  assert.equal(transport.stats().closed.idle_timeout, 1);
  await until(() => server.connections.size === 0);
  assert.equal(server.connections.size, 0);
});

test("idleConnTimeout holds by wall clock: after a suspended hour a connection is not lent", async (t) => {
  await using server = await rawServer((socket) => answer(socket));
  await using transport = openTransport();
  await ask(transport, { origin: server.origin });
  const realNow = Date.now;

  // The wall clock is not looked at for a connection that was put back less than 5 ms ago.
  await sleep(10);
  t.mock.method(Date, "now", () => realNow() + 3_600_000);
  await ask(transport, { origin: server.origin });

  const { opened, closed } = transport.stats();
  assert.deepEqual({ opened, idle_timeout: closed.idle_timeout }, { opened: 2, idle_timeout: 1 });
});

test("a prewarmed connection that nobody used ends after idleConnTimeout as well", async () => {
  await using server = await rawServer((socket) => answer(socket));
  await using transport = openTransport({ idleConnTimeout: 30 });

  assert.equal(await transport.prewarm(server.origin, 2), 2);
  assert.equal(transport.stats().idle, 2);
  await until(() => transport.stats().idle === 0);

  await assertQuiet(transport);
  assert.equal(transport.stats().closed.idle_timeout, 2);
});

test("a connection past maxConnLifetime is closed, when idle and when given back, each at its own moment", async (t) => {
  await using server = await rawServer(
    (socket, { path }) => void setTimeout(() => answer(socket), Number(path.slice(1))),
  );
  t.mock.method(Math, "random", () => 1);
  await using transport = openTransport({ maxConnLifetime: 100 });
  const born = performance.now();

  await ask(transport, { origin: server.origin, path: "/0" });
  await until(() => transport.stats().idle === 0);
  const livedMs = performance.now() - born;
  await assertQuiet(transport);
  assert.ok(livedMs >= 89, `a tenth is the most that chance takes away: ${livedMs} ms`);
  await ask(transport, { origin: server.origin, path: "/130" });

  await assertQuiet(transport);
  const { closed, idle } = transport.stats();
  assert.deepEqual({ max_lifetime: closed.max_lifetime, idle }, { max_lifetime: 2, idle: 0 });
});

for (const seconds of [1, 2, 5]) {
  test(`Keep-Alive: timeout=${seconds} shortens the idle time and does not prevent reuse`, async (t) => {
    await using server = await rawServer((socket) => answer(socket, "ok", `keep-alive: timeout=${seconds}`));
    await using transport = openTransport();
    for (let n = 0; n < 3; n += 1) await ask(transport, { origin: server.origin });
    assert.equal(server.accepted, 1);
    const realNow = Date.now;

    await sleep(10);
    t.mock.method(Date, "now", () => realNow() + seconds * 750);
    await ask(transport, { origin: server.origin });
    assert.equal(server.accepted, 1, "closed too early");
    await sleep(10);
    t.mock.method(Date, "now", () => realNow() + seconds * 750 + seconds * 850);
    await ask(transport, { origin: server.origin });

    assert.equal(server.accepted, 2, "used when the server had promised nothing any more");
  });
}

test("closeIdleConnections closes what is idle and what falls idle before the next request", async () => {
  await using server = await holdingServer();
  const { held, release } = server;
  await using transport = openTransport();
  const first = ask(transport, { origin: server.origin });
  const second = ask(transport, { origin: server.origin });
  await until(() => held.length === 2);
  release(1);
  await Promise.race([first, second]);
  assert.equal(transport.stats().idle, 1);

  transport.closeIdleConnections();
  assert.equal(transport.stats().idle, 0);
  release();
  await Promise.all([first, second]);
  await assertQuiet(transport);
  assert.equal(transport.stats().idle, 0);

  const third = ask(transport, { origin: server.origin });
  await until(() => held.length === 1);
  release();
  await third;
  assert.equal(transport.stats().idle, 1);
});

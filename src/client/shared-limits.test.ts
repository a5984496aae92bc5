/** The limits that hold over all origins: maxConns, maxIdleConns, maxHosts. */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { assertNothingLeft, until } from "../../test/support/loopback.ts";
import { answer, holdingServer, rawServer, type RawServer } from "../../test/support/raw-server.ts";
import { ask, failure, send } from "../../test/support/send.ts";
import { assertQuiet, openTransport } from "../../test/support/transport-checks.ts";
import type { Transport } from "./transport.ts";

/** Several servers, all answering at once. */
async function servers(count: number): Promise<RawServer[] & AsyncDisposable> {
  const all = await Promise.all(Array.from({ length: count }, () => rawServer((socket) => answer(socket))));
  return Object.assign(all, {
    [Symbol.asyncDispose]: async () => void (await Promise.all(all.map((one) => one[Symbol.asyncDispose]()))),
  });
}

function originStats(transport: Transport, origin: string): { idle: number; inUse: number; waiting: number } {
  const found = transport.stats().origins.find((one) => one.origin === origin);
  return { idle: found?.idle ?? 0, inUse: found?.inUse ?? 0, waiting: found?.waiting ?? 0 };
}

afterEach(assertNothingLeft);

test("above maxIdleConns the one that is idle for longest is closed, whichever origin it belongs to", async () => {
  await using all = await servers(3);
  await using transport = openTransport({ maxIdleConns: 2 });

  for (const { origin } of all) await ask(transport, { origin });

  await assertQuiet(transport);
  assert.deepEqual(
    all.map(({ origin }) => originStats(transport, origin).idle),
    [0, 1, 1],
  );
  assert.equal(transport.stats().closed.max_idle, 1);
});

test("at maxConns another origin's idle connection makes room", async () => {
  await using all = await servers(2);
  await using transport = openTransport({ maxConns: 1 });

  for (let n = 0; n < 6; n += 1) await ask(transport, { origin: all[n % 2]?.origin ?? "" });

  await assertQuiet(transport);
  const { opened, idle, closed } = transport.stats();
  assert.deepEqual({ opened, idle, max_idle: closed.max_idle }, { opened: 6, idle: 1, max_idle: 5 });
});

test("no more than maxConns connections are open over all origins", async () => {
  await using all = await servers(5);
  await using transport = openTransport({ maxConns: 3 });
  let most = 0;
  const look = (): void => {
    const { idle, inUse, connecting } = transport.stats();
    most = Math.max(most, idle + inUse + connecting);
  };

  const requests = Array.from({ length: 60 }, async (_, n) => {
    await ask(transport, { origin: all[n % 5]?.origin ?? "" });
    look();
  });
  look();
  await Promise.all(requests);

  assert.ok(most > 0 && most <= 3, `${most} were open`);
});

test("an origin under constant load does not starve another that waits for room", async () => {
  await using busy = await rawServer((socket) => void setTimeout(answer, 1, socket));
  await using quiet = await rawServer((socket) => answer(socket));
  await using transport = openTransport({ maxConns: 2, poolTimeout: 1_000 });
  const load = { goesOn: true };
  const loops = Array.from({ length: 6 }, async () => {
    while (load.goesOn) await ask(transport, { origin: busy.origin });
  });
  await until(() => busy.requests.length > 10);
  const before = busy.requests.length;

  await ask(transport, { origin: quiet.origin });

  const overtook = busy.requests.length - before;
  load.goesOn = false;
  await Promise.all(loops);
  assert.ok(overtook <= 12, `${overtook} later requests went first`);
});

test("waiters of three origins for one place are served in turn", async () => {
  await using all = await servers(3);
  await using transport = openTransport({ maxConns: 1 });
  const order: string[] = [];

  await Promise.all(
    all.map(async ({ origin }, n) => {
      await ask(transport, { origin });
      order.push(`${n}`);
    }),
  );

  assert.deepEqual(order, ["0", "1", "2"]);
});

test("a place that an origin no longer wants goes to the next in line", async () => {
  let open: (() => void) | undefined;
  await using holding = await holdingServer();
  await using other = await rawServer((socket) => answer(socket));
  await using transport = openTransport({
    maxConns: 2,
    poolTimeout: 500,
    lookup: (_hostname, _options, callback) => {
      open = () => callback(null, [{ address: "127.0.0.1", family: 4 }]);
    },
  });
  const slow = `http://slow.test:${other.port}`;
  const first = ask(transport, { origin: holding.origin });
  await until(() => holding.held.length === 1);
  // One dial under way, and one more wanted that there is no room for.
  const kept = send(transport, { origin: slow });
  const left = send(transport, { origin: slow });
  left.abort();
  const waiting = ask(transport, { origin: other.origin });

  holding.release();
  await first;

  assert.equal((await waiting).body, "ok");
  open?.();
  await kept.answer;
});

test("prewarming where there is no room leaves other origins their idle connections", async () => {
  await using all = await servers(2);
  await using transport = openTransport({ maxConns: 1 });
  const [first = "", second = ""] = all.map(({ origin }) => origin);
  await ask(transport, { origin: first });

  assert.equal(await transport.prewarm(second, 1), 0);
  await ask(transport, { origin: first });

  assert.deepEqual(
    { idle: originStats(transport, first).idle, opened: transport.stats().opened },
    { idle: 1, opened: 1 },
  );
});

test("above maxHosts the origin that is quiet for longest is forgotten, and its totals are kept", async () => {
  await using all = await servers(3);
  await using transport = openTransport({ maxHosts: 2 });
  const origins = all.map(({ origin }) => origin);
  const [first = "", second = "", third = ""] = origins;
  await ask(transport, { origin: first });
  await ask(transport, { origin: second });
  await ask(transport, { origin: first });

  await ask(transport, { origin: third });

  await assertQuiet(transport);
  const { origins: known, opened, reused, closed } = transport.stats();
  assert.deepEqual(
    known.map(({ origin }) => origin),
    [first, third],
  );
  assert.deepEqual({ opened, reused, shutdown: closed.shutdown }, { opened: 3, reused: 1, shutdown: 1 });
});

test("when all origins are in use a new one fails with ERR_TOO_MANY_HOSTS", async () => {
  await using holding = await holdingServer();
  await using other = await rawServer((socket) => answer(socket));
  await using transport = openTransport({ maxHosts: 1 });
  const first = ask(transport, { origin: holding.origin });
  await until(() => holding.held.length === 1);

  const error = await failure(ask(transport, { origin: other.origin }));

  assert.equal(error.code, "ERR_TOO_MANY_HOSTS");
  holding.release();
  await first;
  assert.equal((await ask(transport, { origin: other.origin })).body, "ok");
});

test("two spellings of an origin are one origin", async () => {
  await using server = await rawServer((socket) => answer(socket));
  await using transport = openTransport();

  for (const origin of [server.origin, `${server.origin}/`, `HTTP://127.0.0.1:${server.port}`]) {
    await ask(transport, { origin });
  }

  assert.deepEqual(
    { origins: transport.stats().origins.length, accepted: server.accepted },
    { origins: 1, accepted: 1 },
  );
});

// oxlint-disable no-await-in-loop -- the requests must be made one after the other
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { test } from "node:test";
import { Agent, request } from "undici";
import { isServerFailure, OutlierEjection, type OutlierEjectionOptions } from "./outlier-ejection.ts";

const defaults: OutlierEjectionOptions = {
  consecutiveFailures: 5,
  baseTime: 30_000,
  maxTime: 300_000,
  maxEjected: 0.5,
};

function makeEjection(options: Partial<OutlierEjectionOptions> = {}): {
  ejection: OutlierEjection;
  clock: { ms: number };
  told: [string, number][];
} {
  const clock = { ms: 1_000 };
  const told: [string, number][] = [];
  const ejection = new OutlierEjection(
    { ...defaults, ...options },
    (address, ms) => told.push([address, ms]),
    () => clock.ms,
  );
  return { ejection, clock, told };
}

function fail(ejection: OutlierEjection, address: string, times = 5): void {
  for (let i = 0; i < times; i++) ejection.report(address, false);
}

test("the fifth failure in a row ejects, the fourth does not", () => {
  const { ejection, told } = makeEjection();
  ejection.know(["a", "b"]);
  fail(ejection, "a", 4);
  assert.equal(ejection.avoid("a"), false);
  fail(ejection, "a", 1);
  assert.equal(ejection.avoid("a"), true);
  assert.equal(ejection.avoid("b"), false);
  assert.deepEqual(told, [["a", 30_000]]);
  assert.equal(ejection.ejections, 1);
});

test("one success between failures starts the count again", () => {
  const { ejection } = makeEjection();
  ejection.know(["a", "b"]);
  fail(ejection, "a", 4);
  ejection.report("a", true);
  fail(ejection, "a", 4);
  assert.equal(ejection.avoid("a"), false);
});

test("an ejection ends by itself when its time is over", () => {
  const { ejection, clock } = makeEjection();
  ejection.know(["a", "b"]);
  fail(ejection, "a");
  clock.ms += 29_999;
  assert.equal(ejection.avoid("a"), true);
  clock.ms += 1;
  assert.equal(ejection.avoid("a"), false);
  assert.equal(ejection.ejected, 0);
});

test("each further ejection is longer, up to the longest", () => {
  const { ejection, clock, told } = makeEjection({ maxTime: 80_000 });
  ejection.know(["a", "b"]);
  for (let i = 0; i < 4; i++) {
    fail(ejection, "a");
    clock.ms += told.at(-1)?.[1] ?? 0;
  }
  assert.deepEqual(
    told.map(([, ms]) => ms),
    [30_000, 60_000, 80_000, 80_000],
  );
});

test("a long time of good conduct makes the next ejection short again", () => {
  const { ejection, clock, told } = makeEjection();
  ejection.know(["a", "b"]);
  fail(ejection, "a");
  clock.ms += 30_000;
  fail(ejection, "a");
  clock.ms += 60_000 + 3_600_000;
  fail(ejection, "a");
  assert.deepEqual(
    told.map(([, ms]) => ms),
    [30_000, 60_000, 30_000],
  );
});

test("late failures of requests that were under way make an ejection neither longer nor double", () => {
  const { ejection, clock, told } = makeEjection();
  ejection.know(["a", "b"]);
  fail(ejection, "a");
  clock.ms += 1_000;
  fail(ejection, "a", 50);
  assert.equal(told.length, 1);
});

test("when every address fails, half of them stay in use", () => {
  const { ejection } = makeEjection();
  const addresses = ["a", "b", "c", "d", "e"];
  ejection.know(addresses);
  for (const address of addresses) fail(ejection, address, 20);
  assert.equal(ejection.ejected, 2);
});

test("the only address is never ejected, because there is nowhere else to go", () => {
  const { ejection } = makeEjection();
  fail(ejection, "a", 100);
  assert.equal(ejection.avoid("a"), false);
  assert.equal(ejection.ejections, 0);
});

test("ejected addresses are tried last, not left out", () => {
  const { ejection } = makeEjection();
  ejection.know(["a", "b", "c"]);
  fail(ejection, "a");
  assert.deepEqual(ejection.order(["a", "b", "c"]), ["b", "c", "a"]);
});

test("a name with ever new addresses does not make the table grow without end", () => {
  const { ejection } = makeEjection({ maxEjected: 1 });
  for (let i = 0; i < 10_000; i++) fail(ejection, `address ${i}`);
  assert.ok(ejection.ejected <= 256);
});

test("501 and 505 speak of the request, other 5xx of the server", () => {
  assert.deepEqual([200, 404, 429, 500, 501, 502, 503, 504, 505].filter(isServerFailure), [500, 502, 503, 504]);
});

test("a dead address among two costs five failures and then no more requests", async (t) => {
  // Arrange: the good server listens on 127.0.0.1 only, so that 127.0.0.2 refuses connections at the same port.
  const server = http.createServer((_req, res) => res.end("ok")).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as net.AddressInfo;
  const { ejection } = makeEjection();
  const addresses = ["127.0.0.2", "127.0.0.1"];
  ejection.know(addresses);
  let turn = 0;
  const agent = new Agent({
    connect(_options, callback) {
      const rotated = turn++ % 2 === 0 ? addresses : addresses.toReversed();
      const host = ejection.order(rotated)[0] ?? "";
      const socket = net.connect({ host, port });
      socket.once("connect", () => {
        ejection.report(host, true);
        callback(null, socket);
      });
      socket.once("error", (error) => {
        ejection.report(host, false);
        callback(error, null);
      });
    },
  });
  t.after(() => agent.close());

  // Act
  let failures = 0;
  for (let i = 0; i < 40; i++) {
    try {
      const response = await request(`http://service.test:${port}/`, { dispatcher: agent, reset: true });
      await response.body.dump();
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "ECONNREFUSED");
      failures += 1;
    }
  }

  // Assert
  assert.equal(failures, 5);
  assert.equal(ejection.ejections, 1);
});

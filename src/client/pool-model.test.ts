/**
 * A random sequence of what callers, servers and time can do to a pool, against what must hold after every step.
 *
 * The model is the set of limits and sums: what is open never exceeds a limit, what was opened and not closed is open,
 * and who asked hears exactly one end.
 */

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { afterEach, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { assertNothingLeft, until } from "../../test/support/loopback.ts";
import { randomFrom, type Random } from "../../test/support/random.ts";
import { answer, rawServer, type RawServer } from "../../test/support/raw-server.ts";
import { send, type Sent } from "../../test/support/send.ts";
import { assertQuiet, openTransport, uncounted } from "../../test/support/transport-checks.ts";
import type { Transport } from "./transport.ts";

afterEach(assertNothingLeft);

const limits = { maxConns: 6, maxConnsPerHost: 3, maxIdleConns: 4, maxIdleConnsPerHost: 2, maxWaitersPerHost: 8 };

/** What the checks and the steps share. */
interface World {
  readonly transport: Transport;
  readonly servers: readonly RawServer[];
  readonly sent: Sent[];
  readonly held: Socket[];
  readonly random: Random;
}

function checkInvariants({ transport, sent }: World): void {
  const stats = transport.stats();
  const open = uncounted(transport);
  assert.ok(stats.idle + stats.inUse <= open, "a connection is counted that has closed");
  assert.ok(open + stats.connecting <= limits.maxConns, `${open} + ${stats.connecting} connections in all`);
  assert.ok(stats.idle <= limits.maxIdleConns, `${stats.idle} idle in all`);
  assert.ok(stats.inFlight <= stats.inUse, "a request has no connection");
  let waiting = 0;
  for (const origin of stats.origins) {
    const closed = Object.values(origin.closed).reduce((sum, count) => sum + count, 0);
    assert.ok(origin.opened - closed + origin.connecting <= limits.maxConnsPerHost, `too many to ${origin.origin}`);
    assert.ok(origin.idle <= limits.maxIdleConnsPerHost && origin.waiting <= limits.maxWaitersPerHost);
    for (const count of [origin.idle, origin.inUse, origin.connecting, origin.waiting]) assert.ok(count >= 0);
    waiting += origin.waiting;
  }
  assert.equal(waiting, stats.waiting);
  const unfinished = sent.filter(({ ended }) => ended === 0).length;
  // Not those in flight: a body that was given up is read to its end after its request has ended.
  assert.ok(stats.waiting <= unfinished, `${stats.waiting} wait of ${unfinished}`);
}

const steps: readonly ((world: World) => void)[] = [
  ({ transport, servers, sent, random }) => {
    const { origin } = random.pick(servers);
    const method = random.pick(["GET", "POST", "PUT"]);
    sent.push(send(transport, { origin, method, body: method === "GET" ? null : "some", pauses: random.chance(0.1) }));
  },
  ({ held, random }) => {
    const socket = random.take(held);
    if (socket !== undefined) answer(socket, "ok", ...(random.chance(0.2) ? ["connection: close"] : []));
  },
  ({ held, random }) => {
    const socket = random.take(held);
    // Node never closes the handle of a socket that is reset after it was ended, and then spins at the end of the process.
    if (socket === undefined || socket.writableEnded) return;
    random.pick([() => socket.destroy(), () => socket.resetAndDestroy(), () => socket.end("HTTP/1.1 200 OK\r\n")])();
  },
  ({ sent, random }) => void random.take(sent.filter(({ ended }) => ended === 0))?.abort(),
  ({ sent }) => {
    for (const one of sent) if (one.ended === 0 && one.controller?.paused === true) one.controller.resume();
  },
  ({ servers, random }) => {
    const socket = random.take([...random.pick(servers).connections]);
    if (random.chance(0.3)) socket?.end();
  },
  ({ transport, random }) => {
    if (random.chance(0.2)) transport.closeIdleConnections();
  },
  ({ transport, servers, random }) => {
    if (random.chance(0.3)) void transport.prewarm(random.pick(servers).origin, random.below(4));
  },
];

for (let run = 0; run < 6; run += 1) {
  test(`random steps, run ${run}, keep within the limits and the sums`, async (t) => {
    const random = randomFrom();
    t.diagnostic(`seed ${random.seed}`);
    const held: Socket[] = [];
    const hold = (socket: Socket): void => void held.push(socket);
    await using one = await rawServer(hold);
    await using two = await rawServer(hold);
    await using three = await rawServer(hold);
    await using transport = openTransport({ ...limits, idleConnTimeout: 40, poolTimeout: 60, maxConnLifetime: 200 });
    const world: World = { transport, servers: [one, two, three], sent: [], held, random };

    for (let step = 0; step < 400; step += 1) {
      // The first two are what goes on most of the time.
      random.pick([...steps, ...steps.slice(0, 2), ...steps.slice(0, 2)])(world);
      checkInvariants(world);
      if (random.chance(0.3)) await nextTurn();
      checkInvariants(world);
    }

    for (let turn = 0; turn < 400 && world.sent.some(({ ended }) => ended === 0); turn += 1) {
      for (const socket of held.splice(0)) if (!socket.destroyed) answer(socket);
      steps[4]?.(world);
      checkInvariants(world);
      await nextTurn();
      if (turn % 20 === 19) await until(() => held.length > 0 || world.sent.every(({ ended }) => ended === 1));
    }
    assert.deepEqual(
      world.sent.filter(({ ended }) => ended !== 1).map(({ status, controller }) => [status, controller?.paused]),
      [],
    );
    await assertQuiet(transport);
  });
}

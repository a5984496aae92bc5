import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { GatedServer, request, WireClient } from "../../test/support/gated-server.ts";
import { assertNothingLeft } from "../../test/support/loopback.ts";
import { randomFrom } from "../../test/support/random.ts";
import { DeadlineWheel } from "../core/deadline-wheel.ts";
import { resolveOptions } from "../core/options.ts";
import { AcceptGate, type AcceptHandler } from "./accept.ts";
import { serverOptions, type ServerOptions } from "./server-options.ts";

afterEach(assertNothingLeft);

/** A gate with the defaults that `options` leave. */
function openGate(options: ServerOptions): (handler: AcceptHandler) => AcceptGate {
  const limits = resolveOptions("Server", serverOptions, options);
  return (handler) => new AcceptGate(limits, new DeadlineWheel(), handler);
}

for (const overflow of ["wait", "reject"] as const) {
  test(`random clients keep the gate within its limits, with ${overflow}`, async (t) => {
    const random = randomFrom();
    t.diagnostic(`seed ${random.seed}`);
    const limits = { maxConns: 3, maxPending: 4, maxConnsPerIp: 4, maxUpgradedConns: 2, pendingTimeout: 30 };
    await using guard = await GatedServer.holding(openGate({ ...limits, overflow }));
    const { gate } = guard;
    let clients: WireClient[] = [];
    const check = (): void => {
      assert.ok(gate.admitted <= limits.maxConns && gate.upgraded <= limits.maxUpgradedConns);
      assert.ok(gate.held + gate.refusing <= limits.maxPending && gate.held >= 0 && gate.refusing >= 0);
      assert.ok(gate.held === 0 || gate.admitted === limits.maxConns, `${gate.held} held, ${gate.admitted} admitted`);
      const total = gate.admitted + gate.held + gate.upgraded;
      const counted = [1, 2].reduce((sum, last) => sum + gate.perAddress.countOf(`127.0.0.${last}`), 0);
      // A client that has reset before it was accepted has no address any more.
      assert.ok(counted <= total, `${counted} counted, ${total} there`);
    };
    const steps: readonly (() => void)[] = [
      () => {
        const localAddress = random.pick(["127.0.0.1", "127.0.0.2"]);
        const sent = random.pick([[], [request], [request.slice(0, 9), request.slice(9)], [request + request]]);
        clients.push(WireClient.from(localAddress, guard.port, ...sent));
      },
      () => guard.handling.splice(0, 1)[0]?.end("ok"),
      () => {
        const client = random.take(clients);
        // Node never closes the handle of a socket that is reset after it was ended, and then spins.
        if (client === undefined || client.socket.writableEnded) return;
        random.pick([
          () => client.socket.destroy(),
          () => client.socket.resetAndDestroy(),
          () => client.socket.end(),
        ])();
        if (!client.socket.destroyed) clients.push(client);
      },
      () => {
        const [socket] = guard.admitted;
        if (socket !== undefined && !socket.destroyed && random.chance(0.3)) guard.upgrade(socket);
      },
    ];
    for (let step = 0; step < 1_500; step += 1) {
      random.pick([...steps, ...steps.slice(0, 2)])();
      check();
      if (random.chance(0.4)) await nextTurn();
      if (random.chance(0.01)) await sleep(random.below(40));
      check();
      if (clients.length > 30) clients = clients.filter(({ socket }) => !socket.closed);
    }
    for (const client of clients) client[Symbol.dispose]();
  });
}

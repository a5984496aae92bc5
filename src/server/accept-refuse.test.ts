import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { GatedServer, request, WireClient } from "../../test/support/gated-server.ts";
import { assertNothingLeft, until } from "../../test/support/loopback.ts";
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

test("held for longer than pendingTimeout, a client reads a whole 503", async () => {
  await using guard = await GatedServer.holding(openGate({ maxConns: 1, pendingTimeout: 60 }));
  using _first = WireClient.to(guard.port, request);
  await until(() => guard.handling.length === 1);
  const start = performance.now();
  using second = WireClient.to(guard.port, request);
  await until(() => guard.gate.held === 1);
  using third = WireClient.to(guard.port, request);
  await until(() => second.ended && third.ended);

  assert.ok(performance.now() - start >= 55, "refused too early");
  assert.deepEqual([second.refused, third.refused, second.error, third.error], [true, true, undefined, undefined]);
  assert.deepEqual(guard.refused, ["pending_timeout", "pending_timeout"]);
  assert.equal(guard.handling.length, 1);
});

test("each held client has its own time, also when those before it have left", async () => {
  await using guard = await GatedServer.holding(openGate({ maxConns: 1, pendingTimeout: 300 }));
  using _first = WireClient.to(guard.port, request);
  await until(() => guard.handling.length === 1);
  using second = WireClient.to(guard.port, request);
  await until(() => guard.gate.held === 1);
  await sleep(150);
  const start = performance.now();
  using third = WireClient.to(guard.port, request);
  await until(() => guard.gate.held === 2);
  second.socket.destroy();
  await until(() => third.ended);
  assert.ok(performance.now() - start >= 295, `refused after ${performance.now() - start} ms`);
  assert.ok(third.refused);
});

test("with reject, a connection above the limit reads a whole 503 with Retry-After at once, and is not reset", async () => {
  await using guard = await GatedServer.holding(openGate({ maxConns: 1, overflow: "reject" }));
  using first = WireClient.to(guard.port, request);
  await until(() => guard.handling.length === 1);
  const others = Array.from({ length: 20 }, () => WireClient.to(guard.port, request));
  await until(() => others.every((client) => client.ended));

  for (const client of others) {
    assert.deepEqual([client.refused, client.error], [true, undefined]);
    assert.match(client.text, /^HTTP\/1\.1 503 .*\r\nretry-after: 1\r\n/s);
    client[Symbol.dispose]();
  }
  guard.handling[0]?.end("ok");
  await until(() => first.answers === 1);
  assert.deepEqual([first.answers, guard.refused.length, guard.dropped], [1, 20, 0]);
});

test("beyond maxPending a connection is closed on accept", async () => {
  await using guard = await GatedServer.holding(openGate({ maxConns: 1, maxPending: 3 }));
  using _first = WireClient.to(guard.port, request);
  await until(() => guard.handling.length === 1);
  const others = Array.from({ length: 5 }, () => WireClient.to(guard.port, request));
  await until(() => guard.dropped === 2);

  assert.deepEqual([guard.gate.held, guard.dropped], [3, 2]);
  await until(() => others.filter(({ socket }) => socket.closed).length === 2);
  assert.equal(others.filter(({ text }) => text !== "").length, 0);
  for (const client of others) client[Symbol.dispose]();
});

test("those being refused count against maxPending until they have closed", async () => {
  await using guard = await GatedServer.holding(openGate({ maxConns: 1, maxPending: 2, overflow: "reject" }));
  using _first = WireClient.to(guard.port, request);
  await until(() => guard.handling.length === 1);
  using second = WireClient.to(guard.port);
  using third = WireClient.to(guard.port);
  await until(() => guard.gate.refusing === 2);
  using fourth = WireClient.to(guard.port, request);
  await until(() => guard.dropped === 1);
  assert.equal(guard.dropped, 1);

  second.socket.write(request);
  await until(() => second.ended && guard.gate.refusing === 1);
  assert.ok(second.refused);
  using fifth = WireClient.to(guard.port, request);
  await until(() => fifth.ended);
  assert.deepEqual([fifth.refused, fourth.refused, third.text], [true, false, ""]);
});

test("one address has no more than maxConnsPerIp connections, whoever else is there", async () => {
  await using guard = await GatedServer.holding(openGate({ maxConnsPerIp: 2 }));
  using first = WireClient.to(guard.port, request);
  using second = WireClient.to(guard.port, request);
  await until(() => guard.handling.length === 2);
  using third = WireClient.to(guard.port, request);
  using elsewhere = WireClient.from("127.0.0.2", guard.port, request);
  await until(() => guard.handling.length === 3 && third.ended);
  assert.ok(third.refused);
  assert.deepEqual(guard.refused, ["address"]);

  first.socket.destroy();
  await until(() => guard.gate.admitted === 2);
  using fourth = WireClient.to(guard.port, request);
  await until(() => guard.handling.length === 4);
  assert.deepEqual([second.text, elsewhere.text, fourth.text, guard.refused.length], ["", "", "", 1]);
});

test("one address cannot take up all places of those that are told 503", async () => {
  await using guard = await GatedServer.holding(openGate({ maxConnsPerIp: 2, maxPending: 10 }));
  const silent = Array.from({ length: 6 }, () => WireClient.to(guard.port));
  await until(() => guard.dropped === 2);
  assert.deepEqual([guard.gate.admitted, guard.gate.refusing, guard.dropped], [2, 2, 2]);
  for (const client of silent) client[Symbol.dispose]();
});

test("a held socket counts for its address, and not any more when it leaves or is refused", async () => {
  await using guard = await GatedServer.holding(openGate({ maxConns: 1, maxConnsPerIp: 2, pendingTimeout: 80 }));
  const at = (localAddress: string): WireClient => WireClient.from(localAddress, guard.port, request);
  using _first = at("127.0.0.1");
  await until(() => guard.handling.length === 1);
  using second = at("127.0.0.2");
  using third = at("127.0.0.2");
  await until(() => guard.gate.held === 2);
  using fourth = at("127.0.0.2");
  await until(() => fourth.ended);
  assert.deepEqual(guard.refused, ["address"]);
  second.socket.destroy();
  await until(() => guard.gate.perAddress.countOf("127.0.0.2") === 1);
  await until(() => third.ended);
  assert.ok(third.refused);
  assert.deepEqual([guard.gate.perAddress.countOf("127.0.0.2"), guard.gate.perAddress.size], [0, 1]);
});

test("connections of a trusted proxy are not counted by address", async () => {
  await using guard = await GatedServer.holding(openGate({ maxConnsPerIp: 1, trustedProxies: ["127.0.0.2"] }));
  const clients = Array.from({ length: 5 }, () => WireClient.from("127.0.0.2", guard.port, request));
  await until(() => guard.handling.length === 5);
  assert.deepEqual([guard.handling.length, guard.gate.perAddress.size], [5, 0]);
  for (const client of clients) client[Symbol.dispose]();
});

test("an upgraded connection frees its place and takes one of its own kind", async () => {
  await using guard = await GatedServer.holding(openGate({ maxConns: 1, maxUpgradedConns: 1 }));
  using first = WireClient.to(guard.port, request);
  await until(() => guard.handling.length === 1);
  using second = WireClient.to(guard.port, request);
  await until(() => guard.gate.held === 1);

  const [socket] = guard.admitted;
  assert.ok(socket !== undefined && guard.upgrade(socket));
  await until(() => guard.handling.length === 2);
  const [other] = guard.admitted;
  assert.deepEqual([guard.gate.admitted, guard.gate.upgraded, guard.gate.held], [1, 1, 0]);
  assert.equal(other !== undefined && guard.upgrade(other), false);
  first.socket.destroy();
  await until(() => guard.gate.upgraded === 0);
  assert.deepEqual([guard.gate.admitted, guard.gate.upgraded, second.text], [1, 0, ""]);
});

test("while it drains, what is held is served and nothing more is held", async () => {
  await using guard = await GatedServer.holding(openGate({ maxConns: 1 }));
  using first = WireClient.to(guard.port, request);
  await until(() => guard.handling.length === 1);
  using second = WireClient.to(guard.port, request);
  await until(() => guard.gate.held === 1);

  guard.gate.drain();
  using third = WireClient.to(guard.port, request);
  await until(() => third.ended);
  assert.deepEqual([third.refused, guard.refused], [true, ["draining"]]);
  first.socket.destroy();
  await until(() => guard.handling.length === 2);
  guard.handling[1]?.end("ok");
  await until(() => second.answers === 1);
  assert.equal(second.answers, 1);
});

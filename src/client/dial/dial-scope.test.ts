import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { listen } from "../../../test/support/loopback.ts";
import { DialScope, TimeLimit } from "./dial-scope.ts";

function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

test("a time limit fires at its time, not at the next tick of a coarse clock, and never early", async () => {
  const { promise, resolve } = Promise.withResolvers<number>();
  const startedAt = performance.now();
  using _limit = new TimeLimit(50, () => resolve(performance.now() - startedAt));
  const tookMs = await promise;
  assert.ok(tookMs >= 49 && tookMs < 250, `took ${tookMs} ms`);
});

test("a time limit that was disposed of never fires, whether in time or in its last look", async () => {
  let fired = 0;
  const inTime = new TimeLimit(10, () => (fired += 1));
  const inLastLook = new TimeLimit(20, () => (fired += 1));
  setTimeout(() => inLastLook[Symbol.dispose](), 20);
  inTime[Symbol.dispose]();
  await sleep(60);
  assert.equal(fired, 0);
});

test("an answer that came while the event loop was blocked beats the limit that ran out meanwhile", async () => {
  await using server = await listen(createServer((peer) => peer.write("a")));
  const socket = connect(server.port, "127.0.0.1");
  await once(socket, "connect");
  let fired = false;
  const limit = new TimeLimit(30, () => (fired = true));
  socket.once("data", () => limit[Symbol.dispose]());

  block(120);
  await sleep(100);

  assert.equal(fired, false);
  socket.destroy();
});

test("a limit that was blocked over gets its time once more, not twice", async () => {
  const { promise, resolve } = Promise.withResolvers<number>();
  const startedAt = performance.now();
  using _limit = new TimeLimit(300, () => resolve(performance.now() - startedAt));
  block(700);
  const tookMs = await promise;
  assert.ok(tookMs >= 999 && tookMs < 1_290, `took ${tookMs} ms`);
});

test("Infinity sets no timer", () => {
  using _limit = new TimeLimit(Infinity, () => assert.fail("fired"));
  assert.equal(process.getActiveResourcesInfo().includes("Timeout"), false);
});

test("the first reason ends a scope, and its listener leaves the caller's signal either way", () => {
  const caller = new AbortController();
  const done = new DialScope(caller.signal);
  done[Symbol.dispose]();
  const ended = new DialScope(caller.signal);
  ended.end("limit");
  ended.end("later");
  assert.deepEqual(getEventListeners(caller.signal, "abort"), []);

  const late = new DialScope(caller.signal);
  caller.abort("gone");
  assert.deepEqual(getEventListeners(caller.signal, "abort"), []);
  assert.deepEqual(
    [done.signal.aborted, ended.signal.reason, late.signal.reason, new DialScope(caller.signal).signal.reason],
    [false, "limit", "gone", "gone"],
  );
});

/**
 * Ten seconds of everything that can go wrong, at random, with callers who give up: in the end nothing is left.
 *
 * Each request must end, with an answer or with an error that has a name; sockets, timers and memory must be back
 * where they were.
 */

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Transport } from "sluice/client";
import { assertNothingLeft, until } from "./support/loopback.ts";
import { randomFrom, type Random } from "./support/random.ts";
import { answer, rawServer } from "./support/raw-server.ts";
import { send, type Sent } from "./support/send.ts";
import { assertQuiet, openTransport, socketCount } from "./support/transport-checks.ts";

const soakMs = 10_000;

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

/** One socket at a time is told what to do; none is reset after its end was written, which Node does not survive. */
const behaviours: readonly ((socket: Socket, random: Random) => void)[] = [
  (socket) => answer(socket),
  (socket, random) => void setTimeout(() => socket.destroyed || answer(socket), random.below(30)),
  (socket) => answer(socket, "ok", "connection: close"),
  (socket) => answer(socket, "ok", "keep-alive: timeout=1"),
  (socket, random) => answer(socket, "x".repeat(random.below(500_000))),
  (socket) => void socket.write("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok"),
  (socket) => void socket.write("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"),
  (socket) => void socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
  (socket) => void socket.end("HTTP/1.1 200 OK\r\n\r\nuntil the end"),
  (socket) => void socket.write("HTTP/1.1 200 OK\r\n\r\nwithout an end"),
  (socket) => void socket.write("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf"),
  (socket) => void socket.end("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf"),
  (socket) => void socket.end("HTTP/1.1 200"),
  (socket) => void socket.write("garbage\r\n\r\n"),
  (socket) => void socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n"),
  (socket) => void socket.destroy(),
  (socket) => void socket.resetAndDestroy(),
  () => {},
];

function misbehave(socket: Socket, random: Random): void {
  if (socket.destroyed || socket.writableEnded) return;
  // Half of the answers are good ones, so that connections are reused and go stale.
  const behave = random.chance(0.5) ? behaviours[0] : random.pick(behaviours);
  behave?.(socket, random);
  if (random.chance(0.05)) setTimeout(() => socket.end(), random.below(20));
}

function upload(random: Random): unknown {
  return random.pick([
    () => "some text",
    () => Buffer.alloc(random.below(300_000)),
    () => Readable.from(["some", "text"]),
    () =>
      (async function* () {
        for (let n = 0; n < 5; n += 1) {
          yield "some";
          await sleep(random.below(5));
        }
      })(),
  ])();
}

/** One caller after the other, each with a request that he may give up or stop reading. */
async function callers(
  transport: Transport,
  origins: readonly string[],
  random: Random,
  endAt: number,
): Promise<Sent[]> {
  const unfinished = new Set<Sent>();
  while (performance.now() < endAt) {
    const method = random.pick(["GET", "GET", "HEAD", "PUT", "POST"]);
    const withBody = method.startsWith("P");
    const sent = send(transport, {
      origin: random.pick(origins),
      method,
      ...(withBody && { body: upload(random) }),
      pauses: random.chance(0.05),
    });
    unfinished.add(sent);
    if (random.chance(0.2)) setTimeout(() => sent.ended === 0 && sent.abort(), random.below(60));
    if (random.chance(0.02)) setTimeout(() => sent.controller?.resume(), 30);
    if (sent.controller?.paused !== true && random.chance(0.7))
      await Promise.race([sent.answer.catch(() => {}), sleep(20)]);
    else await sleep(1);
    for (const one of unfinished) {
      if (one.ended > 0) unfinished.delete(one);
      else if (one.controller?.paused === true && random.chance(0.1)) one.controller.resume();
    }
  }
  return [...unfinished];
}

test("ten seconds of faults and aborts leave no socket, timer, count or memory behind", async (t) => {
  const random = randomFrom();
  t.diagnostic(`seed ${random.seed}`);
  const socketsBefore = socketCount();
  const limits = { maxConnsPerHost: 6, maxConns: 12, maxIdleConnsPerHost: 4, maxHosts: 3, maxWaitersPerHost: 20 };
  const times = { poolTimeout: 200, responseHeaderTimeout: 60, bodyTimeout: 60, idleConnTimeout: 50 };
  const transport = openTransport({ ...limits, ...times, maxConnLifetime: 500, leakAfter: 40, onLeak: () => {} });
  await using one = await rawServer((socket) => misbehave(socket, random), { forgets: true });
  await using two = await rawServer((socket) => misbehave(socket, random), { forgets: true });
  await using early = await rawServer(() => {}, { onHead: (socket) => misbehave(socket, random), forgets: true });
  // One more than maxHosts, and nobody listens there.
  const origins = [one.origin, two.origin, early.origin, "http://127.0.0.1:1"];
  const from = performance.now();
  const loops = Array.from({ length: 8 }, () => callers(transport, origins, random, from + soakMs));

  await sleep(soakMs * 0.4);
  collectGarbage();
  const early40 = process.memoryUsage().heapUsed;
  await sleep(soakMs * 0.5);
  collectGarbage();
  const grownBytes = process.memoryUsage().heapUsed - early40;
  const unfinished = (await Promise.all(loops)).flat();
  await until(() => {
    // Whoever paused reads on; some pause only now.
    for (const sent of unfinished) sent.controller?.resume();
    return unfinished.every(({ ended }) => ended === 1);
  });

  const stuck = unfinished.filter(({ ended }) => ended === 0).map(({ status, controller }) => [status, controller]);
  assert.deepEqual(stuck, [], "requests that never ended");
  await assertQuiet(transport);
  const { opened, reused, replays, timeouts } = transport.stats();
  t.diagnostic(JSON.stringify({ opened, reused, replays, timeouts, grownBytes }));
  assert.ok(grownBytes < 8_000_000, `the heap grew by ${grownBytes} bytes`);
  await transport.close();
  for (const server of [one, two, early]) await server[Symbol.asyncDispose]();
  await until(() => socketCount() === socketsBefore);
  assert.equal(socketCount(), socketsBefore);
  await assertNothingLeft();
});

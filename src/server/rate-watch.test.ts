/** Who is too slow and who is not, when that is noticed, and what is nobody's fault. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { IncomingMessage, type Server } from "node:http";
import { connect, Socket } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Registry } from "../core/instruments.ts";
import { listen } from "../../test/support/loopback.ts";
import type { Carrier } from "./exchange.ts";
import { firstLookMs, RateWatch } from "./rate-watch.ts";
import { SendQueues } from "./send-queues.ts";
import { controller } from "./controller.ts";
import type { Guarded } from "./guard.ts";
import { createServer } from "./server.ts";

/** Bytes that have passed, by the time since the start. */
type Course = (ms: number) => number;

interface Scene {
  /** Bytes of the request that have come. */
  readonly read?: Course;
  /** Bytes of the answer that the kernel has taken. */
  readonly sent?: Course;
  /** Those that it has not. */
  readonly unsent?: Course;
  /** Whether the handler leaves the request unread. */
  readonly holdsBack?: (ms: number) => boolean;
}

const rate = { bytesPerSecond: 1_000, grace: 1_000 };
const noRate = { bytesPerSecond: 0, grace: 1_000 };
const noTables = new SendQueues([]);
const lastsMs = 20_000;
const none: Course = () => 0;
const always: Course = () => 1;
const upTo =
  (ms: number, bytesPerMs: number): Course =>
  (at) =>
    Math.min(at, ms) * bytesPerMs;
const lumps: Course = (ms) => Math.floor(ms / 900) * 1_000;
const untilHalf = (ms: number): boolean => ms < 5_000;

/** When somebody is found too slow who behaves like this, if ever: the watch looks when it said that it would. */
function findSlow(scene: Scene, rates = { minRequestRate: rate, minResponseRate: rate }): number | undefined {
  const { read, sent = none, unsent = none, holdsBack } = scene;
  const req = new IncomingMessage(new Socket());
  const start = 1_000;
  const watch = new RateWatch(rates, noTables, { at: start, readBytes: read?.(0) ?? 0, wireBytes: 0 });
  for (let at = start; at < start + lastsMs; at = watch.nextAt(read !== undefined, true)) {
    const ms = at - start;
    // At a high-water mark of 0 it counts as full.
    Reflect.set(req, "_readableState", { length: 0, highWaterMark: holdsBack?.(ms) === true ? 0 : 1, state: 0 });
    const total = sent(ms);
    const known = {
      readBytes: read?.(ms) ?? 0,
      sentBytes: total,
      wireBytes: total,
      unsentBytes: unsent(ms),
      descriptor: -1,
    };
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the rest of a carrier it has no use for
    const carrier = known as Carrier;
    if ((read !== undefined && watch.isReadingSlow(at, carrier, req)) || watch.isWritingSlow(at, carrier)) return ms;
    assert.ok(watch.nextAt(read !== undefined, true) > at, "it would look for ever");
  }
  return undefined;
}

test("a client that reads nothing is found after the grace, whatever the buffers on the way have swallowed", () => {
  const foundAt = findSlow({ sent: () => 4_000_000, unsent: always });

  assert.equal(foundAt, 1_000);
});

test("a client that sends nothing of its body is found after the grace", () => {
  assert.equal(findSlow({ read: () => 500 }), 1_000);
});

test("just above the rate is never too slow, and just below it is within the second grace", () => {
  for (const [bytesPerMs, isSlow] of [
    [1.2, false],
    [0.9, true],
  ] as const) {
    const reading = findSlow({ read: upTo(lastsMs, bytesPerMs) });
    const writing = findSlow({ sent: upTo(lastsMs, bytesPerMs), unsent: always });
    assert.equal(reading !== undefined && reading <= 2_000, isSlow, `reading ${bytesPerMs} bytes/ms: ${reading}`);
    assert.equal(writing !== undefined && writing <= 2_000, isSlow, `writing ${bytesPerMs} bytes/ms: ${writing}`);
  }
});

test("who was fast and stops is found a grace after that, and an eighth at most", () => {
  const reading = findSlow({ read: upTo(3_000, 500) });
  const writing = findSlow({ sent: upTo(3_000, 500), unsent: always });

  for (const foundAt of [reading, writing]) {
    assert.ok(foundAt !== undefined && foundAt >= 4_000 && foundAt <= 4_130, `found at ${foundAt}`);
  }
});

test("bytes that come in a lump once in each grace are fast enough", () => {
  assert.equal(findSlow({ sent: lumps, unsent: always }), undefined);
  assert.equal(findSlow({ read: lumps }), undefined);
});

test("while the handler does not read, the client is not at fault; once it does, the client has a whole grace", () => {
  const foundAt = findSlow({ read: () => 70_000, holdsBack: untilHalf });

  assert.ok(foundAt !== undefined && foundAt >= 5_870 && foundAt <= 6_130, `found at ${foundAt}`);
});

test("while nothing is left to send, the client is not at fault; once there is, it has a whole grace", () => {
  const foundAt = findSlow({ sent: () => 1_000, unsent: (ms) => (ms < 5_000 ? 0 : 1) });

  assert.ok(foundAt !== undefined && foundAt >= 5_750 && foundAt <= 6_250, `found at ${foundAt}`);
});

test("a rate of 0 turns the rule off", () => {
  const off = { minRequestRate: noRate, minResponseRate: noRate };

  assert.equal(findSlow({ read: () => 0, unsent: always }, off), undefined);
  assert.equal(firstLookMs(noRate), Infinity);
});

/** Answers 64 MB. */
function openBig(grace: number): Server & Guarded {
  const minResponseRate = { bytesPerSecond: 240, grace };
  return createServer(
    { registry: new Registry(), minResponseRate },
    (_req, res) => void res.end(Buffer.alloc(2 ** 26)),
  );
}

test("a client that reads slowly, and faster than it must, is not cut while its socket shows no progress", async (t) => {
  if (process.platform !== "linux") return t.skip("elsewhere the kernel does not tell");
  // From loopback the kernel takes bytes in steps of more than a megabyte: at this rate one in three seconds. What it
  // tells of the client comes in steps of 0.4 MB, a sixteenth of the largest buffer of a socket: one in a second.
  const server = openBig(1_500);
  await using listening = await listen(server);
  const client = connect(listening.port, "127.0.0.1").on("error", () => {});
  client.pause();
  client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  let read = 0;
  const timer = setInterval(() => (read += client.read()?.length ?? 0), 160);
  t.after(() => clearInterval(timer));

  await sleep(5_000);

  assert.deepEqual([server.stats().timeouts.write_rate, listening.connections.size], [0, 1]);
  assert.ok(read < 3_000_000, `it read ${read} bytes, which is not slow`);
  client.destroy();
});

test("an answer that has left its deadlines behind is still watched for its rate", async () => {
  const server = createServer(
    { registry: new Registry(), minResponseRate: { bytesPerSecond: 240, grace: 200 } },
    (_req, res) => {
      controller(res).stream();
      res.write(Buffer.alloc(2 ** 26));
    },
  );
  await using listening = await listen(server);
  const client = connect(listening.port, "127.0.0.1").on("error", () => {});
  client.pause();
  client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const [accepted]: Socket[] = await once(server, "connection");
  assert.ok(accepted);

  await once(accepted, "close");

  assert.equal(server.stats().timeouts.write_rate, 1);
  client.destroy();
});

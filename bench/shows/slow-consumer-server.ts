/**
 * The server of `slow-consumer.ts`: one channel, whose clients are all who come. Its events are numbered, and as long as
 * the first argument says; the second is the policy: `node slow-consumer-server.ts BYTES POLICY`.
 */

import { once } from "node:events";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createServer } from "sluice/server";
import { SseChannel, Streams, type OverflowPolicy } from "sluice/streams";
import { answerParent } from "../support/child.ts";
import { readCompactMemory } from "../support/memory.ts";

const [bytes = "500", given = "disconnect"] = process.argv.slice(2);
const overflow: OverflowPolicy = given === "drop-oldest" ? given : "disconnect";
const maxBufferedBytes = 262_144;
/** Events that are sent before the sockets have their turn. */
const atOnce = 20;

const channel = new SseChannel({ history: { maxEvents: 100_000, maxBytes: "256mb", maxAge: Infinity } });
const streams = new Streams({ maxStreams: 20_000 });
const server = createServer({ maxConns: 20_000 }, (req, res) => {
  streams.sse(req, res, { channel, overflow, maxBufferedBytes, stallTimeout: "10m", maxAge: Infinity });
});
const text = "x".repeat(Number(bytes));

let sent = 0;
let mostRss = 0;
let mostBuffered = 0;

void answerParent({
  listen: async () => {
    await once(server.listen(0, "127.0.0.1"), "listening");
    const address = server.address();
    return { port: typeof address === "object" ? (address?.port ?? 0) : 0 };
  },
  /** Sends so many, some in each turn. */
  send: async (count) => {
    for (let index = 0; index < count; index += 1) {
      channel.send({ data: `${sent} ${text}` });
      sent += 1;
      mostBuffered = Math.max(mostBuffered, streams.stats().bufferedBytes);
      // oxlint-disable-next-line no-await-in-loop -- one turn after the other
      if (sent % atOnce === 0) await nextTurn();
    }
    mostRss = Math.max(mostRss, process.memoryUsage.rss());
    return { sent };
  },
  /** One event to all, and how long the loop was kept from others by it, writing included. */
  broadcast: async () => {
    const from = performance.now();
    channel.send({ data: `${sent} ${text}` });
    sent += 1;
    const sendMs = performance.now() - from;
    await nextTurn();
    return { sendMs, turnMs: performance.now() - from };
  },
  report: () => {
    const { active, bufferedBytes, closed, dropped, replayed, gaps } = streams.stats();
    const { user, system } = process.cpuUsage();
    return {
      active,
      bufferedBytes,
      mostBuffered,
      mostRss,
      overflowed: closed.overflow,
      dropped: dropped.overflow,
      replayed,
      gaps,
      cpuMs: (user + system) / 1_000,
      historyBytes: channel.stats().history.bytes,
    };
  },
  memory: async () => {
    const { rssBytes, heapBytes } = await readCompactMemory();
    mostRss = rssBytes;
    return { rssBytes, heapBytes };
  },
});

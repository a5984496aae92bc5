/**
 * Honest clients: `node honest-crowd.ts PORT SEED`. They ask at random times that were fixed in advance, whether or not
 * the answers before have come, over connections that are kept; each answer is timed from when it should have been
 * asked for, so that nothing is hidden by a client that waits.
 */

import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { answerParent } from "../support/child.ts";
import type { Figures } from "../support/child.ts";
import { seededRandom } from "../support/random.ts";

const [port = 0, seed = 1] = process.argv.slice(2).map(Number);
const random = seededRandom(seed);
const perSecond = 200;
const agent = new Agent({ keepAlive: true, maxFreeSockets: 1_000 });

/** Invariant: `tookMs` has one entry for each request that was answered 200. */
class Tally {
  sent = 0;
  refused = 0;
  broken = 0;
  readonly tookMs: number[] = [];
}

function ask(intendedAt: number, tally: Tally): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  tally.sent += 1;
  const sent = request({ port, host: "127.0.0.1", path: "/", agent, timeout: 10_000 }, (answer) => {
    answer.resume().on("end", () => {
      if (answer.statusCode === 200) tally.tookMs.push(performance.now() - intendedAt);
      else tally.refused += 1;
      resolve();
    });
  });
  sent.on("timeout", () => sent.destroy(new Error("no answer")));
  sent.on("error", () => {
    tally.broken += 1;
    resolve();
  });
  sent.end();
  return promise;
}

async function run(seconds: number): Promise<Figures> {
  const tally = new Tally();
  const from = performance.now();
  const asked: Promise<void>[] = [];
  let at = from;
  for (;;) {
    // Poisson: many clients that know nothing of one another.
    at += (-Math.log(1 - random.next()) / perSecond) * 1_000;
    if (at > from + seconds * 1_000) break;
    const inMs = at - performance.now();
    // oxlint-disable-next-line no-await-in-loop -- one request after the other leaves
    if (inMs > 1) await sleep(inMs);
    // A timer may be a little early.
    asked.push(ask(Math.min(at, performance.now()), tally));
  }
  await Promise.all(asked);
  const sorted = tally.tookMs.toSorted((a, b) => a - b);
  const quantile = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? -1;
  const { sent, refused, broken } = tally;
  return {
    sent,
    refused,
    broken,
    p50: quantile(0.5),
    p90: quantile(0.9),
    p99: quantile(0.99),
    max: sorted.at(-1) ?? -1,
  };
}

void answerParent({ run });

/** One queue in a process of its own: `run N` adds and does N jobs in each way that is measured. */

import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { answerParent, type Figures } from "../../support/child.ts";
import { payload, type Place, type QueuePeer } from "./peer.ts";
import { peers, type PeerId } from "./peers.ts";

/** Jobs in one call of `addMany`, and how many calls are on their way. */
const jobsInCall = 250;
const callsAtOnce = 4;
const pickups = 100;

const [id = "", setup = ""] = process.argv.slice(2);
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- both are what comparison.ts has written
const peer: QueuePeer = await peers[id as PeerId](JSON.parse(setup) as Place);

/** How many a second, and what one costs this process in CPU time; the engines of others are not in it. */
async function rateOf(
  count: number,
  work: () => Promise<void>,
): Promise<{ readonly rate: number; readonly cpuUs: number }> {
  const [begin, before] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(before);
  return { rate: (count / (performance.now() - begin)) * 1_000, cpuUs: (user + system) / count };
}

async function addMany(count: number): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const from = next;
      next += jobsInCall;
      const jobs = Array.from({ length: Math.min(jobsInCall, count - from) }, (_, index) => payload(from + index));
      await peer.addMany(jobs);
    }
  };
  await Promise.all(Array.from({ length: callsAtOnce }, lane));
}

async function workOff(count: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let done = 0;
  const stop = await peer.work(() => {
    done += 1;
    if (done === count) resolve();
  });
  await promise;
  await stop();
}

/** Microseconds from the call of add to the begin of the work, sorted; one job at a time, the queue empty before. */
async function pickUp(count: number): Promise<number[]> {
  let onJob: (() => void) | undefined;
  const stop = await peer.work(() => onJob?.());
  const times: number[] = [];
  for (let n = 0; n < count; n += 1) {
    await sleep(5);
    const { promise, resolve } = Promise.withResolvers<number>();
    const begin = performance.now();
    onJob = () => resolve(performance.now() - begin);
    await Promise.all([peer.addOne(payload(n)), promise]);
    times.push((await promise) * 1_000);
  }
  await stop();
  return times.toSorted((a, b) => a - b);
}

async function measure(count: number): Promise<Figures> {
  const few = Math.ceil(count / 20);
  const sequential = await rateOf(few, async () => {
    for (let n = 0; n < few; n += 1) await peer.addOne(payload(n));
  });
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await sleep(500);
  const idleLoopP99Ms = delay.percentile(99) / 1e6;
  delay.reset();
  const bulk = await rateOf(count, () => addMany(count));
  const processed = await rateOf(few + count, () => workOff(few + count));
  delay.disable();
  const times = await pickUp(pickups);
  const at = (share: number): number => times[Math.floor(share * (times.length - 1))] ?? NaN;
  return {
    sequential: sequential.rate,
    bulk: bulk.rate,
    bulkCpuUs: bulk.cpuUs,
    processed: processed.rate,
    processedCpuUs: processed.cpuUs,
    pickupP50Us: at(0.5),
    pickupP99Us: at(0.99),
    idleLoopP99Ms,
    loopP99Ms: delay.percentile(99) / 1e6,
  };
}

process.stdin.on("end", () => void peer.close().finally(() => process.exit(0)));
await answerParent({ run: measure });

/** One of the processes of `processes.ts`: takes jobs from a store and counts how often it had each. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Consumer, Delivery, Store } from "sluice/tasks";
import { answerParent, type Figures } from "../support/child.ts";
import { openStore, placeNames } from "./store-places.ts";

const [, , name, where = "", queue = "", leaseMs = "0", workMs = "0"] = process.argv;
const place = placeNames.find((each) => each === name);
if (place === undefined) throw new RangeError(`There is no place ${name}`);
const store: Store = openStore(place, where);
let consumer: Consumer | undefined;
/** By the number in the job: how often it was begun here, and how often that ended with the store's consent. */
const begun = new Map<number, number>();
const settled = new Map<number, number>();
let running = 0;
let settledCount = 0;
let lostCount = 0;
let settledAt = 0;

function count(map: Map<number, number>, n: number): void {
  map.set(n, (map.get(n) ?? 0) + 1);
}

async function work(delivery: Delivery): Promise<void> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `processes.ts` has written it
  const { n } = JSON.parse(delivery.body) as { readonly n: number };
  count(begun, n);
  running += 1;
  if (Number(workMs) > 0) await sleep(Number(workMs));
  const outcome = await delivery.done().catch(() => "unknown");
  running -= 1;
  if (outcome === "settled") {
    count(settled, n);
    settledCount += 1;
    settledAt = Date.now();
  } else {
    lostCount += 1;
  }
}

const toFigures = (map: ReadonlyMap<number, number>): Figures =>
  Object.fromEntries([...map].map(([n, times]) => [String(n), times]));

await answerParent({
  async open() {
    await store.start({ onError: () => {} });
    await store.open(queue, { leaseMs: Number(leaseMs), maxDead: 1_000, deadForMs: 3_600_000 });
    return {};
  },
  async take(concurrency) {
    consumer = await store.consume(queue, concurrency, (delivery) => void work(delivery));
    return {};
  },
  /** Nothing of this process moves: as if it were swapped out, or in a loop of its own making. */
  stall(forMs) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, forMs);
    return {};
  },
  progress: () => ({ running, settled: settledCount, lost: lostCount, settledAt }),
  begun: () => toFigures(begun),
  settled: () => toFigures(settled),
  async stop() {
    await consumer?.stop();
    await store.stop(5_000);
    return {};
  },
});

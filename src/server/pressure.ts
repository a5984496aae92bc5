/**
 * Whether the process itself is beyond its limits: its event loop busy, or its heap full.
 *
 * Both are read once a second, and only while one of them has a limit. Lag is not read: it is noisy, and zero between
 * two bursts, whereas the share of time in which the loop was busy says how much is left.
 *
 * For the event loop this answers with a share of the requests to shed, as large as it takes. All or nothing would
 * swing: a second in which everything is let in, one in which everything is shed because of it, and half of what the
 * processor can do is lost. A full heap sheds everything, since each request may be the one that ends the process. Its
 * limit is V8's `heap_size_limit`, which counts a young generation that is hardly ever full (96 MB on Node 26, 192 MB
 * on Node 24): with a small `--max-old-space-size` a process dies well below a share of 1.
 */

import { performance } from "node:perf_hooks";
import { getHeapStatistics } from "node:v8";
import { systemClock, type Clock } from "../core/clock.ts";
import type { ResolvedConcurrency } from "./server-options.ts";

export type PressureReason = "event_loop" | "memory";

/** Where the readings come from. */
export interface PressureProbes {
  readonly clock: Clock;
  /** Milliseconds since the event loop began. */
  eventLoop(): { readonly active: number; readonly idle: number };
  /** Share of the heap limit that is used. */
  heap(): number;
}

const intervalMs = 1_000;
/** Above this the loop had no pause at all, and how much too much there was cannot be seen. */
const saturated = 0.995;
/** What is let in after a second without a pause, as a part of what was let in during it. */
const backOff = 0.5;
/** Most by which that grows from one second to the next. */
const mostGrowth = 2;

const systemProbes: PressureProbes = {
  clock: systemClock,
  eventLoop: () => performance.eventLoopUtilization(),
  heap() {
    const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
    return used / limit;
  },
};

/**
 * Invariant: a wake-up is planned exactly while it is started and something has a limit; otherwise there is no reason
 * to shed. `0 < #share <= 1`.
 */
export class Pressure {
  readonly #maxEventLoop: number;
  readonly #maxHeap: number;
  readonly #probes: PressureProbes;
  #isFull = false;
  /** Of the requests, how many the event loop can take. */
  #share = 1;
  /** What the share has left over, in requests: with 0.7 it sheds 3 in 10, evenly, and without a random number. */
  #owed = 0;
  #active = 0;
  #idle = 0;
  #callOff: (() => void) | undefined;

  constructor(
    options: Pick<ResolvedConcurrency, "maxEventLoopUtilization" | "maxHeapUtilization">,
    probes: PressureProbes = systemProbes,
  ) {
    this.#maxEventLoop = options.maxEventLoopUtilization;
    this.#maxHeap = options.maxHeapUtilization;
    this.#probes = probes;
  }

  /** Why to shed the request that has come now, if it is to be. To be asked once for each. */
  reasonToShed(): PressureReason | undefined {
    if (this.#isFull) return "memory";
    if (this.#share === 1) return undefined;
    this.#owed += 1 - this.#share;
    if (this.#owed < 1) return undefined;
    this.#owed -= 1;
    return "event_loop";
  }

  /** Takes readings from now on, if anything has a limit. Started already, it does nothing. */
  start(): void {
    if (this.#callOff !== undefined || (this.#maxEventLoop === 1 && this.#maxHeap === 1)) return;
    this.#readEventLoop();
    this.#plan();
  }

  /** No more readings, no more reasons. */
  stop(): void {
    this.#callOff?.();
    this.#callOff = undefined;
    this.#isFull = false;
    this.#share = 1;
  }

  #plan(): void {
    this.#callOff = this.#probes.clock.wakeAfter(intervalMs, this.#read);
  }

  readonly #read = (): void => {
    this.#isFull = this.#maxHeap < 1 && this.#probes.heap() > this.#maxHeap;
    const busy = this.#readEventLoop();
    if (this.#maxEventLoop < 1) this.#adjust(busy);
    this.#plan();
  };

  /** The loop is busy in proportion to what is let in. */
  #adjust(busy: number): void {
    const factor = busy >= saturated ? backOff : Math.min(this.#maxEventLoop / busy, mostGrowth);
    // Never nothing, or there would be nothing to grow from.
    this.#share = Math.min(Math.max(this.#share * factor, 0.001), 1);
  }

  /** The share of the time since the last reading in which the event loop was busy. */
  #readEventLoop(): number {
    const { active, idle } = this.#probes.eventLoop();
    const busyMs = active - this.#active;
    const idleMs = idle - this.#idle;
    this.#active = active;
    this.#idle = idle;
    return busyMs / (busyMs + idleMs);
  }
}

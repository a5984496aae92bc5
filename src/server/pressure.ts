/**
 * Whether the process itself is beyond its limits: its event loop busy, or its heap full.
 *
 * Both are averages or levels of the whole process, read once a second, and only while one of them has a limit. Lag is
 * not read: it is noisy, and zero between two bursts, whereas the share of time in which the loop was busy says how
 * much is left. The heap limit is V8's `heap_size_limit`, which counts a young generation that is never full (96 MB on
 * Node 26, 192 MB on Node 24): with a small `--max-old-space-size` a process dies well below a share of 1.
 *
 * A look at the result is a field read. This sheds nothing by itself.
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

const systemProbes: PressureProbes = {
  clock: systemClock,
  eventLoop: () => performance.eventLoopUtilization(),
  heap() {
    const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
    return used / limit;
  },
};

/** Invariant: a wake-up is planned exactly while it is started and something has a limit. Otherwise `#reason` is unset. */
export class Pressure {
  readonly #maxEventLoop: number;
  readonly #maxHeap: number;
  readonly #probes: PressureProbes;
  #reason: PressureReason | undefined;
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

  /** Why to shed now, as of the last reading. */
  reason(): PressureReason | undefined {
    return this.#reason;
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
    this.#reason = undefined;
  }

  #plan(): void {
    this.#callOff = this.#probes.clock.wakeAfter(intervalMs, this.#read);
  }

  readonly #read = (): void => {
    const busy = this.#readEventLoop();
    const full = this.#maxHeap < 1 ? this.#probes.heap() : 0;
    if (full > this.#maxHeap) this.#reason = "memory";
    else this.#reason = this.#maxEventLoop < 1 && busy > this.#maxEventLoop ? "event_loop" : undefined;
    this.#plan();
  };

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

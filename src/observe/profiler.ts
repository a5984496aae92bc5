/**
 * The profilers of V8, by an inspector session within the process: no port is opened, and both lines of Node have it.
 *
 * A CPU profile slows down what it measures, and two at a time would measure one another, so there is one at a time for
 * the whole process. Allocations are sampled from `startSampling` on, as Go does from the start of a process: a heap
 * profile can only show what was taken while somebody looked.
 */

import type { Session } from "node:inspector/promises";
import { SluiceError } from "../core/errors.ts";
import type { CpuProfile, HeapProfile } from "./v8-profiles.ts";

/** A profile of that kind is being made already. */
export class ProfileBusyError extends SluiceError {
  readonly code = "ERR_PROFILE_BUSY";
}

/** Microseconds from one look at the stack to the next. */
export const cpuIntervalMicros = 1_000;
/** Bytes between two allocations that are looked at: Go's `runtime.MemProfileRate`. */
export const heapIntervalBytes = 524_288;

let isCpuBusy = false;
let isHeapBusy = false;

/** Loaded when it is needed: few processes are ever profiled. */
async function openSession(): Promise<Session> {
  const inspector = await import("node:inspector/promises");
  const session = new inspector.Session();
  session.connect();
  return session;
}

/**
 * Looks at the stack for so long, or until the signal aborts, which rejects.
 *
 * @throws ProfileBusyError if somebody else does
 */
export async function profileCpu(durationMs: number, signal: AbortSignal): Promise<CpuProfile> {
  if (isCpuBusy) throw new ProfileBusyError("A CPU profile is being made already. Try again when it is over.");
  isCpuBusy = true;
  let session: Session | undefined;
  try {
    session = await openSession();
    await session.post("Profiler.enable");
    await session.post("Profiler.setSamplingInterval", { interval: cpuIntervalMicros });
    await session.post("Profiler.start");
    await sleep(durationMs, signal);
    const { profile } = await session.post("Profiler.stop");
    return profile;
  } finally {
    // Whatever was begun ends with its session.
    session?.disconnect();
    isCpuBusy = false;
  }
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const onAbort = (): void => reject(new Error("Nobody waits for the profile any more.", { cause: signal.reason }));
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  });
}

/**
 * Samples allocations from its making until it is closed. V8 has one sampler: there is one of these for a process.
 *
 * Invariant: `#session` samples what is held, unless `#isLent`, when it samples all that is taken.
 */
export class HeapSampler {
  readonly #session: Promise<Session>;
  #isLent = false;

  /** @throws ProfileBusyError if there is one already */
  constructor() {
    if (isHeapBusy) throw new ProfileBusyError("Allocations are being sampled already: there is one sampler in V8.");
    isHeapBusy = true;
    this.#session = this.#open();
    // Whoever reads hears of it.
    this.#session.catch(() => {});
  }

  /** What has been taken since it was made and is still held. `collect` first frees what can be freed. */
  async read({ collect = false }: { readonly collect?: boolean } = {}): Promise<HeapProfile> {
    if (this.#isLent) throw new ProfileBusyError("All allocations are being sampled. Try again when that is over.");
    const session = await this.#session;
    if (collect) await session.post("HeapProfiler.collectGarbage");
    const { profile } = await session.post("HeapProfiler.getSamplingProfile");
    return profile;
  }

  /**
   * What is taken from now on for so long, also what is freed again. V8 cannot keep both lists: what is held is
   * sampled anew from then on.
   */
  async readAllocations(durationMs: number, signal: AbortSignal): Promise<HeapProfile> {
    if (this.#isLent) throw new ProfileBusyError("All allocations are being sampled already.");
    this.#isLent = true;
    try {
      const session = await this.#session;
      await restart(session, true);
      try {
        await sleep(durationMs, signal);
        const { profile } = await session.post("HeapProfiler.getSamplingProfile");
        return profile;
      } finally {
        await restart(session, false);
      }
    } finally {
      this.#isLent = false;
    }
  }

  async close(): Promise<void> {
    const session = await this.#session;
    session.disconnect();
    isHeapBusy = false;
  }

  async #open(): Promise<Session> {
    const session = await openSession();
    await startSampling(session, false);
    return session;
  }
}

async function restart(session: Session, withFreed: boolean): Promise<void> {
  await session.post("HeapProfiler.stopSampling");
  await startSampling(session, withFreed);
}

async function startSampling(session: Session, withFreed: boolean): Promise<void> {
  await session.post("HeapProfiler.startSampling", {
    samplingInterval: heapIntervalBytes,
    includeObjectsCollectedByMajorGC: withFreed,
    includeObjectsCollectedByMinorGC: withFreed,
  });
}

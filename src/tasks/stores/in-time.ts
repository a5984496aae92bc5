/** A limit on the waiting for an engine that may never answer. */

import { systemClock } from "../../core/index.ts";

/** Settles as `promise` does, or rejects after `ms`; what comes later is not looked at. */
export async function inTime<Value>(promise: Promise<Value>, ms: number): Promise<Value> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const callOff = systemClock.wakeAfter(Math.min(Math.max(1, ms), 2 ** 31 - 1), () => {
    reject(new Error(`no answer within ${Math.round(ms)} ms`));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    callOff();
  }
}

/** What others promised to do in time, bounded all the same. */

import { outside } from "../core/outside.ts";

/** Resolves as `promise` does, or to `late` after `timeoutMs`. It holds the process: somebody waits for it. */
export async function within<T, Late>(promise: Promise<T>, timeoutMs: number, late: Late): Promise<T | Late> {
  if (timeoutMs === Infinity) return promise;
  const { promise: timeout, resolve } = Promise.withResolvers<Late>();
  const timer = outside(() => setTimeout(() => resolve(late), timeoutMs));
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

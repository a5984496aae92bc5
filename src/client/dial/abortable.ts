/**
 * Waiting for an event that may be given up.
 *
 * Every step of a dial is "start something, hear of it through listeners, undo it when told to". Written out by hand
 * five times, one of them forgets its listener. So the abort listener is added and removed here and nowhere else, and
 * it is removed before the promise settles: whoever awaits it may look at the signal and find nothing of ours.
 * It does not time anything; a time limit is one more reason for the signal to abort (see `dial-scope.ts`).
 */

/** How a started step reports its end. Only the first call counts. */
export interface Settle<Value> {
  readonly resolve: (value: Value) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Runs `start`, which returns what undoes it. When `signal` aborts first, the step is undone and the promise rejects
 * with `signal.reason` in the same turn of the event loop.
 */
export function abortable<Value>(signal: AbortSignal, start: (settle: Settle<Value>) => () => void): Promise<Value> {
  const { promise, resolve, reject } = Promise.withResolvers<Value>();
  if (signal.aborted) {
    reject(signal.reason);
    return promise;
  }
  let undo: (() => void) | undefined;
  const abort = (): void => {
    signal.removeEventListener("abort", abort);
    undo?.();
    reject(signal.reason);
  };
  signal.addEventListener("abort", abort);
  const settle: Settle<Value> = {
    resolve(value) {
      signal.removeEventListener("abort", abort);
      resolve(value);
    },
    reject(error) {
      signal.removeEventListener("abort", abort);
      reject(error);
    },
  };
  try {
    undo = start(settle);
  } catch (error) {
    settle.reject(error);
  }
  return promise;
}

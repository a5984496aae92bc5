/** A lap at the level of `dispatch`: callbacks only, which is the least that a dispatcher can be asked for. */

import type { Dispatcher } from "undici";
import { checkLength, inFlight } from "../work.ts";
import type { Lap } from "../work.ts";

/** One lane: reused for each of its requests, as a caller that cares about cost would do. */
class Lane implements Dispatcher.DispatchHandler {
  readonly #onEnd: (lane: Lane) => void;
  readonly #onError: (error: Error) => void;
  #length = 0;

  constructor(onEnd: (lane: Lane) => void, onError: (error: Error) => void) {
    this.#onEnd = onEnd;
    this.#onError = onError;
  }

  onRequestStart(): void {
    this.#length = 0;
  }

  onResponseStart(_controller: Dispatcher.DispatchController, statusCode: number): void {
    if (statusCode !== 200) this.#onError(new Error(`Status ${statusCode}`));
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#length += chunk.length;
  }

  onResponseEnd(): void {
    checkLength(this.#length);
    this.#onEnd(this);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#onError(error);
  }
}

export function dispatchLap(dispatcher: Pick<Dispatcher, "dispatch">, origin: string): Lap {
  const request = { origin, path: "/", method: "GET" } as const;
  return (count) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let unsent = count;
    let unanswered = count;
    const send = (lane: Lane): void => {
      unsent -= 1;
      dispatcher.dispatch(request, lane);
    };
    const onEnd = (lane: Lane): void => {
      unanswered -= 1;
      if (unsent > 0) send(lane);
      else if (unanswered === 0) resolve();
    };
    for (let started = Math.min(inFlight, count); started > 0; started -= 1) send(new Lane(onEnd, reject));
    return promise;
  };
}

/** What the measured clients have in common: the shape of a peer. */

import { checkLength, inFlight } from "../work.ts";
import type { Lap } from "../work.ts";

/** What a caller gets out of the client: callbacks, a response with its text, or a WHATWG `Response` and its text. */
export type Level = "dispatch" | "request" | "fetch";

/** One client, ready to be measured. */
export interface Peer {
  readonly label: string;
  readonly level: Level;
  /** Makes the client for `origin`, which has to be `http://127.0.0.1:port`. */
  readonly open: (origin: string) => Promise<Lap>;
}

/** A lap of a client whose request is one promise of the body's text. */
export function lapOf(get: () => Promise<string>): Lap {
  return async (count) => {
    let left = count;
    const lane = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        // One after the other is what a lane is: the next request starts when this one has ended.
        // oxlint-disable-next-line no-await-in-loop
        checkLength((await get()).length);
      }
    };
    await Promise.all(Array.from({ length: inFlight }, lane));
  };
}

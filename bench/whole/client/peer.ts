/** What the measured clients have in common: the work, and the shape of a peer. */

/** Requests kept in flight by every peer: each has as many connections, and starts a request when one has ended. */
export const inFlight = 64;

/** The body of every response. Peers check its length, so that none is fast by not reading it. */
export const targetBody: string = JSON.stringify({
  id: 7321,
  sku: "CHAIR-OAK-02",
  name: "Oak chair",
  price: { amount: 12900, currency: "EUR" },
  stock: 14,
});

/** What a caller gets out of the client: callbacks, a response with its text, or a WHATWG `Response` and its text. */
export type Level = "dispatch" | "request" | "fetch";

/** Sends `count` GETs, `inFlight` at a time, and resolves when the last body has been read. */
export type Lap = (count: number) => Promise<void>;

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

export function checkLength(length: number): void {
  if (length !== targetBody.length) throw new Error(`A body of ${length} bytes, not ${targetBody.length}`);
}

/** What every measured request is: so many at once, and this answer. The same for clients and for servers. */

/** Requests kept in flight: as many connections, each of which starts a request when one has ended. */
export const inFlight = 64;

/** The body of every response. Whoever receives it checks its length, so that none is fast by not reading it. */
export const answerBody: string = JSON.stringify({
  id: 7321,
  sku: "CHAIR-OAK-02",
  name: "Oak chair",
  price: { amount: 12900, currency: "EUR" },
  stock: 14,
});

export function checkLength(length: number): void {
  if (length !== answerBody.length) throw new Error(`A body of ${length} bytes, not ${answerBody.length}`);
}

/** Sends `count` GETs, `inFlight` at a time, and resolves when the last body has been read. */
export type Lap = (count: number) => Promise<void>;

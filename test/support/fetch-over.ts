/** A fetch over a transport, for clients that take one. */

import type { Transport } from "sluice/client";

/** Built-in fetch with the transport as its dispatcher. */
export function fetchOver(transport: Transport): typeof globalThis.fetch {
  return (input, init) => {
    const over = { ...init };
    // Node's types want undici's class here; fetch itself needs `dispatch` only.
    Object.assign(over, { dispatcher: transport });
    return globalThis.fetch(input, over);
  };
}

/** What a connection may be doing, inside and as told; and how many are doing it. */

import type { ConnectionState, ServerCore } from "./server-core.ts";

/** `header`: a request is coming in. `closing`: the last bytes are out, and whatever still comes is thrown away. */
export type Phase = "handshake" | "new" | "header" | "exchange" | "idle" | "upgraded" | "closing" | "closed";

/** Spelled out, as below: a computed name is several times slower, and this is done for each request. */
export function stateOf(phase: Phase): ConnectionState {
  switch (phase) {
    case "handshake":
    case "new":
      return "new";
    case "idle":
    case "upgraded":
    case "closed":
      return phase;
    default:
      return "active";
  }
}

export function countState(levels: ServerCore["levels"], state: ConnectionState, by: 1 | -1): void {
  switch (state) {
    case "new":
      levels.new += by;
      return;
    case "active":
      levels.active += by;
      return;
    case "idle":
      levels.idle += by;
      return;
    case "upgraded":
      levels.upgraded += by;
      return;
    case "closed":
  }
}

/** Opens the store in NATS JetStream, in whatever process. */

import { natsUrl } from "../support/engines.ts";
import { jetStream, type JetStreamStoreOptions } from "sluice/adapters/jetstream";
import type { Store } from "sluice/tasks";

/** Of the server that tests share. */
export const natsPort: number = Number(new URL(natsUrl).port);

/** `argument` is its options, as JSON. */
export function openStore(argument: string): Store {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the test beside it has written
  return jetStream(JSON.parse(argument) as JetStreamStoreOptions);
}

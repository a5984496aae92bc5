/** Opens the store in NATS JetStream, in whatever process. */

import { jetStream, type JetStreamStoreOptions } from "sluice/adapters/jetstream";
import type { Store } from "sluice/tasks";

/** Of the server that tests share. */
export const natsPort: number = Number(new URL(process.env["NATS_URL"] ?? "nats://127.0.0.1:4222").port);

/** `argument` is its options, as JSON. */
export function openStore(argument: string): Store {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the test beside it has written
  return jetStream(JSON.parse(argument) as JetStreamStoreOptions);
}

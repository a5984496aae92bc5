/** The store on BullMQ, opened by another process of a test: the argument is what `bullmq()` takes, as JSON. */

import { bullmq, type BullmqOptions } from "sluice/adapters/bullmq";
import type { Store } from "sluice/tasks";

export function openStore(argument: string): Store {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the test has written
  return bullmq(JSON.parse(argument) as BullmqOptions);
}

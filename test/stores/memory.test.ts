/** The contract of stores, kept by the one in memory. */

import { memory } from "sluice/tasks";
import { testStore } from "../support/store-contract.ts";

testStore({
  name: "memory",
  caps: {
    delay: true,
    priority: true,
    dedup: "until-done",
    transactions: false,
    sharedBy: "process",
    durable: false,
  },
  leaseMs: 200,
  slackMs: 200,
  hasEngine: false,
  newPlace: async () => ({ open: () => memory(), [Symbol.asyncDispose]: async () => {} }),
});

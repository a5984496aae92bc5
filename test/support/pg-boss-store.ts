/** The store on pg-boss, opened by another process of a test: the argument is what `pgBoss()` takes, as JSON. */

import { pgBoss, type PgBossOptions } from "sluice/adapters/pg-boss";
import type { Store } from "sluice/tasks";

export function openStore(argument: string): Store {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the test has written
  return pgBoss(JSON.parse(argument) as PgBossOptions);
}

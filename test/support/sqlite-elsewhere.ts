/** A SQLite store for another process: see `StorePlace.elsewhere`. */

import { sqlite, type Store } from "sluice/tasks";

export function openStore(path: string): Store {
  return sqlite({ path });
}

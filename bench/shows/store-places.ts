/** The engines that queues of several processes can be on, each as a place of its own for a show. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bullmq } from "sluice/adapters/bullmq";
import { jetStream } from "sluice/adapters/jetstream";
import { pgBoss } from "sluice/adapters/pg-boss";
import { sqlite, type Store } from "sluice/tasks";
import { Engine, type EngineName } from "../support/engine.ts";

export const placeNames = ["sqlite", "redis", "postgres", "bullmq-postgres", "nats"] as const;
export type PlaceName = (typeof placeNames)[number];

interface Kind {
  /** `undefined` for a file. */
  readonly engine?: EngineName;
  /** `where` is a URL, or the folder of a file. */
  readonly open: (where: string) => Store;
}

const kinds: Readonly<Record<PlaceName, Kind>> = {
  sqlite: { open: (folder) => sqlite({ path: join(folder, "jobs.db") }) },
  redis: { engine: "redis", open: (url) => bullmq({ url }) },
  postgres: { engine: "postgres", open: (url) => pgBoss({ url }) },
  "bullmq-postgres": { engine: "postgres", open: (url) => bullmq({ url }) },
  nats: { engine: "nats", open: (servers) => jetStream({ servers }) },
};

/** A store on an engine, or in a file, that nobody else uses. Disposing of it removes both. */
export interface Place extends AsyncDisposable {
  readonly name: PlaceName;
  /** What another process opens it with. */
  readonly where: string;
  readonly engine: Engine | undefined;
}

export async function newPlace(name: PlaceName): Promise<Place> {
  const { engine: engineName } = kinds[name];
  if (engineName === undefined) {
    const folder = mkdtempSync(join(tmpdir(), `sluice-${name}-`));
    const remove = async (): Promise<void> => rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    return { name, where: folder, engine: undefined, [Symbol.asyncDispose]: remove };
  }
  const engine = await Engine.start(engineName);
  return { name, where: engine.url, engine, [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose]() };
}

export function openStore(name: PlaceName, where: string): Store {
  return kinds[name].open(where);
}

/** Names of places from the command line; all, if none is given. */
export function placesFrom(names: string | undefined): readonly PlaceName[] {
  const wanted = names?.split(",");
  return placeNames.filter((name) => wanted?.includes(name) ?? true);
}

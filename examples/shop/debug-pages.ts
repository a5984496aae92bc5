/** What can be seen of the shop itself, on this machine only; and its health, for whoever keeps it running. */

import type { Transport } from "sluice/client";
import type { Guarded } from "sluice/server";
import type { Tasks } from "sluice/tasks";
import type { OrderDesk, OrderQueue } from "./order-desk.ts";
import type { OrderEvents } from "./order-events.ts";
import { json, refuse } from "./replies.ts";
import type { Reply } from "./replies.ts";
import type { Shelves } from "./shelves.ts";
import type { Upstreams } from "./upstreams.ts";
import type { Visit } from "./visit.ts";

export interface DebugParts {
  readonly server: Guarded;
  readonly transport: Transport;
  readonly upstreams: Upstreams;
  readonly tasks: Tasks;
  readonly desk: OrderDesk;
  readonly events: OrderEvents;
  readonly shelves: Shelves;
}

export class DebugPages {
  readonly #parts: DebugParts;

  constructor(parts: DebugParts) {
    this.#parts = parts;
  }

  show({ path, isLocal }: Visit): Reply | Promise<Reply> {
    if (!isLocal) {
      const body = "Debug pages answer on this machine only, as localhost or 127.0.0.1.\n";
      return { status: 403, type: "text", body };
    }
    const { transport, server, upstreams, events, shelves } = this.#parts;
    if (path === "/debug/pool") return json(200, transport.stats());
    if (path === "/debug/server") return json(200, server.stats());
    if (path === "/debug/tasks") return this.#showTasks();
    if (path === "/debug/streams") return json(200, { orders: events.stats(), stock: shelves.stats() });
    if (path === "/debug/upstreams") return json(200, upstreams.status());
    return refuse(
      404,
      "There are /debug/pool, /debug/server, /debug/tasks, /debug/streams and /debug/upstreams.",
      true,
    );
  }

  showHealth(): Reply {
    const states = Object.entries(this.#parts.upstreams.status()).map(([role, { state }]) => [role, state] as const);
    // A service behind the shop that is down is no reason to restart the shop: it stays 200.
    const status = states.every(([, state]) => state === "up") ? "ok" : "degraded";
    return json(200, { status, upstreams: Object.fromEntries(states) });
  }

  /** For whoever sends customers here: 503 asks for no more of them, while those who still come are served. */
  showReadiness(): Reply {
    return this.#parts.server.draining ? json(503, { status: "draining" }) : json(200, { status: "ready" });
  }

  /** What this process did, what is in the store, and what was given up. */
  async #showTasks(): Promise<Reply> {
    const { tasks, desk } = this.#parts;
    const inStore = await Promise.all(desk.queues.map(describeQueue));
    return json(200, { ...tasks.stats(), inStore });
  }
}

async function describeQueue(queue: OrderQueue): Promise<object> {
  const [levels, dead] = await Promise.all([queue.levels(), queue.dead.list({ limit: 20 })]);
  const letters = dead.map(({ id, data, attempts, failure, diedAt }) => ({ id, data, attempts, failure, diedAt }));
  return { queue: queue.name, levels, dead: letters };
}

/**
 * What is on the shelves right now, for all who look at a page: each change goes to them over a WebSocket.
 *
 * Only the latest level of a product means anything, so whoever reads slowly misses the ones between (`latest-only`). What
 * the shop itself sells is known at once, the rest by asking the stock service now and then.
 */

import type { Server } from "node:http";
import { webSockets } from "sluice/adapters/ws";
import type { WebSocketsStats } from "sluice/streams";
import type { StockLevel } from "./catalog.ts";
import type { Services } from "./services.ts";
import { describeStock } from "./stock-label.ts";

export class Shelves {
  readonly #services: Services;
  readonly #counts = new Map<string, number>();
  readonly #sockets: ReturnType<typeof webSockets>;

  constructor(server: Server, services: Services) {
    this.#services = services;
    this.#sockets = webSockets(
      server,
      {
        name: "stock",
        path: "/stock",
        origins: "same",
        overflow: "latest-only",
        maxConns: 2000,
        maxBufferedBytes: "16kb",
        maxPayload: "1kb", // nobody has anything to say here
        drain: { grace: "500ms" },
      },
      (connection) => {
        for (const [id, count] of this.#counts) connection.send(toMessage({ id, count }), { key: id });
      },
    );
  }

  /** Notes a level, and tells everybody if it is another one. */
  readonly note = ({ id, count }: StockLevel): void => {
    if (this.#counts.get(id) === count) return;
    this.#counts.set(id, count);
    this.#sockets.broadcast(toMessage({ id, count }), { key: id });
  };

  /** Asks for all levels. What can't be asked for now stays as it was. */
  async refresh(): Promise<void> {
    const { value } = await this.#services.stockLevels();
    value?.forEach(this.note);
  }

  stats(): WebSocketsStats {
    return this.#sockets.stats();
  }
}

function toMessage(level: StockLevel): string {
  return JSON.stringify({ ...level, ...describeStock(level.count) });
}

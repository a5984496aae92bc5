/**
 * The stock service's own data: how many there are of each product, and who has taken some.
 *
 * A take has a name, so that one which is asked for twice happens once: `PUT` and `DELETE` may be sent again by whoever
 * did not get the answer. What runs low is delivered again after a while.
 */

import { stockLevels } from "./catalog.ts";
import type { StockLevel } from "./catalog.ts";

interface Take {
  readonly id: string;
  readonly count: number;
}

/** What comes of a call; 409 with the level if there are too few. */
export interface StockReply {
  readonly status: 200 | 404 | 409;
  readonly value: unknown;
}

/** Takes that are remembered. One that is older is not asked for again. */
const maxTakes = 10_000;
const lowLevel = 2;
const deliveryCount = 24;
const deliveryMs = 8000;

/** Invariant: no count is below 0; a product has at most one delivery on its way. */
export class StockRoom {
  readonly #counts = new Map<string, number>(stockLevels.map(({ id, count }) => [id, count]));
  readonly #takes = new Map<string, Take>();
  readonly #onTheirWay = new Set<string>();

  get levels(): readonly StockLevel[] {
    return [...this.#counts].map(([id, count]) => ({ id, count }));
  }

  /** `/stock/:id/takes/:name?count=2`, by PUT or DELETE. */
  change(method: string, path: string, query: URLSearchParams): StockReply {
    const [, id = "", name = ""] = /^\/stock\/([\w-]+)\/takes\/([\w-]+)$/.exec(path) ?? [];
    const count = this.#counts.get(id);
    if (count === undefined) return { status: 404, value: { error: "not found" } };
    if (method === "PUT") return this.#take({ id, count: Number(query.get("count")) }, name);
    const given = this.#takes.get(name);
    if (given && this.#takes.delete(name)) this.#counts.set(given.id, count + given.count);
    return this.#reply(200, id);
  }

  #take(take: Take, name: string): StockReply {
    if (this.#takes.has(name)) return this.#reply(200, take.id);
    const left = (this.#counts.get(take.id) ?? 0) - take.count;
    if (!Number.isInteger(take.count) || take.count < 1 || left < 0) return this.#reply(409, take.id);
    this.#counts.set(take.id, left);
    this.#takes.set(name, take);
    const [oldest] = this.#takes.keys();
    if (this.#takes.size > maxTakes && oldest !== undefined) this.#takes.delete(oldest);
    if (left <= lowLevel) this.#order(take.id);
    return this.#reply(200, take.id);
  }

  #reply(status: 200 | 409, id: string): StockReply {
    return { status, value: { id, count: this.#counts.get(id) } };
  }

  #order(id: string): void {
    if (this.#onTheirWay.has(id)) return;
    this.#onTheirWay.add(id);
    setTimeout(() => {
      this.#onTheirWay.delete(id);
      this.#counts.set(id, (this.#counts.get(id) ?? 0) + deliveryCount);
    }, deliveryMs).unref();
  }
}

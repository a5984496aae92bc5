/** Customers who buy: each orders something, and some stay to watch what becomes of it. */

import { randomUUID } from "node:crypto";
import { get, request } from "node:http";
import type { IncomingMessage } from "node:http";
import { products } from "./catalog.ts";
import type { Random } from "./random.ts";

/** How many of them watch, and for how long at most. */
const watcherShare = 0.5;
const maxWatchers = 200;
const watchLimitMs = 30_000;
const orderLimitMs = 5000;

export class Buyers {
  readonly #url: string;
  readonly #random: Random;
  #ordered = 0;
  #failed = 0;
  #watching = 0;

  constructor(url: string, random: Random) {
    this.#url = url;
    this.#random = random;
  }

  /** Those who watch at this moment. */
  get watching(): number {
    return this.#watching;
  }

  /** Orders since the last call, and those that failed by the shop's fault: sold out is none. */
  takeCounts(): { readonly ordered: number; readonly failed: number } {
    const counts = { ordered: this.#ordered, failed: this.#failed };
    this.#ordered = 0;
    this.#failed = 0;
    return counts;
  }

  buy(): void {
    const product = products[Math.floor(this.#random() ** 2 * products.length)];
    const quantity = 1 + Math.floor(this.#random() * 2);
    const watches = this.#random() < watcherShare;
    const body = JSON.stringify({ product: product?.id, quantity, email: "customer@example.com" });
    const sent = request(`${this.#url}/api/orders`, {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": randomUUID() },
      signal: AbortSignal.timeout(orderLimitMs),
    });
    sent.on("response", (response) => {
      const { statusCode = 500, headers } = response;
      response.resume();
      if (statusCode === 201) this.#ordered += 1;
      if (statusCode >= 500) this.#failed += 1;
      if (statusCode === 201 && watches) this.#watch(headers.location ?? "");
    });
    sent.on("error", () => (this.#failed += 1));
    sent.end(body);
  }

  #watch(location: string): void {
    if (this.#watching >= maxWatchers) return;
    this.#watching += 1;
    const path = `${location.replace("/api", "")}/events?after=1`;
    const stream = get(this.#url + path, { agent: false, signal: AbortSignal.timeout(watchLimitMs) });
    stream.on("response", (response: IncomingMessage) => {
      response.on("error", () => undefined); // its "close" counts
      response.resume();
    });
    stream.on("error", () => undefined); // as above
    stream.on("close", () => (this.#watching -= 1));
  }
}

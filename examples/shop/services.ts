/**
 * How the shop asks its upstream services: every call of the shop goes through `#ask`, over the one Transport.
 *
 * A call never rejects. It gives the value, or a `Failure` that says which service, what went wrong and in which phase
 * of the request, because a page wants to show what it has. Timeouts are the Transport's. It also ends a call when the
 * request is over for which it was made, because the customer has left or waited for too long: that is in the context.
 */

import type { Transport } from "sluice/client";
import { isProduct, isRating, isReview, isStockLevel, listOf } from "./catalog.ts";
import type { Category, Product, Rating, Review, StockLevel } from "./catalog.ts";
import type { Role, Upstreams } from "./upstreams.ts";

export interface Failure {
  readonly role: Role;
  /** What the shop answers if it can't do without: 404, 409 (it can't be done), 502 (it failed) or 504 (too slow). */
  readonly status: 404 | 409 | 502 | 504;
  readonly code: string;
  /** Where the request stood: `queue`, `connect`, `response_header`, `body`... */
  readonly phase: string;
  readonly message: string;
}

/** What came of one call; exactly one of `value` and `failure` is set. */
export type Answer<T> = { readonly role: Role; readonly tookMs: number } & (
  | { readonly value: T; readonly failure?: undefined }
  | { readonly value?: undefined; readonly failure: Failure }
);

interface Call<T> {
  readonly role: Role;
  readonly method?: "GET" | "PUT" | "DELETE";
  readonly path: string;
  readonly check: (value: unknown) => value is T;
}

export class Services {
  readonly #transport: Transport;
  readonly #upstreams: Upstreams;

  constructor(transport: Transport, upstreams: Upstreams) {
    this.#transport = transport;
    this.#upstreams = upstreams;
  }

  products(category?: Category): Promise<Answer<readonly Product[]>> {
    const path = category ? `/products?category=${category}` : "/products";
    return this.#ask({ role: "catalog", path, check: listOf(isProduct) });
  }

  product(id: string): Promise<Answer<Product>> {
    return this.#ask({ role: "catalog", path: `/products/${id}`, check: isProduct });
  }

  stockLevels(): Promise<Answer<readonly StockLevel[]>> {
    return this.#ask({ role: "stock", path: "/stock", check: listOf(isStockLevel) });
  }

  stockLevel(id: string): Promise<Answer<StockLevel>> {
    return this.#ask({ role: "stock", path: `/stock/${id}`, check: isStockLevel });
  }

  /** Takes some off the shelf, for an order; both methods may be sent again, and the Transport does if it has to. */
  takeStock(id: string, count: number, orderId: string): Promise<Answer<StockLevel>> {
    const path = `/stock/${id}/takes/${orderId}?count=${count}`;
    return this.#ask({ role: "stock", method: "PUT", path, check: isStockLevel });
  }

  /** Puts back what was taken for an order, if anything was. */
  giveBackStock(id: string, orderId: string): Promise<Answer<StockLevel>> {
    return this.#ask({ role: "stock", method: "DELETE", path: `/stock/${id}/takes/${orderId}`, check: isStockLevel });
  }

  ratings(): Promise<Answer<readonly Rating[]>> {
    return this.#ask({ role: "reviews", path: "/ratings", check: listOf(isRating) });
  }

  reviews(id: string): Promise<Answer<readonly Review[]>> {
    return this.#ask({ role: "reviews", path: `/reviews/${id}`, check: listOf(isReview) });
  }

  async #ask<T>({ role, method = "GET", path, check }: Call<T>): Promise<Answer<T>> {
    const start = performance.now();
    try {
      const response = await this.#transport.fetch(this.#upstreams.url(role) + path, { method });
      const value: unknown = await response.json();
      const tookMs = performance.now() - start;
      if (response.ok && check(value)) return { role, tookMs, value };
      return { role, tookMs, failure: refuseAnswer(role, response.status) };
    } catch (error) {
      return { role, tookMs: performance.now() - start, failure: describeFailure(role, error) };
    }
  }
}

function refuseAnswer(role: Role, status: number): Failure {
  const message = status === 200 ? "The answer has not the agreed shape." : `The service answered ${status}.`;
  const told = status === 404 || status === 409 ? status : 502;
  return { role, status: told, code: `HTTP_${status}`, phase: "answer", message };
}

/** Finds the error that knows most: fetch wraps it in a TypeError, and the system's own error lies below that. */
function describeFailure(role: Role, error: unknown): Failure {
  let found: Error = error instanceof Error ? error : new Error(String(error));
  while (!("phase" in found) && !codeOf(found) && found.cause instanceof Error) found = found.cause;
  const code = codeOf(found) || found.name;
  const phase = "phase" in found ? String(found.phase) : "syscall" in found ? String(found.syscall) : "total";
  return { role, status: /timeout/i.test(code) ? 504 : 502, code, phase, message: found.message || code };
}

function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : "";
}

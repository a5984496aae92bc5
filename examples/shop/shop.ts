/**
 * The shop itself: which address answers with what. A page asks its services at the same time, waits for all of them,
 * and is whole, partial (only stock or reviews failed) or a failure page (the catalog failed).
 *
 * It knows nothing of ports and processes. Of its server it knows that it is guarded: whoever leaves or has waited for
 * too long ends the context of the request, and with it the calls to the services. No signal is handed around for that.
 */

import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Transport } from "sluice/client";
import { context } from "sluice/core";
import { controller } from "sluice/server";
import type { Guarded } from "sluice/server";
import { categories, isCategory, productIdPattern } from "./catalog.ts";
import type { Category, Product } from "./catalog.ts";
import { DebugPages } from "./debug-pages.ts";
import type { DebugParts } from "./debug-pages.ts";
import { emptyDraft } from "./order-form.ts";
import type { Draft } from "./order-form.ts";
import { OrderRoutes } from "./order-routes.ts";
import type { OrderBook } from "./orders.ts";
import { renderFailure, renderList, renderProduct } from "./pages.ts";
import type { FootNumbers, PoolLine } from "./pages.ts";
import { sign } from "./pictures.ts";
import { file, html, json, refuse, send } from "./replies.ts";
import type { Reply } from "./replies.ts";
import type { Answer, Failure, Services } from "./services.ts";
import { patternOf, readVisit } from "./visit.ts";
import type { Visit } from "./visit.ts";

export interface ShopParts extends DebugParts {
  readonly services: Services;
  readonly book: OrderBook;
  readonly log: (line: string) => void;
}

const stylesheet = readFileSync(new URL("shop.css", import.meta.url), "utf8");
const script = readFileSync(new URL("live.js", import.meta.url), "utf8");

export class Shop {
  readonly #server: Guarded;
  readonly #transport: Transport;
  readonly #services: Services;
  readonly #orders: OrderRoutes;
  readonly #debug: DebugPages;
  readonly #log: (line: string) => void;

  constructor(parts: ShopParts) {
    const { server, transport, services, log } = parts;
    this.#server = server;
    this.#transport = transport;
    this.#services = services;
    this.#debug = new DebugPages(parts);
    this.#log = log;
    this.#orders = new OrderRoutes({
      ...parts,
      findProduct: (id) => this.#findProduct(id),
      showForm: (visit, id, filled) => this.#showProduct(visit, id, filled),
      fail: ({ asJson }, call) => (call.failure ? this.#fail(call.failure, [call], asJson) : refuse(500, "", asJson)),
    });
  }

  /** Answers one request. Never throws and never rejects: a mistake of ours is a 500 and a line in the log. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const visit = readVisit(request, response);
    controller(response).setRoute(patternOf(visit));
    let reply: Reply | undefined;
    try {
      reply = await this.#route(visit);
    } catch (error) {
      // The customer has left in the middle of a form, or it was too long and is answered.
      if (context().done || response.headersSent) return;
      this.#log(`${request.method} ${request.url}: ${error instanceof Error ? error.stack : String(error)}`);
      reply = refuse(500, "The shop made a mistake. It was written down.", visit.asJson);
    }
    // The customer has left, or was told 503 since the page took too long: there is nobody to answer.
    if (reply && !context().done) send(response, reply);
  }

  /** `undefined`: somebody answers already, with a stream. */
  #route(visit: Visit): Reply | Promise<Reply | undefined> {
    const { path, asJson, method } = visit;
    if (path === "/orders" || path.startsWith("/orders/")) return this.#orders.answer(visit);
    if (method !== "GET") return refuse(405, "This can be looked at, and nothing else: use GET or HEAD.", asJson);
    if (path === (asJson ? "/products" : "/")) return this.#showList(visit);
    if (path.startsWith("/products/")) return this.#showProduct(visit, path.slice("/products/".length));
    if (asJson) return refuse(404, "Try /api/products or /api/products/stoneware-mug.", asJson);
    if (path.startsWith("/debug/")) return this.#debug.show(visit);
    if (path === "/healthz") return this.#debug.showHealth();
    if (path === "/readyz") return this.#debug.showReadiness();
    if (path === "/shop.css") return file("css", stylesheet);
    if (path === "/live.js") return file("js", script);
    if (path === "/icon.svg") return file("svg", sign);
    return refuse(404, "There is no page at this address.", asJson);
  }

  async #showList({ query, asJson }: Visit): Promise<Reply> {
    const category = readCategory(query);
    if (category === "unknown") return refuse(404, `We have ${categories.join(", ")}, and nothing else.`, asJson);
    const [products, stock, ratings] = await Promise.all([
      this.#services.products(category),
      this.#services.stockLevels(),
      this.#services.ratings(),
    ]);
    const calls = [products, stock, ratings];
    if (products.failure) return this.#fail(products.failure, calls, asJson);
    if (!asJson) {
      const parts = { category, products: products.value, stock, ratings };
      return html(200, renderList(parts, calls, this.#foot));
    }
    const list = products.value.map((product) =>
      Object.assign({}, product, {
        stock: stock.value?.find(({ id }) => id === product.id)?.count ?? null,
        rating: ratings.value?.find(({ id }) => id === product.id)?.stars ?? null,
      }),
    );
    return json(200, { products: list, unavailable: listFailures(calls) });
  }

  /** An address that no product can have is not asked for. */
  async #findProduct(id: string): Promise<Answer<Product>> {
    if (productIdPattern.test(id)) return this.#services.product(id);
    const failure = {
      role: "catalog",
      status: 404,
      code: "HTTP_404",
      phase: "answer",
      message: "No product.",
    } as const;
    return { role: "catalog", tookMs: 0, failure };
  }

  /** `filled`: the order form was sent, and something is wrong with it. */
  async #showProduct(
    { asJson }: Visit,
    id: string,
    { status, draft }: { status: number; draft: Draft } = { status: 200, draft: emptyDraft() },
  ): Promise<Reply> {
    if (!productIdPattern.test(id)) return refuse(404, "No product has such an address.", asJson);
    const [product, stock, reviews] = await Promise.all([
      this.#services.product(id),
      this.#services.stockLevel(id),
      this.#services.reviews(id),
    ]);
    const calls = [product, stock, reviews];
    if (product.failure?.status === 404) return refuse(404, `We have nothing called “${id}”, or not any more.`, asJson);
    if (product.failure) return this.#fail(product.failure, calls, asJson);
    if (!asJson) {
      const parts = { product: product.value, stock, reviews, draft };
      return html(status, renderProduct(parts, calls, this.#foot));
    }
    return json(200, {
      ...product.value,
      stock: stock.value?.count ?? null,
      reviews: reviews.value ?? null,
      unavailable: listFailures(calls),
    });
  }

  #fail(failure: Failure, calls: readonly Answer<unknown>[], asJson: boolean): Reply {
    if (asJson) return json(failure.status, { error: failure });
    return html(failure.status, renderFailure(failure, calls, this.#foot));
  }

  /** What the foot of a page says about the pool and the server. */
  get #foot(): FootNumbers {
    const { connections, limits, requests, shed } = this.#server.stats();
    return {
      ...readPool(this.#transport),
      connections: connections.new + connections.active + connections.idle,
      maxConns: limits.maxConns,
      answered: requests,
      shed: Object.values(shed).reduce((sum, count) => sum + count, 0),
    };
  }
}

/** The numbers of the pool that a page shows. */
export function readPool(transport: Transport): PoolLine {
  const { idle, inUse, opened, reused } = transport.stats();
  return { open: idle + inUse, opened, reused };
}

function readCategory(query: URLSearchParams): Category | "unknown" | undefined {
  const name = query.get("category");
  if (name === null) return undefined;
  return isCategory(name) ? name : "unknown";
}

function listFailures(calls: readonly Answer<unknown>[]): readonly Failure[] {
  return calls.flatMap((call) => call.failure ?? []);
}

/**
 * The shop itself: which address answers with what. A page asks its services at the same time, waits for all of them,
 * and is whole, partial (only stock or reviews failed) or a failure page (the catalog failed).
 *
 * It knows nothing of ports and processes, so that any server can stand in front of it.
 */

import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Transport } from "sluice/client";
import { categories, isCategory, productIdPattern } from "./catalog.ts";
import type { Category } from "./catalog.ts";
import { renderFailure, renderList, renderProduct } from "./pages.ts";
import type { PoolLine } from "./pages.ts";
import { sign } from "./pictures.ts";
import { file, html, json, refuse, send } from "./replies.ts";
import type { Reply } from "./replies.ts";
import { Services } from "./services.ts";
import type { Answer, Failure } from "./services.ts";
import type { Upstreams } from "./upstreams.ts";

/** One request on its way to a reply. */
interface Visit {
  /** Without the `/api` of the JSON twins. */
  readonly path: string;
  readonly asJson: boolean;
  readonly query: URLSearchParams;
  /** Aborts when the customer leaves or the page takes too long. */
  readonly signal: AbortSignal;
  readonly isLocal: boolean;
}

export interface ShopParts {
  readonly transport: Transport;
  readonly upstreams: Upstreams;
  readonly log: (line: string) => void;
}

/** Longest time for a page. The Transport's limits for each phase are shorter; this one bounds their sum. */
const pageLimitMs = 3000;

const stylesheet = readFileSync(new URL("shop.css", import.meta.url), "utf8");

export class Shop {
  readonly #transport: Transport;
  readonly #upstreams: Upstreams;
  readonly #services: Services;
  readonly #log: (line: string) => void;

  constructor({ transport, upstreams, log }: ShopParts) {
    this.#transport = transport;
    this.#upstreams = upstreams;
    this.#services = new Services(transport, upstreams);
    this.#log = log;
  }

  /** Answers one request. Never throws and never rejects: a mistake of ours is a 500 and a line in the log. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    const limit = setTimeout(() => gone.abort(pageTooSlow()), pageLimitMs);
    response.on("close", () => {
      clearTimeout(limit);
      gone.abort(); // the customer left, or has everything
    });
    let reply: Reply;
    try {
      reply = await this.#route(request, gone.signal);
    } catch (error) {
      this.#log(`${request.method} ${request.url}: ${error instanceof Error ? error.stack : String(error)}`);
      reply = refuse(500, "The shop made a mistake. It was written down.", false);
    }
    if (!response.destroyed) send(response, reply);
  }

  #route(request: IncomingMessage, signal: AbortSignal): Reply | Promise<Reply> {
    const visit = readVisit(request, signal);
    const { path, asJson } = visit;
    if (request.method !== "GET" && request.method !== "HEAD") {
      return refuse(405, "This shop can be looked at, and nothing else: use GET or HEAD.", asJson);
    }
    if (path === (asJson ? "/products" : "/")) return this.#showList(visit);
    if (path.startsWith("/products/")) return this.#showProduct(visit, path.slice("/products/".length));
    if (asJson) return refuse(404, "Try /api/products or /api/products/stoneware-mug.", asJson);
    if (path.startsWith("/debug/")) return this.#showDebug(visit);
    if (path === "/healthz") return this.#showHealth();
    if (path === "/shop.css") return file("css", stylesheet);
    if (path === "/icon.svg") return file("svg", sign);
    return refuse(404, "There is no page at this address.", asJson);
  }

  async #showList({ query, asJson, signal }: Visit): Promise<Reply> {
    const category = readCategory(query);
    if (category === "unknown") return refuse(404, `We have ${categories.join(", ")}, and nothing else.`, asJson);
    const [products, stock, ratings] = await Promise.all([
      this.#services.products(signal, category),
      this.#services.stockLevels(signal),
      this.#services.ratings(signal),
    ]);
    const calls = [products, stock, ratings];
    if (products.failure) return this.#fail(products.failure, calls, asJson);
    if (!asJson) {
      const parts = { category, products: products.value, stock, ratings };
      return html(200, renderList(parts, calls, readPool(this.#transport)));
    }
    const list = products.value.map((product) =>
      Object.assign({}, product, {
        stock: stock.value?.find(({ id }) => id === product.id)?.count ?? null,
        rating: ratings.value?.find(({ id }) => id === product.id)?.stars ?? null,
      }),
    );
    return json(200, { products: list, unavailable: listFailures(calls) });
  }

  async #showProduct({ asJson, signal }: Visit, id: string): Promise<Reply> {
    if (!productIdPattern.test(id)) return refuse(404, "No product has such an address.", asJson);
    const [product, stock, reviews] = await Promise.all([
      this.#services.product(signal, id),
      this.#services.stockLevel(signal, id),
      this.#services.reviews(signal, id),
    ]);
    const calls = [product, stock, reviews];
    if (product.failure?.status === 404) return refuse(404, `We have nothing called “${id}”, or not any more.`, asJson);
    if (product.failure) return this.#fail(product.failure, calls, asJson);
    if (!asJson) {
      const parts = { product: product.value, stock, reviews };
      return html(200, renderProduct(parts, calls, readPool(this.#transport)));
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
    return html(failure.status, renderFailure(failure, calls, readPool(this.#transport)));
  }

  #showDebug({ path, isLocal }: Visit): Reply {
    if (!isLocal) {
      const body = "Debug pages answer on this machine only, as localhost or 127.0.0.1.\n";
      return { status: 403, type: "text", body };
    }
    if (path === "/debug/pool") return json(200, this.#transport.stats());
    if (path === "/debug/upstreams") return json(200, this.#upstreams.status());
    return refuse(404, "There are /debug/pool and /debug/upstreams.", true);
  }

  #showHealth(): Reply {
    const states = Object.entries(this.#upstreams.status()).map(([role, { state }]) => [role, state] as const);
    // A service behind the shop that is down is no reason to restart the shop: it stays 200.
    const status = states.every(([, state]) => state === "up") ? "ok" : "degraded";
    return json(200, { status, upstreams: Object.fromEntries(states) });
  }
}

/** The numbers of the pool that a page shows. */
export function readPool(transport: Transport): PoolLine {
  const { idle, inUse, opened, reused } = transport.stats();
  return { open: idle + inUse, opened, reused };
}

function readVisit(request: IncomingMessage, signal: AbortSignal): Visit {
  const [path = "/", search = ""] = (request.url ?? "/").split("?", 2);
  const asJson = path.startsWith("/api/");
  return {
    path: asJson ? path.slice("/api".length) : path,
    asJson,
    query: new URLSearchParams(search),
    signal,
    isLocal: isFromHere(request),
  };
}

/** Both ends on this machine, and asked for by its name: a foreign page that rebinds its DNS name to us is refused. */
function isFromHere(request: IncomingMessage): boolean {
  const address = request.socket.remoteAddress ?? "";
  const name = (request.headers.host ?? "").replace(/:\d+$/, "");
  return /^(::1|(::ffff:)?127\.\d+\.\d+\.\d+)$/.test(address) && ["localhost", "127.0.0.1", "[::1]"].includes(name);
}

function readCategory(query: URLSearchParams): Category | "unknown" | undefined {
  const name = query.get("category");
  if (name === null) return undefined;
  return isCategory(name) ? name : "unknown";
}

function listFailures(calls: readonly Answer<unknown>[]): readonly Failure[] {
  return calls.flatMap((call) => call.failure ?? []);
}

function pageTooSlow(): Error {
  return new DOMException(`The page took longer than ${pageLimitMs} ms.`, "TimeoutError");
}

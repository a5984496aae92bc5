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
import type { Category } from "./catalog.ts";
import { renderFailure, renderList, renderProduct } from "./pages.ts";
import type { FootNumbers, PoolLine } from "./pages.ts";
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
  readonly isLocal: boolean;
}

export interface ShopParts {
  readonly server: Guarded;
  readonly transport: Transport;
  readonly upstreams: Upstreams;
  readonly log: (line: string) => void;
}

const stylesheet = readFileSync(new URL("shop.css", import.meta.url), "utf8");

export class Shop {
  readonly #server: Guarded;
  readonly #transport: Transport;
  readonly #upstreams: Upstreams;
  readonly #services: Services;
  readonly #log: (line: string) => void;

  constructor({ server, transport, upstreams, log }: ShopParts) {
    this.#server = server;
    this.#transport = transport;
    this.#upstreams = upstreams;
    this.#services = new Services(transport, upstreams);
    this.#log = log;
  }

  /** Answers one request. Never throws and never rejects: a mistake of ours is a 500 and a line in the log. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const visit = readVisit(request);
    controller(response).setRoute(patternOf(visit));
    let reply: Reply;
    try {
      reply = await this.#route(request, visit);
    } catch (error) {
      this.#log(`${request.method} ${request.url}: ${error instanceof Error ? error.stack : String(error)}`);
      reply = refuse(500, "The shop made a mistake. It was written down.", false);
    }
    // The customer has left, or was told 503 since the page took too long: there is nobody to answer.
    if (!context().done) send(response, reply);
  }

  #route(request: IncomingMessage, visit: Visit): Reply | Promise<Reply> {
    const { path, asJson } = visit;
    if (request.method !== "GET" && request.method !== "HEAD") {
      return refuse(405, "This shop can be looked at, and nothing else: use GET or HEAD.", asJson);
    }
    if (path === (asJson ? "/products" : "/")) return this.#showList(visit);
    if (path.startsWith("/products/")) return this.#showProduct(visit, path.slice("/products/".length));
    if (asJson) return refuse(404, "Try /api/products or /api/products/stoneware-mug.", asJson);
    if (path.startsWith("/debug/")) return this.#showDebug(visit);
    if (path === "/healthz") return this.#showHealth();
    if (path === "/readyz") return this.#showReadiness();
    if (path === "/shop.css") return file("css", stylesheet);
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

  async #showProduct({ asJson }: Visit, id: string): Promise<Reply> {
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
      const parts = { product: product.value, stock, reviews };
      return html(200, renderProduct(parts, calls, this.#foot));
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

  #showDebug({ path, isLocal }: Visit): Reply {
    if (!isLocal) {
      const body = "Debug pages answer on this machine only, as localhost or 127.0.0.1.\n";
      return { status: 403, type: "text", body };
    }
    if (path === "/debug/pool") return json(200, this.#transport.stats());
    if (path === "/debug/server") return json(200, this.#server.stats());
    if (path === "/debug/upstreams") return json(200, this.#upstreams.status());
    return refuse(404, "There are /debug/pool, /debug/server and /debug/upstreams.", true);
  }

  #showHealth(): Reply {
    const states = Object.entries(this.#upstreams.status()).map(([role, { state }]) => [role, state] as const);
    // A service behind the shop that is down is no reason to restart the shop: it stays 200.
    const status = states.every(([, state]) => state === "up") ? "ok" : "degraded";
    return json(200, { status, upstreams: Object.fromEntries(states) });
  }

  /** For whoever sends customers here: 503 asks for no more of them, while those who still come are served. */
  #showReadiness(): Reply {
    return this.#server.draining ? json(503, { status: "draining" }) : json(200, { status: "ready" });
  }
}

/** The numbers of the pool that a page shows. */
export function readPool(transport: Transport): PoolLine {
  const { idle, inUse, opened, reused } = transport.stats();
  return { open: idle + inUse, opened, reused };
}

function readVisit(request: IncomingMessage): Visit {
  const [path = "/", search = ""] = (request.url ?? "/").split("?", 2);
  const asJson = path.startsWith("/api/");
  return {
    path: asJson ? path.slice("/api".length) : path,
    asJson,
    query: new URLSearchParams(search),
    isLocal: isFromHere(request),
  };
}

const fixedPaths: ReadonlySet<string> = new Set([
  "/",
  "/healthz",
  "/readyz",
  "/shop.css",
  "/icon.svg",
  "/api/products",
]);

/** What the metrics call the address: never the path itself, which anybody can invent. */
function patternOf({ path, asJson }: Visit): string {
  const whole = asJson ? `/api${path}` : path;
  if (fixedPaths.has(whole)) return whole;
  if (path.startsWith("/products/")) return asJson ? "/api/products/:id" : "/products/:id";
  return path.startsWith("/debug/") ? "/debug/:page" : "none";
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

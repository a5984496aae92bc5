/**
 * One of the services behind the shop, as a process of its own: `catalog`, `stock` or `reviews`.
 *
 * It behaves like a service on another team's machine: it takes its time (a seeded, mostly short, sometimes long
 * latency), and it closes a connection that was idle for a few seconds without asking. It is started by `upstreams.ts`,
 * reports its port over IPC, and ends when that channel does, so a killed shop leaves nothing behind.
 */

import { createServer } from "node:http";
import type { Server, ServerResponse } from "node:http";
import { isCategory, products } from "./catalog.ts";
import { drawLatency, seeded } from "./random.ts";
import { allRatings, reviewsOf } from "./reviews.ts";
import { StockRoom } from "./stock-room.ts";
import type { StockReply } from "./stock-room.ts";

interface Service {
  readonly seed: number;
  readonly medianMs: number;
  /** After this time without a request the service closes the connection. */
  readonly idleMs: number;
  /** The answer as a JSON value; `undefined` is a 404. */
  readonly answer: (path: string, query: URLSearchParams) => unknown;
  /** What a method other than GET does; without it, they all read. */
  readonly change?: (method: string, path: string, query: URLSearchParams) => StockReply;
}

const longestMs = 250;
const stockRoom = new StockRoom();

const services: Readonly<Record<string, Service>> = {
  catalog: { seed: 11, medianMs: 5, idleMs: 5000, answer: answerCatalog },
  stock: { seed: 22, medianMs: 3, idleMs: 4000, answer: answerStock, change: stockRoom.change.bind(stockRoom) },
  reviews: { seed: 33, medianMs: 9, idleMs: 3000, answer: answerReviews },
};

function answerCatalog(path: string, query: URLSearchParams): unknown {
  if (path !== "/products") return products.find((product) => path === `/products/${product.id}`);
  const category = query.get("category");
  if (category === null) return products;
  return isCategory(category) ? products.filter((product) => product.category === category) : undefined;
}

function answerStock(path: string): unknown {
  const { levels } = stockRoom;
  return path === "/stock" ? levels : levels.find((level) => path === `/stock/${level.id}`);
}

function answerReviews(path: string): unknown {
  return path === "/ratings" ? allRatings() : reviewsOf(path.slice("/reviews/".length));
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = JSON.stringify(value ?? { error: "not found" });
  response
    .writeHead(status, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
    })
    .end(body);
}

function createService({ seed, medianMs, idleMs, answer, change }: Service): Server {
  const random = seeded(seed);
  const server = createServer((request, response) => {
    request.resume();
    const [path = "/", search = ""] = (request.url ?? "/").split("?", 2);
    const { method = "GET" } = request;
    const query = new URLSearchParams(search);
    const read = (): { status: number; value: unknown } => {
      const value = answer(path, query);
      return { status: value === undefined ? 404 : 200, value };
    };
    const { status, value } = method === "GET" || !change ? read() : change(method, path, query);
    const timer = setTimeout(sendJson, drawLatency(random, medianMs, longestMs), response, status, value);
    response.on("close", () => clearTimeout(timer));
  });
  server.keepAliveTimeout = idleMs;
  return server;
}

function main([role = "", port = "0"]: readonly string[]): void {
  const service = services[role];
  if (!process.send || !service) throw new Error("upstream.ts is started by the shop: node examples/shop/main.ts");
  const server = createService(service);
  // A restart asks for its former port, so that the address stays; somebody else may have it by now.
  server.once("error", () => server.listen(0, "127.0.0.1"));
  server.on("listening", () => {
    const address = server.address();
    if (typeof address === "object") process.send?.({ port: address?.port });
  });
  server.listen(Number(port), "127.0.0.1");
  process.on("disconnect", () => process.exit());
  // Ctrl-C reaches every process of a terminal at once. The shop still needs its services to finish what it began.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => {});
}

main(process.argv.slice(2));

/**
 * The addresses of orders: `POST /orders` takes one, `/orders/:id` shows it, `/orders/:id/events` tells what happens to it.
 *
 * A form is answered with 303 to the order's page (post, redirect, get), so that loading that page again orders nothing.
 */

import { text } from "node:stream/consumers";
import type { Answer } from "./services.ts";
import type { Product } from "./catalog.ts";
import type { OrderDesk } from "./order-desk.ts";
import type { OrderEvents } from "./order-events.ts";
import { readForm, readJson } from "./order-form.ts";
import type { Draft, Problems, ReadOrder } from "./order-form.ts";
import { renderOrder } from "./order-pages.ts";
import { orderIdPattern, stateOf } from "./orders.ts";
import type { Order, OrderBook } from "./orders.ts";
import { html, json, refuse } from "./replies.ts";
import type { Reply } from "./replies.ts";
import { isFromOtherSite } from "./visit.ts";
import type { Visit } from "./visit.ts";

export interface OrderRoutesParts {
  readonly desk: OrderDesk;
  readonly book: OrderBook;
  readonly events: OrderEvents;
  readonly findProduct: (id: string) => Promise<Answer<Product>>;
  /** The page with the form, as it was filled in. */
  readonly showForm: (visit: Visit, productId: string, filled: { status: number; draft: Draft }) => Promise<Reply>;
  readonly fail: (visit: Visit, call: Answer<unknown>) => Reply;
}

export class OrderRoutes {
  readonly #parts: OrderRoutesParts;

  constructor(parts: OrderRoutesParts) {
    this.#parts = parts;
  }

  /** `undefined`: the answer is an event stream, which goes on. */
  async answer(visit: Visit): Promise<Reply | undefined> {
    const { path, asJson, method } = visit;
    if (path === "/orders")
      return method === "POST" ? this.#take(visit) : refuse(405, "Orders are sent here by POST.", asJson, "POST");
    if (method !== "GET") return refuse(405, "An order can be looked at: use GET or HEAD.", asJson);
    const [, , id = "", more] = path.split("/");
    const order = orderIdPattern.test(id) ? this.#parts.book.get(id) : undefined;
    if (!order) return refuse(404, "We know no such order.", asJson);
    if (more === "events" && !asJson) {
      this.#parts.events.watch(visit.request, visit.response, order);
      return undefined;
    }
    if (more !== undefined) return refuse(404, "There is no page at this address.", asJson);
    return asJson ? json(200, describeOrder(order)) : html(200, renderOrder(order));
  }

  async #take(visit: Visit): Promise<Reply> {
    const { asJson, request, response } = visit;
    if (isFromOtherSite(request)) return refuse(403, "Orders are taken from the shop's own pages.", asJson);
    const wanted = asJson ? "application/json" : "application/x-www-form-urlencoded";
    if (request.headers["content-type"]?.split(";")[0]?.trim().toLowerCase() !== wanted) {
      return refuse(415, `An order is sent here as ${wanted}.`, asJson);
    }
    const body = await text(request);
    const key = request.headers["idempotency-key"];
    const read = asJson ? readJson(body, typeof key === "string" ? key : undefined) : readForm(body);
    if (!read) return refuse(400, "The body must be a JSON object with product, quantity and email.", asJson);
    const product = await this.#parts.findProduct(read.productId);
    if (product.failure) {
      const { status } = product.failure;
      return status === 404 ? refuse(404, "We have nothing of that name.", asJson) : this.#parts.fail(visit, product);
    }
    if (!read.wish) return this.#askAgain(visit, read, { status: 422, problems: read.draft.problems });
    const outcome = await this.#parts.desk.place(read.wish, product.value, response);
    switch (outcome.kind) {
      case "placed":
        return redirect(outcome.order, asJson);
      case "short": {
        const left = outcome.left === 0 ? "Sold out, a moment ago." : `There are only ${outcome.left} left.`;
        return this.#askAgain(visit, read, { status: 409, problems: { quantity: left } });
      }
      case "mismatch": {
        const form = "This form has been sent before, with something else in it. Load the page again.";
        return this.#askAgain(visit, read, { status: 422, problems: { form } });
      }
      default:
        return this.#parts.fail(visit, { role: outcome.failure.role, tookMs: 0, failure: outcome.failure });
    }
  }

  #askAgain(visit: Visit, read: ReadOrder, { status, problems }: Again): Reply | Promise<Reply> {
    const message = Object.values(problems).join(" ");
    if (visit.asJson) return json(status, { error: { status, message, fields: problems } });
    return this.#parts.showForm(visit, read.productId, { status, draft: { ...read.draft, problems } });
  }
}

interface Again {
  readonly status: 409 | 422;
  readonly problems: Problems;
}

function redirect(order: Order, asJson: boolean): Reply {
  const location = asJson ? `/api/orders/${order.id}` : `/orders/${order.id}`;
  const reply = asJson
    ? json(201, describeOrder(order))
    : ({ status: 303, type: "text", body: `See ${location}\n` } as const);
  return { ...reply, headers: { location } };
}

/** All but the key, which is the customer's. */
function describeOrder(order: Order): object {
  const { key: _key, ...told } = order;
  return { ...told, state: stateOf(order), page: `/orders/${order.id}`, stream: `/orders/${order.id}/events` };
}

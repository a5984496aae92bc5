/**
 * Where an order is taken: stock first, then the order on the disk, then the queue that sees it through.
 *
 * What must happen is in the queue: a job is done at least once, so each step looks first whether it was done already.
 * What may be lost with the process (the audit line of a shop that is killed) is a task after the response. An order
 * that has begun is finished even if its customer leaves: it runs in a context that is detached from the request.
 */

import type { ServerResponse } from "node:http";
import { context } from "sluice/core";
import { Permanent } from "sluice/tasks";
import type { Job, Queue, Tasks } from "sluice/tasks";
import type { Product, StockLevel } from "./catalog.ts";
import type { LineFile } from "./line-file.ts";
import { confirmationOf } from "./order-mail.ts";
import { hasReached, newOrderId, stateOf } from "./orders.ts";
import type { Order, OrderBook, OrderState, OrderWish } from "./orders.ts";
import type { Outbox } from "./outbox.ts";
import type { Failure, Services } from "./services.ts";

/** What came of a wish. */
export type Outcome =
  | { readonly kind: "placed"; readonly order: Order }
  /** The key was used for another order. */
  | { readonly kind: "mismatch" }
  | { readonly kind: "short"; readonly left: number }
  | { readonly kind: "failed"; readonly failure: Failure };

export interface DeskParts {
  readonly tasks: Tasks;
  readonly services: Services;
  readonly book: OrderBook;
  readonly audit: LineFile;
  readonly outbox: Outbox;
  /** Hears of each level that a sale has changed. */
  readonly onStock: (level: StockLevel) => void;
}

/** The queues that an order goes through. */
export const orderQueues = ["confirmation", "parcels"] as const;

/** What can be seen of a queue, whatever its jobs. */
export type OrderQueue = Pick<Queue<unknown>, "name" | "levels" | "dead">;

interface Errand {
  readonly orderId: string;
}

interface Step extends Errand {
  readonly state: OrderState;
}

/** What comes after what, and how long it takes: a life of some seconds. */
const steps: Partial<Record<OrderState, { readonly next: OrderState; readonly delay: "1s" | "2s" }>> = {
  confirmed: { next: "packed", delay: "1s" },
  packed: { next: "on-its-way", delay: "2s" },
  "on-its-way": { next: "delivered", delay: "2s" },
};

/** Longer than the calls of one order take, and shorter than the server lets a request take. */
const placeTimeout = "2500ms";

export class OrderDesk {
  readonly #parts: DeskParts;
  readonly #confirmations: Queue<Errand>;
  readonly #parcels: Queue<Step>;
  /** Wishes under way, by key. As many as there are requests. */
  readonly #underWay = new Map<string, Promise<Outcome>>();

  constructor(parts: DeskParts) {
    this.#parts = parts;
    const { tasks } = parts;
    this.#confirmations = tasks.queue<Errand>(
      orderQueues[0],
      // A lease so short is for the impatience of a terminal: after a `kill -9` the jobs come again this much later.
      { concurrency: 8, attempts: 5, timeout: "5s", backoff: { from: "1s", to: "10s" }, lease: "2s", maxDead: 1000 },
      (job) => this.#confirm(job),
    );
    this.#parcels = tasks.queue<Step>(orderQueues[1], { attempts: 5, timeout: "5s", lease: "2s" }, (job) =>
      this.#moveOn(job),
    );
  }

  get queues(): readonly OrderQueue[] {
    return [this.#confirmations, this.#parcels];
  }

  /** Puts into the queue what a shop that was killed had no time to, and what died while the mail engine was broken. */
  async resume(isMailBroken: boolean): Promise<void> {
    if (!isMailBroken) await this.#confirmations.dead.redrive("all");
    const dead = new Set((await this.#confirmations.dead.list({ limit: 1000 })).map(({ data }) => data?.orderId));
    for (const order of this.#parts.book.in("received")) if (!dead.has(order.id)) await this.#askForMail(order);
  }

  /** Takes an order, once for each key. It does not reject for what services do. */
  async place(wish: OrderWish, product: Product, response: ServerResponse): Promise<Outcome> {
    const known = this.#parts.book.findByKey(wish.key);
    if (known) return isSame(known, wish) ? { kind: "placed", order: known } : { kind: "mismatch" };
    const underWay = this.#underWay.get(wish.key);
    if (underWay) {
      await underWay.catch(() => undefined); // told to whoever was first
      return this.place(wish, product, response);
    }
    using detached = context().detach({ timeout: placeTimeout });
    const placing = detached.run(() => this.#place(wish, product));
    this.#underWay.set(wish.key, placing);
    try {
      const outcome = await placing;
      if (outcome.kind === "placed") this.#audit(outcome.order, response);
      return outcome;
    } finally {
      this.#underWay.delete(wish.key);
    }
  }

  async #place(wish: OrderWish, product: Product): Promise<Outcome> {
    const { services, book, onStock } = this.#parts;
    const id = newOrderId();
    const taken = await services.takeStock(wish.productId, wish.quantity, id);
    if (taken.failure?.status === 409) {
      const level = await services.stockLevel(wish.productId);
      if (level.value) onStock(level.value);
      return { kind: "short", left: level.value?.count ?? 0 };
    }
    if (taken.failure) {
      this.#giveBack(wish.productId, id);
      return { kind: "failed", failure: taken.failure };
    }
    onStock(taken.value);
    const { name: productName, category, priceCents } = product;
    const order = { ...wish, id, productName, category, totalCents: priceCents * wish.quantity };
    try {
      const placed = await book.place(order);
      await this.#askForMail(placed);
      return { kind: "placed", order: placed };
    } catch (error) {
      // Not on the disk, so there is no order. One that is, and only not in the queue, is found by the next `resume`.
      if (!book.get(id)) this.#giveBack(wish.productId, id);
      throw error;
    }
  }

  /** The key makes it one mail, however often it is asked for. */
  async #askForMail({ id }: Order): Promise<void> {
    await this.#confirmations.add({ orderId: id }, { key: id, timeout: "1s" });
  }

  /** It is not known what the stock service did; nobody has to wait until it is. */
  #giveBack(productId: string, orderId: string): void {
    const { tasks, services, onStock } = this.#parts;
    tasks.run("give-back-stock", { timeout: "3s" }, async () => {
      const { value, failure } = await services.giveBackStock(productId, orderId);
      if (value) onStock(value);
      if (failure) throw new Error(`stock of order ${orderId}: ${failure.message}`);
    });
  }

  #audit({ id, productId, quantity, totalCents }: Order, response: ServerResponse): void {
    const line = { at: new Date().toISOString(), event: "order", id, productId, quantity, totalCents };
    this.#parts.tasks.after(response, "audit", { timeout: "3s" }, () => this.#parts.audit.append(line));
  }

  async #confirm({ data, attempt, attempts, signal }: Job<Errand>): Promise<void> {
    const { book, outbox } = this.#parts;
    const order = book.get(data.orderId);
    if (!order) throw new Permanent(`There is no order ${data.orderId} any more.`);
    if (!hasReached(order, "confirmed")) {
      try {
        await outbox.send(confirmationOf(order), signal);
      } catch (error) {
        const more = attempt < attempts ? "It will be tried again." : "It was given up.";
        if (!signal.aborted)
          await book.note(order.id, "received", `The mail did not go out (${attempt} of ${attempts}). ${more}`);
        throw error;
      }
      await book.note(order.id, "confirmed");
    }
    await this.#planNext(order.id);
  }

  async #moveOn({ data }: Job<Step>): Promise<void> {
    await this.#parts.book.note(data.orderId, data.state);
    await this.#planNext(data.orderId);
  }

  async #planNext(orderId: string): Promise<void> {
    const order = this.#parts.book.get(orderId);
    const step = order && steps[stateOf(order)];
    if (!step) return;
    await this.#parcels.add({ orderId, state: step.next }, { delay: step.delay, key: `${orderId}-${step.next}` });
  }
}

function isSame(order: Order, wish: OrderWish): boolean {
  return order.productId === wish.productId && order.quantity === wish.quantity && order.email === wish.email;
}

/**
 * The orders of the shop, and what has happened to each.
 *
 * Every event is a line in a file before anybody hears of it, and the file is read again at the next start: a small
 * stand-in for the database that a real shop has. The last orders are in memory, so that a page costs nothing.
 */

import { randomBytes } from "node:crypto";
import type { Category } from "./catalog.ts";
import { LineFile, readLines } from "./line-file.ts";

/** The life of an order, in order. */
export const orderStates = ["received", "confirmed", "packed", "on-its-way", "delivered"] as const;
export type OrderState = (typeof orderStates)[number];

export interface OrderEvent {
  /** Counts from 1 within an order: what a client that comes again has seen last. */
  readonly number: number;
  readonly at: string;
  readonly state: OrderState;
  /** What went wrong on the way, if something did. */
  readonly note?: string | undefined;
}

/** What a customer wants. */
export interface OrderWish {
  readonly productId: string;
  readonly quantity: number;
  readonly email: string;
  /** The form's token or the Idempotency-Key: sent twice, it is one order. */
  readonly key: string;
}

export interface Order extends OrderWish {
  /** Whoever knows it may see the order, so nobody can guess it. */
  readonly id: string;
  readonly productName: string;
  readonly category: Category;
  readonly totalCents: number;
  /** Never empty: the first one is that it was received. */
  readonly events: readonly OrderEvent[];
}

/** A line of the file. */
type Line = { readonly order: Order } | { readonly id: string; readonly event: OrderEvent };

/** Older orders are still in the file, but have no page any more. */
const maxOrders = 10_000;
/** Notes beyond are left out: an order whose mail fails for days has no longer a story than this. */
const maxEvents = 50;

export const orderIdPattern: RegExp = /^[\w-]{16}$/;

export function newOrderId(): string {
  return randomBytes(12).toString("base64url");
}

export function stateOf({ events }: Order): OrderState {
  return events.at(-1)?.state ?? "received";
}

export function hasReached(order: Order, state: OrderState): boolean {
  return orderStates.indexOf(stateOf(order)) >= orderStates.indexOf(state);
}

/** Invariant: what is in the maps is in the file; both maps have the same orders. */
export class OrderBook implements AsyncDisposable {
  readonly #file: LineFile;
  readonly #orders = new Map<string, Order>();
  readonly #ids = new Map<string, string>();
  readonly #onEvent: (order: Order, event: OrderEvent) => void;

  private constructor(file: LineFile, onEvent: (order: Order, event: OrderEvent) => void) {
    this.#file = file;
    this.#onEvent = onEvent;
  }

  /** `onEvent` hears of each event from now on. */
  static async open(path: string, onEvent: (order: Order, event: OrderEvent) => void): Promise<OrderBook> {
    const lines = await readLines(path);
    const book = new OrderBook(await LineFile.open(path), onEvent);
    // Nobody else writes this file.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    for (const line of lines as readonly Line[]) book.#read(line);
    return book;
  }

  get(id: string): Order | undefined {
    return this.#orders.get(id);
  }

  findByKey(key: string): Order | undefined {
    return this.#orders.get(this.#ids.get(key) ?? "");
  }

  /** Those that have not come further than this. */
  in(state: OrderState): readonly Order[] {
    return [...this.#orders.values()].filter((order) => stateOf(order) === state);
  }

  get size(): number {
    return this.#orders.size;
  }

  /** Resolves once the order is on the disk. */
  async place(order: Omit<Order, "events">): Promise<Order> {
    const event: OrderEvent = { number: 1, at: new Date().toISOString(), state: "received" };
    const placed: Order = { ...order, events: [event] };
    await this.#file.append({ order: placed } satisfies Line);
    this.#keep(placed);
    return placed;
  }

  /** Notes what happened, once: a job that is done twice moves an order once. */
  async note(id: string, state: OrderState, note?: string): Promise<void> {
    const order = this.#orders.get(id);
    if (order === undefined) return;
    if (note === undefined ? hasReached(order, state) : order.events.length >= maxEvents) return;
    const event: OrderEvent = { number: order.events.length + 1, at: new Date().toISOString(), state, note };
    await this.#file.append({ id, event } satisfies Line);
    const moved = { ...order, events: [...order.events, event] };
    this.#keep(moved);
    this.#onEvent(moved, event);
  }

  #read(line: Line): void {
    if ("order" in line) {
      this.#keep(line.order);
      return;
    }
    const order = this.#orders.get(line.id);
    if (order) this.#keep({ ...order, events: [...order.events, line.event] });
  }

  #keep(order: Order): void {
    this.#orders.set(order.id, order);
    this.#ids.set(order.key, order.id);
    if (this.#orders.size <= maxOrders) return;
    const [oldest] = this.#orders.values();
    if (!oldest) return;
    this.#orders.delete(oldest.id);
    this.#ids.delete(oldest.key);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]();
  }
}

/**
 * Customers of the shop, as a process of their own so that their work is not counted as the shop's.
 *
 * Open loop: they come at their own times, drawn from the seed, however slow the shop is, and a page's time counts from
 * the moment it was wanted. What can't be asked for since too many pages are still on their way is counted as skipped.
 * Reports go over IPC; the process ends when the channel does.
 */

import { Agent, get } from "node:http";
import { Buyers } from "./buyers.ts";
import { categories, products } from "./catalog.ts";
import { drawPauseMs, seeded } from "./random.ts";
import type { Random } from "./random.ts";

/** What happened since the report before. */
export interface Report {
  readonly seconds: number;
  readonly answered: number;
  /** 5xx answers, broken connections, and pages that took longer than `pageLimitMs`. */
  readonly failed: number;
  readonly skipped: number;
  readonly ordered: number;
  /** Customers who watch an order at this moment. */
  readonly watching: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const maxInFlight = 500;
const pageLimitMs = 5000;
/** How many of the visits end with an order. */
const buyerShare = 0.02;

/** Where the next customer goes: mostly to a product, the first ones of the list far more often than the last. */
function choosePath(random: Random): string {
  const kind = random();
  if (kind < 0.2) return "/";
  if (kind < 0.3) return `/?category=${categories[Math.floor(random() * categories.length)]}`;
  if (kind < 0.32) return "/products/sold-long-ago";
  const product = products[Math.floor(random() ** 2 * products.length)];
  return `${kind < 0.4 ? "/api" : ""}/products/${product?.id}`;
}

class Customers {
  readonly #url: string;
  readonly #random: Random;
  readonly #buyers: Buyers;
  readonly #agent: Agent = new Agent({ keepAlive: true, maxSockets: maxInFlight, maxFreeSockets: 50 });
  #inFlight = 0;
  #times: number[] = [];
  #failed = 0;
  #skipped = 0;
  #reportedAt = performance.now();

  constructor(url: string, random: Random) {
    this.#url = url;
    this.#random = random;
    this.#buyers = new Buyers(url, random);
  }

  /** Looks at a page that was wanted at this time, and now and then buys something. */
  visit(wantedAt: number): void {
    const path = choosePath(this.#random);
    if (this.#random() < buyerShare) this.#buyers.buy();
    if (this.#inFlight >= maxInFlight) {
      this.#skipped += 1;
      return;
    }
    this.#inFlight += 1;
    let ok = false;
    const request = get(this.#url + path, { agent: this.#agent, signal: AbortSignal.timeout(pageLimitMs) });
    request.on("response", (response) => {
      response.on("end", () => (ok = (response.statusCode ?? 500) < 500));
      response.on("error", () => (ok = false)); // "close" follows and counts it
      response.resume();
    });
    request.on("error", () => (ok = false)); // as above
    request.on("close", () => {
      this.#inFlight -= 1;
      if (ok) this.#times.push(performance.now() - wantedAt);
      else this.#failed += 1;
    });
  }

  report(): Report {
    const now = performance.now();
    const times = this.#times.toSorted((a, b) => a - b);
    const quantile = (q: number): number => times[Math.min(times.length - 1, Math.floor(q * times.length))] ?? 0;
    const { ordered, failed } = this.#buyers.takeCounts();
    const report: Report = {
      seconds: (now - this.#reportedAt) / 1000,
      answered: times.length,
      failed: this.#failed + failed,
      skipped: this.#skipped,
      ordered,
      watching: this.#buyers.watching,
      p50Ms: quantile(0.5),
      p99Ms: quantile(0.99),
    };
    this.#times = [];
    this.#failed = 0;
    this.#skipped = 0;
    this.#reportedAt = now;
    return report;
  }
}

function main([url = "", rate = "", seed = "", reportEveryMs = ""]: readonly string[]): void {
  if (!process.send) throw new Error("customers.ts is started by the shop: node examples/shop/main.ts --traffic");
  const random = seeded(Number(seed));
  const customers = new Customers(url, random);
  let nextAt = performance.now();
  const sendDue = (): void => {
    // A late timer lets several customers in at once: they are counted from when they came.
    for (; nextAt <= performance.now(); nextAt += drawPauseMs(random, Number(rate))) {
      customers.visit(nextAt);
    }
    setTimeout(sendDue, Math.max(0, nextAt - performance.now()));
  };
  sendDue();
  setInterval(() => process.send?.(customers.report()), Number(reportEveryMs));
  process.on("disconnect", () => process.exit());
  // Ctrl-C, or an end of the whole group, is for the shop, which then closes the channel.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => {});
}

main(process.argv.slice(2));

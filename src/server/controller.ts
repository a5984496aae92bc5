/**
 * What a handler may say about its own request: Go's `ResponseController`.
 *
 * The limits of the server hold for the usual request. An upload of a gigabyte or a stream that lives for hours says so
 * here, for itself, and nothing else becomes laxer.
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import { now } from "../core/clock.ts";
import type { Context } from "../core/context.ts";
import { background } from "../core/context.ts";
import { parseDuration, type Duration } from "../core/options.ts";
import { NotGuardedError } from "./errors.ts";
import { exchangeOf } from "./late-methods.ts";
import type { Exchange } from "./exchange.ts";

/** The limits of one request. */
export class ResponseController {
  readonly #exchange: Exchange;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** The context of the request. */
  get context(): Context {
    return this.#exchange.context ?? background;
  }

  /** The request has to be read to its end within this time from now. Replaces `readTimeout`. */
  setReadDeadline(within: Duration): void {
    this.#exchange.setDeadlines({ readBy: now() + parseDuration(within) });
  }

  /** The answer has to be out within this time from now. Replaces `writeTimeout`. */
  setWriteDeadline(within: Duration): void {
    this.#exchange.setDeadlines({ writeBy: now() + parseDuration(within) });
  }

  /** Moves all deadlines of this request, the handler's among them, later by this. */
  extend(by: Duration): void {
    const ms = parseDuration(by);
    const { readBy, handleBy, writeBy } = this.#exchange.deadlines;
    this.#exchange.setDeadlines({ readBy: readBy + ms, handleBy: handleBy + ms, writeBy: writeBy + ms });
  }

  /**
   * This answer goes on for as long as its client stays: an event stream, a long poll. It has no more deadlines but
   * the slowest rate, and does not count against the concurrency limit.
   */
  stream(): void {
    this.#exchange.stream();
  }

  /** The pattern of the route, such as `/products/:id`, for the metrics. Never the path itself. */
  setRoute(pattern: string): void {
    this.#exchange.route = pattern;
  }
}

/** @throws NotGuardedError if the response is not one of a guarded server. */
export function controller(res: ServerResponse | IncomingMessage): ResponseController {
  const exchange: unknown = Reflect.get(res, exchangeOf);
  if (exchange === undefined) {
    throw new NotGuardedError("This response is not one of a guarded server. Make it with createServer() or guard().");
  }
  // Only `Exchange` sets that key.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return new ResponseController(exchange as Exchange);
}

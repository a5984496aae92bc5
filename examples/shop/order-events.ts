/**
 * Tells those who watch an order what happens to it: an event stream for each watcher, a channel for each order that is
 * watched.
 *
 * A channel is made of the order's own events when the first watcher comes, so whoever comes again gets what was missed,
 * also from a shop that was started anew. There are never many more channels than streams.
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import { SseChannel, Streams } from "sluice/streams";
import type { StreamsStats } from "sluice/streams";
import { stateOf } from "./orders.ts";
import type { Order, OrderEvent } from "./orders.ts";
import { describeEvent } from "./order-words.ts";

export class OrderEvents {
  readonly #streams = new Streams({
    name: "orders",
    maxStreams: 1000,
    drain: { retry: "2s", grace: "500ms" }, // for the impatience of a terminal; the server's own grace is longer
  });
  readonly #channels = new Map<string, SseChannel>();

  /** Answers with the events after the one that the watcher has seen; 204, which ends it, if there will be no more. */
  watch(request: IncomingMessage, response: ServerResponse, order: Order): void {
    const after = readAfter(request);
    if (stateOf(order) === "delivered" && after >= order.events.length) {
      response.writeHead(204).end();
      return;
    }
    const stream = this.#streams.sse(request, response, { maxBufferedBytes: "64kb", heartbeat: "15s", retry: "1s" });
    const channel = this.#channelOf(order);
    channel.add(stream, String(after));
    if (stateOf(order) === "delivered") stream.end();
  }

  /** Nobody hears it if nobody watches. */
  tell(order: Order, event: OrderEvent): void {
    const channel = this.#channels.get(order.id);
    channel?.send(toMessage(event));
    if (event.state !== "delivered") return;
    channel?.end();
    this.#channels.delete(order.id);
  }

  stats(): StreamsStats & { readonly channels: number } {
    return { ...this.#streams.stats(), channels: this.#channels.size };
  }

  #channelOf(order: Order): SseChannel {
    for (const [id, { size }] of this.#channels) if (size === 0) this.#channels.delete(id);
    const known = this.#channels.get(order.id);
    if (known) return known;
    const channel = new SseChannel({ history: { maxEvents: 100, maxAge: "1h" } });
    for (const event of order.events) channel.send(toMessage(event));
    this.#channels.set(order.id, channel);
    return channel;
  }
}

function toMessage(event: OrderEvent): { readonly id: string; readonly event: string; readonly data: unknown } {
  return { id: String(event.number), event: "order", data: { ...event, ...describeEvent(event) } };
}

/** A browser says by itself what it has seen last; before that, the page's own link says what the page shows. */
function readAfter({ headers, url = "" }: IncomingMessage): number {
  const query = new URLSearchParams(url.split("?", 2)[1]);
  const after = Number(headers["last-event-id"] ?? query.get("after") ?? "1");
  return Number.isSafeInteger(after) && after > 0 ? after : 1;
}

/**
 * What the client publishes, for whoever wants to log or trace it: `node:diagnostics_channel` under these names.
 *
 * The library itself prints nothing. A message is made only while somebody listens.
 */

import { channel } from "node:diagnostics_channel";
import type { CloseReason } from "./connection.ts";
import type { DialTimings } from "./dial/dialer.ts";

/** Message of `sluice.client.connection.opened`. */
export interface ConnectionOpened {
  readonly origin: string;
  readonly remoteAddress: string;
  readonly protocol: "http/1.1" | "h2";
  readonly timings: DialTimings;
}

/** Message of `sluice.client.connection.closed`. */
export interface ConnectionClosed {
  readonly origin: string;
  readonly remoteAddress: string;
  readonly reason: CloseReason;
  /** Its life in milliseconds. */
  readonly ageMs: number;
}

/** Message of `sluice.client.request.replayed`: sent again, because its connection was stale. */
export interface RequestReplayed {
  readonly origin: string;
  readonly method: string;
  readonly path: string;
}

/** Message of `sluice.client.body.leaked`: a response body that its caller got and did not read. */
export interface LeakedBody {
  readonly origin: string;
  readonly method: string;
  readonly path: string;
  /** How long nobody has read on, in milliseconds. */
  readonly unreadMs: number;
  /** Where the request was made; only recorded while `leakAfter` is set. */
  readonly stack: string | undefined;
}

/** A channel of one kind of message. */
class Topic<Message> {
  readonly #channel;

  constructor(name: string) {
    this.#channel = channel(name);
  }

  /** Calls `describe` and publishes what it returns, if anybody listens. */
  publish(describe: () => Message): void {
    if (this.#channel.hasSubscribers) this.#channel.publish(describe());
  }
}

export const connectionOpened: Topic<ConnectionOpened> = new Topic("sluice.client.connection.opened");
export const connectionClosed: Topic<ConnectionClosed> = new Topic("sluice.client.connection.closed");
export const requestReplayed: Topic<RequestReplayed> = new Topic("sluice.client.request.replayed");
export const bodyLeaked: Topic<LeakedBody> = new Topic("sluice.client.body.leaked");

/**
 * What streams publish, for whoever wants to log or trace them: `node:diagnostics_channel` under these names.
 *
 * The library itself prints nothing. A message is made only while somebody listens.
 */

import { channel } from "node:diagnostics_channel";
import type { StreamCloseReason, StreamRejectReason } from "./instruments.ts";

/** Which kind of stream, and of which group. */
export interface StreamOrigin {
  readonly kind: "sse" | "ws";
  readonly streams: string;
  /** What it is counted under among others of its client. */
  readonly address: string | undefined;
}

/** Message of `sluice.streams.opened`. */
export interface StreamOpened extends StreamOrigin {
  /** What the client said that it has seen last; only of event streams. */
  readonly lastEventId: string | undefined;
}

/** Message of `sluice.streams.closed`. */
export interface StreamClosed extends StreamOrigin {
  readonly reason: StreamCloseReason;
  /** Its life in milliseconds. */
  readonly ageMs: number;
  /** What waited for the client, and is gone. */
  readonly unsentBytes: number;
}

/** Message of `sluice.streams.rejected`. */
export interface StreamRejected extends StreamOrigin {
  readonly reason: StreamRejectReason;
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

export const streamOpened: Topic<StreamOpened> = new Topic("sluice.streams.opened");
export const streamClosed: Topic<StreamClosed> = new Topic("sluice.streams.closed");
export const streamRejected: Topic<StreamRejected> = new Topic("sluice.streams.rejected");

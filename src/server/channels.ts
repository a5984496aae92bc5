/**
 * What the server publishes, for whoever wants to log or trace it: `node:diagnostics_channel` under these names.
 *
 * The library itself prints nothing. The same messages are events of the server that they are about.
 */

import { channel } from "node:diagnostics_channel";
import type { BadRequestEvent } from "./bad-request.ts";
import type { LateWrite } from "./late-writes.ts";

/** A channel of one kind of message. */
export class Topic<Message extends object> {
  readonly #channel;

  constructor(name: string) {
    this.#channel = channel(name);
  }

  publish(message: Message): void {
    if (this.#channel.hasSubscribers) this.#channel.publish(message);
  }
}

/** `sluice.server.request.bad`, and the event `badRequest`: a request was refused as malformed. */
export const requestBad: Topic<BadRequestEvent> = new Topic("sluice.server.request.bad");
/** `sluice.server.write.late`, and the event `lateWrite`: a place in the code that writes to complete answers. */
export const lateWritten: Topic<LateWrite> = new Topic("sluice.server.write.late");

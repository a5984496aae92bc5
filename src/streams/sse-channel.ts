/**
 * Events for many: each is made into bytes once and handed to all, and the last of them are kept for who comes again.
 *
 * An event without an id of its own gets one that names this channel and counts: an id of an earlier process is not
 * taken for one of this. A client that has seen nothing yet is told where the channel stands, so that it can resume even
 * if its connection breaks before the first event.
 */

import { cleanField, encodeEvent, type SseEvent } from "./sse-encoder.ts";
import { SseHistory } from "./sse-history.ts";
import { sseChannelOptions, type ResolvedSseChannelOptions, type SseChannelOptions } from "./sse-channel-options.ts";
import type { Membership, SseStream } from "./sse-stream.ts";
import { resolveOptions } from "../core/options.ts";

/** An event for all clients of a channel. */
export interface ChannelEvent extends SseEvent {
  /** What `latest-only` goes by, such as the symbol of a price; without one, the name of the event. */
  readonly key?: string | undefined;
}

/** A channel at one moment. */
export interface SseChannelStats {
  readonly streams: number;
  /** Events sent so far. */
  readonly events: number;
  readonly history: {
    readonly events: number;
    readonly bytes: number;
    readonly limits: { readonly maxEvents: number; readonly maxAge: number; readonly maxBytes: number };
  };
}

/** Invariant: `#streams` are those that joined and are not over. */
export class SseChannel implements Membership {
  readonly #options: ResolvedSseChannelOptions;
  readonly #history: SseHistory;
  readonly #streams = new Set<SseStream>();
  readonly #tag: string = `${Date.now().toString(36)}${Math.floor(Math.random() * 1_679_616).toString(36)}`;
  #sent = 0;

  constructor(options?: SseChannelOptions) {
    this.#options = resolveOptions<SseChannelOptions, ResolvedSseChannelOptions>(
      "SseChannel",
      sseChannelOptions,
      options,
    );
    this.#history = new SseHistory(this.#options.history, this.#idOf(0));
  }

  /** How many clients it has. */
  get size(): number {
    return this.#streams.size;
  }

  /** Sends an event to all clients, and returns its id. Who is behind gets it later, or not at all, by its own policy. */
  send(event: ChannelEvent): string {
    this.#sent += 1;
    const id = event.id === undefined ? this.#idOf(this.#sent) : cleanField(event.id);
    const frame = encodeEvent({ data: event.data, event: event.event, id });
    const key = event.key ?? event.event ?? "";
    this.#history.add(id, frame);
    for (const stream of this.#streams) if (!stream.isReplaying) stream.push(frame, key);
    return id;
  }

  /**
   * Lets a stream have all events from here on, and before them those that its client has missed since `after`; `sse()`
   * does it for its `channel`. Of several channels only one can be resumed, since a client has one last id.
   */
  add(stream: SseStream, after: string = stream.lastEventId): void {
    if (stream.state !== "open" || this.#streams.has(stream)) return;
    stream.join(this);
    this.#streams.add(stream);
    const history = this.#history;
    if (after === "") {
      stream.push(encodeEvent({ id: history.newestId }), "\nid");
      return;
    }
    const from = history.find(after);
    if (from === undefined) this.#begin(stream, after);
    else stream.replay(history.after(from));
  }

  /** Takes a stream off, which stays open. */
  leave(stream: SseStream): void {
    this.#streams.delete(stream);
  }

  /** Ends the streams of all clients. */
  end(): void {
    for (const stream of this.#streams) stream.end();
  }

  stats(): SseChannelStats {
    const { size: events, bytes } = this.#history;
    const { maxEvents, maxAge, maxBytes } = this.#options.history;
    return Object.freeze({
      streams: this.#streams.size,
      events: this.#sent,
      history: Object.freeze({ events, bytes, limits: Object.freeze({ maxEvents, maxAge, maxBytes }) }),
    });
  }

  /** For a client whose last event is not known: one of ours was, and all that is kept is newer. Of others nobody knows. */
  #begin(stream: SseStream, after: string): void {
    const history = this.#history;
    const isOurs = this.#isOlder(after);
    stream.tellGap(isOurs ? "expired" : "unknown");
    if (isOurs) stream.replay(history.after(history.beforeOldest));
    else stream.push(encodeEvent({ id: history.newestId }), "\nid");
  }

  #isOlder(id: string): boolean {
    const number = id.startsWith(`${this.#tag}-`) ? Number(id.slice(this.#tag.length + 1)) : NaN;
    return Number.isInteger(number) && number >= 0 && number <= this.#sent;
  }

  #idOf(number: number): string {
    return `${this.#tag}-${number}`;
  }
}

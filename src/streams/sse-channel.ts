/**
 * Events for many: each is made into bytes once and handed to all, and the last of them are kept for who comes again.
 *
 * An event without an id of its own gets one that names this channel and counts: an id of an earlier process is not
 * taken for one of this. A client that has seen nothing yet is told where the channel stands, so that it can resume even
 * if its connection breaks before the first event.
 *
 * One write costs some 20 us, nearly all of it the kernel's: ten thousand in one go would keep the process from everything
 * else for a fifth of a second. So an event goes out to some hundreds of clients in each turn, and all that has been sent
 * meanwhile goes out together in the next pass.
 */

import { resolveOptions } from "../core/options.ts";
import { outside } from "../core/outside.ts";
import { cleanField, encodeEvent, type SseEvent } from "./sse-encoder.ts";
import { SseHistory, type Replayed } from "./sse-history.ts";
import { sseChannelOptions, type ResolvedSseChannelOptions, type SseChannelOptions } from "./sse-channel-options.ts";
import type { Membership, SseStream } from "./sse-stream.ts";

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

/** An event on its way to the clients. */
interface Outgoing {
  readonly number: number;
  readonly frame: Buffer;
  readonly key: string;
}

/** How many clients an event reaches before others have their turn. */
const perTurn = 250;
/** Most bytes that wait for the next pass. Beyond, whoever sends waits until all have gone out. */
const maxPendingBytes = 1_048_576;

/**
 * Invariants: `#streams` has those that joined and are not over, each with the number of the last event that it has had,
 * or needs not have. `#left` is set while a pass is under way, which brings `#batch` to those that it has not visited;
 * what is sent meanwhile is `#pending`. While `#goesOn` is false, neither is left.
 */
export class SseChannel implements Membership {
  readonly #options: ResolvedSseChannelOptions;
  readonly #history: SseHistory;
  readonly #streams = new Map<SseStream, number>();
  readonly #tag: string = `${Date.now().toString(36)}${Math.floor(Math.random() * 1_679_616).toString(36)}`;
  #sent = 0;
  #batch: readonly Outgoing[] = [];
  #left: Iterator<SseStream> | undefined;
  /** Whether there is more to do in the next turn. */
  #goesOn = false;
  #pending: Outgoing[] = [];
  #pendingBytes = 0;

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
    this.#pending.push({ number: this.#history.newest, frame, key });
    this.#pendingBytes += frame.byteLength;
    if (!this.#goesOn) this.#visitSome();
    else if (this.#pendingBytes > maxPendingBytes) this.#visit(Infinity);
    return id;
  }

  /**
   * Lets a stream have all events from here on, and before them those that its client has missed since `after`; `sse()`
   * does it for its `channel`. Of several channels only one can be resumed, since a client has one last id.
   */
  add(stream: SseStream, after: string = stream.lastEventId): void {
    if (stream.state !== "open" || this.#streams.has(stream)) return;
    const history = this.#history;
    stream.join(this);
    this.#streams.set(stream, history.newest);
    if (after === "") {
      stream.push(encodeEvent({ id: history.newestId }), "\nid");
      return;
    }
    const from = history.find(after);
    if (from === undefined) this.#begin(stream, after);
    else stream.replay(this.#replay(stream, from));
  }

  /** Takes a stream off, which stays open. */
  leave(stream: SseStream): void {
    this.#streams.delete(stream);
  }

  /** @internal Brings it all that has been sent so far. */
  flush(stream: SseStream): void {
    this.#deliver(stream, this.#batch);
    this.#deliver(stream, this.#pending);
  }

  /** Ends the streams of all clients. */
  end(): void {
    for (const stream of this.#streams.keys()) stream.end();
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
    if (isOurs) stream.replay(this.#replay(stream, history.beforeOldest));
    else stream.push(encodeEvent({ id: history.newestId }), "\nid");
  }

  /** All that is kept after a number. When it is through, the client is where the channel is. */
  *#replay(stream: SseStream, from: number): Generator<Replayed, void, undefined> {
    yield* this.#history.after(from);
    if (this.#streams.has(stream)) this.#streams.set(stream, this.#history.newest);
  }

  readonly #visitSome = (): void => {
    this.#visit(perTurn);
    this.#goesOn = this.#left !== undefined || this.#pending.length > 0;
    if (this.#goesOn) outside(() => setImmediate(this.#visitSome));
  };

  /** Brings what has been sent to the next clients, at most so many; passes follow one another until nothing is left. */
  #visit(most: number): void {
    for (let visits = 0; visits < most; visits += 1) {
      if (this.#left === undefined && !this.#beginPass()) return;
      const next = this.#left?.next();
      if (next === undefined || next.done === true) this.#left = undefined;
      else this.#deliver(next.value, this.#batch);
    }
  }

  #beginPass(): boolean {
    this.#batch = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    if (this.#batch.length > 0) this.#left = this.#streams.keys();
    return this.#batch.length > 0;
  }

  /** What it has not had. What it replays it gets from the history. */
  #deliver(stream: SseStream, events: readonly Outgoing[]): void {
    const had = this.#streams.get(stream);
    const last = events.at(-1);
    if (had === undefined || last === undefined || last.number <= had || stream.isReplaying) return;
    // Before anything is written: that may end the stream, and whoever hears of it may send.
    this.#streams.set(stream, last.number);
    for (const { number, frame, key } of events) if (number > had) stream.push(frame, key);
  }

  #isOlder(id: string): boolean {
    const number = id.startsWith(`${this.#tag}-`) ? Number(id.slice(this.#tag.length + 1)) : NaN;
    return Number.isInteger(number) && number >= 0 && number <= this.#sent;
  }

  #idOf(number: number): string {
    return `${this.#tag}-${number}`;
  }
}

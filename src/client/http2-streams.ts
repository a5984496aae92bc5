/**
 * Requests on one HTTP/2 connection, and how many of them it takes.
 *
 * undici keeps the server's SETTINGS_MAX_CONCURRENT_STREAMS to itself and queues what is above it, out of reach of our
 * limits and cancels. So each request is sent through an attempt that can be taken back while undici has not written
 * it: once the settings are known, what is still unwritten was too much, the number of the others is the connection's
 * capacity, and the pool opens another connection for the rest.
 */

import type { Duplex } from "node:stream";
import type { Client, Dispatcher } from "undici";

type Handler = Dispatcher.DispatchHandler;
type Controller = Dispatcher.DispatchController;

/** A handler that can be told that its request has not been sent and must look for another connection. */
export interface StreamHandler extends Handler {
  onUnsent(): void;
}

/**
 * Invariant: `#unwritten` holds the attempts that undici has taken and not written. They are taken back only after
 * `#settled`: before the server's settings have come, undici writes one request and holds the others for them.
 */
export class Http2Streams {
  readonly #client: Client;
  readonly #onCapacity: (capacity: number) => void;
  readonly #unwritten = new Set<Attempt>();
  #written = 0;
  #settled = false;

  /** `onCapacity` hears how many requests at once the server takes, each time that turns out to be fewer. */
  constructor(client: Client, onCapacity: (capacity: number) => void) {
    this.#client = client;
    this.#onCapacity = onCapacity;
  }

  /** Whether the server takes no request at all for now. */
  get stuck(): boolean {
    return this.#written === 0 && this.#unwritten.size > 0;
  }

  dispatch(options: Dispatcher.DispatchOptions, handler: StreamHandler): void {
    const attempt = new Attempt(handler, this);
    this.#unwritten.add(attempt);
    this.#client.dispatch(options, attempt);
    // undici writes a body that is iterated a microtask later; what it has not written then has no room.
    if (this.#settled && !attempt.written) queueMicrotask(() => this.#takeBack());
  }

  /** undici writes an attempt. The second one shows that the settings have come. */
  onWritten(attempt: Attempt): void {
    this.#unwritten.delete(attempt);
    this.#written += 1;
    if (this.#written > 1) this.onSettings();
  }

  /** The server's settings are known, because they precede everything else that it sends. */
  onSettings(): void {
    if (this.#settled) return;
    this.#settled = true;
    // undici is about to write all that fits; what is left then does not.
    if (this.#unwritten.size > 0) setImmediate(() => this.#takeBack());
  }

  onEnded(attempt: Attempt): void {
    if (!this.#unwritten.delete(attempt)) this.#written -= 1;
  }

  #takeBack(): void {
    if (this.#unwritten.size === 0) return;
    // A server that takes none at all for now would leave nobody to hear when that changes.
    this.#onCapacity(Math.max(1, this.#written));
    const surplus = [...this.#unwritten];
    this.#unwritten.clear();
    // Nor may all be taken back then: the newest would find this connection free, and come back to it, without end.
    const kept = this.#written === 0 ? surplus.pop() : undefined;
    if (kept !== undefined) this.#unwritten.add(kept);
    for (const attempt of surplus) attempt.takeBack();
  }
}

/** One request as undici sees it. Invariant: the handler hears nothing after `takeBack`. */
class Attempt implements Handler {
  readonly #streams: Http2Streams;
  #handler: StreamHandler | undefined;
  written = false;

  constructor(handler: StreamHandler, streams: Http2Streams) {
    this.#handler = handler;
    this.#streams = streams;
  }

  takeBack(): void {
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.onUnsent();
  }

  onRequestStart(controller: Controller, context: unknown): void {
    if (this.#handler === undefined) {
      controller.abort(new Error("taken back before it was sent"));
      return;
    }
    this.written = true;
    this.#streams.onWritten(this);
    this.#handler.onRequestStart?.(controller, context);
  }

  onBodySent(chunk: Buffer): void {
    this.#handler?.onBodySent?.(chunk);
  }

  onRequestSent(): void {
    this.#handler?.onRequestSent?.();
  }

  onResponseStarted(): void {
    this.#handler?.onResponseStarted?.();
  }

  onResponseStart(...args: Parameters<NonNullable<Handler["onResponseStart"]>>): void {
    this.#streams.onSettings();
    this.#handler?.onResponseStart?.(...args);
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    this.#handler?.onResponseData?.(controller, chunk);
  }

  onResponseEnd(...args: Parameters<NonNullable<Handler["onResponseEnd"]>>): void {
    this.#streams.onEnded(this);
    this.#handler?.onResponseEnd?.(...args);
  }

  onRequestUpgrade(
    controller: Controller,
    status: number,
    headers: Parameters<NonNullable<Handler["onRequestUpgrade"]>>[2],
    socket: Duplex,
  ): void {
    socket.once("close", () => this.#streams.onEnded(this));
    this.#handler?.onRequestUpgrade?.(controller, status, headers, socket);
  }

  onResponseError(controller: Controller, error: Error): void {
    // Taken back, it is in none of the counts.
    if (this.#handler === undefined) return;
    this.#streams.onEnded(this);
    this.#handler.onResponseError?.(controller, error);
  }
}

/** A client of event streams, over HTTP/1 or HTTP/2, that reads by the standard, or not at all for a while. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { request, type IncomingHttpHeaders } from "node:http";
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import type { Readable } from "node:stream";
import { SpecParser, type DispatchedEvent } from "./event-stream-parser.ts";

export interface EventStreamTarget {
  readonly port: number;
  readonly path?: string;
  readonly lastEventId?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Over TLS and HTTP/2. The certificate is not looked at. */
  readonly http2?: boolean;
}

export class EventStreamClient implements AsyncDisposable {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly parser: SpecParser = new SpecParser();
  /** When the stream ended, on the clock of `performance.now()`; `undefined` while it has not. */
  endedAt: number | undefined;
  /** Whether it was broken off. */
  isBroken = false;
  readonly #body: Readable;
  readonly #session: ClientHttp2Session | undefined;
  #onMore: (() => void) | undefined;

  private constructor(
    answer: { readonly status: number; readonly headers: IncomingHttpHeaders },
    body: Readable,
    session?: ClientHttp2Session,
  ) {
    this.status = answer.status;
    this.headers = answer.headers;
    this.#body = body;
    this.#session = session;
    body.on("data", (chunk: Buffer) => {
      this.parser.push(chunk);
      this.#onMore?.();
    });
    body.on("error", () => (this.isBroken = true));
    body.on("close", () => {
      this.endedAt ??= performance.now();
      if (!body.readableEnded) this.isBroken = true;
      this.#onMore?.();
    });
  }

  static async open(target: EventStreamTarget): Promise<EventStreamClient> {
    const { port, path = "/", lastEventId, headers = {}, http2 = false } = target;
    const sent = {
      accept: "text/event-stream",
      ...headers,
      ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }),
    };
    if (http2) return EventStreamClient.#openHttp2(`https://localhost:${port}`, { ":path": path, ...sent });
    const req = request({ port, path, host: "127.0.0.1", agent: false, headers: sent }).end();
    const [res] = await once(req, "response");
    return new EventStreamClient({ status: res.statusCode, headers: res.headers }, res);
  }

  static async #openHttp2(origin: string, headers: Readonly<Record<string, string>>): Promise<EventStreamClient> {
    const session = connectHttp2(origin, { rejectUnauthorized: false });
    session.on("error", () => {});
    const stream = session.request(headers);
    const [received] = await once(stream, "response");
    return new EventStreamClient({ status: received[":status"], headers: received }, stream, session);
  }

  get events(): readonly DispatchedEvent[] {
    return this.parser.events;
  }

  get data(): readonly string[] {
    return this.parser.events.map(({ data }) => data);
  }

  /** Stops reading: what comes fills the buffers on the way. */
  pause(): void {
    this.#body.pause();
  }

  resume(): void {
    this.#body.resume();
  }

  /** Resolves once `condition` holds; fails after so long. */
  async until(condition: () => boolean, withinMs: number = 10_000): Promise<void> {
    if (condition()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const late = setTimeout(() => {
      const seen = `${this.events.length} events, ${this.parser.comments} comments, ended: ${this.endedAt !== undefined}`;
      reject(new assert.AssertionError({ message: `not within ${withinMs} ms: ${String(condition)} (${seen})` }));
    }, withinMs);
    this.#onMore = () => {
      if (condition()) resolve();
    };
    await promise.finally(() => {
      this.#onMore = undefined;
      clearTimeout(late);
    });
  }

  ended(withinMs?: number): Promise<void> {
    return this.until(() => this.endedAt !== undefined, withinMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#body.destroy();
    this.#session?.destroy();
    if (!this.#body.closed) await once(this.#body, "close");
  }
}

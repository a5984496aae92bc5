/**
 * A server of either protocol whose responses a test sees first, and a client that keeps one connection and every byte
 * that comes over it.
 */

import assert from "node:assert/strict";
import http, { type IncomingMessage } from "node:http";
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import { connect, type Server, type Socket } from "node:net";
import type { AnyResponse } from "./late-calls.ts";
import { listen, type LoopbackServer } from "./loopback.ts";

export type Protocol = "HTTP/1" | "HTTP/2";
export const protocols: readonly Protocol[] = ["HTTP/1", "HTTP/2"];

export type Handler = (request: IncomingMessage, response: AnyResponse) => void;

/** Serves without TLS. `onResponse` gets each response ahead of the handler, as somebody does who guards the server. */
export function serveGuarded(
  protocol: Protocol,
  onResponse: (response: AnyResponse) => void,
  handler: Handler,
): Promise<LoopbackServer> {
  const server: Server = protocol === "HTTP/1" ? http.createServer() : http2.createServer();
  const emit = server.emit.bind(server);
  server.emit = (...args: Parameters<typeof emit>): boolean => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what 'request' comes with
    if (args[0] === "request") onResponse(args[2] as AnyResponse);
    return emit(...args);
  };
  server.on("request", handler);
  return listen(server);
}

/** One connection that is used for one request after the other. */
export interface KeptConnection extends AsyncDisposable {
  send(path: string, method?: string): void;
  /** The next answer, whole: as text that is equal for equal answers. */
  answer(): Promise<string>;
  ask(path: string): Promise<string>;
  /** Reads nothing until `resume`. */
  pause(): void;
  resume(): void;
  /** Resets the connection in the middle of whatever there is. */
  leave(): void;
  /** Wants no answer to the request sent last. HTTP/1 has no other way than to leave. */
  giveUp(): void;
}

export function connectTo(protocol: Protocol, port: number): KeptConnection {
  return protocol === "HTTP/1" ? new Http1Connection(port) : new Http2Connection(port);
}

/** Invariant: `#rest` has come and belongs to no answer yet; `#more` settles when there is more of it, or never will be. */
class Http1Connection implements KeptConnection {
  readonly #socket: Socket;
  #rest = "";
  #more = Promise.withResolvers<void>();

  constructor(port: number) {
    this.#socket = connect(port, "127.0.0.1");
    this.#socket.on("data", (chunk) => {
      this.#rest += chunk.toString("latin1");
      this.#more.resolve();
      this.#more = Promise.withResolvers();
    });
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => {
      this.#more.promise.catch(() => {});
      this.#more.reject(new Error(`closed after ${JSON.stringify(this.#rest.slice(0, 200))}`));
    });
  }

  send(path: string, method = "GET"): void {
    this.#socket.write(`${method} ${path} HTTP/1.1\r\nhost: a\r\n\r\n`);
  }

  /** Takes its length from `content-length`. */
  async answer(): Promise<string> {
    const head = await this.#until((rest) => rest.includes("\r\n\r\n"));
    const end = head.indexOf("\r\n\r\n") + 4 + Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
    const rest = await this.#until(({ length }) => length >= end);
    this.#rest = rest.slice(end);
    return rest.slice(0, end);
  }

  async #until(isEnough: (rest: string) => boolean): Promise<string> {
    // oxlint-disable-next-line no-await-in-loop -- one piece comes after the other
    while (!isEnough(this.#rest)) await this.#more.promise;
    return this.#rest;
  }

  ask(path: string): Promise<string> {
    this.send(path);
    return this.answer();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  leave(): void {
    this.#socket.resetAndDestroy();
  }

  giveUp(): void {
    this.leave();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
  }
}

/** Invariant: `#answers` are those asked for and not taken, in order; `#last` alone may be paused. */
class Http2Connection implements KeptConnection {
  readonly #session: ClientHttp2Session;
  readonly #answers: Promise<string>[] = [];
  #last: ClientHttp2Stream | undefined;
  #isPaused = false;

  constructor(port: number) {
    this.#session = http2.connect(`http://127.0.0.1:${port}`);
    this.#session.on("stream", () => assert.fail("an answer was pushed"));
    this.#session.on("error", () => {});
  }

  send(path: string, method = "GET"): void {
    this.#answers.push(this.#exchange(path, method));
  }

  async #exchange(path: string, method: string): Promise<string> {
    const stream = this.#session.request({ ":path": path, ":method": method });
    this.#last = stream;
    const heads: object[] = [];
    const note = (head: object): number => heads.push({ ...head, date: "", [http2.sensitiveHeaders]: undefined });
    stream.on("headers", note).on("response", note).on("trailers", note);
    // Listened to at once: Node drops what has come when a stream closes that nobody has begun to read.
    let body = "";
    stream.on("data", (chunk) => (body += chunk.toString("latin1")));
    if (this.#isPaused) stream.pause();
    stream.on("error", ({ message }) => (body += message));
    await new Promise((resolve) => stream.on("close", resolve));
    return JSON.stringify({ heads, body, code: stream.rstCode });
  }

  async answer(): Promise<string> {
    return (await this.#answers.shift()) ?? assert.fail("nothing was asked");
  }

  ask(path: string): Promise<string> {
    this.send(path);
    return this.answer();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#last?.resume();
  }

  leave(): void {
    this.#session.destroy();
  }

  giveUp(): void {
    this.#last?.close(http2.constants.NGHTTP2_CANCEL);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#session.destroy();
  }
}

/**
 * Sends one request with `Expect: 100-continue` over a connection of its own.
 *
 * undici's `Client` refuses that header, yet an upload of a gigabyte that is answered 401 should not be sent first. So
 * such a request, and only such a one, goes through `node:http` on a socket that the pool has dialled. It speaks to the
 * same kind of handler as everything else. The body follows on `100 Continue`, or when the server has said nothing for
 * `expectContinueTimeoutMs` (RFC 9110 section 10.1.1: a client must not wait for ever, since many servers ignore the
 * expectation). When a final answer comes first, the body is not sent at all, and since the server cannot know that, the
 * connection must not be used again. To keep the rule simple it never is: the socket is destroyed in the end, which
 * `Connection: close` tells the server beforehand.
 *
 * There are no timeouts here but that one. Whoever dials watches over the others through the handler's events, and ends
 * the exchange with `controller.abort`. A 417 is an answer like any other; it is not followed by a second try.
 */

import type { ClientRequest, IncomingMessage, InformationEvent } from "node:http";
import { stringify } from "node:querystring";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { Buffer } from "node:buffer";
import type { Dispatcher } from "undici";
import { outside } from "../core/context.ts";
import { http } from "./builtins.ts";
import { eachHeader } from "./request-headers.ts";
import { errors, parseHeaders } from "./undici.ts";
import { toError } from "./to-error.ts";

type Controller = Dispatcher.DispatchController;
type Handler = Dispatcher.DispatchHandler;
type Chunk = string | Uint8Array;

/** A server may send any number of 1xx before its answer; more than this is an attack or a fault. */
const maxInformational = 64;

export interface ExpectContinueSettings {
  /** Connected, secured and idle. It belongs to this exchange from now on and is destroyed at its end. */
  readonly socket: Socket;
  /** How long to wait for `100 Continue` before the body is sent all the same; `Infinity` waits for ever. */
  readonly expectContinueTimeoutMs: number;
  /** Largest response header in bytes; by default that of the process. */
  readonly maxHeaderSize?: number;
}

/** Does the request ask the server to agree before it sends its body? */
export function expectsContinue(opts: Dispatcher.DispatchOptions): boolean {
  for (const [name, value] of eachHeader(opts.headers)) {
    if (name.toLowerCase() === "expect") return String(value).trim().toLowerCase() === "100-continue";
  }
  return false;
}

/**
 * Sends the request and tells `handler` how it goes, as `dispatch` would. What is wrong with the request is told to
 * `onResponseError` too, before anything is written.
 */
export function sendExpectContinue(
  opts: Dispatcher.DispatchOptions,
  handler: Handler,
  settings: ExpectContinueSettings,
): void {
  new Exchange(opts, handler, settings).start();
}

/** A body that can be sent chunk by chunk, and what is known about it beforehand. */
interface Body {
  readonly chunks: Iterable<Chunk> | AsyncIterable<Chunk>;
  /** Bytes, if known. */
  readonly length: number | undefined;
  readonly type: string | undefined;
  /** Lets go of what the body holds open, when it is not read to its end. */
  readonly release: (error: Error) => void;
}

/**
 * Invariant: `#finish` runs once, and after it the socket is destroyed, the timer is cleared and the handler hears
 * nothing more. The body is sent at most once: `#sending` is set by the first of `100 Continue` and the timeout.
 */
class Exchange implements Controller {
  rawHeaders: Buffer[] | null = null;
  rawTrailers: Buffer[] | null = null;
  readonly #opts: Dispatcher.DispatchOptions;
  readonly #handler: Handler;
  readonly #settings: ExpectContinueSettings;
  #request: ClientRequest | undefined;
  #response: IncomingMessage | undefined;
  #body: Body | undefined;
  #declared: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #informational = 0;
  #sending = false;
  #sent = false;
  #done = false;
  #paused = false;
  #aborted = false;
  #reason: Error | null = null;

  constructor(opts: Dispatcher.DispatchOptions, handler: Handler, settings: ExpectContinueSettings) {
    this.#opts = opts;
    this.#handler = handler;
    this.#settings = settings;
  }

  get paused(): boolean {
    return this.#paused;
  }

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): Error | null {
    return this.#reason;
  }

  pause(): void {
    this.#paused = true;
    this.#response?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#response?.resume();
  }

  abort(reason: Error): void {
    if (this.#done) return;
    this.#aborted = true;
    this.#reason = reason;
    this.#fail(reason);
  }

  start(): void {
    this.#guard(() => this.#handler.onRequestStart?.(this, null));
    if (this.#done) return;
    try {
      this.#begin();
    } catch (error) {
      // node:http refuses what cannot stand in a request line or header. Nothing has been written yet.
      this.#fail(error instanceof errors.UndiciError ? error : new errors.InvalidArgumentError(toError(error).message));
    }
  }

  #begin(): void {
    const { path, method, query } = this.#opts;
    const body = toBody(this.#opts.body, (error) => this.#fail(error));
    this.#body = body;
    if (this.#settings.socket.destroyed) throw new errors.SocketError("other side closed");
    const request = http.request({
      method,
      path: query === undefined ? path : `${path}${path.includes("?") ? "&" : "?"}${stringify(query)}`,
      setHost: false,
      createConnection: () => this.#settings.socket,
      ...(this.#settings.maxHeaderSize === undefined ? {} : { maxHeaderSize: this.#settings.maxHeaderSize }),
    });
    this.#request = request;
    request.on("error", (error) => this.#fail(translate(error)));
    request.on("close", () => {
      // Once there is a response it may still hold what has arrived; it tells of its own end.
      if (this.#response === undefined) this.#fail(new errors.SocketError("other side closed"));
    });
    request.on("information", (info) => this.#onInformation(info));
    request.on("continue", () => this.#sendBody());
    request.on("response", (response) => this.#onResponse(response));
    this.#writeHeaders(request, body);
    request.flushHeaders();
    if (this.#declared === 0) {
      this.#sendBody();
      return;
    }
    if (this.#settings.expectContinueTimeoutMs === Infinity) return;
    this.#timer = outside(() => setTimeout(() => this.#sendBody(), this.#settings.expectContinueTimeoutMs));
  }

  #writeHeaders(request: ClientRequest, body: Body): void {
    const given = [...eachHeader(this.#opts.headers)].filter(([, value]) => value !== undefined);
    const names = new Set(given.map(([name]) => name.toLowerCase()));
    if (!names.has("host")) request.setHeader("host", new URL(String(this.#opts.origin)).host);
    for (const [name, value] of given) {
      const key = name.toLowerCase();
      if (key === "transfer-encoding" || key === "keep-alive" || key === "upgrade") {
        throw new errors.InvalidArgumentError(`invalid ${key} header`);
      }
      // These three are ours: the expectation stands once, and the connection is used once.
      if (key === "expect" || key === "connection") continue;
      if (key === "content-length") this.#declare(String(value));
      const values = Array.isArray(value) ? value.map(String) : String(value ?? "");
      if (key === "host" || key === "content-length") request.setHeader(name, values);
      else request.appendHeader(name, values);
    }
    if (body.type !== undefined && !names.has("content-type")) request.setHeader("content-type", body.type);
    const length = this.#declared ?? body.length;
    if (body.length !== undefined && length !== body.length) throw new errors.RequestContentLengthMismatchError();
    if (length === undefined) request.setHeader("transfer-encoding", "chunked");
    else request.setHeader("content-length", length);
    this.#declared = length;
    request.setHeader("connection", "close");
    // RFC 9110 section 10.1.1: without content there is nothing to agree to.
    if (length !== 0) request.setHeader("expect", "100-continue");
  }

  #declare(value: string): void {
    if (this.#declared !== undefined) throw new errors.InvalidArgumentError("duplicate content-length header");
    if (!/^\d{1,15}$/.test(value)) throw new errors.InvalidArgumentError("invalid content-length header");
    this.#declared = Number(value);
  }

  #sendBody(): void {
    clearTimeout(this.#timer);
    if (this.#sending || this.#done || this.#response !== undefined) return;
    this.#sending = true;
    this.#writeBody().catch((error: unknown) => this.#fail(toError(error)));
  }

  async #writeBody(): Promise<void> {
    const request = this.#request;
    const body = this.#body;
    if (request === undefined || body === undefined) return;
    let written = 0;
    for await (const given of body.chunks) {
      if (this.#done) return;
      const chunk = typeof given === "string" ? Buffer.from(given) : given;
      written += chunk.byteLength;
      if (this.#declared !== undefined && written > this.#declared)
        throw new errors.RequestContentLengthMismatchError();
      if (chunk.byteLength === 0) continue;
      if (!request.write(chunk)) await untilDrained(request);
      if (this.#done) return;
      this.#guard(() => this.#handler.onBodySent?.(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)));
    }
    if (this.#done) return;
    if (this.#declared !== undefined && written < this.#declared) throw new errors.RequestContentLengthMismatchError();
    this.#sent = true;
    request.end();
    this.#guard(() => this.#handler.onRequestSent?.());
  }

  #onInformation(info: InformationEvent): void {
    if (this.#done) return;
    this.#informational += 1;
    if (this.#informational > maxInformational) {
      this.#fail(new errors.SocketError(`more than ${maxInformational} informational responses`));
      return;
    }
    this.#tellStart(info.statusCode, info.rawHeaders, info.statusMessage);
  }

  #onResponse(response: IncomingMessage): void {
    if (this.#done) return;
    clearTimeout(this.#timer);
    this.#response = response;
    // Not yet sent means not to be sent: the server has decided without the body.
    if (!this.#sending) this.#body?.release(new errors.RequestAbortedError("The server answered before the body"));
    response.on("error", (error) => this.#fail(translate(error)));
    const { statusCode = 0 } = response;
    // node:http lets 000 to 099 pass. Whoever waits for the end of the interim answers would wait for ever.
    if (statusCode < 200) return this.#fail(garbled(`Invalid status code: ${statusCode}`, "HPE_INVALID_STATUS"));
    this.#guard(() => this.#handler.onResponseStarted?.());
    this.#tellStart(statusCode, response.rawHeaders, response.statusMessage ?? "");
    if (this.#done) return;
    response.on("data", (chunk: Buffer) => {
      if (!this.#done) this.#guard(() => this.#handler.onResponseData?.(this, chunk));
    });
    response.on("end", () => this.#onEnd(response));
    response.on("close", () => this.#fail(new errors.SocketError("other side closed")));
    if (this.#paused) response.pause();
  }

  #tellStart(status: number, rawHeaders: readonly string[], statusText: string): void {
    this.rawHeaders = toBuffers(rawHeaders);
    const headers = parseHeaders(this.rawHeaders);
    this.#guard(() => this.#handler.onResponseStart?.(this, status, headers, statusText));
  }

  #onEnd(response: IncomingMessage): void {
    if (this.#done || !response.complete) return;
    this.#finish(new errors.RequestAbortedError("The answer was complete before the body was sent"));
    this.rawTrailers = toBuffers(response.rawTrailers);
    this.#handler.onResponseEnd?.(this, parseHeaders(this.rawTrailers));
  }

  #fail(error: Error): void {
    if (this.#done) return;
    this.#finish(error);
    this.#handler.onResponseError?.(this, error);
  }

  #finish(error: Error): void {
    this.#done = true;
    clearTimeout(this.#timer);
    if (!this.#sent) this.#body?.release(error);
    this.#request?.destroy();
    this.#settings.socket.destroy();
  }

  /** A handler that throws ends the exchange with what it threw, as in undici. */
  #guard(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.abort(toError(error));
    }
  }
}

function toBody(given: unknown, onError: (error: Error) => void): Body {
  if (given == null) return ofBytes(new Uint8Array());
  if (typeof given === "string") return ofBytes(Buffer.from(given));
  if (ArrayBuffer.isView(given)) return ofBytes(new Uint8Array(given.buffer, given.byteOffset, given.byteLength));
  if (given instanceof ArrayBuffer) return ofBytes(new Uint8Array(given));
  if (isForm(given) || given instanceof Blob) {
    const { body, headers } = new Response(given instanceof Blob ? given : ownForm(given));
    const type = headers.get("content-type") ?? undefined;
    return { ...ofIterable(body ?? []), length: given instanceof Blob ? given.size : undefined, type };
  }
  if (given instanceof Readable) {
    // It may fail while nobody reads it yet, and an error that nobody listens to ends the process.
    given.on("error", onError);
    return { chunks: given, length: undefined, type: undefined, release: (error) => given.destroy(error) };
  }
  if (isIterable(given)) return ofIterable(given);
  throw new errors.InvalidArgumentError(
    "body must be a string, a Buffer, a Readable stream, an iterable, or an async iterable",
  );
}

/** Also the form of an undici from npm, which Node's own `Response` would not know. */
function isForm(given: unknown): given is FormData {
  return typeof given === "object" && given !== null && Reflect.get(given, Symbol.toStringTag) === "FormData";
}

function ownForm(given: FormData): FormData {
  if (given instanceof FormData) return given;
  const form = new FormData();
  for (const [name, value] of given as Iterable<[string, string | Blob]>) {
    if (typeof value === "string") form.append(name, value);
    else form.append(name, value);
  }
  return form;
}

function ofBytes(bytes: Uint8Array): Body {
  return { chunks: [bytes], length: bytes.byteLength, type: undefined, release: () => {} };
}

/** Takes the iterator now, so that it can be told when nobody wants the rest. */
function ofIterable(given: Iterable<Chunk> | AsyncIterable<Chunk>): Body {
  const iterator = Symbol.asyncIterator in given ? given[Symbol.asyncIterator]() : given[Symbol.iterator]();
  const release = async (): Promise<void> => {
    await iterator.return?.();
  };
  return {
    chunks: { [Symbol.asyncIterator]: () => ({ next: async () => iterator.next() }) },
    length: undefined,
    type: undefined,
    // The exchange is over with its own error; what a generator throws while it cleans up has nowhere to go.
    release: () => void release().catch(() => {}),
  };
}

function isIterable(given: unknown): given is Iterable<Chunk> | AsyncIterable<Chunk> {
  return typeof given === "object" && given !== null && (Symbol.asyncIterator in given || Symbol.iterator in given);
}

/** Resolves when more can be written, or when nothing can be written any more. */
async function untilDrained(request: ClientRequest): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  request.once("drain", resolve);
  request.once("close", resolve);
  await promise;
  request.off("drain", resolve);
  request.off("close", resolve);
}

/** Bytes as they came: header values are not always UTF-8. */
function toBuffers(raw: readonly string[]): Buffer[] {
  return raw.map((text) => Buffer.from(text, "latin1"));
}

/** Gives an error of node:http the name under which undici's users know it. Errors of the system stay as they are. */
function translate(error: NodeJS.ErrnoException): Error {
  if (error.code === "ECONNRESET" && error.syscall === undefined) {
    const closed = new errors.SocketError("other side closed");
    closed.cause = error;
    return closed;
  }
  if (error.code?.startsWith("HPE_") !== true) return error;
  return Object.assign(garbled(error.message, error.code), { cause: error });
}

function garbled(message: string, code: string): Error {
  return Object.assign(new errors.HTTPParserError(message), { code });
}

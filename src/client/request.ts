/**
 * `transport.request()`: undici's call and undici's answer, with less between them.
 *
 * undici makes an `AsyncResource`, a callback and a stream for each request, whatever becomes of it. Here a promise
 * keeps the caller's async scope, and the body is a {@link ResponseBody}. What is asked for rarely (`opaque`, `onInfo`,
 * raw headers, an `EventEmitter` for a signal) is left to undici's own `request`.
 */

import { Readable } from "node:stream";
import type { Dispatcher } from "undici";
import { errors } from "./undici.ts";
import { ResponseBody } from "./response-body.ts";
import { followSignal, unfollowSignal, type SignalFollower } from "./signal-followers.ts";
import { ignoreError } from "./ignore-error.ts";

type Options = Dispatcher.RequestOptions;
type Handler = Dispatcher.DispatchHandler;
type ResponseHeaders = Parameters<NonNullable<Handler["onResponseStart"]>>[2];

/** How much of a body waits for its reader before the connection is paused, as in undici. */
const defaultHighWaterMark = 65_536;

/** Whether this file can do what is asked, or undici's own `request` has to. */
export function isPlainRequest(options: Options): boolean {
  const { signal, opaque, onInfo, responseHeaders, method, highWaterMark } = options;
  return (
    opaque == null &&
    onInfo == null &&
    responseHeaders == null &&
    highWaterMark == null &&
    method !== "CONNECT" &&
    (signal == null || signal instanceof AbortSignal)
  );
}

/** The options of a request to a URL; without one, what was given. Like undici, a body without a method is a PUT. */
export function toRequestOptions(target: string | URL | Options, extra: Partial<Options> = {}): Options {
  if (typeof target === "object" && !(target instanceof URL)) return target;
  const url = typeof target === "string" ? URL.parse(target) : target;
  if (url === null) throw new errors.InvalidArgumentError(`Invalid URL: ${JSON.stringify(target)}`);
  const method = extra.method ?? (extra.body == null ? "GET" : "PUT");
  return { ...extra, origin: url.origin, path: `${url.pathname}${url.search}`, method };
}

/** Sends the request over `dispatcher`. Resolves when the response header is there. */
export function sendRequest(
  dispatcher: Pick<Dispatcher, "dispatch">,
  options: Options,
): Promise<Dispatcher.ResponseData> {
  return new Promise((resolve, reject) => {
    const call = new RequestCall(options, resolve, reject);
    if (!call.over) dispatcher.dispatch(options, call);
  });
}

/** Invariant: the promise is settled once, by the header or by an error; the signal is listened to until the end. */
class RequestCall implements Handler, SignalFollower {
  readonly #options: Options;
  readonly #resolve: (data: Dispatcher.ResponseData) => void;
  readonly #reject: (error: unknown) => void;
  readonly #trailers: Record<string, string> = {};
  #controller: Dispatcher.DispatchController | undefined;
  #body: ResponseBody | undefined;
  #signal: AbortSignal | undefined;
  over = false;

  constructor(options: Options, resolve: (data: Dispatcher.ResponseData) => void, reject: (error: unknown) => void) {
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
    const { signal } = options;
    if (!(signal instanceof AbortSignal)) return;
    if (signal.aborted) {
      this.#fail(abortReason(signal.reason));
      return;
    }
    this.#signal = signal;
    followSignal(signal, this);
  }

  onSignalAbort(given: unknown): void {
    const reason = abortReason(given);
    if (this.#controller === undefined) this.#fail(reason);
    else this.#controller.abort(reason);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.over) controller.abort(new errors.RequestAbortedError());
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    statusCode: number,
    headers: ResponseHeaders,
    statusText = "",
  ): void {
    if (statusCode < 200) return;
    const body = new ResponseBody(controller, defaultHighWaterMark);
    this.#body = body;
    this.#resolve({
      statusCode,
      statusText,
      headers,
      body,
      trailers: this.#trailers,
      opaque: null,
      context: {},
    });
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#body?.receive(chunk);
  }

  onResponseEnd(_controller: Dispatcher.DispatchController, trailers: ResponseHeaders): void {
    for (const [name, value] of Object.entries(trailers)) this.#trailers[name] = String(value);
    this.#finish();
    this.#body?.receiveEnd();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#fail(error);
  }

  #fail(error: Error): void {
    this.#finish();
    const { body } = this.#options;
    // As undici does: a source that will not be read any more must not stay open.
    if (isStream(body) && !body.destroyed) body.on("error", ignoreError).destroy(error);
    if (this.#body === undefined) this.#reject(error);
    else this.#body.receiveError(error);
  }

  #finish(): void {
    this.over = true;
    if (this.#signal !== undefined) unfollowSignal(this.#signal, this);
  }
}

function isStream(body: unknown): body is Readable {
  return body instanceof Readable || (typeof body === "object" && body !== null && "destroy" in body && "on" in body);
}

function abortReason(reason: unknown): Error {
  return reason instanceof Error ? reason : new errors.RequestAbortedError();
}

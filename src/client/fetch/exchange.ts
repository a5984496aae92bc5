/**
 * One request on its way: the dispatcher's handler on one side, the caller's promise and body on the other.
 *
 * Everything that can happen to a fetch meets here: headers, redirects, data, the end, an error, an abort, a reader
 * that goes away. It is an undici handler (version 2), so it works over any dispatcher, and it does only what the
 * answer at hand needs: a decoder only for an encoded body, a listener only for a signal. A redirect is a new
 * exchange; this one is then over.
 */

import type { Dispatcher } from "undici";
import { BodyBuffer, bufferLimitBytes } from "./body-buffer.ts";
import type { BodyFlow } from "./body-buffer.ts";
import { canDecode, ContentDecoder, maxContentCodings, parseContentCodings } from "./content-decoding.ts";
import type { ByteSink, DecoderOwner } from "./content-decoding.ts";
import { LeanResponse } from "./lean-response.ts";
import type { LeanRequest } from "./lean-request.ts";
import { followRedirect, isRedirect } from "./redirect.ts";
import { bodyLength, cancelBody, repeatBody } from "./request-body.ts";
import type { HeaderFields } from "./response-headers.ts";
import { followSignal, unfollowSignal } from "../signal-followers.ts";
import type { SignalFollower } from "../signal-followers.ts";
import { requestPath, traitsOf } from "./target.ts";

/** What fetch needs of a dispatcher. Every undici dispatcher has it. */
export interface FetchDispatcher {
  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean;
}

/** How the caller hears of it. */
export interface Caller {
  resolve(response: Response): void;
  reject(reason: unknown): void;
}

/** Sends the request over the dispatcher. */
export function sendRequest(dispatcher: FetchDispatcher, request: LeanRequest): Promise<Response> {
  return new Promise((resolve, reject) => {
    start(dispatcher, request, { resolve, reject });
  });
}

function start(dispatcher: FetchDispatcher, request: LeanRequest, caller: Caller): void {
  const { body, signal } = request;
  if (signal?.aborted === true) {
    cancelBody(body, signal.reason);
    caller.reject(signal.reason);
    return;
  }
  const traits = traitsOf(request.url);
  if (traits.blocked) {
    caller.reject(failed(new Error("bad port")));
    return;
  }
  const exchange = new Exchange(dispatcher, request, caller);
  if (signal !== undefined) followSignal(signal, exchange);
  const length = bodyLength(body, request.method);
  const options = {
    origin: traits.origin,
    path: requestPath(request.url),
    method: request.method,
    headers: request.headers.toWire(traits, request.noStore, length),
    body: body instanceof Uint8Array && body.byteLength === 0 ? null : body,
  };
  try {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- undici's types know fewer bodies and header lists than its dispatchers take
    dispatcher.dispatch(options as unknown as Dispatcher.DispatchOptions, exchange);
  } catch (error) {
    exchange.onResponseError(null, error);
  }
}

function failed(cause: unknown): TypeError {
  return new TypeError("fetch failed", { cause });
}

function single(field: string | string[] | undefined): string | undefined {
  return Array.isArray(field) ? field.join(", ") : field;
}

/** These never have a body, whatever the header says (RFC 9110, 6.4.1; Fetch, "null body status"). */
function hasNoBody(method: string, status: number): boolean {
  return method === "HEAD" || status === 204 || status === 205 || status === 304;
}

/**
 * Invariant: `#caller` is set exactly while the promise is unsettled (phases "waiting" and "leaving"); `#body` is set
 * from the response's header on, if there is a body. The signal is followed until the phase is "over". Only `#finish`
 * enters "over", and nothing leaves it.
 */
class Exchange implements Dispatcher.DispatchHandler, BodyFlow, ByteSink, DecoderOwner, SignalFollower {
  readonly #dispatcher: FetchDispatcher;
  readonly #request: LeanRequest;
  // Holding the promise's functions would hold the response, and a forgotten one could never be collected.
  #caller: Caller | undefined;
  #phase: "waiting" | "leaving" | "body" | "over" = "waiting";
  #controller: Dispatcher.DispatchController | undefined = undefined;
  #abortReason: unknown = undefined;
  #body: BodyBuffer | undefined = undefined;
  #codings: readonly string[] | undefined = undefined;
  #decoder: ContentDecoder | undefined = undefined;

  constructor(dispatcher: FetchDispatcher, request: LeanRequest, caller: Caller) {
    this.#dispatcher = dispatcher;
    this.#request = request;
    this.#caller = caller;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // Some dispatchers call this only when a connection is there, which can be after the abort.
    if (this.#phase === "over") this.#stop(this.#abortReason);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    fields: HeaderFields,
    statusText?: string,
  ): void {
    // 1xx answers are not for the caller.
    if (this.#phase !== "waiting" || status < 200) return;
    if (status === 407) this.#leave(new Error("proxy authentication required"));
    else if (status === 421 && !this.#request.misdirected) this.#sendAgain(fields, status, statusText);
    else if (isRedirect(status) && this.#request.redirect !== "manual") this.#redirect(fields, status, statusText);
    else this.#respond(fields, status, statusText);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    const body = this.#body;
    if (this.#phase !== "body" || body === undefined) return;
    if (this.#codings !== undefined) this.#decoder ??= new ContentDecoder(this.#codings, this, this);
    if (!(this.#decoder ?? body).push(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    if (this.#phase !== "body") {
      if (this.#phase === "leaving") this.#controller = undefined;
      return;
    }
    // A decoder ends the body when the last decoded byte is out; an abort must reach it until then.
    this.#controller = undefined;
    if (this.#decoder === undefined) this.end();
    else this.#decoder.end();
  }

  /** The last byte as the caller will see it: of the body itself, or out of its decoder. */
  end(): void {
    const body = this.#body;
    this.#finish();
    body?.end();
  }

  /** Decoded bytes. False: the reader has enough for now. */
  push(chunk: Uint8Array): boolean {
    return this.#body?.push(chunk) ?? true;
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: unknown): void {
    this.#controller = undefined;
    if (this.#phase === "over" || this.#phase === "leaving") return;
    const caller = this.#caller;
    const body = this.#body;
    this.#finish();
    cancelBody(this.#request.body, error);
    caller?.reject(failed(error));
    body?.fail(new TypeError("terminated", { cause: error }));
  }

  onSignalAbort(reason: unknown): void {
    const caller = this.#caller;
    const body = this.#body;
    this.#abortReason = reason;
    this.#finish();
    cancelBody(this.#request.body, reason);
    caller?.reject(reason);
    body?.fail(reason);
    this.#stop(reason);
  }

  onDecoderDrain(): void {
    this.#controller?.resume();
  }

  onDecoderError(error: Error): void {
    const controller = this.#controller;
    this.onResponseError(null, error);
    controller?.abort(error);
  }

  resume(): void {
    if (this.#decoder === undefined) this.#controller?.resume();
    else this.#decoder.resume();
  }

  cancel(reason: unknown): void {
    if (this.#phase === "over") return;
    this.#finish();
    this.#stop(reason);
  }

  #respond(fields: HeaderFields, status: number, statusText = ""): void {
    const request = this.#request;
    let body: BodyBuffer | null = null;
    let watched = false;
    if (!hasNoBody(request.method, status)) {
      const encoding = single(fields["content-encoding"]);
      const codings = encoding === undefined || encoding === "" ? [] : parseContentCodings(encoding);
      if (codings.length > maxContentCodings) {
        const limit = `maximum allowed is ${maxContentCodings}`;
        this.#leave(new Error(`too many content-encodings in response: ${codings.length}, ${limit}`));
        return;
      }
      if (codings.length > 0 && canDecode(codings)) this.#codings = codings;
      body = new BodyBuffer(this, request.signal);
      this.#body = body;
      // A body that fits into the buffer comes to its end without a reader. Any other one needs somebody to hold it.
      watched = this.#codings !== undefined || !(Number(fields["content-length"]) <= bufferLimitBytes);
    }
    const raw = this.#controller?.rawHeaders;
    const response = new LeanResponse(
      {
        status,
        statusText,
        url: request.url,
        redirected: request.redirectCount > 0,
        type: request.tainted ? "cors" : "basic",
        raw: Array.isArray(raw) ? raw : undefined,
        fields,
      },
      body,
    );
    const caller = this.#caller;
    this.#caller = undefined;
    this.#phase = "body";
    if (watched) body?.watch(response);
    caller?.resolve(response);
  }

  #redirect(fields: HeaderFields, status: number, statusText: string | undefined): void {
    const location = single(fields["location"]);
    if (this.#request.redirect === "error") {
      this.#leave(new Error("unexpected redirect"));
    } else if (location === undefined) {
      this.#respond(fields, status, statusText);
    } else {
      try {
        this.#leave(undefined, followRedirect(this.#request, status, location));
      } catch (error) {
        this.#leave(error);
      }
    }
  }

  /** 421: the server does not serve this origin on this connection. Worth one more try, if the body allows it. */
  #sendAgain(fields: HeaderFields, status: number, statusText: string | undefined): void {
    const body = repeatBody(this.#request.body);
    if (body === undefined) this.#respond(fields, status, statusText);
    else this.#leave(undefined, { ...this.#request, body, misdirected: true });
  }

  /**
   * Gives up this answer for an error or for another hop. An answer that is complete in the packet at hand ends by
   * itself and leaves its connection usable, so the rest is cut off only a microtask later.
   */
  #leave(error: unknown, next?: LeanRequest): void {
    this.#phase = "leaving";
    if (next === undefined) {
      this.#caller?.reject(failed(error));
      this.#caller = undefined;
    }
    queueMicrotask(() => {
      const caller = this.#caller;
      if (this.#phase !== "leaving") return;
      this.#finish();
      this.#stop(undefined);
      if (next !== undefined && caller !== undefined) start(this.#dispatcher, next, caller);
    });
  }

  /** Aborts what is still running at the dispatcher. */
  #stop(reason: unknown): void {
    const controller = this.#controller;
    this.#controller = undefined;
    controller?.abort(
      reason instanceof Error
        ? reason
        : new DOMException("The operation was aborted.", { name: "AbortError", cause: reason }),
    );
  }

  #finish(): void {
    this.#phase = "over";
    this.#caller = undefined;
    this.#body = undefined;
    this.#decoder?.destroy();
    this.#decoder = undefined;
    const { signal } = this.#request;
    if (signal !== undefined) unfollowSignal(signal, this);
  }
}

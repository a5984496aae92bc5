/**
 * Sends a request by `dispatch` and writes down what its handler hears, so that a test can pause, abort and count.
 *
 * A handler that hears of its end twice, or of anything after its end, fails the test that sent it.
 */

import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import type { Dispatcher } from "undici";

type Handler = Dispatcher.DispatchHandler;
type Controller = Dispatcher.DispatchController;
type Headers = Parameters<NonNullable<Handler["onResponseStart"]>>[2];

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

export type SendOptions = Omit<Partial<Dispatcher.DispatchOptions>, "body"> & {
  readonly origin: string;
  /** undici takes more than its types say: iterables, for one. */
  readonly body?: unknown;
  /** Pauses when the answer's header comes. */
  readonly pauses?: boolean;
};

/** One request under way. */
export class Sent implements Handler {
  readonly #answer = Promise.withResolvers<Answer>();
  readonly #header = Promise.withResolvers<number>();
  readonly #upgrade = Promise.withResolvers<Duplex>();
  readonly #pauses: boolean;
  readonly interim: number[] = [];
  controller: Controller | undefined;
  status = 0;
  headers: Headers = {};
  readonly #chunks: Buffer[] = [];
  /** How often it ended; must never be above 1. */
  ended = 0;
  endedAt = 0;
  error: Error | undefined;

  constructor(pauses: boolean) {
    this.#pauses = pauses;
    // Most tests await one of them and leave the others.
    for (const { promise } of [this.#answer, this.#header, this.#upgrade]) promise.catch(() => {});
  }

  /** Settles at the end. */
  get answer(): Promise<Answer> {
    return this.#answer.promise;
  }

  /** Resolves to the final status. */
  get header(): Promise<number> {
    return this.#header.promise;
  }

  get upgrade(): Promise<Duplex> {
    return this.#upgrade.promise;
  }

  get received(): number {
    return this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  abort(reason: Error = new Error("given up")): Error {
    this.controller?.abort(reason);
    return reason;
  }

  onRequestStart(controller: Controller): void {
    this.#goOn();
    this.controller ??= controller;
  }

  onResponseStart(controller: Controller, status: number, headers: Headers): void {
    this.#goOn();
    if (status < 200) return void this.interim.push(status);
    this.status = status;
    this.headers = headers;
    if (this.#pauses) controller.pause();
    this.#header.resolve(status);
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    this.#goOn();
    this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    this.#end();
    this.#answer.resolve({ status: this.status, headers: this.headers, body: String(Buffer.concat(this.#chunks)) });
  }

  onRequestUpgrade(_controller: Controller, status: number, headers: Headers, socket: Duplex): void {
    this.#end();
    this.status = status;
    this.headers = headers;
    this.#upgrade.resolve(socket);
  }

  onResponseError(_controller: Controller | null, error: Error): void {
    this.#end();
    this.error = error;
    for (const { reject } of [this.#answer, this.#header, this.#upgrade]) reject(error);
  }

  #end(): void {
    this.#goOn();
    this.ended += 1;
    this.endedAt = performance.now();
  }

  #goOn(): void {
    // Thrown here it would only be one more error of this request: uncaught, it fails the test.
    if (this.ended > 0) queueMicrotask(() => assert.fail("the handler heard something after the end"));
  }
}

/** Sends a GET of `/` unless `options` say otherwise. */
export function send(dispatcher: Pick<Dispatcher, "dispatch">, { pauses = false, ...options }: SendOptions): Sent {
  const sent = new Sent(pauses);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see `body`
  dispatcher.dispatch({ path: "/", method: "GET", ...options } as Dispatcher.DispatchOptions, sent);
  return sent;
}

/** Sends, and resolves to the whole answer. */
export function ask(dispatcher: Pick<Dispatcher, "dispatch">, options: SendOptions): Promise<Answer> {
  return send(dispatcher, options).answer;
}

/** The error with which a promise rejects. */
export async function failure(promise: Promise<unknown>): Promise<Error & { readonly code?: string }> {
  const [outcome] = await Promise.allSettled([promise]);
  if (outcome.status === "rejected" && outcome.reason instanceof Error) return outcome.reason;
  return assert.fail("it did not fail with an error");
}

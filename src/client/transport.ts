/**
 * The owner of a program's outgoing connections.
 *
 * Go's `http.Transport` on undici's HTTP: every limit is an option, every wait has a bound, every phase is timed, and
 * all of it can be read from `stats()`. It is an undici `Dispatcher`, so whatever takes one takes it; `agent()` gives
 * the same limits and the same books to what is built on `node:http`, and `install()` to code that nobody edits.
 */

import type { Agent } from "node:https";
import type { Dispatcher } from "undici";
import { context, outside } from "../core/context.ts";
import { DeadlineWheel } from "../core/deadline-wheel.ts";
import { OptionError } from "../core/errors.ts";
import {
  duration,
  given as kept,
  resolveOptions,
  type Duration,
  type GivenOptions,
  type OptionTable,
} from "../core/options.ts";
import { TransportAgent } from "./agent.ts";
import { bodyLeaked, type LeakedBody } from "./channels.ts";
import { TransportClosedError } from "./errors.ts";
import { Exchange } from "./exchange.ts";
import { createFetch } from "./fetch/create-fetch.ts";
import { installGlobals } from "./install.ts";
import { OriginPools } from "./origin-pools.ts";
import { FailurePolicies } from "./policies/failure-policies.ts";
import { isPlainRequest, sendRequest, toRequestOptions } from "./request.ts";
import { withRepeatableHeaders } from "./request-headers.ts";
import { settingsFor, type RequestSettings } from "./request-settings.ts";
import { transportOptions, type ResolvedTransportOptions, type TransportOptions } from "./transport-options.ts";
import type { TransportStats } from "./transport-stats.ts";
import { toError } from "./to-error.ts";
import { api, Dispatcher as DispatcherOfUndici, Dispatcher1Wrapper, loadClient } from "./undici.ts";
import { wireOptions } from "./wire-options.ts";

/** undici passes null where a request has no controller; its types leave that out. */
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
const noController = null as unknown as Dispatcher.DispatchController;
/** How long a body stands unread before it counts as such, when nobody asked to be told. */
const unreadAfterMs = 30_000;

type DispatchOptions = Dispatcher.DispatchOptions;
type DispatchHandler = Dispatcher.DispatchHandler;

/**
 * Owns pools of connections, one for each origin, within the limits of {@link TransportOptions}.
 *
 * Make one for the whole program and keep it; `close()` it at the end. `await using` works as well.
 */
export class Transport extends DispatcherOfUndici implements AsyncDisposable {
  readonly options: Readonly<ResolvedTransportOptions>;
  /** WHATWG fetch over this transport: the requests, responses and errors of global fetch, for less. */
  readonly fetch: typeof globalThis.fetch = createFetch(this);
  readonly #pools: OriginPools;
  readonly #settings: RequestSettings;
  /** One request through the failure policies that were asked for; without any, straight to its pool. */
  readonly #send: Dispatcher.Dispatch;
  readonly #legacy: Dispatcher = new Dispatcher1Wrapper(this);
  #agent: TransportAgent | undefined;
  /** Set by `close()` and `abort()`: the end of it all. */
  #end: Promise<void> | undefined;

  /** @throws {OptionError} an option is unknown, out of range or contradicts another */
  constructor(options: GivenOptions<TransportOptions> = {}) {
    super();
    // Started now, so that it is there when the first connection is; a failure shows in the first dial.
    void loadClient();
    // The check takes `undefined` for "not given", which is all that the two types differ in.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
    this.options = resolveOptions("Transport", transportOptions, options as TransportOptions);
    this.#pools = new OriginPools(this.options, new DeadlineWheel());
    this.#settings = settingsOf(this.options);
    this.#send = this.#withPolicies(this.options.upstream);
  }

  /**
   * Sends a request; the lowest level, and undici's. The handler gets its controller at once and hears of every step.
   *
   * Never throws for a request that cannot be sent: that goes to `handler.onResponseError`, as all errors do.
   */
  override dispatch(options: DispatchOptions, handler: DispatchHandler): boolean {
    // Built-in fetch of Node 24 brings a handler of undici 7: through the wrapper, one transport serves both.
    if (typeof handler.onRequestStart !== "function") return this.#legacy.dispatch(options, handler);
    try {
      if (this.#end !== undefined) throw new TransportClosedError();
      return this.#send(withRepeatableHeaders(options), handler);
    } catch (error) {
      if (handler.onResponseError === undefined) throw error;
      handler.onResponseError(noController, toError(error));
      return false;
    }
  }

  /**
   * Sends a request and resolves when the response header is there; undici's call and answer. `body` must be read, or
   * dumped, or its connection stays in use.
   *
   * @throws {ClientError} a limit of this transport; other errors are those of undici and Node
   */
  override request<TOpaque = null>(
    options: Dispatcher.RequestOptions<TOpaque>,
  ): Promise<Dispatcher.ResponseData<TOpaque>>;
  override request<TOpaque = null>(
    options: Dispatcher.RequestOptions<TOpaque>,
    callback: (error: Error | null, data: Dispatcher.ResponseData<TOpaque>) => void,
  ): void;
  override request(url: string | URL, options?: Partial<Dispatcher.RequestOptions>): Promise<Dispatcher.ResponseData>;
  override request(
    target: string | URL | Dispatcher.RequestOptions,
    extra?: Partial<Dispatcher.RequestOptions> | ((error: Error | null, data: Dispatcher.ResponseData) => void),
  ): Promise<Dispatcher.ResponseData> | void {
    if (typeof extra === "function") return this.#requestOfUndici(toRequestOptions(target), extra);
    try {
      const options = toRequestOptions(target, extra);
      return isPlainRequest(options) ? sendRequest(this, options) : this.#requestOfUndici(options);
    } catch (error) {
      return Promise.reject(toError(error));
    }
  }

  /**
   * The agent of this transport, for whatever is built on `node:http`: one for `http:` and `https:`, always the same.
   *
   * @throws {OptionError} the transport has an `upstream`, which an agent cannot use
   */
  agent(): Agent {
    this.#agent ??= new TransportAgent({
      options: this.options,
      pools: this.#pools,
      settings: this.#settings,
      refusal: () => (this.#end === undefined ? undefined : new TransportClosedError()),
    });
    return this.#agent;
  }

  /**
   * Becomes the process's dispatcher, for undici and the fetch that it gave to others, and its global fetch, until the
   * result is disposed of. That gives back what was there before, unless somebody else has replaced it meanwhile.
   *
   * @throws {TypeError} `globalThis` is frozen
   */
  install(): Disposable {
    return installGlobals(this, this.fetch);
  }

  /** What the pools look like now: immutable, limits beside levels. */
  stats(): TransportStats {
    return this.#pools.stats();
  }

  /**
   * Opens connections before they are needed: until `count` to `origin` are idle or on their way, as far as the limits
   * allow. Resolves to how many were opened; why a dial failed is in `stats()` as `lastError`.
   *
   * @throws {OptionError} `count` is no whole number, or below 0
   */
  async prewarm(origin: string | URL, count: number): Promise<number> {
    if (!(count === Infinity || (Number.isInteger(count) && count >= 0))) {
      throw new OptionError("prewarm.count", `must be a whole number from 0 up, or Infinity; got ${String(count)}`);
    }
    if (this.#end !== undefined) throw new TransportClosedError();
    return this.#pools.poolFor({ origin }).prewarm(count);
  }

  /** Closes what is idle, and what falls idle before the next request to its origin (Go's CloseIdleConnections). */
  closeIdleConnections(): void {
    this.#pools.closeIdle();
  }

  /**
   * Takes no new requests, lets those under way end, and resolves when the last connection has closed. What has not
   * ended within `grace` is aborted: one body that nobody reads must not keep a deploy waiting.
   *
   * @throws {OptionError} `grace` is no duration
   */
  override close(options?: CloseOptions): Promise<void>;
  override close(callback: () => void): void;
  override close(given?: CloseOptions | (() => void)): Promise<void> | void {
    const options = resolveOptions("close", closeOptions, typeof given === "function" ? {} : given);
    this.#end ??= this.#drain(options.grace, options.signal);
    if (typeof given !== "function") return this.#end;
    // oxlint-disable-next-line promise/no-callback-in-promise -- undici's dispatchers take callbacks as well
    void this.#end.then(given);
  }

  /** Ends every request with `reason` now, and resolves when the last connection has closed. */
  abort(reason: Error = new TransportClosedError()): Promise<void> {
    this.#end = this.#pools.abort(reason);
    return this.#end;
  }

  /** undici's name for {@link abort}. */
  override destroy(): Promise<void>;
  override destroy(error: Error | null): Promise<void>;
  override destroy(callback: () => void): void;
  override destroy(error: Error | null, callback: () => void): void;
  override destroy(error?: Error | null | (() => void), callback?: () => void): Promise<void> | void {
    const then = typeof error === "function" ? error : callback;
    const reason = error instanceof Error ? error : undefined;
    if (then === undefined) return this.abort(reason);
    // oxlint-disable-next-line promise/no-promise-in-callback, promise/no-callback-in-promise -- as above
    void this.abort(reason).then(then);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #drain(graceMs: number, signal: AbortSignal | undefined): Promise<void> {
    const abort = (): void => void this.abort();
    // It keeps the process alive, which would otherwise end in the middle of this wait.
    const timer = graceMs === Infinity ? undefined : outside(() => setTimeout(abort, Math.min(graceMs, 2 ** 31 - 1)));
    signal?.addEventListener("abort", abort, { once: true });
    try {
      if (signal?.aborted === true) abort();
      await this.#pools.drain();
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  readonly #requestOfUndici: Dispatcher["request"] = api.request.bind(this);

  #withPolicies(upstream: Pick<Dispatcher, "dispatch"> | undefined): Dispatcher.Dispatch {
    const policies = new FailurePolicies(this.options, {
      onRetry: (reason, origin, again) => this.#pools.peek(origin)?.countRetry(reason, again),
      onHedge: (outcome, origin) => this.#pools.peek(origin)?.instruments.hedged(outcome),
      onLimit: (outcome, origin) => this.#pools.peek(origin)?.instruments.gated(outcome),
    });
    if (policies.concurrency !== undefined) this.#pools.observeLimits(policies.concurrency);
    return policies.wrap(
      upstream === undefined
        ? (options, handler) => this.#toPool(options, handler)
        : (options, handler) => upstream.dispatch(options, handler),
    );
  }

  #toPool(options: DispatchOptions, handler: DispatchHandler): boolean {
    const pool = this.#pools.poolFor(options);
    const current = context();
    const sent = wireOptions(options, pool.route, current);
    new Exchange(pool, sent, handler, settingsFor(this.#settings, options)).start(current);
    return true;
  }
}

// undici's index puts these on every dispatcher, and the index is not loaded here.
Object.assign(Transport.prototype, {
  connect: api.connect,
  pipeline: api.pipeline,
  stream: api.stream,
  upgrade: api.upgrade,
});

/** How long {@link Transport.close} waits. */
export interface CloseOptions {
  /**
   * How long requests under way may take to end.
   *
   * @default "30s"
   * @range above 0, or Infinity
   */
  readonly grace?: Duration;
  /** Aborts at once what is still under way. */
  readonly signal?: AbortSignal;
}

const closeOptions: OptionTable<CloseOptions, { readonly grace: number; readonly signal: AbortSignal | undefined }> = {
  grace: duration({ fallback: 30_000 }),
  signal: kept<AbortSignal | undefined>({ fallback: undefined }),
};

function settingsOf(options: Readonly<ResolvedTransportOptions>): RequestSettings {
  const looksForLeaks = options.leakAfter !== Infinity;
  return {
    responseHeaderTimeoutMs: options.responseHeaderTimeout,
    bodyTimeoutMs: options.bodyTimeout,
    expectContinueTimeoutMs: options.expectContinueTimeout,
    unreadAfterMs: looksForLeaks ? options.leakAfter : unreadAfterMs,
    maxReplays: options.replay.attempts,
    keepAlive: options.keepAlive,
    onLeak: looksForLeaks ? (leak) => reportLeak(leak, options.onLeak) : undefined,
  };
}

function reportLeak(leak: LeakedBody, onLeak: ((leak: LeakedBody) => void) | undefined): void {
  bodyLeaked.publish(() => leak);
  onLeak?.(leak);
}

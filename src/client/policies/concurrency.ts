/**
 * Keeps the number of requests in flight to one origin below a limit, which may adapt itself.
 *
 * A server that gets more work than it can do does less of it. The limit holds the rest back here, where waiting is
 * cheap and visible: in a queue, first come, first served, of bounded length and for a bounded time. With `"adaptive"`
 * the limit follows the time from sending a request to its response header; the body is left out, because how fast a
 * body is read is the caller's doing. A refusal (429, 503) or a broken exchange counts as dropped; an abort by the
 * caller says nothing and is not counted. A request stays in flight until its body has ended.
 *
 * This is the gate; the arithmetic of the adaptive limit is in core. It differs from `maxConnsPerHost`, which counts
 * connections: over HTTP/2 one connection carries a hundred requests.
 */

import type { Dispatcher } from "undici";
import { errors } from "../undici.ts";
import { AdaptiveLimit } from "../../core/adaptive-limit.ts";
import { context, type Context, outside } from "../../core/context.ts";
import { append, isLinked, RingNode, unlink } from "../../core/ring.ts";
import { toError } from "../to-error.ts";
import { ConcurrencyLimitError } from "./concurrency-error.ts";
import type { ResolvedConcurrencyOptions } from "./options.ts";
import { originOf, PerOrigin } from "./per-origin.ts";
import { StableController } from "./stable-controller.ts";

type Controller = Dispatcher.DispatchController;
type Handler = Dispatcher.DispatchHandler;
type Headers = Parameters<NonNullable<Handler["onResponseStart"]>>[2];

/** `waited`: had to wait for its turn. `refused`: the queue was full. `timed_out`: waited too long. */
export type GateOutcome = "waited" | "refused" | "timed_out";

/** The gate of one origin at one moment. */
export interface GateStats {
  readonly limit: number;
  readonly inFlight: number;
  readonly waiting: number;
}

export class ConcurrencyPolicy {
  readonly #onOutcome: (outcome: GateOutcome, origin: string) => void;
  readonly #gates: PerOrigin<Gate>;
  readonly #counts: Record<GateOutcome, number> = { waited: 0, refused: 0, timed_out: 0 };

  /** `onOutcome` is told of each request that was kept back, as it is counted. */
  constructor(
    options: ResolvedConcurrencyOptions,
    onOutcome: (outcome: GateOutcome, origin: string) => void = () => {},
  ) {
    this.#onOutcome = onOutcome;
    this.#gates = new PerOrigin(
      (origin) =>
        new Gate(options, (outcome) => {
          this.#counts[outcome] += 1;
          this.#onOutcome(outcome, origin);
        }),
    );
  }

  /** Requests kept back, by outcome, as a copy. */
  get counts(): Readonly<Record<GateOutcome, number>> {
    return { ...this.#counts };
  }

  /** The limit of an origin beside its levels. */
  stats(origin: string): GateStats {
    const { limit, inFlight, waiting } = this.#gates.get(origin);
    return { limit, inFlight, waiting };
  }

  /** Every origin with its limit beside its levels. */
  *all(): Generator<[origin: string, stats: GateStats]> {
    for (const [origin, { limit, inFlight, waiting }] of this.#gates.entries()) {
      yield [origin, { limit, inFlight, waiting }];
    }
  }

  /** The same dispatch behind the limit. */
  wrap(dispatch: Dispatcher.Dispatch): Dispatcher.Dispatch {
    return (opts, handler) => {
      const gate = this.#gates.get(originOf(opts));
      return new LimitedCall(gate, dispatch, opts, handler).start();
    };
  }
}

/**
 * Invariant: `waiting > 0` implies `inFlight >= limit`. `#admit` is the only place that lets a waiting call go, and
 * every call that went in leaves exactly once.
 */
class Gate {
  readonly options: ResolvedConcurrencyOptions;
  readonly count: (outcome: GateOutcome) => void;
  readonly #adaptive: AdaptiveLimit | undefined;
  readonly #queue: RingNode = new RingNode();
  #inFlight = 0;
  #waiting = 0;
  #admitting = false;

  constructor(options: ResolvedConcurrencyOptions, count: (outcome: GateOutcome) => void) {
    this.options = options;
    this.count = count;
    const { min, max } = options;
    this.#adaptive = options.limit === "adaptive" ? new AdaptiveLimit({ initial: min, min, max }) : undefined;
  }

  get limit(): number {
    // Only "adaptive" makes an `AdaptiveLimit`; anything else is the number itself.
    return this.#adaptive?.limit ?? Number(this.options.limit);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Is there a place? Then it is taken. */
  tryEnter(): boolean {
    if (this.#waiting > 0 || this.#inFlight >= this.limit) return false;
    this.#inFlight += 1;
    return true;
  }

  /** Puts a call at the end of the queue, if that has room. */
  tryWait(call: LimitedCall): boolean {
    if (this.#waiting >= this.options.maxWaiting) return false;
    append(this.#queue, call);
    this.#waiting += 1;
    return true;
  }

  leaveQueue(call: LimitedCall): void {
    if (!isLinked(call)) return;
    unlink(call);
    this.#waiting -= 1;
  }

  leave(): void {
    this.#inFlight -= 1;
    this.#admit();
  }

  sample(rttMs: number, inFlight: number, dropped: boolean): void {
    if (this.#adaptive === undefined) return;
    this.#adaptive.onSample(rttMs, inFlight, dropped);
    this.#admit();
  }

  #admit(): void {
    // A call that fails as soon as it is sent comes back here; the loop below takes the next one then.
    if (this.#admitting) return;
    this.#admitting = true;
    while (this.#waiting > 0 && this.#inFlight < this.limit) {
      const next = this.#queue.ringNext;
      // Only calls are ever put into this ring; the ring's own node is not reached while somebody waits.
      if (!(next instanceof LimitedCall)) break;
      this.leaveQueue(next);
      this.#inFlight += 1;
      next.enter();
    }
    this.#admitting = false;
  }
}

/**
 * One request of the caller.
 *
 * Invariant: it waits (linked in the queue, with a timer), or is inside (`#inside`, and will call `gate.leave` once),
 * or is over.
 */
class LimitedCall extends RingNode implements Handler {
  readonly #gate: Gate;
  readonly #dispatch: Dispatcher.Dispatch;
  readonly #opts: Dispatcher.DispatchOptions;
  readonly #handler: Handler;
  readonly #context: Context = context();
  readonly #controller: StableController = new StableController((reason) => this.#abort(reason));
  #target: Controller | undefined;
  #timer: NodeJS.Timeout | undefined;
  #watch: Disposable | undefined;
  #sentAt = 0;
  #inFlightThen = 0;
  #inside = false;
  #sampled = false;
  #over = false;

  constructor(gate: Gate, dispatch: Dispatcher.Dispatch, opts: Dispatcher.DispatchOptions, handler: Handler) {
    super();
    this.#gate = gate;
    this.#dispatch = dispatch;
    this.#opts = opts;
    this.#handler = handler;
  }

  start(): boolean {
    this.#handler.onRequestStart?.(this.#controller, null);
    if (this.#over) return true;
    if (this.#gate.tryEnter()) return this.#send();
    if (this.#gate.tryWait(this)) this.#wait();
    else {
      this.#gate.count("refused");
      this.#fail(new ConcurrencyLimitError(originOf(this.#opts), this.#gate, 0));
    }
    return true;
  }

  /** The gate has taken this call out of its queue and given it a place. */
  enter(): void {
    this.#stopWaiting();
    // It is another request's end that lets this one go; it belongs into its own caller's scope.
    this.#context.run(() => this.#send());
  }

  onRequestStart(controller: Controller): void {
    this.#target = controller;
    if (this.#over) controller.abort(this.#controller.reason ?? new errors.RequestAbortedError());
    else this.#controller.follow(controller);
  }

  onRequestUpgrade(_controller: Controller, status: number, headers: Headers, socket: UpgradedSocket): void {
    if (this.#over) return;
    this.#end();
    this.#handler.onRequestUpgrade?.(this.#controller, status, headers, socket);
  }

  onBodySent(chunk: Buffer): void {
    if (!this.#over) this.#handler.onBodySent?.(chunk);
  }

  onRequestSent(): void {
    if (!this.#over) this.#handler.onRequestSent?.();
  }

  onResponseStarted(): void {
    if (!this.#over) this.#handler.onResponseStarted?.();
  }

  onResponseStart(_controller: Controller, status: number, headers: Headers, statusText?: string): void {
    if (this.#over) return;
    if (status >= 200) this.#sample(status === 429 || status === 503);
    this.#handler.onResponseStart?.(this.#controller, status, headers, statusText);
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    if (!this.#over) this.#handler.onResponseData?.(this.#controller, chunk);
  }

  onResponseEnd(_controller: Controller, trailers: Headers): void {
    if (this.#over) return;
    this.#end();
    this.#handler.onResponseEnd?.(this.#controller, trailers);
  }

  onResponseError(_controller: Controller | null, error: Error): void {
    if (this.#over) return;
    // A request that is wrong in itself never reached the server.
    if (!(error instanceof errors.InvalidArgumentError)) this.#sample(true);
    this.#fail(error);
  }

  #wait(): void {
    const { waitTimeout } = this.#gate.options;
    this.#gate.count("waited");
    this.#watch = this.#context.onDone((cause) => this.#controller.abort(toError(cause)));
    if (waitTimeout === Infinity) return;
    this.#timer = outside(() =>
      setTimeout(() => {
        this.#gate.count("timed_out");
        this.#fail(new ConcurrencyLimitError(originOf(this.#opts), this.#gate, waitTimeout));
      }, waitTimeout),
    );
  }

  #stopWaiting(): void {
    clearTimeout(this.#timer);
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
  }

  #send(): boolean {
    this.#inside = true;
    this.#sentAt = performance.now();
    this.#inFlightThen = this.#gate.inFlight;
    try {
      return this.#dispatch(this.#opts, this);
    } catch (error) {
      // Neither the caller nor the gate, which may be letting in a whole queue, is to see this as an exception.
      this.#fail(toError(error));
      return true;
    }
  }

  #sample(dropped: boolean): void {
    if (this.#sampled) return;
    this.#sampled = true;
    this.#gate.sample(performance.now() - this.#sentAt, this.#inFlightThen, dropped);
  }

  #abort(reason: Error): void {
    if (this.#over) return;
    // First, so that what the attempt says to its own end is not heard.
    this.#over = true;
    this.#target?.abort(reason);
    this.#end();
    this.#handler.onResponseError?.(this.#controller, reason);
  }

  #fail(error: Error): void {
    if (this.#over) return;
    this.#end();
    this.#handler.onResponseError?.(this.#controller, error);
  }

  #end(): void {
    this.#over = true;
    this.#stopWaiting();
    this.#gate.leaveQueue(this);
    if (!this.#inside) return;
    this.#inside = false;
    this.#gate.leave();
  }
}

type UpgradedSocket = Parameters<NonNullable<Handler["onRequestUpgrade"]>>[3];

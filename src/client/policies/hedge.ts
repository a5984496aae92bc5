/**
 * Sends a second, equal request when the first one is slow, and takes whichever answers first.
 *
 * A few requests in a hundred meet a garbage collection, a lost packet or a busy machine; asking once more heals them
 * without waiting for the end. It is done only for GET and HEAD without a body, because both requests reach a server.
 * The first response header decides, whatever its status: an error that arrives first is an answer. The loser is
 * aborted, which costs its connection over HTTP/1.1. A budget keeps hedges to a share of the requests, since a server
 * that is slow for everybody is overloaded, and twice the load is the last thing it needs. The delay runs from the
 * moment the first request was written: one that waits for a connection would only meet its hedge in the same queue.
 * With `"p95"` the delay follows the response times of each origin. A request that fails before a hedge was sent simply fails: trying again
 * is the business of retries.
 */

import type { Dispatcher } from "undici";
import { errors } from "../undici.ts";
import { context, type Context, outside } from "../../core/context.ts";
import { toError } from "../to-error.ts";
import type { ResolvedHedgeOptions } from "./options.ts";
import { originOf, PerOrigin } from "./per-origin.ts";
import { ResponseTimes } from "./response-times.ts";
import { RetryBudget } from "./retry-budget.ts";
import { StableController } from "./stable-controller.ts";

type Controller = Dispatcher.DispatchController;
type Handler = Dispatcher.DispatchHandler;
type Headers = Parameters<NonNullable<Handler["onResponseStart"]>>[2];

/** `sent`: a further request was sent. `won`: its answer came first. `budget_spent`: it was due and not sent. */
export type HedgeOutcome = "sent" | "won" | "budget_spent";

interface HedgedOrigin {
  readonly budget: RetryBudget;
  readonly times: ResponseTimes;
}

export class HedgePolicy {
  readonly options: ResolvedHedgeOptions;
  readonly #onOutcome: (outcome: HedgeOutcome, origin: string) => void;
  readonly #origins: PerOrigin<HedgedOrigin>;
  readonly #counts: Record<HedgeOutcome, number> = { sent: 0, won: 0, budget_spent: 0 };

  /** `onOutcome` is told of each hedge as it is counted. */
  constructor(options: ResolvedHedgeOptions, onOutcome: (outcome: HedgeOutcome, origin: string) => void = () => {}) {
    this.options = options;
    this.#onOutcome = onOutcome;
    this.#origins = new PerOrigin(() => ({ budget: new RetryBudget(options.budget), times: new ResponseTimes() }));
  }

  /** Hedges by outcome, as a copy. */
  get counts(): Readonly<Record<HedgeOutcome, number>> {
    return { ...this.#counts };
  }

  /** The same dispatch with hedges. With `maxHedges: 0` it is the same function. */
  wrap(dispatch: Dispatcher.Dispatch): Dispatcher.Dispatch {
    if (this.options.maxHedges === 0) return dispatch;
    return (opts, handler) => {
      const upgrades = opts.upgrade != null && opts.upgrade !== false;
      const fits = (opts.method === "GET" || opts.method === "HEAD") && opts.body == null && opts.idempotent !== false;
      if (!fits || upgrades) return dispatch(opts, handler);
      const state = this.#origins.get(originOf(opts));
      state.budget.deposit();
      return new HedgedCall({ policy: this, dispatch, opts, handler, state }).start();
    };
  }

  /** @internal */
  delayFor(state: HedgedOrigin): number | undefined {
    return this.options.delay === "p95" ? state.times.p95() : this.options.delay;
  }

  /** @internal */
  count(outcome: HedgeOutcome, origin: string): void {
    this.#counts[outcome] += 1;
    this.#onOutcome(outcome, origin);
  }
}

interface HedgedCallParts {
  readonly policy: HedgePolicy;
  readonly dispatch: Dispatcher.Dispatch;
  readonly opts: Dispatcher.DispatchOptions;
  readonly handler: Handler;
  readonly state: HedgedOrigin;
}

/**
 * One request of the caller and its hedges.
 *
 * Invariant: until `#winner` is set or the call is `#over`, `#racers` holds the attempts that may still answer, and
 * the timer runs if the first was written and another hedge may be sent. Only the winner speaks to the handler.
 */
class HedgedCall {
  readonly controller: StableController = new StableController((reason) => this.#abort(reason));
  readonly handler: Handler;
  readonly #parts: HedgedCallParts;
  readonly #context: Context = context();
  readonly #racers: Set<Racer> = new Set();
  #sentAt = 0;
  #hedges = 0;
  #winner: Racer | undefined;
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  constructor(parts: HedgedCallParts) {
    this.#parts = parts;
    this.handler = parts.handler;
  }

  start(): boolean {
    this.handler.onRequestStart?.(this.controller, null);
    return this.#over ? true : this.#send();
  }

  /** Is this racer still the one, or one of those, that the handler may hear of? */
  isRunning(racer: Racer): boolean {
    return !this.#over && (this.#winner === undefined ? this.#racers.has(racer) : this.#winner === racer);
  }

  /** The first request was written; a transport that replays it beneath writes it again, and time runs on. */
  startClock(): void {
    if (this.#sentAt > 0) return;
    this.#sentAt = performance.now();
    this.#arm();
  }

  /** The first response header ends the race. */
  win(racer: Racer, controller: Controller): void {
    if (this.#winner !== undefined) return;
    this.#winner = racer;
    clearTimeout(this.#timer);
    const { policy, opts, state } = this.#parts;
    // When a hedge has won, the first request has taken at least this long.
    if (this.#sentAt > 0) state.times.record(performance.now() - this.#sentAt);
    if (racer.isHedge) policy.count("won", originOf(opts));
    this.controller.follow(controller);
    this.#abandonAll(new errors.RequestAbortedError("Another request was answered first"), racer);
  }

  /** A racer that fails leaves the race; the last one's failure is the call's. */
  lose(racer: Racer, error: Error): void {
    this.#racers.delete(racer);
    if (this.#racers.size === 0 || this.#winner === racer) this.#fail(error);
  }

  finish(): void {
    this.#over = true;
  }

  #arm(): void {
    const delay = this.#parts.policy.delayFor(this.#parts.state);
    if (delay === undefined) return;
    this.#timer = outside(() => setTimeout(() => this.#hedge(), delay).unref());
  }

  #hedge(): void {
    const { policy, opts, state } = this.#parts;
    if (this.#context.done) return;
    if (!state.budget.tryWithdraw()) {
      policy.count("budget_spent", originOf(opts));
      return;
    }
    this.#hedges += 1;
    policy.count("sent", originOf(opts));
    if (this.#hedges < policy.options.maxHedges) this.#arm();
    // The timer was made outside of the caller's scope; the request belongs into it.
    this.#context.run(() => this.#send());
  }

  #send(): boolean {
    const racer = new Racer(this, this.#hedges > 0);
    this.#racers.add(racer);
    try {
      return this.#parts.dispatch(this.#parts.opts, racer);
    } catch (error) {
      this.lose(racer, toError(error));
      return true;
    }
  }

  #fail(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.handler.onResponseError?.(this.controller, error);
  }

  #abort(reason: Error): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#abandonAll(reason);
    this.handler.onResponseError?.(this.controller, reason);
  }

  #abandonAll(reason: Error, except?: Racer): void {
    for (const racer of this.#racers) {
      if (racer === except) continue;
      this.#racers.delete(racer);
      racer.abandon(reason);
    }
  }
}

/** What undici tells about one of the requests. */
class Racer implements Handler {
  readonly isHedge: boolean;
  readonly #call: HedgedCall;
  #controller: Controller | undefined;
  #abandoned: Error | undefined;

  constructor(call: HedgedCall, isHedge: boolean) {
    this.#call = call;
    this.isHedge = isHedge;
  }

  abandon(reason: Error): void {
    this.#abandoned = reason;
    this.#controller?.abort(reason);
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    // A race may end while a racer still waits for a connection.
    if (this.#abandoned !== undefined) controller.abort(this.#abandoned);
  }

  onRequestSent(): void {
    if (this.isHedge || !this.#call.isRunning(this)) return;
    this.#call.startClock();
    this.#call.handler.onRequestSent?.();
  }

  onResponseStart(controller: Controller, status: number, headers: Headers, statusText?: string): void {
    if (!this.#call.isRunning(this)) return;
    const { handler, controller: stable } = this.#call;
    if (status >= 200) {
      this.#call.win(this, controller);
      handler.onResponseStarted?.();
    } else if (this.isHedge) return;
    handler.onResponseStart?.(stable, status, headers, statusText);
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    if (this.#call.isRunning(this)) this.#call.handler.onResponseData?.(this.#call.controller, chunk);
  }

  onResponseEnd(_controller: Controller, trailers: Headers): void {
    if (!this.#call.isRunning(this)) return;
    this.#call.finish();
    this.#call.handler.onResponseEnd?.(this.#call.controller, trailers);
  }

  onResponseError(_controller: Controller | null, error: Error): void {
    if (this.#call.isRunning(this)) this.#call.lose(this, error);
  }
}

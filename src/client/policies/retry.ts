/**
 * Sends a failed request again, where that is safe and likely to help.
 *
 * Safe means: the method is idempotent (RFC 9110 section 9.2.2) or the request carries an `Idempotency-Key`, the body
 * can be sent a second time as it is (none, a string or bytes; a stream has been read), and the caller has seen no
 * response header of an earlier try. Likely to help means: the error or status is on the list, a `Retry-After` is
 * waited for, the next try can still be made before the context's deadline, and the origin's budget has a try left.
 * Between tries it waits a random time below a bound that doubles, so that clients which failed together spread out.
 * What the caller gets at the end is the last answer or error, as it came.
 *
 * This is the user's policy, on top of the pool's own replay of requests that met a connection closed in the
 * meantime. It looks at nothing after the response header: a body that breaks half-way is the caller's to judge.
 */

import type { Dispatcher } from "undici";
import { context, type Context, outside } from "../../core/context.ts";
import { isRepeatable } from "../replay.ts";
import { findHeader } from "../request-headers.ts";
import { toError } from "../to-error.ts";
import { BodyDiscard } from "./discard-body.ts";
import type { ResolvedRetryOptions } from "./options.ts";
import { originOf, PerOrigin } from "./per-origin.ts";
import { parseRetryAfter } from "./retry-after.ts";
import { RetryBudget } from "./retry-budget.ts";
import { StableController } from "./stable-controller.ts";

type Controller = Dispatcher.DispatchController;
type Handler = Dispatcher.DispatchHandler;
type Headers = Parameters<NonNullable<Handler["onResponseStart"]>>[2];

/**
 * Why a request was sent again: the status or the error's code. Or why it was not, although its failure is on the list:
 * `attempts_spent`, `budget_spent`, `deadline` or `retry_after`.
 */
export type RetryReason = string;

export interface RetrySettings {
  /** Told of each decision, as it is counted; `again` is whether there is another try. */
  readonly onDecision?: (reason: RetryReason, origin: string, again: boolean) => void;
  readonly random?: () => number;
}

/** Does sending this twice do what sending it once does? */
function isIdempotent(opts: Dispatcher.DispatchOptions, methods: readonly string[]): boolean {
  if (opts.idempotent === false) return false;
  if (opts.idempotent === true || methods.includes(opts.method)) return true;
  return (findHeader(opts.headers, "idempotency-key") ?? findHeader(opts.headers, "x-idempotency-key")) !== undefined;
}

/** `counts` has one entry for each reason that occurred; reasons come from the options' lists, so there are few. */
export class RetryPolicy {
  readonly options: ResolvedRetryOptions;
  readonly #budgets: PerOrigin<RetryBudget>;
  readonly #onDecision: (reason: RetryReason, origin: string, again: boolean) => void;
  readonly #random: () => number;
  readonly #counts: Map<RetryReason, number> = new Map();

  constructor(options: ResolvedRetryOptions, settings: RetrySettings = {}) {
    this.options = options;
    this.#budgets = new PerOrigin(() => new RetryBudget(options.budget));
    this.#onDecision = settings.onDecision ?? (() => {});
    this.#random = settings.random ?? Math.random;
  }

  /** Decisions by reason, as a copy. */
  get counts(): Readonly<Record<RetryReason, number>> {
    return Object.fromEntries(this.#counts);
  }

  /** The same dispatch with retries. With `attempts: 0` it is the same function. */
  wrap(dispatch: Dispatcher.Dispatch): Dispatcher.Dispatch {
    if (this.options.attempts === 0) return dispatch;
    return (opts, handler) => {
      this.#budgets.get(originOf(opts)).deposit();
      const upgrades = opts.method === "CONNECT" || (opts.upgrade != null && opts.upgrade !== false);
      if (upgrades || !isRepeatable(opts.body) || !isIdempotent(opts, this.options.methods)) {
        return dispatch(opts, handler);
      }
      return new RetriedCall(this, dispatch, opts, handler).start();
    };
  }

  /**
   * How long to wait before try number `tried + 1`, or `undefined` when there must be none. Takes from the budget.
   *
   * @internal
   */
  plan(
    failure: { reason: RetryReason; tried: number; retryAfter?: number | undefined },
    call: RetriedCall,
  ): number | undefined {
    const { attempts, backoff, maxRetryAfter } = this.options;
    const refuse = (reason: RetryReason): undefined => this.#decide(reason, call.origin, false);
    if (failure.tried > attempts) return refuse("attempts_spent");
    if (failure.retryAfter !== undefined && failure.retryAfter > maxRetryAfter) return refuse("retry_after");
    const ceiling = Math.min(backoff.from * 2 ** (failure.tried - 1), backoff.to);
    const wait = backoff.jitter === "full" ? ceiling * this.#random() : ceiling;
    // Never before the server asked for; the jitter on top keeps those apart that were told the same second.
    const delay = (failure.retryAfter ?? 0) + wait;
    if (call.context.done || delay >= call.context.remaining()) return refuse("deadline");
    if (!this.#budgets.get(call.origin).tryWithdraw()) return refuse("budget_spent");
    this.#decide(failure.reason, call.origin, true);
    return delay;
  }

  #decide(reason: RetryReason, origin: string, again: boolean): undefined {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
    this.#onDecision(reason, origin, again);
  }
}

/**
 * One request of the caller, over all its tries.
 *
 * Invariant: exactly one of these holds: `#attempt` is under way; `#timer` runs between two tries; or `#over`, and the
 * handler has been or is being told how it ended.
 */
class RetriedCall {
  readonly origin: string;
  readonly context: Context = context();
  readonly controller: StableController = new StableController((reason) => this.#abort(reason));
  readonly handler: Handler;
  readonly policy: RetryPolicy;
  readonly #dispatch: Dispatcher.Dispatch;
  readonly #opts: Dispatcher.DispatchOptions;
  #tried = 0;
  #attempt: Attempt | undefined;
  #timer: NodeJS.Timeout | undefined;
  #watch: Disposable | undefined;
  #over = false;

  constructor(policy: RetryPolicy, dispatch: Dispatcher.Dispatch, opts: Dispatcher.DispatchOptions, handler: Handler) {
    this.policy = policy;
    this.origin = originOf(opts);
    this.handler = handler;
    this.#dispatch = dispatch;
    this.#opts = opts;
  }

  /** Tells the handler its controller at once, so that an abort works from the first moment on. */
  start(): boolean {
    this.handler.onRequestStart?.(this.controller, null);
    return this.#over ? true : this.#send();
  }

  /** Another try, if there may be one. `false` means that the failure goes to the caller. */
  tryAgain(reason: RetryReason, retryAfter?: number): boolean {
    const delay = this.policy.plan({ reason, tried: this.#tried, retryAfter }, this);
    if (delay === undefined) return false;
    this.#attempt = undefined;
    this.controller.follow(null);
    this.#timer = outside(() => setTimeout(() => this.#sendAgain(), delay));
    // The transport watches the context while a try is under way; between two tries nobody else does.
    this.#watch = this.context.onDone((cause) => this.controller.abort(toError(cause)));
    return true;
  }

  /** Is this the attempt that speaks to the caller? */
  isCurrent(attempt: Attempt): boolean {
    return !this.#over && this.#attempt === attempt;
  }

  fail(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.handler.onResponseError?.(this.controller, error);
  }

  finish(): void {
    this.#over = true;
  }

  #sendAgain(): void {
    this.#stopWaiting();
    // The timer was made outside of the caller's scope; the try belongs into it.
    this.context.run(() => this.#send());
  }

  #send(): boolean {
    this.#tried += 1;
    this.#attempt = new Attempt(this);
    try {
      return this.#dispatch(this.#opts, this.#attempt);
    } catch (error) {
      this.fail(toError(error));
      return true;
    }
  }

  #abort(reason: Error): void {
    if (this.#over) return;
    this.#stopWaiting();
    const attempt = this.#attempt;
    this.#over = true;
    attempt?.abandon(reason);
    this.handler.onResponseError?.(this.controller, reason);
  }

  #stopWaiting(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
  }
}

/** What undici tells about one try. It speaks to the caller as long as it is the current one, and is silent after. */
class Attempt implements Handler {
  readonly #call: RetriedCall;
  #controller: Controller | undefined;
  #discard: BodyDiscard | undefined;
  #abandoned: Error | undefined;
  /** The caller has its response header, so there is no way back. */
  #answered = false;

  constructor(call: RetriedCall) {
    this.#call = call;
  }

  abandon(reason: Error): void {
    this.#abandoned = reason;
    this.#controller?.abort(reason);
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#abandoned !== undefined) controller.abort(this.#abandoned);
    else this.#call.controller.follow(controller);
  }

  onBodySent(chunk: Buffer): void {
    if (this.#call.isCurrent(this)) this.#call.handler.onBodySent?.(chunk);
  }

  onRequestSent(): void {
    if (this.#call.isCurrent(this)) this.#call.handler.onRequestSent?.();
  }

  onResponseStart(controller: Controller, status: number, headers: Headers, statusText?: string): void {
    const { handler, policy, controller: stable } = this.#call;
    if (!this.#call.isCurrent(this)) return;
    // 103 and its kind say nothing about the outcome.
    if (status < 200) {
      handler.onResponseStart?.(stable, status, headers, statusText);
      return;
    }
    if (policy.options.statusCodes.includes(status)) {
      const retryAfter = policy.options.respectRetryAfter ? parseRetryAfter(headers) : undefined;
      if (this.#call.tryAgain(String(status), retryAfter)) {
        this.#discard = new BodyDiscard(controller);
        return;
      }
    }
    this.#answered = true;
    handler.onResponseStarted?.();
    handler.onResponseStart?.(stable, status, headers, statusText);
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    if (this.#discard !== undefined) this.#discard.onData(chunk);
    else if (this.#call.isCurrent(this)) this.#call.handler.onResponseData?.(this.#call.controller, chunk);
  }

  onResponseEnd(_controller: Controller, trailers: Headers): void {
    this.#discard?.end();
    if (!this.#call.isCurrent(this)) return;
    this.#call.finish();
    this.#call.handler.onResponseEnd?.(this.#call.controller, trailers);
  }

  onResponseError(_controller: Controller | null, error: Error): void {
    this.#discard?.end();
    if (!this.#call.isCurrent(this)) return;
    const code = this.#answered ? undefined : findCode(error, this.#call.policy.options.errors);
    if (code === undefined || !this.#call.tryAgain(code)) this.#call.fail(error);
  }
}

/** The code of `error` or of what caused it, if it is on the list. Errors of this package keep undici's as `cause`. */
function findCode(error: Error, codes: readonly string[]): string | undefined {
  for (const candidate of [error, error.cause]) {
    if (!(candidate instanceof Error && "code" in candidate)) continue;
    if (typeof candidate.code === "string" && codes.includes(candidate.code)) return candidate.code;
  }
  return undefined;
}

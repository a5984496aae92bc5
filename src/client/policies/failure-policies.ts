/**
 * The policies of one transport, put around its dispatch in the order in which they make sense together.
 *
 * Hedging is innermost: a hedge races within the place that its first request holds at the limit. Were it to queue for
 * a place of its own, requests that hang could fill the limit and keep out the hedges which would free them; so the
 * hedges, a tenth of the requests by default, come on top of it. The limit is next. Retries are outermost: nobody
 * holds a place while a retry waits, and they see how a race has ended, not each runner. A policy that is not asked
 * for leaves no trace: without any, the dispatch is handed back as it was.
 */

import type { Dispatcher } from "undici";
import { ConcurrencyPolicy, type GateOutcome } from "./concurrency.ts";
import { HedgePolicy, type HedgeOutcome } from "./hedge.ts";
import type { ResolvedConcurrencyOptions, ResolvedHedgeOptions, ResolvedRetryOptions } from "./options.ts";
import { type RetryReason, RetryPolicy, type RetrySettings } from "./retry.ts";

/** The resolved groups of the transport's options; `undefined` where the user gave none. */
export interface FailureOptions {
  readonly retry?: ResolvedRetryOptions | undefined;
  readonly hedge?: ResolvedHedgeOptions | undefined;
  readonly concurrency?: ResolvedConcurrencyOptions | undefined;
}

/** Told of what the policies do, as they count it, so that the transport can count it in its instruments as well. */
export interface FailureListener {
  readonly onRetry?: (reason: RetryReason, origin: string, again: boolean) => void;
  readonly onHedge?: (outcome: HedgeOutcome, origin: string) => void;
  readonly onLimit?: (outcome: GateOutcome, origin: string) => void;
}

export class FailurePolicies {
  readonly retry: RetryPolicy | undefined;
  readonly hedge: HedgePolicy | undefined;
  readonly concurrency: ConcurrencyPolicy | undefined;

  constructor(options: FailureOptions, { onRetry, onHedge, onLimit }: FailureListener = {}) {
    const settings: RetrySettings = onRetry === undefined ? {} : { onDecision: onRetry };
    this.retry = options.retry && new RetryPolicy(options.retry, settings);
    this.hedge = options.hedge && new HedgePolicy(options.hedge, onHedge);
    this.concurrency = options.concurrency && new ConcurrencyPolicy(options.concurrency, onLimit);
  }

  /** The same dispatch with every policy that was asked for. */
  wrap(dispatch: Dispatcher.Dispatch): Dispatcher.Dispatch {
    const hedged = this.hedge?.wrap(dispatch) ?? dispatch;
    const limited = this.concurrency?.wrap(hedged) ?? hedged;
    return this.retry?.wrap(limited) ?? limited;
  }
}

// The interface of sluice/adapters/sentry, printed by `npm run api`. Do not edit.

// adapters/sentry.d.ts

/**
 * Reports what finally failed to Sentry.
 *
 * It takes the Sentry that the program has set up, by its shape: nothing of Sentry is imported, which costs 360 ms at the
 * start. Mind that `Sentry.init` adds listeners for unhandled rejections, so that a process with it outlives some that
 * it would have died of.
 */
import type { Reporter } from "../tasks/index.ts";
/** What is told beside an error. */
export interface SentryHint {
    readonly captureContext: {
        readonly level: "error" | "warning";
        readonly tags: Record<string, string>;
        readonly contexts: Record<string, Record<string, unknown>>;
        readonly fingerprint: string[];
    };
    readonly mechanism: {
        readonly type: string;
        readonly handled: boolean;
    };
}
/** What is used of `@sentry/node` 9 and later: the module itself fits. */
export interface SentryLike {
    captureException(error: unknown, hint: SentryHint): unknown;
    flush(timeoutMs?: number): PromiseLike<boolean>;
}
/** A reporter that sends to Sentry: `new Tasks({ reporter: sentryReporter(Sentry) })`. */
export declare function sentryReporter(sentry: SentryLike): Reporter;

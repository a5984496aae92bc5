/**
 * Where spans come from, for those who trace: the adapter for OpenTelemetry fits here.
 *
 * The runtime knows only the W3C `traceparent` that it carries; what a span is, the adapter knows.
 */

/** A piece of work under way. */
export interface TracedWork {
  /** Carried on to what the work causes, if there is one. */
  readonly traceparent?: string | undefined;
  /** Calls `fn` so that what it does belongs to the span. */
  run<T>(fn: () => T): T;
  /** It is over. `error` if it failed. Called once. */
  end(outcome: string, error?: unknown): void;
}

/** What an attempt is about. */
export interface TracedAttempt {
  readonly queue: string;
  readonly id: string;
  readonly attempt: number;
  /** Of whoever added the job. */
  readonly traceparent?: string | undefined;
}

/** Makes spans. Calls do not throw. */
export interface Tracing {
  /** The traceparent of the span that is active now: a task runs outside of it, and is told. */
  current(): string | undefined;
  /** Jobs are being added to a queue. `parent` is the traceparent of whoever does it. */
  startAdd(queue: string, parent: string | undefined): TracedWork;
  /** A job is being done. */
  startAttempt(attempt: TracedAttempt): TracedWork;
  /** A task runs. `parent` is the traceparent of whoever asked for it. */
  startTask(name: string, parent: string | undefined): TracedWork;
}

const untraced: TracedWork = Object.freeze({
  run: <T>(fn: () => T): T => fn(),
  end(): void {},
});

/** Of those who do not trace. */
export const noTracing: Tracing = Object.freeze({
  current: () => undefined,
  startAdd: () => untraced,
  startAttempt: () => untraced,
  startTask: () => untraced,
});

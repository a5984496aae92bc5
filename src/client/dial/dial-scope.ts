/**
 * What may end a dial before it is done: its caller, a time limit, the end of its dialer. All three are turned into
 * one abort signal with the right reason, so that the steps of a dial listen to one thing and race nothing.
 *
 * An `AbortSignal.any` would do the joining too, but it leaks (nodejs/node#54614) and has no place for the second
 * look that a time limit takes before it fires. The timers are native: dials are rare, and their limits are meant to
 * the millisecond.
 */

/** The longest delay that a native timer keeps; it takes a longer one for 1 ms. */
const longestDelayMs = 2_147_483_647;

/** A timer that comes later than this was held up by a blocked event loop, not by its own granularity. */
const blockedMs = 25;

/**
 * Ends a step that takes longer than `ms`, unless it is disposed of first. Never early.
 *
 * A timer cannot tell "the peer was silent" from "we did not listen": after a blocked event loop it fires before the
 * answer that lies in the socket's buffer is read (undici#3410). So it never fires on the spot. It first lets one
 * poll phase pass, in which that answer ends the step. And if the timer came late, the loop was blocked: the step
 * gets the lost time back once, since it may need a second answer. It never gets more than `ms` again.
 */
export class TimeLimit implements Disposable {
  readonly #ms: number;
  readonly #expire: () => void;
  readonly #dueAt: number;
  #timer: NodeJS.Timeout | undefined;
  #lastLook: NodeJS.Immediate | undefined;

  constructor(ms: number, expire: () => void) {
    this.#ms = Math.min(ms, longestDelayMs);
    this.#expire = expire;
    this.#dueAt = performance.now() + this.#ms;
    if (ms !== Infinity) this.#timer = setTimeout(() => this.#onTimer(), this.#ms);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#lastLook);
  }

  #onTimer(): void {
    const lateMs = performance.now() - this.#dueAt;
    if (lateMs <= blockedMs) this.#lookOnceMore();
    else this.#timer = setTimeout(() => this.#lookOnceMore(), Math.min(lateMs, this.#ms));
  }

  #lookOnceMore(): void {
    this.#lastLook = setImmediate(this.#expire);
  }
}

/**
 * Invariant: once `signal` has aborted, its reason is the first one given, and nothing of this scope hangs on the
 * caller's signal. Disposing of the scope without ending it leaves `signal` as it is.
 */
export class DialScope implements Disposable {
  readonly #controller: AbortController = new AbortController();
  readonly #caller: AbortSignal | undefined;
  readonly #onCallerAbort = (): void => this.end(this.#caller?.reason);

  constructor(caller: AbortSignal | undefined) {
    this.#caller = caller;
    if (caller?.aborted) this.end(caller.reason);
    else caller?.addEventListener("abort", this.#onCallerAbort);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends what still runs in this scope with `reason`. A second call does nothing. */
  end(reason: unknown): void {
    this[Symbol.dispose]();
    this.#controller.abort(reason);
  }

  /** Ends the scope with the error that `expired` makes, unless what it returns is disposed of within `ms`. */
  limit(ms: number, expired: () => Error): TimeLimit {
    return new TimeLimit(ms, () => this.end(expired()));
  }

  [Symbol.dispose](): void {
    this.#caller?.removeEventListener("abort", this.#onCallerAbort);
  }
}

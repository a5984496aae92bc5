/**
 * What a request carries through every call made for it: when it must be finished, whether it still matters, and a
 * few values such as its trace id.
 *
 * Go's context for Node, as a tree of our own: `AbortSignal.any` keeps a kilobyte for each combined signal as long as
 * the longest-lived source lives, and every `AbortSignal.timeout` pins its request. Here a child leaves its parent in
 * O(1) when it is disposed of, and signals and timers exist only once somebody looks at them. The current context
 * travels by AsyncLocalStorage; passing it by hand works as well. It does not stop anything by itself: whoever waits
 * listens to it.
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { Scope, type ScopeLimits } from "./context-scope.ts";
import { now } from "./clock.ts";
import type { ContextCode } from "./context-error.ts";
import { OptionError } from "./errors.ts";
import { parseDuration, type Duration } from "./options.ts";

export { ContextError, type ContextCode } from "./context-error.ts";
export { outside } from "./outside.ts";

/** Names a value in a context. Two keys of the same name are two keys. */
export interface ContextKey<T> {
  readonly name: string;
  /** Never set: it carries the type of the value. */
  readonly type?: (value: T) => T;
}

/** Limits of a child. Each can only shorten what the parent allows. */
export interface ContextLimits {
  /** How long from now until the deadline. */
  readonly timeout?: Duration;
  /** The deadline itself, in milliseconds on the monotonic clock (`performance.now()`). */
  readonly deadline?: number;
  /** Ends the child, with its reason as the cause. */
  readonly signal?: AbortSignal;
}

/** A deadline, a cancellation and values, inherited by children. */
export interface Context {
  /** Aborts when the context is done, with `cause` as its reason. Made when first asked for. */
  readonly signal: AbortSignal;
  /** The deadline in milliseconds on the monotonic clock (`performance.now()`); `Infinity` when there is none. */
  readonly deadline: number;
  /** Whether it is over: deadline passed, cancelled, disposed of, or its parent is done. */
  readonly done: boolean;
  /** Why it is done: a {@link ContextError}, or whatever was given as the reason. `undefined` until then. */
  readonly cause: unknown;
  /** Milliseconds left until the deadline, at least 0; `Infinity` when there is none. */
  remaining(): number;
  /**
   * A context within this one: done when this one is, or earlier by its own limits. Dispose of it when its work is
   * over (`using`), which also ends what was started below it.
   */
  child(limits?: ContextLimits): OwnedContext;
  /** A context that keeps the values and outlives this one: only its own timeout and a shutdown end it. */
  detach(limits: { readonly timeout: Duration }): OwnedContext;
  /**
   * A context that keeps the values and none of the limits: only a shutdown ends it. For what begins later, and may have
   * to wait until then; it needs no disposal, and keeps nothing of a request in memory but its values.
   */
  values(): Context;
  /** The value of the nearest `withValue` above. */
  value<T>(key: ContextKey<T>): T | undefined;
  /** This context with one value more. It is done when this one is and needs no disposal. */
  withValue<T>(key: ContextKey<T>, value: T): Context;
  /** Calls `fn` with this as the current {@link context}, also in everything `fn` awaits and starts. */
  run<T, Args extends readonly unknown[]>(fn: (...args: Args) => T, ...args: Args): T;
  /**
   * Calls `fn` once with the cause when the context is done, in the order of registration; on a fresh microtask if it
   * is done already. What `fn` throws becomes an uncaught exception. It runs in the async scope of whatever ended the
   * context. Dispose of the registration when it is no longer needed.
   */
  onDone(fn: (cause: unknown) => void): Disposable;
}

/** A context as its maker holds it: it can be ended. */
export interface OwnedContext extends Context, Disposable {
  /** Ends it now, and all below it. Later calls do nothing. Without a cause: `ERR_CANCELLED`. */
  cancel(cause?: unknown): void;
}

/** One value and those before it. Frozen by type: contexts share the tails. */
interface ValueNode {
  /** A `ContextKey` of any type. */
  readonly key: object;
  readonly value: unknown;
  readonly next: ValueNode | undefined;
}

/** A scope seen with values. Several contexts may share a scope; `withValue` costs no place in the tree. */
abstract class ScopeView implements Context {
  readonly #values: ValueNode | undefined;

  constructor(values: ValueNode | undefined) {
    this.#values = values;
  }

  abstract get scope(): Scope;

  /** Under which what is detached lives on. */
  get root(): Scope {
    return this.scope.root;
  }

  get signal(): AbortSignal {
    return this.scope.signal;
  }

  get deadline(): number {
    return this.scope.deadline;
  }

  get done(): boolean {
    return this.scope.done;
  }

  get cause(): unknown {
    return this.scope.cause;
  }

  remaining(): number {
    const { deadline } = this.scope;
    return deadline === Infinity ? Infinity : Math.max(0, deadline - now());
  }

  child(limits?: ContextLimits): OwnedContext {
    return new ScopedContext(new Scope(this.scope, resolveLimits("context.child", limits)), this.#values);
  }

  detach(limits: { readonly timeout: Duration }): OwnedContext {
    return new ScopedContext(new Scope(this.root, resolveLimits("context.detach", limits)), this.#values);
  }

  values(): Context {
    return new ScopedContext(this.root, this.#values);
  }

  value<T>(key: ContextKey<T>): T | undefined {
    for (let node = this.#values; node !== undefined; node = node.next) {
      // `withValue` is the only writer, and takes a value of the key's type.
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      if (node.key === key) return node.value as T;
    }
    return undefined;
  }

  withValue<T>(key: ContextKey<T>, value: T): Context {
    return new ScopedContext(this.scope, { key, value, next: this.#values });
  }

  run<T, Args extends readonly unknown[]>(fn: (...args: Args) => T, ...args: Args): T {
    return current.run(this, fn, ...args);
  }

  onDone(fn: (cause: unknown) => void): Disposable {
    return this.scope.onDone(fn);
  }
}

class ScopedContext extends ScopeView implements OwnedContext {
  readonly scope: Scope;

  constructor(scope: Scope, values: ValueNode | undefined) {
    super(values);
    this.scope = scope;
  }

  cancel(cause?: unknown): void {
    this.scope.end("ERR_CANCELLED", cause);
  }

  [Symbol.dispose](): void {
    this.scope.end("ERR_CANCELLED", undefined);
  }
}

const noLimits: ScopeLimits = { deadline: Infinity, timeoutMs: Infinity, signal: undefined };

function resolveLimits(owner: string, limits: ContextLimits | undefined): ScopeLimits {
  if (limits === undefined) return noLimits;
  const { timeout, deadline = Infinity, signal } = limits;
  if (Number.isNaN(deadline)) throw new OptionError(`${owner}.deadline`, "must be a number of milliseconds; got NaN");
  if (timeout === undefined) return { deadline, timeoutMs: Infinity, signal };
  const timeoutMs = parseTimeout(owner, timeout);
  return { deadline: Math.min(deadline, now() + timeoutMs), timeoutMs, signal };
}

function parseTimeout(owner: string, timeout: Duration): number {
  try {
    return parseDuration(timeout);
  } catch (error) {
    if (error instanceof RangeError) throw new OptionError(`${owner}.timeout`, error.message);
    throw error;
  }
}

/** One for the whole process: every further instance would slow down each `await`. */
const current = new AsyncLocalStorage<Context>({ name: "sluice.context" });

const backgroundScope = new Scope(undefined, noLimits);

/** The root of all contexts: no deadline, no values, never done. */
export const background: Context = new ScopedContext(backgroundScope, undefined);

/** The context of the request (or task) that is being worked on; {@link background} outside of any. */
export function context(): Context {
  return current.getStore() ?? background;
}

/** A context under the background, whatever is being worked on now: for whoever accepts requests. */
export function createContext(limits?: ContextLimits): OwnedContext {
  return new ScopedContext(new Scope(backgroundScope, resolveLimits("createContext", limits)), undefined);
}

/**
 * A root for one server or task runner: contexts detached below it live on beside their request, but not beyond this
 * root.
 */
export function createRoot(): OwnedContext {
  return new ScopedContext(new Scope(backgroundScope, noLimits, true), undefined);
}

/** Whoever serves the request of a context, and knows what its deadline is. */
export interface RequestOwner {
  /** The deadline that holds now: the one there was, or a later one if that has become pointless. */
  reconsiderDeadline(before: number): number;
}

/** A request's context as its server holds it. */
export interface RequestContext extends Context {
  /** Ends it now, and all below it. Later calls do nothing. */
  end(code: ContextCode): void;
  /** Moves its deadline; contexts below that were bounded by it get the time too. */
  putOff(deadline: number): void;
  /**
   * Makes it the current one until the present callback of the runtime returns. For a caller who knows that the
   * runtime puts its own back: `run` costs twice as much.
   */
  enter(): void;
  /** The request is over and nothing went wrong: what still runs in its context is left alone and keeps nothing alive. */
  release(): void;
}

class RequestScope extends Scope {
  readonly #owner: RequestOwner;

  constructor(parent: Scope, deadline: number, owner: RequestOwner) {
    super(parent, { deadline, timeoutMs: Infinity, signal: undefined });
    this.#owner = owner;
  }

  /** What its owner says now: an answer may have begun since somebody asked last. */
  override get deadline(): number {
    const before = super.deadline;
    const deadline = this.#owner.reconsiderDeadline(before);
    if (deadline > before) this.putOff(deadline);
    return super.deadline;
  }

  override reconsiderDeadline(passed: number): number {
    return this.#owner.reconsiderDeadline(passed);
  }
}

/** What the contexts of one server's requests have in common. */
interface Serving {
  readonly scope: Scope;
  /** How often all of them were ended, and by what the last time. */
  ends: number;
  endedBy: ContextCode;
}

/**
 * A context whose scope is made when somebody looks: most handlers never do.
 *
 * Invariant: until `#scope` is there, `#deadline`, `#ending` and `#isReleased` say what has happened to it, and so does
 * `#born` against the ends of all.
 */
class ServedContext extends ScopeView implements RequestContext {
  readonly #serving: Serving;
  readonly #owner: RequestOwner;
  readonly #born: number;
  #scope: RequestScope | undefined;
  #deadline: number;
  #ending: ContextCode | undefined;
  #isReleased = false;

  constructor(serving: Serving, deadline: number, owner: RequestOwner, values: ValueNode | undefined) {
    super(values);
    this.#serving = serving;
    this.#owner = owner;
    this.#born = serving.ends;
    this.#deadline = deadline;
  }

  get scope(): Scope {
    return (this.#scope ??= this.#makeScope());
  }

  override get root(): Scope {
    return backgroundScope;
  }

  #makeScope(): RequestScope {
    const serving = this.#serving;
    // Nothing above reaches a released one any more.
    const scope = new RequestScope(this.#isReleased ? backgroundScope : serving.scope, this.#deadline, this.#owner);
    const ending = this.#ending ?? (this.#isReleased ? undefined : this.#endedWithAll());
    if (ending !== undefined) scope.end(ending, undefined);
    if (this.#isReleased) scope.release();
    return scope;
  }

  end(code: ContextCode): void {
    this.#ending ??= this.#endedWithAll() ?? code;
    this.#scope?.end(code, undefined);
  }

  putOff(deadline: number): void {
    if (this.#scope === undefined) this.#deadline = deadline;
    else this.#scope.putOff(deadline);
  }

  enter(): void {
    current.enterWith(this);
  }

  release(): void {
    if (this.#isReleased) return;
    this.#ending ??= this.#endedWithAll();
    this.#isReleased = true;
    this.#scope?.release();
  }

  #endedWithAll(): ContextCode | undefined {
    return this.#serving.ends === this.#born ? undefined : this.#serving.endedBy;
  }
}

/** All requests of one server: what ends them together. Contexts detached from a request are not among them. */
export class RequestContexts {
  readonly #serving: Serving = { scope: new Scope(backgroundScope, noLimits), ends: 0, endedBy: "ERR_CANCELLED" };

  /** A context for one request, done at `deadline` unless `owner` puts it off. */
  create(deadline: number, owner: RequestOwner, traceparent: string | undefined): RequestContext {
    const values = traceparent === undefined ? undefined : { key: traceparentKey, value: traceparent, next: undefined };
    return new ServedContext(this.#serving, deadline, owner, values);
  }

  /** Ends all that are not released; further ones can be made. */
  endAll(code: ContextCode): void {
    this.#serving.ends += 1;
    this.#serving.endedBy = code;
    this.#serving.scope.endChildren(code, undefined);
  }
}

/** Ends every context there is, those detached included. The background itself stays usable. */
export function shutdown(cause?: unknown): void {
  backgroundScope.endChildren("ERR_SHUTTING_DOWN", cause);
}

/** A new key for `withValue`. */
export function contextKey<T>(name: string): ContextKey<T> {
  return Object.freeze({ name });
}

/** The W3C `traceparent` of the request, as received or made: sent on with every call. */
export const traceparentKey: ContextKey<string> = contextKey("traceparent");

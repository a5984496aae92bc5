/**
 * The tree under the contexts: who ends with whom, and who wants to know.
 *
 * A context is a view on a scope; only scopes stand in the tree. What is expensive (an error with its stack, a signal,
 * a timer) is made when first asked for, since most requests end without anybody asking.
 */

import { now } from "./clock.ts";
import { ContextError, type ContextCode } from "./context-error.ts";
import { DeadlineWheel, WheelTimer } from "./deadline-wheel.ts";
import { throwLater } from "./outside.ts";
import { append, RingNode, unlink } from "./ring.ts";

/** What bounds a scope besides its parent. */
export interface ScopeLimits {
  readonly deadline: number;
  /** The timeout that the deadline came from, for the message; `Infinity` if none. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** All deadlines of contexts. Wakes the process only while a context with a deadline is being watched. */
const deadlines = new DeadlineWheel();

class Listener extends RingNode implements Disposable {
  fn: ((cause: unknown) => void) | undefined;

  constructor(fn: (cause: unknown) => void) {
    super();
    this.fn = fn;
  }

  notify(cause: unknown): void {
    const { fn } = this;
    this[Symbol.dispose]();
    try {
      fn?.(cause);
    } catch (error) {
      throwLater(error);
    }
  }

  [Symbol.dispose](): void {
    this.fn = undefined;
    unlink(this);
  }
}

class ScopeTimer extends WheelTimer {
  readonly #scope: Scope;

  constructor(scope: Scope) {
    super();
    this.#scope = scope;
  }

  onDeadline(): void {
    this.#scope.expire();
  }
}

/**
 * A node of the tree. Being a {@link RingNode}, it is its own place among its siblings.
 *
 * Invariants: a scope that is not done is linked under its parent, and its parent is not done; `deadline` is never
 * later than the parent's. A done scope holds no timer, no listener, no child and no listener on a foreign signal.
 * `#close` is the only place that makes a scope done.
 */
export class Scope extends RingNode {
  /** Under which detached contexts live on. */
  readonly root: Scope;
  readonly #timeoutMs: number;
  #ownDeadline: number;
  /** The one in force; `putOff` carries a change down the tree. */
  #deadline: number;
  #parent: Scope | undefined;
  #children: RingNode | undefined;
  #listeners: RingNode | undefined;
  #timer: ScopeTimer | undefined;
  #controller: AbortController | undefined;
  #unfollow: (() => void) | undefined;
  #done = false;
  #code: ContextCode = "ERR_CANCELLED";
  /** The one above whose end was the end of this one: theirs is the cause. */
  #endedBy: Scope | undefined;
  #cause: unknown = undefined;

  constructor(parent: Scope | undefined, limits: ScopeLimits, isRoot = false) {
    super();
    this.#ownDeadline = limits.deadline;
    this.#deadline = parent === undefined ? limits.deadline : Math.min(limits.deadline, parent.deadline);
    this.#timeoutMs = limits.timeoutMs;
    this.root = parent === undefined || isRoot ? this : parent.root;
    if (parent === undefined) return;
    // Not asked of the clock: a deadline that the parent has missed, the child misses too.
    if (parent.#done) {
      this.#endedBy = parent.#endedBy ?? parent;
      this.#close(parent.#code, undefined);
      return;
    }
    this.#parent = parent;
    parent.#children ??= new RingNode();
    append(parent.#children, this);
    if (limits.signal !== undefined) this.#follow(limits.signal);
  }

  /** The earliest one of its own and those above. */
  get deadline(): number {
    return this.#deadline;
  }

  /** Whether it is over. Without a timer it is the clock that is asked, so that nobody needs one only for this. */
  get done(): boolean {
    if (!this.#done && this.#deadline !== Infinity && now() >= this.#deadline) this.expire();
    return this.#done;
  }

  get cause(): unknown {
    if (!this.done) return undefined;
    this.#cause ??= this.#endedBy === undefined ? this.#explain() : this.#endedBy.cause;
    return this.#cause;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      this.#watchDeadline();
      // Ended while there was no controller to tell.
      if (this.#done && !this.#controller.signal.aborted) this.#controller.abort(this.cause);
    }
    return this.#controller.signal;
  }

  onDone(fn: (cause: unknown) => void): Disposable {
    const listener = new Listener(fn);
    this.#watchDeadline();
    if (this.#done) {
      queueMicrotask(() => listener.notify(this.cause));
    } else {
      this.#listeners ??= new RingNode();
      append(this.#listeners, listener);
    }
    return listener;
  }

  /** Ends it because its deadline has passed; with whoever above has the same deadline, since that is the cause. */
  expire(): void {
    const owner = this.#deadlineOwner();
    const deadline = owner.reconsiderDeadline(owner.#ownDeadline);
    if (deadline > owner.#ownDeadline) owner.putOff(deadline);
    else if (now() >= owner.#deadline) owner.end("ERR_DEADLINE_EXCEEDED", undefined);
  }

  /** What the deadline is, now that it has passed. A request's may have become pointless; then it is a later one. */
  reconsiderDeadline(passed: number): number {
    return passed;
  }

  /** Moves its own deadline, and with it those below that were bounded by it. */
  putOff(deadline: number): void {
    if (this.#done) return;
    this.#ownDeadline = deadline;
    const scopes = this.#withAllBelow();
    for (const scope of scopes) {
      const parent = scope.#parent;
      scope.#deadline = parent === undefined ? scope.#ownDeadline : Math.min(scope.#ownDeadline, parent.#deadline);
      if (scope.#timer !== undefined) deadlines.cancel(scope.#timer);
      scope.#timer = undefined;
    }
    for (const scope of scopes) {
      if (scope.#listeners !== undefined || scope.#controller !== undefined) scope.#watchDeadline();
    }
  }

  /** Takes it out of the tree, not ended: nothing above reaches it any more, and nobody but its users keeps it. */
  release(): void {
    if (this.#done) return;
    this.#parent = undefined;
    unlink(this);
  }

  /** Ends it and all below it: all are done before the first listener hears of it, and parents hear first. */
  end(code: ContextCode, cause: unknown): void {
    if (this.#done) return;
    this.#close(code, cause);
    if (this.#children === undefined) this.#notify();
    else Scope.#closeBelow([this]);
  }

  /** Ends all below it, but not itself: for the root of all, which outlives a shutdown. */
  endChildren(code: ContextCode, cause: unknown): void {
    const children = this.#takeChildren();
    for (const child of children) child.#close(code, cause);
    Scope.#closeBelow(children);
  }

  #close(code: ContextCode, cause: unknown): void {
    this.#done = true;
    this.#code = code;
    this.#cause = cause;
    this.#parent = undefined;
    unlink(this);
    if (this.#timer !== undefined) deadlines.cancel(this.#timer);
    this.#timer = undefined;
    this.#unfollow?.();
    this.#unfollow = undefined;
  }

  static #closeBelow(ended: Scope[]): void {
    // `ended` grows while it is walked. Not by recursion: a chain of children may be deeper than the stack.
    for (const scope of ended) {
      for (const child of scope.#takeChildren()) {
        child.#endedBy = scope.#endedBy ?? scope;
        child.#close(scope.#code, undefined);
        ended.push(child);
      }
    }
    for (const scope of ended) scope.#notify();
  }

  #takeChildren(): Scope[] {
    const children = this.#listChildren();
    this.#children = undefined;
    return children;
  }

  #listChildren(): Scope[] {
    const ring = this.#children;
    const children: Scope[] = [];
    for (let node = ring?.ringNext; node !== undefined && node !== ring; node = node.ringNext) {
      // Only the constructor appends to `#children`.
      if (node instanceof Scope) children.push(node);
    }
    return children;
  }

  #withAllBelow(): Scope[] {
    const scopes: Scope[] = [this];
    // It grows while it is walked.
    for (const scope of scopes) for (const child of scope.#listChildren()) scopes.push(child);
    return scopes;
  }

  #deadlineOwner(): Scope {
    let parent = this.#parent;
    if (parent === undefined || parent.#deadline !== this.#deadline) return this;
    while (parent.#parent !== undefined && parent.#parent.#deadline === this.#deadline) parent = parent.#parent;
    return parent;
  }

  /** Sees to it that the deadline ends the scope by itself. One that has passed already does so here. */
  #watchDeadline(): void {
    if (this.#done || this.#deadline === Infinity) return;
    const owner = this.#deadlineOwner();
    if (owner.#timer !== undefined) return;
    const leftMs = owner.#deadline - now();
    if (leftMs <= 0) {
      this.expire();
      return;
    }
    owner.#timer = new ScopeTimer(owner);
    deadlines.arm(owner.#timer, leftMs);
  }

  #follow(signal: AbortSignal): void {
    const end = (): void => this.end("ERR_CANCELLED", signal.reason);
    if (signal.aborted) {
      end();
      return;
    }
    signal.addEventListener("abort", end, { once: true });
    this.#unfollow = () => signal.removeEventListener("abort", end);
  }

  /**
   * Made when first asked for, so its stack would show whoever asked, or the timer: it is left out, which is also what
   * makes ending a scope that is being listened to several times cheaper.
   */
  #explain(): ContextError {
    const { stackTraceLimit } = Error;
    // Not an assignment, which would throw where somebody has frozen `Error`.
    Reflect.set(Error, "stackTraceLimit", 0);
    try {
      if (this.#code !== "ERR_DEADLINE_EXCEEDED" || this.#timeoutMs === Infinity) return new ContextError(this.#code);
      const given = `The deadline passed: ${this.#timeoutMs} ms were given.`;
      return new ContextError(this.#code, `${given} Give the work more time, or make it do less.`);
    } finally {
      Reflect.set(Error, "stackTraceLimit", stackTraceLimit);
    }
  }

  #notify(): void {
    const listeners = this.#listeners;
    this.#listeners = undefined;
    if (listeners !== undefined) {
      // One at a time from the front: a listener may dispose of any other.
      for (let first = listeners.ringNext; first instanceof Listener; first = listeners.ringNext) {
        first.notify(this.cause);
      }
    }
    this.#controller?.abort(this.cause);
  }
}

/**
 * One listener per AbortSignal, however many requests follow it.
 *
 * Adding and removing a listener of its own for each request is linear in the listeners a signal has: 10,000 requests
 * under one process-wide signal would spend their time in lists. Here a signal has one listener and a set, both gone
 * when the last follower leaves.
 */

/** Something that ends when the signal fires. */
export interface SignalFollower {
  onSignalAbort(reason: unknown): void;
}

/** Invariant: the listener is on the signal exactly while `#followers` is not empty. */
class FollowerList {
  readonly #signal: AbortSignal;
  readonly #followers = new Set<SignalFollower>();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  add(follower: SignalFollower): void {
    if (this.#followers.size === 0) this.#signal.addEventListener("abort", this);
    this.#followers.add(follower);
  }

  delete(follower: SignalFollower): void {
    if (this.#followers.delete(follower) && this.#followers.size === 0) {
      this.#signal.removeEventListener("abort", this);
    }
  }

  handleEvent(): void {
    const { reason } = this.#signal;
    const followers = [...this.#followers];
    this.#followers.clear();
    this.#signal.removeEventListener("abort", this);
    for (const follower of followers) follower.onSignalAbort(reason);
  }
}

const lists = new WeakMap<AbortSignal, FollowerList>();

/** Calls `follower.onSignalAbort` once when the signal fires, unless it is unfollowed before. */
export function followSignal(signal: AbortSignal, follower: SignalFollower): void {
  let list = lists.get(signal);
  if (list === undefined) {
    list = new FollowerList(signal);
    lists.set(signal, list);
  }
  list.add(follower);
}

/** Takes the follower off. Harmless when it is not on. */
export function unfollowSignal(signal: AbortSignal, follower: SignalFollower): void {
  lists.get(signal)?.delete(follower);
}

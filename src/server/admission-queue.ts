/**
 * Who waits for a place, and who is next.
 *
 * The obvious queue, first come, first served, fails in an overload that lasts: it fills up, and from then on everybody
 * is served at the end of the longest wait, shortly before the client gives up, or shortly after. So a request that has
 * waited longer than `patienceMs` steps aside: those who came later are still in time and go first. Who stepped aside
 * is served when nobody else waits, the latest first; so a burst is served in full, and no place stays empty while
 * somebody waits. In the meantime they are the first to go when room is needed. Facebook's "Fail at Scale" (ACM Queue
 * 13/8, 2015) gets there with two states and a detector of overload; this has neither.
 */

import { WheelTimer } from "../core/deadline-wheel.ts";
import { append, isLinked, RingNode, unlink } from "../core/ring.ts";

/** Priorities 0 (first) to 9. */
export const lowestPriority = 9;

/** Somebody who waits, and the deadline of the wait. */
export abstract class Waiting extends WheelTimer implements RingNode {
  /** @internal */
  ringNext: RingNode = this;
  /** @internal */
  ringPrev: RingNode = this;
  /** A whole number, 0 (first) to 9. */
  readonly priority: number;
  /** Monotonic milliseconds. */
  readonly waitingSince: number;

  constructor(priority: number, waitingSince: number) {
    super();
    this.priority = priority;
    this.waitingSince = waitingSince;
  }
}

/** Those of one priority, each ring in the order of arrival. All of `aside` came before all of `patient`. */
interface Line {
  readonly patient: RingNode;
  readonly aside: RingNode;
}

/** Invariant: who waits is in exactly one ring, of the line of its priority; `size` counts them. */
export class AdmissionQueue {
  readonly #patienceMs: number;
  readonly #lines: readonly Line[] = Array.from({ length: lowestPriority + 1 }, () => ({
    patient: new RingNode(),
    aside: new RingNode(),
  }));
  #size = 0;

  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
  }

  get size(): number {
    return this.#size;
  }

  /** Since when the one that has waited longest waits; `Infinity` when nobody does. */
  get oldestSince(): number {
    let oldest = Infinity;
    for (const { patient, aside } of this.#lines) {
      const first = firstOf(aside) ?? firstOf(patient);
      if (first !== undefined && first.waitingSince < oldest) oldest = first.waitingSince;
    }
    return oldest;
  }

  push(waiting: Waiting): void {
    const line = this.#lines[waiting.priority];
    if (line === undefined) throw new RangeError(`there is no priority ${waiting.priority}`);
    append(line.patient, waiting);
    this.#size += 1;
  }

  /** Takes it out, wherever it stands. */
  remove(waiting: Waiting): void {
    if (!isLinked(waiting)) return;
    unlink(waiting);
    this.#size -= 1;
  }

  /** Takes out who is served next. */
  takeNext(nowMs: number): Waiting | undefined {
    for (const line of this.#lines) {
      this.#stepAside(line, nowMs);
      const next = firstOf(line.patient) ?? lastOf(line.aside);
      if (next === undefined) continue;
      this.remove(next);
      return next;
    }
    return undefined;
  }

  /**
   * Takes out who makes room for a newcomer of `priority`: the least important one, of equals one that has stepped
   * aside, else the latest. `undefined` if that would be the newcomer.
   */
  displace(priority: number, nowMs: number): Waiting | undefined {
    for (let at = lowestPriority; at >= priority; at -= 1) {
      const line = this.#lines[at];
      if (line === undefined) continue;
      this.#stepAside(line, nowMs);
      const displaced = firstOf(line.aside) ?? (at > priority ? lastOf(line.patient) : undefined);
      if (displaced === undefined) continue;
      this.remove(displaced);
      return displaced;
    }
    return undefined;
  }

  /** Each steps aside once, so this is O(1) for each that came. */
  #stepAside({ patient, aside }: Line, nowMs: number): void {
    let first = firstOf(patient);
    while (first !== undefined && nowMs - first.waitingSince > this.#patienceMs) {
      unlink(first);
      append(aside, first);
      first = firstOf(patient);
    }
  }
}

function firstOf(ring: RingNode): Waiting | undefined {
  return ring.ringNext instanceof Waiting ? ring.ringNext : undefined;
}

function lastOf(ring: RingNode): Waiting | undefined {
  return ring.ringPrev instanceof Waiting ? ring.ringPrev : undefined;
}

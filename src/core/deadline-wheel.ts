/**
 * One coarse timer for thousands of deadlines.
 *
 * Nearly every deadline of a server is cancelled before it is reached, so arming and cancelling must cost nothing and
 * firing may cost something: a hashed wheel of linked timers, where each slot holds those due at its tick, whatever
 * the revolution. A native timer is set only for the next slot in use, so an idle wheel does not wake the process.
 * It is not for precision: a deadline is met up to one tick late.
 */

import { systemClock, type Clock } from "./clock.ts";
import { throwLater } from "./outside.ts";
import { append, isLinked, RingNode, unlink } from "./ring.ts";

/** A deadline that can be armed on a {@link DeadlineWheel}. Extend it; arming and cancelling allocate nothing. */
export abstract class WheelTimer extends RingNode {
  /** @internal The tick at which it is due. Kept at -1 while not armed. */
  wheelTick = -1;

  /** Whether it is waiting for its deadline. `false` again once `onDeadline` runs. */
  get armed(): boolean {
    return this.wheelTick >= 0;
  }

  /** Called once the deadline has passed. What it throws becomes an uncaught exception; other timers still fire. */
  abstract onDeadline(): void;
}

/** How a {@link DeadlineWheel} keeps time. */
export interface DeadlineWheelOptions {
  /**
   * Length of one tick in milliseconds: the most that a deadline is met too late on an idle event loop.
   *
   * @default 10
   */
  readonly tickMs?: number;
  /** @internal */
  readonly clock?: Clock;
}

const slotCount = 1_024;
const slotMask = slotCount - 1;
/** A wake-up later than this many ticks means that the event loop was blocked. */
const blockedTicks = 2;

/**
 * Keeps timers in slots by the tick at which they are due.
 *
 * Invariants: an armed timer is in slot `wheelTick & slotMask` (or in the ring of those about to fire), and
 * `wheelTick > #tick`, the last tick swept. While `size > 0` a wake-up is planned at `#wakeTick`, not later than the
 * earliest `wheelTick` and not later than one revolution. `#sweep` is the only place that fires.
 */
export class DeadlineWheel {
  readonly #tickMs: number;
  readonly #clock: Clock;
  readonly #slots: readonly RingNode[] = Array.from({ length: slotCount }, () => new RingNode());
  /** Those that the sweep under way has found due and not fired yet. */
  readonly #due = new RingNode();
  #size = 0;
  /** The last tick swept. */
  #tick = 0;
  /** The tick of the planned wake-up; `Infinity` when none is; -1 during a sweep, which plans the next one itself. */
  #wakeTick = Infinity;
  #callOff: (() => void) | undefined;

  constructor(options: DeadlineWheelOptions = {}) {
    this.#tickMs = options.tickMs ?? 10;
    if (!(this.#tickMs > 0 && this.#tickMs < Infinity)) {
      throw new RangeError(`tickMs must be a length above 0 in milliseconds; got ${this.#tickMs}`);
    }
    this.#clock = options.clock ?? systemClock;
  }

  /** How many timers are armed. */
  get size(): number {
    return this.#size;
  }

  /** Calls `timer.onDeadline` after `delayMs`, never earlier. Armed already, it starts anew; `Infinity` cancels. */
  arm(timer: WheelTimer, delayMs: number): void {
    const now = this.#clock.now();
    if (timer.wheelTick >= 0) unlink(timer);
    else this.#size += 1;
    const due = Math.ceil((now + Math.max(delayMs, 0)) / this.#tickMs);
    if (!(due < Infinity)) {
      timer.wheelTick = -1;
      this.#size -= 1;
      return;
    }
    // Alone on the wheel, there is nothing to sweep between the last sweep and now.
    if (this.#size === 1 && this.#wakeTick === Infinity) this.#tick = Math.floor(now / this.#tickMs);
    const tick = due > this.#tick ? due : this.#tick + 1;
    timer.wheelTick = tick;
    append(this.#slotOf(tick), timer);
    if (tick < this.#wakeTick) this.#planWake(tick, now);
  }

  /** Forgets the deadline. Not armed, it does nothing. */
  cancel(timer: WheelTimer): void {
    if (timer.wheelTick < 0) return;
    timer.wheelTick = -1;
    this.#size -= 1;
    unlink(timer);
  }

  /** Cancels all timers; none of them fires. The wheel may be used again. */
  close(): void {
    for (const slot of [this.#due, ...this.#slots]) {
      while (isLinked(slot)) this.cancel(timerOf(slot.ringNext));
    }
    this.#callOff?.();
    this.#callOff = undefined;
    this.#wakeTick = Infinity;
  }

  #slotOf(tick: number): RingNode {
    // A mask needs 32 bits: ticks of 10 ms fill them after 248 days, and wrap around to the same slots.
    const slot = this.#slots[tick & slotMask];
    if (slot === undefined) throw new Error("unreachable: the mask keeps the index below slotCount");
    return slot;
  }

  #planWake(tick: number, now: number): void {
    this.#callOff?.();
    this.#wakeTick = Math.min(tick, Math.floor(now / this.#tickMs) + slotCount);
    this.#callOff = this.#clock.wakeAfter(Math.max(1, Math.ceil(this.#wakeTick * this.#tickMs - now)), this.#wake);
  }

  readonly #wake = (): void => {
    const lateMs = this.#clock.now() - this.#wakeTick * this.#tickMs;
    this.#wakeTick = -1;
    if (lateMs > blockedTicks * this.#tickMs) {
      // The loop was blocked: answers that arrived in time still wait in the poll phase, and may cancel their
      // deadlines there (undici#3410).
      this.#callOff = this.#clock.wakeAfterPoll(this.#sweep);
    } else this.#sweep();
  };

  readonly #sweep = (): void => {
    this.#callOff = undefined;
    const from = this.#tick;
    const to = Math.floor(this.#clock.now() / this.#tickMs);
    this.#tick = Math.max(from, to);
    for (let tick = Math.max(from, to - slotCount) + 1; tick <= to; tick += 1) {
      moveDue(this.#slotOf(tick), this.#due, to);
    }
    // One at a time: a timer may cancel or arm any other, also those of this sweep.
    while (isLinked(this.#due)) {
      const timer = timerOf(this.#due.ringNext);
      this.cancel(timer);
      try {
        timer.onDeadline();
      } catch (error) {
        throwLater(error);
      }
    }
    this.#wakeTick = Infinity;
    if (this.#size > 0) this.#planWake(this.#findNextTick(), this.#clock.now());
  };

  /** The next tick whose slot is in use. Its timers may be of a later revolution; then the wake-up finds nothing due. */
  #findNextTick(): number {
    let tick = this.#tick + 1;
    while (!isLinked(this.#slotOf(tick))) tick += 1;
    return tick;
  }
}

function moveDue(slot: RingNode, due: RingNode, tick: number): void {
  let node = slot.ringNext;
  while (node !== slot) {
    const next = node.ringNext;
    if (timerOf(node).wheelTick <= tick) {
      unlink(node);
      append(due, node);
    }
    node = next;
  }
}

/** Only `arm` appends to slots, and it takes nothing but timers. */
function timerOf(node: RingNode): WheelTimer {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above; `instanceof` would cost a check per timer
  return node as WheelTimer;
}

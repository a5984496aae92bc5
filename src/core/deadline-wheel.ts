/**
 * One coarse timer for thousands of deadlines.
 *
 * Nearly every deadline of a server is cancelled before it is reached, so arming and cancelling must cost next to
 * nothing and firing may cost something. Arming therefore does not even read the clock (60 ns on some machines): the
 * timer waits in a ring of new ones until the next wake-up, half a tick later at most, and most are cancelled by then.
 * Those that remain move to a hashed wheel, where each slot holds the timers due at its tick, whatever the revolution.
 * A native timer is set only for the next slot in use, so a wheel with nothing due soon does not wake the process.
 * It is not for precision: a deadline is met up to one tick late.
 *
 * Thousands of deadlines may be due at once, and what comes of one takes a tenth of a millisecond where it cuts a
 * connection. So they fire in slices, and between two slices the event loop does what else there is to do.
 */

import { systemClock, type Clock } from "./clock.ts";
import { throwLater } from "./outside.ts";
import { append, isLinked, RingNode, unlink } from "./ring.ts";

/** `WheelNode.dueAt` while not armed. */
const notArmed = -1;
/** `WheelNode.dueAt` while in the ring of new timers. */
const notPlaced = 0;

/**
 * What the wheel keeps of a timer. It is not the timer itself, since the wheel is slowed down threefold if its nodes
 * are of as many classes as there are kinds of timers.
 */
class WheelNode extends RingNode {
  readonly timer: WheelTimer;
  delayMs = 0;
  /** The step at which it is due; `notArmed` or `notPlaced` before. */
  dueAt: number = notArmed;

  constructor(timer: WheelTimer) {
    super();
    this.timer = timer;
  }
}

/** A deadline that can be armed on a {@link DeadlineWheel}. Extend it; arming and cancelling allocate nothing. */
export abstract class WheelTimer {
  /** @internal */
  readonly wheelNode: WheelNode = new WheelNode(this);

  /** Whether it is waiting for its deadline. `false` again once `onDeadline` runs. */
  get armed(): boolean {
    return this.wheelNode.dueAt !== notArmed;
  }

  /** Called once the deadline has passed. What it throws becomes an uncaught exception; other timers still fire. */
  abstract onDeadline(): void;
}

/** How a {@link DeadlineWheel} keeps time. */
export interface DeadlineWheelOptions {
  /**
   * The most, in milliseconds, that a deadline is met too late on an idle event loop.
   *
   * @default 10
   */
  readonly tickMs?: number;
  /** @internal */
  readonly clock?: Clock;
}

/** How long timers fire before the event loop has its turn. */
const sliceMs = 1;

const slotCount = 1_024;
const slotMask = slotCount - 1;

/**
 * Time goes in steps of half a tick: a timer loses up to one step while it is new, and up to one in its slot.
 *
 * Invariants: an armed timer is in `#fresh` with `dueAt === notPlaced`, or in slot `dueAt & slotMask` with
 * `dueAt > #step`, or in `#due`. While `size > 0` a wake-up is planned for `#wakeAtMs`: on the next turn if a slice has
 * left something in `#due`, within a step if there are new timers, not later than the earliest slot in use, and within
 * a revolution. `#sweep` is the only place that fires.
 */
export class DeadlineWheel {
  readonly #stepMs: number;
  readonly #clock: Clock;
  readonly #slots: readonly RingNode[] = Array.from({ length: slotCount }, () => new RingNode());
  readonly #fresh = new RingNode();
  readonly #due = new RingNode();
  #size = 0;
  /** The last step swept. */
  #step = 0;
  #wakeAtMs = Infinity;
  #callOff: (() => void) | undefined;
  /** Whether the next wake-up is near enough for new timers; also during a sweep, which plans the next one itself. */
  #wakesSoon = false;
  /** When the last slice ended that has left something due; NaN if none has. */
  #slicedAtMs = NaN;

  constructor(options: DeadlineWheelOptions = {}) {
    const { tickMs = 10, clock = systemClock } = options;
    if (!(tickMs > 0 && tickMs < Infinity)) {
      throw new RangeError(`tickMs must be a length above 0 in milliseconds; got ${tickMs}`);
    }
    this.#stepMs = tickMs / 2;
    this.#clock = clock;
  }

  /** How many timers are armed. */
  get size(): number {
    return this.#size;
  }

  /** Calls `timer.onDeadline` after `delayMs`, never earlier. Armed already, it starts anew; `Infinity` cancels. */
  arm(timer: WheelTimer, delayMs: number): void {
    const node = timer.wheelNode;
    if (!(delayMs < Infinity)) {
      if (Number.isNaN(delayMs)) throw new RangeError("delayMs must be a number of milliseconds; got NaN");
      this.cancel(timer);
      return;
    }
    if (node.dueAt === notArmed) this.#size += 1;
    else unlink(node);
    node.dueAt = notPlaced;
    node.delayMs = delayMs;
    append(this.#fresh, node);
    if (!this.#wakesSoon) this.#wakeSoon();
  }

  /** Forgets the deadline. Not armed, it does nothing. */
  cancel(timer: WheelTimer): void {
    const node = timer.wheelNode;
    if (node.dueAt === notArmed) return;
    node.dueAt = notArmed;
    this.#size -= 1;
    unlink(node);
  }

  /** Cancels all timers; none of them fires. The wheel may be used again. */
  close(): void {
    for (const ring of [this.#fresh, this.#due, ...this.#slots]) {
      for (let node = firstOf(ring); node !== undefined; node = firstOf(ring)) this.cancel(node.timer);
    }
    this.#callOff?.();
    this.#callOff = undefined;
    this.#wakeAtMs = Infinity;
    this.#wakesSoon = false;
    this.#slicedAtMs = NaN;
  }

  #slotAt(step: number): RingNode {
    // A mask takes 32 bits: steps of 5 ms fill them after 248 days, and wrap around to the same slots.
    const slot = this.#slots[step & slotMask];
    if (slot === undefined) throw new RangeError(`step ${step} has no slot`);
    return slot;
  }

  #wakeSoon(): void {
    this.#wakesSoon = true;
    const now = this.#clock.now();
    if (this.#wakeAtMs > now + this.#stepMs) this.#planWake(now + this.#stepMs, now);
  }

  #planWake(atMs: number, now: number): void {
    this.#callOff?.();
    this.#wakeAtMs = atMs;
    this.#callOff = this.#clock.wakeAfter(Math.max(1, Math.ceil(atMs - now)), this.#wake);
  }

  readonly #wake = (): void => {
    this.#wakesSoon = true;
    // More than two ticks late, the loop was blocked: answers that arrived in time still wait in the poll phase, and
    // may cancel their deadlines there (undici#3410).
    const blocked = this.#clock.now() - this.#wakeAtMs > 4 * this.#stepMs;
    if (blocked) this.#callOff = this.#clock.wakeAfterPoll(this.#sweep);
    else this.#sweep();
  };

  readonly #sweep = (): void => {
    const now = this.#clock.now();
    const from = this.#step;
    this.#step = Math.floor(now / this.#stepMs);
    this.#callOff = undefined;
    this.#wakeAtMs = Infinity;
    this.#wakesSoon = true;
    for (let step = Math.max(from, this.#step - slotCount) + 1; step <= this.#step; step += 1) {
      this.#takeDue(this.#slotAt(step));
    }
    this.#placeFresh(now);
    this.#fireDue(now);
    if (isLinked(this.#due)) {
      this.#wakeAtMs = now;
      this.#callOff = this.#clock.wakeAfterPoll(this.#sweep);
      return;
    }
    this.#wakesSoon = isLinked(this.#fresh);
    if (this.#size > 0) this.#planNext();
  };

  #takeDue(slot: RingNode): void {
    let node = slot.ringNext;
    while (node !== slot) {
      const next = node.ringNext;
      // Others are of a later revolution.
      if (nodeOf(node).dueAt <= this.#step) {
        unlink(node);
        append(this.#due, node);
      }
      node = next;
    }
  }

  #placeFresh(now: number): void {
    for (let node = firstOf(this.#fresh); node !== undefined; node = firstOf(this.#fresh)) {
      unlink(node);
      // From now, though it was armed up to a step earlier: late within the promise, never early.
      node.dueAt = Math.max(Math.ceil((now + node.delayMs) / this.#stepMs), this.#step + 1);
      append(this.#slotAt(node.dueAt), node);
    }
  }

  #fireDue(from: number): void {
    // As long as all else took since the last slice: a busy loop has long turns, and deadlines have to keep up.
    const until = from + (this.#slicedAtMs > 0 ? Math.max(from - this.#slicedAtMs, sliceMs) : sliceMs);
    this.#slicedAtMs = NaN;
    // One at a time: a timer may cancel or arm any other, also those of this sweep.
    for (let node = firstOf(this.#due); node !== undefined; node = firstOf(this.#due)) {
      this.cancel(node.timer);
      try {
        node.timer.onDeadline();
      } catch (error) {
        throwLater(error);
      }
      const now = this.#clock.now();
      if (now < until) continue;
      if (isLinked(this.#due)) this.#slicedAtMs = now;
      return;
    }
  }

  #planNext(): void {
    let step = this.#step + 1;
    const last = this.#step + slotCount;
    while (step < last && !isLinked(this.#slotAt(step))) step += 1;
    const now = this.#clock.now();
    const soonest = isLinked(this.#fresh) ? now + this.#stepMs : Infinity;
    this.#planWake(Math.min(step * this.#stepMs, soonest), now);
  }
}

function firstOf(ring: RingNode): WheelNode | undefined {
  return isLinked(ring) ? nodeOf(ring.ringNext) : undefined;
}

/** The wheel appends nothing but its nodes to its rings. */
function nodeOf(node: RingNode): WheelNode {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above; `instanceof` would cost a check per timer
  return node as WheelNode;
}

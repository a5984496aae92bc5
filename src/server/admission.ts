/**
 * The limit in front of the handlers: which request is worked on now, which waits, and which is shed.
 *
 * A server that starts everything it is sent does more and more of it too late. So at most `limit` requests are with
 * the handlers, a bounded number waits for a bounded time (who is next: `AdmissionQueue`), and the rest is refused
 * while refusing is still cheap. The limit is a number, or finds itself from response times (`AdaptiveLimit`). Without
 * one, only pressure and spent deadlines shed, and what is left costs a few nanoseconds.
 *
 * Whoever asks is its own ticket, so admitting allocates nothing; only waiting does. This decides and counts. It
 * writes no answer and knows no connection.
 */

import type { IncomingMessage } from "node:http";
import { AdaptiveLimit } from "../core/adaptive-limit.ts";
import { systemClock, type Clock } from "../core/clock.ts";
import type { DeadlineWheel } from "../core/deadline-wheel.ts";
import { throwLater } from "../core/outside.ts";
import { AdmissionQueue, lowestPriority, Waiting } from "./admission-queue.ts";
import { ExemptPaths } from "./exempt-paths.ts";
import type { ShedReason } from "./instruments.ts";
import type { Pressure } from "./pressure.ts";
import type { ResolvedConcurrency } from "./server-options.ts";

/**
 * What became of a request that asked for a place. A reason means: shed. `concurrency`: no place, and no room or no
 * more time to wait for one. `event_loop` and `memory`: the process is beyond its limits. `deadline`: its client has
 * given up, or will have before its turn.
 */
export type Entrance = "admitted" | "queued" | ShedReason;

/** A request that asks for a place. Extend it. */
export abstract class AdmissionTicket {
  /** @internal Set exactly while it waits. */
  waiting: Waiting | undefined = undefined;
  /** @internal Whether it counts as in flight. */
  holdsPlace = false;
  /** @internal Monotonic milliseconds; kept only for an adaptive limit. */
  admittedAt = 0;
  /** @internal How many were in flight then, itself included. */
  admittedAmong = 0;

  /**
   * It has waited, and has a place now. Called in the async scope of whoever made room. What it throws becomes an
   * uncaught exception.
   */
  abstract onAdmitted(): void;

  /** It has waited, and gets no place. Not called for what `enter` itself has shed. Throws as `onAdmitted` does. */
  abstract onShed(reason: ShedReason): void;
}

/** What an {@link Admission} stands on. */
export interface AdmissionParts {
  /** Times those who wait. */
  readonly wheel: DeadlineWheel;
  readonly pressure: Pressure;
  /** Told how long each one has waited that did wait, whatever became of it. */
  readonly onWaited?: (waitedMs: number) => void;
  /** @internal */
  readonly clock?: Clock;
  /** @internal */
  readonly random?: () => number;
}

/** A request is in time for a twenty-fifth of the longest wait: 40 ms of a second. */
const patienceShare = 1 / 25;

/** Most that one request's end lets in before the event loop gets its turn: handlers may run to their end at once. */
const mostAtOnce = 32;

function ignore(): void {}

/**
 * Invariant: while somebody waits, `inFlight >= limit`, or `#admitNext` is running, or is to run after this turn's
 * I/O. `#seat` and `#unseat` are the only places that move `inFlight`; who takes a {@link Waiting} out of the queue
 * calls `#endWait`.
 */
export class Admission {
  readonly #exempt: ExemptPaths;
  readonly #pressure: Pressure;
  readonly #queue: AdmissionQueue;
  readonly #wheel: DeadlineWheel;
  readonly #adaptive: AdaptiveLimit | undefined;
  readonly #priority: ((req: IncomingMessage) => number) | undefined;
  readonly #maxQueued: number;
  readonly #queueTimeoutMs: number;
  readonly #clock: Clock;
  readonly #onWaited: (waitedMs: number) => void;
  #limit: number;
  #inFlight = 0;
  #admitting = false;

  constructor(options: ResolvedConcurrency, parts: AdmissionParts) {
    const { limit, min, max } = options;
    const { clock = systemClock, onWaited = ignore, random } = parts;
    this.#exempt = new ExemptPaths(options.exempt);
    this.#pressure = parts.pressure;
    this.#wheel = parts.wheel;
    this.#priority = options.priority;
    this.#maxQueued = options.queue;
    this.#queueTimeoutMs = options.queueTimeout;
    this.#queue = new AdmissionQueue(options.queueTimeout * patienceShare);
    this.#clock = clock;
    this.#onWaited = onWaited;
    if (limit === "adaptive") {
      const now = (): number => clock.now();
      this.#adaptive = new AdaptiveLimit({ initial: min, min, max, ramp: true, now, ...(random ? { random } : {}) });
      this.#limit = this.#adaptive.limit;
    } else this.#limit = limit;
  }

  /** Most requests at once with the handlers, as of now. */
  get limit(): number {
    return this.#limit;
  }

  /** Requests with the handlers; not those of exempt paths. */
  get inFlight(): number {
    return this.#inFlight;
  }

  get queued(): number {
    return this.#queue.size;
  }

  /** How long the one that has waited longest has waited so far; 0 when nobody waits. */
  get oldestWaitMs(): number {
    return this.#queue.size === 0 ? 0 : Math.max(0, this.#clock.now() - this.#queue.oldestSince);
  }

  /**
   * Asks for a place. `"queued"` is followed by `onAdmitted` or `onShed`, unless the ticket is abandoned before;
   * anything else is final. Each ticket asks once.
   *
   * @param deadline when the caller gives up, on the monotonic clock.
   */
  enter(ticket: AdmissionTicket, req: IncomingMessage, deadline: number = Infinity): Entrance {
    if (req.url !== undefined && this.#exempt.has(req.url)) return "admitted";
    const pressed = this.#pressure.reasonToShed();
    if (pressed !== undefined) return pressed;
    if (deadline !== Infinity && deadline <= this.#clock.now()) return "deadline";
    if (this.#inFlight < this.#limit && this.#queue.size === 0) {
      this.#seat(ticket);
      return "admitted";
    }
    return this.#enqueue(ticket, req, deadline);
  }

  /**
   * Gives the place back: the request has been answered. A ticket without a place is no mistake.
   *
   * @param timedOut it took too long, so that its end says nothing about the time that it would have taken.
   */
  leave(ticket: AdmissionTicket, timedOut: boolean = false): void {
    if (!ticket.holdsPlace) return;
    this.#unseat(ticket);
    if (this.#adaptive !== undefined) {
      const tookMs = this.#clock.now() - ticket.admittedAt;
      this.#adaptive.onSample(tookMs, ticket.admittedAmong, timedOut);
      this.#limit = this.#adaptive.limit;
    }
    if (this.#queue.size > 0) this.#admitNext();
  }

  /** Gives the place back while the request goes on, or when how long it took says nothing: a stream, a lost client. */
  release(ticket: AdmissionTicket): void {
    if (!ticket.holdsPlace) return;
    this.#unseat(ticket);
    if (this.#queue.size > 0) this.#admitNext();
  }

  /** Leaves the queue without a word. A ticket that does not wait is no mistake. */
  abandon(ticket: AdmissionTicket): void {
    const { waiting } = ticket;
    if (waiting === undefined) return;
    this.#queue.remove(waiting);
    this.#endWait(ticket, waiting);
  }

  #seat(ticket: AdmissionTicket): void {
    ticket.holdsPlace = true;
    this.#inFlight += 1;
    if (this.#adaptive === undefined) return;
    ticket.admittedAt = this.#clock.now();
    ticket.admittedAmong = this.#inFlight;
  }

  #unseat(ticket: AdmissionTicket): void {
    ticket.holdsPlace = false;
    this.#inFlight -= 1;
  }

  #enqueue(ticket: AdmissionTicket, req: IncomingMessage, deadline: number): Entrance {
    const priority = this.#rank(req);
    const now = this.#clock.now();
    const full = this.#queue.size >= this.#maxQueued;
    const displaced = full ? this.#queue.displace(priority, now) : undefined;
    if (full && displaced === undefined) return "concurrency";
    const waiting = new QueuedTicket(this, ticket, { priority, now, deadline, timeoutMs: this.#queueTimeoutMs });
    ticket.waiting = waiting;
    this.#queue.push(waiting);
    this.#wheel.arm(waiting, waiting.expiresAt - now);
    // Last, when everything is in its place: what it answers may bring somebody back here.
    if (displaced !== undefined) this.#refuse(displaced, "concurrency");
    return "queued";
  }

  #rank(req: IncomingMessage): number {
    if (this.#priority === undefined) return 0;
    try {
      const priority = this.#priority(req);
      // NaN is no reason to go first.
      return priority >= 0 ? Math.min(Math.trunc(priority), lowestPriority) : priority < 0 ? 0 : lowestPriority;
    } catch (error) {
      throwLater(error);
      return lowestPriority;
    }
  }

  #admitNext(): void {
    // An admitted handler that ends at once comes back here. The loop below takes the next one then, not the stack.
    if (this.#admitting) return;
    this.#admitting = true;
    for (let turns = 0; this.#queue.size > 0 && this.#inFlight < this.#limit; turns += 1) {
      if (turns === mostAtOnce) {
        this.#clock.wakeAfterPoll(this.#resume);
        return;
      }
      this.#admitOne(this.#clock.now());
    }
    this.#admitting = false;
  }

  /** `#admitting` stays set until then, so nobody goes on in the meantime. */
  readonly #resume = (): void => {
    this.#admitting = false;
    this.#admitNext();
  };

  #admitOne(now: number): void {
    const waiting = this.#queue.takeNext(now);
    if (!(waiting instanceof QueuedTicket)) return;
    // The wheel is up to a tick late, and later when the event loop was blocked.
    if (waiting.expiresAt <= now) {
      this.#refuse(waiting, waiting.expiresAs);
      return;
    }
    const { ticket } = waiting;
    this.#endWait(ticket, waiting);
    this.#seat(ticket);
    try {
      ticket.onAdmitted();
    } catch (error) {
      throwLater(error);
    }
  }

  /** @internal The wait of somebody who is still in the queue is over. */
  expire(waiting: QueuedTicket): void {
    this.#queue.remove(waiting);
    this.#refuse(waiting, waiting.expiresAs);
  }

  #refuse(waiting: Waiting, reason: ShedReason): void {
    if (!(waiting instanceof QueuedTicket)) return;
    const { ticket } = waiting;
    this.#endWait(ticket, waiting);
    try {
      ticket.onShed(reason);
    } catch (error) {
      throwLater(error);
    }
  }

  #endWait(ticket: AdmissionTicket, waiting: Waiting): void {
    ticket.waiting = undefined;
    this.#wheel.cancel(waiting);
    this.#onWaited(this.#clock.now() - waiting.waitingSince);
  }
}

interface Wait {
  readonly priority: number;
  readonly now: number;
  readonly deadline: number;
  readonly timeoutMs: number;
}

/** A ticket in the queue. Made only for those that wait, so that the others do not carry it. */
class QueuedTicket extends Waiting {
  readonly ticket: AdmissionTicket;
  readonly expiresAt: number;
  readonly expiresAs: ShedReason;
  readonly #admission: Admission;

  constructor(admission: Admission, ticket: AdmissionTicket, { priority, now, deadline, timeoutMs }: Wait) {
    super(priority, now);
    this.#admission = admission;
    this.ticket = ticket;
    this.expiresAt = Math.min(deadline, now + timeoutMs);
    this.expiresAs = deadline < now + timeoutMs ? "deadline" : "concurrency";
  }

  onDeadline(): void {
    this.#admission.expire(this);
  }
}

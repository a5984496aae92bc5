/**
 * What the connections and exchanges of one server share: its options, its clock of deadlines, its rings and levels.
 *
 * It is only the place where they meet; who does what stands in `connection.ts`, `exchange.ts` and `guard.ts`.
 */

import type { EventEmitter } from "node:events";
import { RequestContexts } from "../core/context.ts";
import { DeadlineWheel } from "../core/deadline-wheel.ts";
import { Lifecycle } from "../core/lifecycle.ts";
import { RingNode } from "../core/ring.ts";
import { AcceptGate, type AcceptHandler } from "./accept.ts";
import { Admission } from "./admission.ts";
import { lateWritten, type Topic } from "./channels.ts";
import type { Connection, Deferred } from "./connection.ts";
import type { Exchange } from "./exchange.ts";
import { ServerInstruments } from "./instruments.ts";
import { LateWrites } from "./late-writes.ts";
import { Pressure } from "./pressure.ts";
import { firstLookMs } from "./rate-watch.ts";
import { SendQueues } from "./send-queues.ts";
import type { ResolvedServerOptions } from "./server-options.ts";

/** What a connection is doing, by Go's names: no byte yet, a request in the works, kept open, handed to the user. */
export type ConnectionState = "new" | "active" | "idle" | "upgraded" | "closed";

/** Why a connection ended, as counted. */
export type CloseReason = "client" | "answered" | "idle" | "timeout" | "refused" | "drain" | "room";

/** How late a deadline may be met, in milliseconds. A tenth of what is promised, and two wake-ups of 10 ms at most. */
const tickMs = 20;

/** How many pipelined requests may wait in all: each is a request and a response that Node has made already. */
const maxDeferred = 10_000;

/** Invariant: `levels` are the connections in each state; each open connection stands in exactly one of the rings. */
export class ServerCore {
  readonly options: ResolvedServerOptions;
  readonly instruments: ServerInstruments;
  readonly wheel: DeadlineWheel = new DeadlineWheel({ tickMs });
  readonly contexts: RequestContexts = new RequestContexts();
  readonly lifecycle: Lifecycle = new Lifecycle();
  readonly sendQueues: SendQueues = new SendQueues();
  /** Which connections have a place. Its handler is the guard. */
  readonly gate: AcceptGate;
  readonly admission: Admission;
  readonly pressure: Pressure;
  readonly lateWrites: LateWrites;
  /** Idle connections, longest idle first. */
  readonly idle: RingNode = new RingNode();
  /** All others. */
  readonly busy: RingNode = new RingNode();
  readonly levels: Record<Exclude<ConnectionState, "closed">, number> = { new: 0, active: 0, idle: 0, upgraded: 0 };
  /** When an exchange without a body first has to look at the clock, from its start. */
  readonly firstLookMs: number;
  readonly firstLookWithBodyMs: number;
  /** Where `connState`, `badRequest` and `lateWrite` are emitted. */
  readonly events: EventEmitter;
  /** Requests that handlers work on, or that wait to be worked on. */
  inFlight = 0;
  /** Connections that have come, and requests that have begun, so far: a drain looks whether there are more. */
  accepted = 0;
  begun = 0;
  /** Pipelined requests that wait for the one before them. */
  deferred = 0;
  /** Begins a pipelined request, now that it is its turn. Set by the guard. */
  onTurn: ((connection: Connection, deferred: Deferred) => void) | undefined;
  /** Whether connections are closed as soon as they are idle, because the server goes away. */
  closesIdle = false;
  /** When draining began, and whether the listener is closed. */
  drainsFrom: number = Infinity;
  hasStopped = false;
  readonly closed: Record<CloseReason, number> = {
    client: 0,
    answered: 0,
    idle: 0,
    timeout: 0,
    refused: 0,
    drain: 0,
    room: 0,
  };
  /** Runs the handler of an exchange that had to wait. Set by the guard. */
  onAdmitted: ((exchange: Exchange) => void) | undefined;
  /** Told each time a connection or an exchange ends: a drain waits for that. */
  onLess: (() => void) | undefined;

  constructor(options: ResolvedServerOptions, events: EventEmitter, handler: AcceptHandler) {
    this.options = options;
    this.events = events;
    this.gate = new AcceptGate(options, this.wheel, handler);
    const { handlerTimeout, writeTimeout, readTimeout, minRequestRate, minResponseRate } = options;
    this.firstLookMs = Math.min(handlerTimeout, writeTimeout, firstLookMs(minResponseRate));
    this.firstLookWithBodyMs = Math.min(this.firstLookMs, readTimeout, firstLookMs(minRequestRate));
    const instruments = new ServerInstruments(options.registry, options.name);
    this.instruments = instruments;
    this.pressure = new Pressure(options.concurrency);
    this.admission = new Admission(options.concurrency, {
      wheel: this.wheel,
      pressure: this.pressure,
      onWaited: (waitedMs) => instruments.queueTime.record(waitedMs / 1_000),
    });
    this.lateWrites = new LateWrites((late) => this.tell("lateWrite", lateWritten, late), {
      onLate: (method) => instruments.lateWrite(method),
    });
  }

  /** Tells whoever listens on the server or on the channel. */
  tell<Message extends object>(event: string, topic: Topic<Message>, message: Message): void {
    if (this.events.listenerCount(event) > 0) this.events.emit(event, message);
    topic.publish(message);
  }

  get draining(): boolean {
    return this.lifecycle.state !== "serving";
  }

  /**
   * Whether a connection has to go after its present request. While a drain settles, those that come anew may stay:
   * sent away they would only come back, and be in the kernel's queue when the listener is closed.
   */
  sendsAway({ acceptedAt }: Pick<Connection, "acceptedAt">): boolean {
    return this.hasStopped || acceptedAt < this.drainsFrom;
  }

  /** Why a connection that falls idle now is closed instead, if it is. */
  get closesIdleFor(): CloseReason | undefined {
    if (this.closesIdle) return "drain";
    return this.gate.wantsRoom ? "room" : undefined;
  }

  get mayDefer(): boolean {
    return this.deferred < maxDeferred;
  }

  /** Open connections, upgraded ones apart. */
  get connections(): number {
    return this.levels.new + this.levels.active + this.levels.idle;
  }
}

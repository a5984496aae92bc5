/** How messages are asked for. */

import { createInbox, nanos, type Msg, type Subscription } from "@nats-io/transport-node";
import { now, outside } from "../../core/index.ts";
import { later, type Link } from "./link.ts";
import { Taken } from "./message.ts";

/** How long the server keeps a request for messages open. Short, since one that a restart swallowed is only missed then. */
const pullMs = 4_000;

/** Most messages asked for at once, and most jobs on their way into the stream. */
export const batchSize = 512;

/** What a {@link Puller} works for. */
export interface Lane {
  /** How many more messages can be taken. */
  room(): number;
  take(message: Taken): void;
  /** The engine does not know the consumer: somebody has deleted it. */
  missing(): Promise<void>;
}

interface Pull {
  readonly subscription: Subscription;
  readonly inbox: string;
  /** Messages asked for and not yet here. */
  asked: number;
  askedAt: number;
}

/** Asks one durable consumer for as many messages as its lane has room for; one question at a time. */
export class Puller {
  readonly #link: Link;
  readonly #subject: string;
  readonly #lane: Lane;
  #pull: Pull | undefined;
  #isPlanned = false;
  #pauseMs = 0;

  constructor(link: Link, subject: string, lane: Lane) {
    this.#link = link;
    this.#subject = subject;
    this.#lane = lane;
  }

  /** With an inbox of its own: a question that a lost connection left behind is not answered to it. */
  start(): void {
    this.#pull?.subscription.unsubscribe();
    const inbox = createInbox();
    const pull: Pull = {
      inbox,
      asked: 0,
      askedAt: 0,
      subscription: this.#link.nc.subscribe(inbox, {
        callback: (error, message) => {
          if (error === null) this.#onMessage(pull, message);
          else this.#link.report("taking jobs", error);
        },
      }),
    };
    this.#pull = pull;
    this.plan();
  }

  /** Resolves when no message will come any more; those on their way still reach the lane. */
  async stop(): Promise<void> {
    const subscription = this.#pull?.subscription;
    this.#pull = undefined;
    if (subscription?.isClosed() === false) await subscription.drain().catch(() => undefined);
  }

  /** A question that nobody has answered is forgotten. */
  check(): void {
    if (this.#pull !== undefined && this.#pull.askedAt + pullMs + 1_000 < now()) this.#pull.asked = 0;
    this.plan();
  }

  /** Asks at the end of this turn, since what made room in it may make more. */
  plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    if (this.#pauseMs > 0) later(this.#pauseMs, this.#ask);
    else outside(() => setImmediate(this.#ask));
  }

  readonly #ask = (): void => {
    this.#isPlanned = false;
    const pull = this.#pull;
    const batch = Math.min(batchSize, this.#lane.room());
    if (pull === undefined || pull.asked > 0 || batch < 1 || !this.#link.isUp) return;
    pull.asked = batch;
    pull.askedAt = now();
    this.#link.nc.publish(this.#subject, JSON.stringify({ batch, expires: nanos(pullMs) }), { reply: pull.inbox });
  };

  #onMessage(pull: Pull, message: Msg): void {
    if (message.subject === pull.inbox) {
      pull.asked = 0;
      this.#onStatus(message.headers?.code ?? 0);
    } else {
      pull.asked -= 1;
      this.#pauseMs = 0;
      this.#lane.take(new Taken(message));
    }
    if (pull.asked <= 0) this.plan();
  }

  #onStatus(code: number): void {
    // 404 and 408: nothing there, or not for now. Else the consumer is gone, moves, or has too many askers.
    if (code === 404 || code === 408) {
      this.#pauseMs = 0;
      return;
    }
    this.#pauseMs = Math.min(1_000, this.#pauseMs * 2 || 100);
    if (code === 503 || code === 409)
      this.#lane.missing().catch((error: unknown) => this.#link.report("taking jobs", error));
  }
}

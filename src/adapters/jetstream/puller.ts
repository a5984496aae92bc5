/** How messages are asked for. */

import { createInbox, nanos, type Msg, type Subscription } from "@nats-io/transport-node";
import { now, outside } from "../../core/index.ts";
import { blipMs, later, type Link } from "./link.ts";
import { Taken } from "./message.ts";

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

interface Question {
  readonly stream: string;
  readonly consumer: string;
  /** For how long the server keeps it, if there is nothing. One that a restart swallows is missed soon after. */
  readonly pullMs: number;
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
  readonly #question: Question;
  readonly #lane: Lane;
  #pull: Pull | undefined;
  #isPlanned = false;
  #isFinding = false;
  #pauseMs = 0;
  #stopping: Promise<void> = Promise.resolve();

  constructor(link: Link, question: Question, lane: Lane) {
    this.#link = link;
    this.#question = question;
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
  stop(): Promise<void> {
    const subscription = this.#pull?.subscription;
    this.#pull = undefined;
    if (subscription !== undefined) this.#stopping = this.#end(subscription);
    return this.#stopping;
  }

  /**
   * With its subscription ended, a question is void, but still lies with the server. Servers before nats-server#5305
   * (April 2024) stumble over it when a message is put back while no other question is there: they hold that message back
   * and hand out another one twice. To be asked about its consumer makes the server clear such questions away.
   */
  async #end(subscription: Subscription): Promise<void> {
    const { stream, consumer } = this.#question;
    try {
      if (!this.#link.isUp) subscription.unsubscribe();
      else if (!subscription.isClosed()) await subscription.drain();
      if (!this.#link.isUp) return;
      await this.#link.call("stopping a taker", blipMs, (_js, jsm) => jsm.consumers.info(stream, consumer));
    } catch {
      // Without a connection there is nothing to clear, or nobody to tell.
    }
  }

  /** A question that nobody has answered is asked again. */
  check(): void {
    const pull = this.#pull;
    if (pull !== undefined && pull.asked > 0 && pull.askedAt + this.#question.pullMs + 1_000 < now()) {
      pull.asked = 0;
      if (this.#link.isUp) this.#find();
    }
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
    const { stream, consumer, pullMs } = this.#question;
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
    this.#link.nc.publish(subject, JSON.stringify({ batch, expires: nanos(pullMs) }), { reply: pull.inbox });
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
    if (code === 503 || code === 409) this.#find();
  }

  /** Not at once: what is made while the server still deletes its like is left half made (seen with 2.9.10). */
  #find(): void {
    if (this.#isFinding) return;
    this.#isFinding = true;
    later(1_000, () => {
      this.#isFinding = false;
      if (this.#pull === undefined || !this.#link.isUp) return;
      this.#lane.missing().catch((error: unknown) => this.#link.report("taking jobs", error));
    });
  }
}

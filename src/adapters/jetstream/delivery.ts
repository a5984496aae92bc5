/** One job that this process holds, and its lease. */

import { nanos } from "@nats-io/transport-node";
import { now } from "../../core/index.ts";
import type { Delivery, JobFailure, QueueSettings, Settled } from "../../tasks/index.ts";
import { later, type Link } from "./link.ts";
import { attemptsHeader, copyHeaders, failureHeader, packFailure, type QueueNames, type Taken } from "./message.ts";

/** A queue that has been opened, and what this process knows of it. */
export interface OpenQueue {
  readonly names: QueueNames;
  readonly settings: QueueSettings;
  /** Jobs that this process has put back, and when they are ready (on the clock of `now`); see `levels`. */
  readonly putBack: Map<number, number>;
}

/** Most entries of `OpenQueue.putBack`: it is only counted. */
const maxPutBack = 100_000;

/** What a delivery needs of the consumer that has made it. */
export interface Holder {
  readonly link: Link;
  readonly open: OpenQueue;
  forget(delivery: JetStreamDelivery): void;
}

/** `+ACK`, `-NAK` and the others are JetStream's acknowledgements (nats-server, `server/consumer.go`). */
export class JetStreamDelivery implements Delivery {
  readonly id: string;
  readonly queue: string;
  readonly body: string;
  readonly attempt: number;
  readonly priority: number;
  readonly #taken: Taken;
  readonly #holder: Holder;
  /** A moment at which the lease certainly had its whole length. */
  #leasedAt: number;
  #isRenewing = false;
  #lost: AbortController | undefined;
  #isLost = false;
  #isFinal = false;
  #settlement: Promise<Settled> | undefined;

  constructor(holder: Holder, taken: Taken, attempt: number, leasedAt: number) {
    this.id = taken.id;
    this.queue = holder.open.names.queue;
    this.body = taken.body;
    this.attempt = attempt;
    this.priority = taken.priority;
    this.#taken = taken;
    this.#holder = holder;
    this.#leasedAt = leasedAt;
  }

  /** Of its message in the stream. */
  get sequence(): number {
    return this.#taken.sequence;
  }

  get isSettling(): boolean {
    return this.#settlement !== undefined;
  }

  /** Whether the job is over for good, once that is settled. */
  async isGone(): Promise<boolean> {
    const settled = await this.#settlement?.catch(() => "lost");
    return this.#isFinal && settled === "settled";
  }

  get leaseLost(): AbortSignal {
    this.#lost ??= new AbortController();
    if (this.#isLost) this.#lost.abort();
    return this.#lost.signal;
  }

  done(): Promise<Settled> {
    this.#isFinal ||= !this.isSettling;
    return this.#settle((leftMs) => this.#acknowledge("+ACK", leftMs));
  }

  retry(delayMs: number, _failure: JobFailure): Promise<Settled> {
    return this.#settle((leftMs) => this.#putBack(delayMs, leftMs));
  }

  dead(failure: JobFailure): Promise<Settled> {
    const { link, open } = this.#holder;
    this.#isFinal ||= !this.isSettling;
    return this.#settle(async (leftMs) => {
      if (open.settings.maxDead > 0) {
        const copy = copyHeaders(this.#taken, `${this.id}:${this.#taken.sequence}`);
        copy.set(attemptsHeader, String(this.attempt));
        copy.set(failureHeader, packFailure(failure));
        await link.call("burying a job", leftMs, (js, _jsm, timeout) =>
          js.publish(open.names.deadSubject(this.id), this.body, { headers: copy, timeout }),
        );
      }
      // Without a reason: servers before 2.11 do not know +TERM if words follow it.
      await this.#acknowledge("+TERM", leftMs);
    });
  }

  release(): Promise<Settled> {
    const { link, open } = this.#holder;
    return this.#settle(async (leftMs) => {
      await writeNote(link, open.names, this.#taken, this.attempt - 1);
      await this.#putBack(0, leftMs);
    });
  }

  /** Resolves once it is put back, or settled if that has begun. */
  async giveBack(): Promise<void> {
    await (this.#settlement ?? this.release());
  }

  loseSignal(): void {
    this.#isLost = true;
    this.#lost?.abort();
  }

  /** Asks for more time, or sees that there is none left. Called again and again. */
  tend(): void {
    if (this.#settlement !== undefined) return;
    const { leaseMs } = this.#holder.open.settings;
    if (this.#leftMs <= 0) this.#lose();
    else if (!this.#isRenewing && this.#leftMs <= (leaseMs * 2) / 3) void this.#renew(leaseMs / 3);
  }

  get #leftMs(): number {
    return this.#leasedAt + this.#holder.open.settings.leaseMs - now();
  }

  async #renew(limitMs: number): Promise<void> {
    const askedAt = now();
    this.#isRenewing = true;
    try {
      await this.#acknowledge("+WPI", limitMs);
      this.#leasedAt = askedAt;
    } catch {
      // The next `tend` asks again, and the link has said what is wrong.
    } finally {
      this.#isRenewing = false;
    }
  }

  #lose(): void {
    this.#settlement = Promise.resolve("lost");
    this.loseSignal();
    this.#holder.forget(this);
  }

  #acknowledge(payload: string, limitMs: number): Promise<void> {
    return this.#holder.link.acknowledge(this.#taken.reply, payload, Math.min(limitMs, 2_000));
  }

  async #putBack(delayMs: number, limitMs: number): Promise<void> {
    const { putBack } = this.#holder.open;
    await this.#acknowledge(delayMs > 0 ? `-NAK ${JSON.stringify({ delay: nanos(delayMs) })}` : "-NAK", limitMs);
    if (putBack.size < maxPutBack) putBack.set(this.#taken.sequence, now() + delayMs);
  }

  #settle(work: (leftMs: number) => Promise<void>): Promise<Settled> {
    if (this.#settlement !== undefined) return Promise.resolve("lost");
    if (this.#leftMs <= 0) {
      this.#lose();
      return Promise.resolve("lost");
    }
    this.#settlement = this.#tryUntilLeaseEnds(work, 50)
      // Confirmed too late: the server takes it from whoever has had the job at some time.
      .then(() => (this.#leftMs > 0 ? "settled" : "lost"))
      .finally(() => this.#holder.forget(this));
    return this.#settlement;
  }

  /** Each step of `work` may be done twice. */
  async #tryUntilLeaseEnds(work: (leftMs: number) => Promise<void>, pauseMs: number): Promise<void> {
    try {
      await work(this.#leftMs);
    } catch (cause) {
      if (this.#leftMs <= pauseMs) throw this.#holder.link.unavailable("settling a job", cause);
      await new Promise<void>((resolve) => later(pauseMs, resolve));
      await this.#holder.link.up(this.#leftMs);
      await this.#tryUntilLeaseEnds(work, Math.min(1_000, pauseMs * 2));
    }
  }
}

/** Writes down that `attempts` attempts lie behind the job, whatever the engine has counted by this delivery. */
async function writeNote(link: Link, names: QueueNames, taken: Taken, attempts: number): Promise<void> {
  const note = `${taken.deliveries} ${attempts}`;
  await link.call("putting a job back", 2_000, (js, _jsm, timeout) =>
    js.publish(names.noteSubject(taken.id, taken.sequence), note, { timeout }),
  );
}

/** Which attempt this delivery is. */
export async function readAttempt(link: Link, names: QueueNames, taken: Taken): Promise<number> {
  if (taken.deliveries === 1) return 1;
  try {
    const note = await link.call("counting attempts", 2_000, (_js, jsm) =>
      jsm.streams.getMessage(names.notes, { last_by_subj: names.noteSubject(taken.id, taken.sequence) }),
    );
    if (note === null) return taken.deliveries;
    const [deliveries = 0, attempts = 0] = note.string().split(" ").map(Number);
    return attempts + taken.deliveries - deliveries;
  } catch (error) {
    // One attempt too few for the job is better than a job that waits for its notes.
    link.report("counting attempts", error);
    return taken.deliveries;
  }
}

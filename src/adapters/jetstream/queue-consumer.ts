/** Who takes the jobs of one queue. */

import { nanos } from "@nats-io/transport-node";
import { now, outside } from "../../core/index.ts";
import type { Consumer, Delivery } from "../../tasks/index.ts";
import { JetStreamDelivery, readAttempt, type Holder, type OpenQueue } from "./delivery.ts";
import { blipMs, within, type Link } from "./link.ts";
import { copyHeaders, type Taken } from "./message.ts";
import { batchSize, Puller } from "./puller.ts";

/** Takes the jobs of one queue: the ready ones for the process, the delayed ones to see whether they are due. */
export class QueueConsumer implements Consumer, Holder {
  readonly link: Link;
  readonly open: OpenQueue;
  readonly #concurrency: number;
  readonly #give: (delivery: Delivery) => void;
  readonly #ended: () => void;
  readonly #ready: Puller;
  readonly #delayed: Puller;
  /** By their sequence in the stream. */
  readonly #held = new Map<number, JetStreamDelivery>();
  readonly #ticking: NodeJS.Timeout;
  #counting = 0;
  #moving = 0;
  /** A moment before all that is read now was sent; see `#tick`. */
  #turnedAt = now();
  #isPaused = false;
  #isStopped = false;
  /** Stopped, and nothing more is on its way. */
  #isQuiet = false;

  constructor(
    link: Link,
    open: OpenQueue,
    taking: {
      concurrency: number;
      give: (delivery: Delivery) => void;
      missing: () => Promise<void>;
      ended: () => void;
    },
  ) {
    const { concurrency, give, missing, ended } = taking;
    this.#ended = ended;
    this.link = link;
    this.open = open;
    this.#concurrency = concurrency;
    this.#give = give;
    // Shorter than a lease: what a process that stands still has asked for must not bring its jobs back to it.
    const pullMs = Math.min(4_000, open.settings.leaseMs / 2);
    const { names } = open;
    const room = (): number => (this.#isPaused ? 0 : concurrency - this.#held.size - this.#counting);
    this.#ready = new Puller(
      link,
      { stream: names.jobs, consumer: names.consumer("ready"), pullMs },
      { room, take: (taken) => void this.#take(taken), missing },
    );
    this.#delayed = new Puller(
      link,
      { stream: names.jobs, consumer: names.consumer("delayed"), pullMs },
      {
        room: () => batchSize - this.#moving,
        take: (taken) => void this.#onDelayed(taken),
        missing,
      },
    );
    const tickMs = Math.min(1_000, open.settings.leaseMs / 6);
    this.#ticking = outside(() => setInterval(this.#tick, tickMs).unref());
    link.onReturn.add(this.#start);
    this.#start();
  }

  pause(): void {
    if (this.#isPaused || this.#isStopped) return;
    this.#isPaused = true;
    void this.#ready.stop();
  }

  resume(): void {
    if (!this.#isPaused || this.#isStopped) return;
    this.#isPaused = false;
    this.#ready.start();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.link.onReturn.delete(this.#start);
    const stops = Promise.all([this.#ready.stop(), this.#delayed.stop()]);
    await within(stops, blipMs, () => new Error("late")).catch(() => undefined);
    this.#isQuiet = true;
    this.#endIfIdle();
  }

  /** Takes all jobs from their handlers. Resolves once they are put back, or settled where that has begun. */
  async end(): Promise<void> {
    const held = [...this.#held.values()];
    for (const delivery of held) delivery.loseSignal();
    await this.stop();
    await Promise.allSettled(held.map((delivery) => delivery.giveBack()));
  }

  forget(delivery: JetStreamDelivery): void {
    if (this.#held.get(delivery.sequence) === delivery) this.#held.delete(delivery.sequence);
    this.#ready.plan();
    this.#endIfIdle();
  }

  readonly #start = (): void => {
    if (!this.#isPaused) this.#ready.start();
    this.#delayed.start();
  };

  readonly #tick = (): void => {
    const at = now();
    // Timers come before the reading of what has arrived: after a standstill, that may have lain there for long.
    outside(() => setImmediate(() => (this.#turnedAt = at)));
    for (const delivery of this.#held.values()) delivery.tend();
    this.#ready.check();
    this.#delayed.check();
  };

  #endIfIdle(): void {
    if (!this.#isQuiet || this.#held.size > 0) return;
    clearInterval(this.#ticking);
    this.#ended();
  }

  async #take(taken: Taken): Promise<void> {
    const leasedAt = this.#turnedAt;
    const { names, putBack } = this.open;
    putBack.delete(taken.sequence);
    const before = this.#held.get(taken.sequence);
    if (before !== undefined && !(await this.#isNeeded(before))) return;
    // It has lain in our socket for longer than its lease, and somebody else has it.
    if (leasedAt + this.open.settings.leaseMs <= now()) return this.#ready.plan();
    const isWanted = (): boolean =>
      !this.#isPaused && !this.#isStopped && this.#held.size + this.#counting < this.#concurrency;
    if (isWanted() && taken.deliveries === 1) {
      this.#hold(new JetStreamDelivery(this, taken, 1, leasedAt));
      return;
    }
    this.#counting += 1;
    const attempt = await readAttempt(this.link, names, taken);
    this.#counting -= 1;
    const delivery = new JetStreamDelivery(this, taken, attempt, leasedAt);
    if (isWanted()) this.#hold(delivery);
    else await this.#putBack(delivery);
  }

  /**
   * Whether a second copy of what is here is one to take. While the first is in work, it is a slip of the server (see
   * `Puller`); while the end of the first is on its way, that decides. A server that was killed forgets whom it gave what.
   */
  async #isNeeded(before: JetStreamDelivery): Promise<boolean> {
    if (!before.isSettling) return false;
    this.#counting += 1;
    const isGone = await before.isGone();
    this.#counting -= 1;
    return !isGone;
  }

  async #putBack(delivery: JetStreamDelivery): Promise<void> {
    try {
      if (this.#isPaused || this.#isStopped) await this.#ready.stop();
      await delivery.release();
    } catch (error) {
      this.link.report("putting a job back", error);
    }
  }

  #hold(delivery: JetStreamDelivery): void {
    this.#held.set(delivery.sequence, delivery);
    this.#give(delivery);
  }

  /** Back until it is due, or over to the ready ones; if that fails, it comes again. */
  async #onDelayed(taken: Taken): Promise<void> {
    const waitMs = Math.ceil(taken.storedAt + taken.delayMs - Date.now());
    this.#moving += 1;
    try {
      if (waitMs > 0) {
        await this.link.acknowledge(taken.reply, `-NAK ${JSON.stringify({ delay: nanos(waitMs) })}`, 2_000);
        return;
      }
      const copy = copyHeaders(taken, `due:${taken.sequence}`);
      await this.link.call("moving a job that is due", 2_000, (js, _jsm, timeout) =>
        js.publish(this.open.names.ready, taken.body, { headers: copy, timeout }),
      );
      await this.link.acknowledge(taken.reply, "+ACK", 2_000);
    } catch (error) {
      this.link.report("moving a job that is due", error);
    } finally {
      this.#moving -= 1;
      this.#delayed.plan();
    }
  }
}

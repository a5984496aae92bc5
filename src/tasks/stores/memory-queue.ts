/**
 * One queue of the store in memory: its jobs, from when they are added until they are done or discarded.
 *
 * A job is in exactly one place (a lane of ready ones, the delayed ones, with a consumer, among the dead), so every level
 * is a number at hand, and a change costs the same however long the queue is.
 */

import { now, systemClock } from "../../core/index.ts";
import { append, isLinked, RingNode, unlink } from "../../core/ring.ts";
import type {
  AddedJob,
  DeadJob,
  DeadSelection,
  JobFailure,
  NewJob,
  QueueLevels,
  QueueSettings,
  Settled,
} from "../store.ts";
import { DelayedJobs } from "./delayed-jobs.ts";
import { MemoryDelivery, type MemoryConsumer } from "./memory-delivery.ts";

/** The longest delay that a timer of Node's takes. What is due later is looked at again by then. */
const longestTimerMs = 2 ** 31 - 1;

/** How many more jobs the store takes, over all its queues. */
export interface MemoryRoom {
  left: number;
}

/** A job in whichever place it is. */
export class MemoryJob extends RingNode {
  readonly id: string;
  readonly body: string;
  readonly key: string | undefined;
  readonly priority: number;
  readyAtMs = 0;
  /** Those begun and not given back. */
  attempts = 0;

  constructor(job: NewJob) {
    super();
    this.id = job.id;
    this.body = job.body;
    this.key = job.key;
    this.priority = job.priority;
  }
}

/** The ready jobs of one priority, in the order in which they have become ready. */
interface Lane {
  readonly priority: number;
  readonly ring: RingNode;
}

interface Grave {
  readonly job: MemoryJob;
  readonly failure: JobFailure;
  readonly diedAt: number;
}

/**
 * Invariants: `#jobs` has every job, dead or not, by its id; `#keys` has at most one job for each key, and none that is
 * dead; `#lanes` is ordered by priority and holds `#ready` jobs. While there are jobs and a consumer with a free place,
 * a look at them is planned (`#pump`); while there are delayed ones, a timer for the first of them.
 */
export class MemoryQueue {
  readonly name: string;
  settings: QueueSettings;
  readonly #room: MemoryRoom;
  readonly #jobs = new Map<string, MemoryJob>();
  readonly #keys = new Map<string, MemoryJob>();
  readonly #lanes: Lane[] = [];
  readonly #delayed = new DelayedJobs<MemoryJob>();
  readonly #active = new Set<MemoryDelivery>();
  /** Oldest first. */
  readonly #dead = new Map<string, Grave>();
  readonly #consumers: MemoryConsumer[] = [];
  #ready = 0;
  /** Which consumer is asked first, so that all have their turn. */
  #turn = 0;
  #callOffPump: (() => void) | undefined;
  #callOffTimer: (() => void) | undefined;
  #timerAtMs = Infinity;

  constructor(name: string, settings: QueueSettings, room: MemoryRoom) {
    this.name = name;
    this.settings = settings;
    this.#room = room;
  }

  /** The job that `job` would be a duplicate of. */
  findTwin(job: NewJob): string | undefined {
    const twin = this.#jobs.get(job.id) ?? (job.key === undefined ? undefined : this.#keys.get(job.key));
    return twin?.id;
  }

  add(added: NewJob): AddedJob {
    const twin = this.findTwin(added);
    if (twin !== undefined) return { id: twin, isDuplicate: true };
    const job = new MemoryJob(added);
    this.#jobs.set(job.id, job);
    this.#enter(job, added.delayMs);
    return { id: job.id, isDuplicate: false };
  }

  attach(consumer: MemoryConsumer): void {
    this.#consumers.push(consumer);
    this.planPump();
  }

  detach(consumer: MemoryConsumer): void {
    const index = this.#consumers.indexOf(consumer);
    if (index !== -1) this.#consumers.splice(index, 1);
  }

  /** The end of a delivery: `move` puts the job in its next place. */
  settle(delivery: MemoryDelivery, move: (job: MemoryJob) => void): Settled {
    if (!this.#active.delete(delivery)) return "lost";
    delivery.consumer.active -= 1;
    this.#room.left += 1;
    move(delivery.job);
    this.planPump();
    return "settled";
  }

  forget(job: MemoryJob): void {
    this.#jobs.delete(job.id);
    this.#freeKey(job);
  }

  putBack(job: MemoryJob, delayMs: number): void {
    this.#enter(job, delayMs);
  }

  /** At the head of its lane: it has waited already. */
  giveBack(job: MemoryJob): void {
    job.attempts -= 1;
    this.#room.left -= 1;
    this.#makeReady(job, "first");
  }

  bury(job: MemoryJob, failure: JobFailure): void {
    this.#freeKey(job);
    this.#dead.set(job.id, { job, failure, diedAt: Date.now() });
    this.#clearGraves();
  }

  levels(): QueueLevels {
    this.#clearGraves();
    this.#wakeDelayed();
    const oldest = Math.min(
      ...this.#lanes.map(({ ring }) => (isLinked(ring) ? jobOf(ring.ringNext).readyAtMs : Infinity)),
    );
    return {
      ready: this.#ready,
      delayed: this.#delayed.size,
      active: this.#active.size,
      dead: this.#dead.size,
      oldestReadyMs: oldest === Infinity ? 0 : Math.max(0, now() - oldest),
    };
  }

  listDead(limit: number, before: string | undefined): DeadJob[] {
    this.#clearGraves();
    const graves = [...this.#dead.values()].toReversed();
    const from = before === undefined ? 0 : graves.findIndex(({ job }) => job.id === before) + 1;
    if (from === 0 && before !== undefined) return [];
    return graves.slice(from, from + limit).map(({ job, failure, diedAt }) => ({
      id: job.id,
      queue: this.name,
      body: job.body,
      attempts: job.attempts,
      failure,
      diedAt,
    }));
  }

  redrive(which: DeadSelection): number {
    return this.#exhume(which, (job) => {
      job.attempts = 0;
      this.#enter(job, 0);
    });
  }

  discard(which: DeadSelection): number {
    return this.#exhume(which, (job) => this.#jobs.delete(job.id));
  }

  /** All that is handed out goes back. The queue does nothing by itself from here on. */
  close(): void {
    this.#consumers.length = 0;
    for (const delivery of this.#active) {
      this.settle(delivery, (job) => this.giveBack(job));
      delivery.lose();
    }
    this.#callOffPump?.();
    this.#callOffTimer?.();
  }

  /** Hands out what it can, once what is going on in this turn of the loop is over. */
  planPump(): void {
    if (this.#callOffPump !== undefined || this.#consumers.length === 0) return;
    this.#callOffPump = systemClock.wakeAfterPoll(this.#pump);
  }

  readonly #pump = (): void => {
    this.#callOffPump = undefined;
    this.#wakeDelayed();
    // A handler that settles within `take` frees its place at once: it gets its next job in the next turn of the loop.
    for (let left = this.#ready; left > 0; left -= 1) {
      const consumer = this.#nextConsumer();
      if (consumer === undefined) return;
      this.#handOut(consumer);
    }
    if (this.#ready > 0) this.planPump();
  };

  #nextConsumer(): MemoryConsumer | undefined {
    for (let index = 0; index < this.#consumers.length; index += 1) {
      const at = (this.#turn + index) % this.#consumers.length;
      const consumer = this.#consumers[at];
      if (consumer?.hasRoom === true) {
        this.#turn = at + 1;
        return consumer;
      }
    }
    return undefined;
  }

  #handOut(consumer: MemoryConsumer): void {
    const lane = this.#lanes.find(({ ring }) => isLinked(ring));
    if (lane === undefined) return;
    const job = jobOf(lane.ring.ringNext);
    unlink(job);
    this.#ready -= 1;
    job.attempts += 1;
    consumer.active += 1;
    const delivery = new MemoryDelivery(this, job, consumer);
    this.#active.add(delivery);
    consumer.take(delivery);
  }

  /** A job becomes one of those that count: it is new, or tried again. */
  #enter(job: MemoryJob, delayMs: number): void {
    this.#room.left -= 1;
    if (job.key !== undefined && !this.#keys.has(job.key)) this.#keys.set(job.key, job);
    job.readyAtMs = now() + delayMs;
    if (delayMs > 0) {
      this.#delayed.push(job);
      this.#planTimer();
    } else {
      this.#makeReady(job, "last");
    }
  }

  #makeReady(job: MemoryJob, place: "first" | "last"): void {
    const { ring } = this.#laneOf(job.priority);
    append(place === "first" ? ring.ringNext : ring, job);
    this.#ready += 1;
    this.planPump();
  }

  #laneOf(priority: number): Lane {
    const found = this.#lanes.find((lane) => lane.priority === priority);
    if (found !== undefined) return found;
    const lane = { priority, ring: new RingNode() };
    const after = this.#lanes.findIndex((other) => other.priority > priority);
    this.#lanes.splice(after === -1 ? this.#lanes.length : after, 0, lane);
    return lane;
  }

  #wakeDelayed(): void {
    const nowMs = now();
    for (let job = this.#delayed.take(nowMs); job !== undefined; job = this.#delayed.take(nowMs)) {
      this.#makeReady(job, "last");
    }
    this.#planTimer();
  }

  #planTimer(): void {
    const atMs = this.#delayed.nextMs;
    if (atMs >= this.#timerAtMs) return;
    this.#callOffTimer?.();
    this.#timerAtMs = atMs;
    const delayMs = Math.min(longestTimerMs, Math.max(1, Math.ceil(atMs - now())));
    this.#callOffTimer = systemClock.wakeAfter(delayMs, () => {
      this.#timerAtMs = Infinity;
      this.#wakeDelayed();
    });
  }

  #freeKey({ key, id }: MemoryJob): void {
    if (key !== undefined && this.#keys.get(key)?.id === id) this.#keys.delete(key);
  }

  /** Discards what is too old or too many. It is called wherever dead jobs are looked at or added. */
  #clearGraves(): void {
    const { maxDead, deadForMs } = this.settings;
    const since = Date.now() - deadForMs;
    for (const [id, { diedAt }] of this.#dead) {
      if (diedAt >= since && this.#dead.size <= maxDead) return;
      this.#dead.delete(id);
      this.#jobs.delete(id);
    }
  }

  #exhume(which: DeadSelection, move: (job: MemoryJob) => void): number {
    this.#clearGraves();
    let moved = 0;
    for (const id of which === "all" ? [...this.#dead.keys()] : which) {
      const grave = this.#dead.get(id);
      if (grave === undefined) continue;
      this.#dead.delete(id);
      move(grave.job);
      moved += 1;
    }
    return moved;
  }
}

/** The rings of a queue hold nothing but its jobs. */
function jobOf(node: RingNode): MemoryJob {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
  return node as MemoryJob;
}

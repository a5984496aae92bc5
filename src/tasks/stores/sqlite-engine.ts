/**
 * The worker's side of the SQLite store: takes orders, and carries out all that have arrived in one transaction a turn.
 *
 * A commit waits for the disk, a tenth of a millisecond at best; so adds, settles, renewals and claims share one. While it
 * lasts the next orders arrive, and the busier the store is the more of them share a commit. A job that is added while a
 * consumer waits is taken in the same transaction. What a transaction means for memory happens after its commit.
 */

import {
  closeFile,
  describeFailure,
  freeBytes,
  isInPlace,
  meaningOf,
  openFile,
  UnusableFileError,
} from "./sqlite-file.ts";
import type { OpenFile } from "./sqlite-file.ts";
import { JobTables } from "./sqlite-jobs.ts";
import { addFields, settleFields, settleKinds, sharedNow } from "./sqlite-protocol.ts";
import type { AddOrder, AddReport, Failure, Orders, Report, SettleOrder, WorkerSettings } from "./sqlite-protocol.ts";
import { Questions } from "./sqlite-questions.ts";
import { Takers, type LeaseChanges } from "./sqlite-takers.ts";

/** Jobs added in one transaction, unless one order has more: some 4 ms, in which claims and settles wait. */
const addsAtOnce = 500;
/** Pauses between tries: for a lock that others hold, and after an error of the file or the disk. */
const busyPauseMs = 5;
const troublePauseMs = 200;
/** How often it is looked how much room there is; in that time a few MB of jobs come at most. */
const roomMs = 50;
/** A lock that is held for longer is somebody's trouble. */
const patienceMs = 1_000;

/** What one transaction carries out: the first of those that wait. */
interface Batch {
  readonly adds: readonly AddOrder[];
  readonly settles: readonly SettleOrder[];
}

/** What came of it. It holds once the transaction is committed. */
interface Outcome {
  readonly added: readonly AddReport[];
  readonly settled: readonly boolean[];
  readonly leases?: LeaseChanges;
}

/**
 * Invariant: an order is in `#adds`, `#settles` or `#questions` until what came of it is in `#out`. While any is there, or a
 * time is due, a turn is planned.
 */
export class Engine {
  readonly #settings: WorkerSettings;
  readonly #post: (report: Report) => void;
  readonly #takers = new Takers();
  readonly #questions: Questions;
  #file: OpenFile | undefined;
  #tables: JobTables | undefined;
  #adds: AddOrder[] = [];
  #settles: SettleOrder[] = [];
  #out = emptyReport();
  #dataVersion = NaN;
  /** When the next delayed job is ready; 0: to be looked up. */
  #nextDue = 0;
  #nextPoll = 0;
  #nextSweep = 0;
  #nextRoom = 0;
  #hasRoom = true;
  #pauseUntil = 0;
  #busySince = Infinity;
  /** Adds have found no room; until one does, they are tried apart from the rest. */
  #isFull = false;
  #trouble: Failure | undefined;
  #toldTrouble: Failure | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isTurnPlanned = false;

  constructor(settings: WorkerSettings, post: (report: Report) => void) {
    this.#settings = settings;
    this.#post = post;
    this.#questions = new Questions(this.#takers);
  }

  /** Opens the file; tries again while others hold its lock. @throws what else is wrong, or the lock after the time allowed. */
  async start(): Promise<void> {
    const deadline = sharedNow() + this.#settings.startTimeoutMs;
    while (this.#tables === undefined) {
      try {
        this.#open();
      } catch (error) {
        if (meaningOf(error) !== "busy" || sharedNow() > deadline) throw error;
        // oxlint-disable-next-line no-await-in-loop -- one try after the other
        await new Promise((resolve) => setTimeout(resolve, busyPauseMs));
      }
    }
  }

  take({ adds, settles, wants, questions }: Orders): void {
    for (const add of adds) this.#adds.push(add);
    for (let at = 0; at < settles.length; at += settleFields) this.#settles.push(readSettle(settles, at));
    for (let at = 0; at < wants.length; at += 2) this.#takers.want(wants[at] ?? 0, wants[at + 1] ?? 0);
    this.#questions.take(questions);
    // After the other messages that are here already; in a pause, after it.
    if (this.#pauseUntil <= Date.now()) this.#planTurn();
    else this.#plan();
  }

  readonly #turn = (): void => {
    this.#isTurnPlanned = false;
    clearTimeout(this.#timer);
    try {
      const now = Date.now();
      const tables = this.#ready();
      this.#look(tables, now);
      this.#refuseWithoutRoom(now);
      const batch = this.#nextBatch();
      if (this.#hasWork(batch, now)) this.#carryOut(tables, batch, now);
      this.#calmDown();
      const isIdle = this.#adds.length === 0 && this.#settles.length === 0;
      this.#out.answers.push(...this.#questions.answer(tables, now, isIdle));
    } catch (error) {
      this.#onFailure(error);
    }
    // Before the answer: whoever has it may open the file, or remove it.
    if (this.#questions.isStopped) this.#close();
    else this.#plan();
    this.#report();
  };

  /** The open file. @throws why there is none. */
  #ready(): JobTables {
    if (this.#file !== undefined && !isInPlace(this.#settings.path, this.#file)) {
      throw new UnusableFileError("it was moved, replaced or removed while it was open");
    }
    return this.#tables ?? this.#open();
  }

  #open(): JobTables {
    this.#file = openFile(this.#settings);
    this.#tables = new JobTables(this.#file.db);
    this.#questions.reopen(this.#tables);
    // What is known of the file is to be found out anew.
    [this.#dataVersion, this.#nextDue, this.#nextPoll, this.#nextSweep] = [NaN, 0, 0, 0];
    this.#takers.promise();
    return this.#tables;
  }

  #close(): void {
    if (this.#file !== undefined) closeFile(this.#file);
    this.#file = undefined;
    this.#tables = undefined;
  }

  /** Looks what others have changed in the file. */
  #look(tables: JobTables, now: number): void {
    if (this.#takers.isHungry && now >= this.#nextPoll) {
      this.#nextPoll = now + this.#settings.pollMs;
      const version = tables.dataVersion();
      if (version !== this.#dataVersion) {
        this.#dataVersion = version;
        this.#takers.promise();
        this.#nextDue = 0;
      }
    }
    if (this.#nextDue === 0) this.#nextDue = tables.nextDue();
  }

  /** While the disk has less room than is kept for what is done, new jobs are refused. */
  #refuseWithoutRoom(now: number): void {
    const { path, minFreeBytes } = this.#settings;
    if (this.#adds.length === 0 || this.#file === undefined || minFreeBytes === 0) return;
    if (now >= this.#nextRoom) {
      this.#nextRoom = now + roomMs;
      this.#hasRoom = freeBytes(path, this.#file) >= minFreeBytes;
    }
    if (this.#hasRoom) return;
    const message =
      `${path} takes no jobs: its disk has ${freeBytes(path, this.#file)} bytes free, and minFreeBytes keeps ` +
      `${minFreeBytes} for what is done. Jobs that it has are safe; make room.`;
    this.#refuseWith({ code: "full", message }, this.#adds.length);
  }

  /** What may be done in this turn. Adds whose caller has given up are left out for good. */
  #nextBatch(): Batch {
    const latest = sharedNow();
    const late = this.#adds.filter(({ deadline }) => deadline < latest);
    if (late.length > 0) {
      const failure: Failure = { code: "unavailable", message: "Its time was over before it was begun." };
      for (const { order } of late) this.#out.added.push({ order, duplicates: [], failure });
      this.#adds = this.#adds.filter(({ deadline }) => deadline >= latest);
    }
    let jobs = 0;
    const end = this.#adds.findIndex((add) => (jobs += add.jobs.length / addFields) >= addsAtOnce);
    return { adds: end === -1 ? [...this.#adds] : this.#adds.slice(0, end + 1), settles: [...this.#settles] };
  }

  #hasWork({ adds, settles }: Batch, now: number): boolean {
    const isDue = adds.length > 0 || settles.length > 0 || now >= this.#nextDue || this.#takers.canClaim;
    return this.#isSweepDue(now) || isDue || this.#takers.nextRenewal() <= now;
  }

  #isSweepDue(now: number): boolean {
    if (!this.#takers.hasConsumers || now < this.#nextSweep) return false;
    this.#nextSweep = now + this.#takers.sweepMs;
    return this.#tables?.hasExpired(now) === true;
  }

  /** All of it in one transaction; as soon as something cannot be carried out, in several. */
  #carryOut(tables: JobTables, batch: Batch, now: number): void {
    if (!this.#isFull) {
      try {
        this.#apply(tables.write(() => this.#change(tables, batch, now)));
        return;
      } catch (error) {
        const meaning = meaningOf(error);
        if (meaning !== "full" && meaning !== "request") throw error;
        this.#isFull = meaning === "full";
      }
    }
    // What is done makes room, what is added takes it: without room the first goes on, and the second is refused.
    this.#settleFirst(tables, batch.settles, now);
    let isFull = false;
    for (const add of batch.adds) {
      try {
        this.#apply(tables.write(() => ({ added: [this.#addAll(tables, add, now)], settled: [] })));
      } catch (error) {
        const meaning = meaningOf(error);
        if (meaning !== "full" && meaning !== "request") throw error;
        isFull ||= meaning === "full";
        // Told to the one who has added it; it is nobody else's trouble.
        this.#refuse(error, 1);
      }
    }
    this.#isFull = isFull || this.#settles.length > 0;
  }

  #settleFirst(tables: JobTables, settles: readonly SettleOrder[], now: number): void {
    try {
      this.#apply(tables.write(() => this.#change(tables, { adds: [], settles }, now)));
      return;
    } catch (error) {
      if (meaningOf(error) !== "full") throw error;
    }
    // The log stays as long as it is, and may be written again from its beginning: room that nobody else can take.
    tables.checkpoint();
    for (const settle of settles) {
      try {
        this.#apply(tables.write(() => ({ added: [], settled: this.#settleAll(tables, [settle], now) })));
      } catch (error) {
        if (meaningOf(error) !== "full") throw error;
        this.#pause(error, troublePauseMs);
        return;
      }
    }
  }

  /** Within a transaction. */
  #change(tables: JobTables, { adds, settles }: Batch, now: number): Outcome {
    const leases = this.#takers.renew(tables, now);
    const settled = this.#settleAll(tables, settles, now);
    const added = adds.map((add) => this.#addAll(tables, add, now));
    if (now >= this.#nextDue) this.#takers.promise(tables.promote(now));
    if (this.#takers.hasConsumers && tables.hasExpired(now)) this.#takers.promise(tables.sweep(now));
    this.#takers.claim(tables, now, leases);
    return { added, settled, leases };
  }

  #settleAll(tables: JobTables, settles: readonly SettleOrder[], now: number): boolean[] {
    const buried = new Set<number>();
    const settled = settles.map((settle) => {
      const { queue, kind, delayMs } = settle;
      if (!tables.settle(settle, now)) return false;
      if (kind === settleKinds.dead) buried.add(queue);
      else if (kind === settleKinds.retry && delayMs > 0) this.#nextDue = Math.min(this.#nextDue, now + delayMs);
      else if (kind !== settleKinds.done) this.#takers.promise([queue]);
      return true;
    });
    for (const queue of buried) this.#questions.prune(tables, queue, now);
    return settled;
  }

  #addAll(tables: JobTables, { order, jobs }: AddOrder, now: number): AddReport {
    const duplicates: (number | string)[] = [];
    for (let at = 0; at < jobs.length; at += addFields) {
      const first = tables.add(jobs, at, now);
      const delayMs = Number(jobs[at + 4]);
      if (first !== undefined) duplicates.push(at / addFields, first);
      else if (delayMs > 0) this.#nextDue = Math.min(this.#nextDue, now + delayMs);
      else this.#takers.promise([Number(jobs[at + 1])]);
    }
    return { order, duplicates };
  }

  /** After the commit: what was carried out leaves the front of what waits. */
  #apply({ added, settled, leases }: Outcome): void {
    this.#adds.splice(0, added.length);
    for (const report of added) this.#out.added.push(report);
    for (const [index, { taker }] of this.#settles.splice(0, settled.length).entries()) {
      const isSettled = settled[index] === true;
      if (isSettled) this.#takers.settle(taker);
      else this.#takers.doubt(taker);
      this.#out.settled.push(isSettled);
    }
    if (leases === undefined) return;
    for (const taker of this.#takers.apply(leases)) this.#out.lost.push(taker);
    for (const { consumer, taker, jobs } of leases.claims) {
      for (const { seq, id, body, attempt, priority } of jobs) {
        this.#out.deliveries.push(consumer.consumer, taker.taker, seq, id, body, attempt, priority);
      }
    }
    if (Date.now() >= this.#nextDue) this.#nextDue = 0;
  }

  #refuse(error: unknown, count: number): void {
    this.#refuseWith(describeFailure(this.#settings.path, error), count);
  }

  #refuseWith(failure: Failure, count: number): void {
    for (const { order } of this.#adds.splice(0, count)) this.#out.added.push({ order, duplicates: [], failure });
  }

  /** What was not reported is as it was before. A lock is waited for; a file that is broken or gone is opened anew. */
  #onFailure(error: unknown): void {
    if (meaningOf(error) === "busy") {
      this.#pause(error, busyPauseMs);
      return;
    }
    this.#pause(error, troublePauseMs);
    this.#refuse(error, this.#adds.length);
    // Closed, it would give up the room of its log.
    if (meaningOf(error) === "full" && this.#tables !== undefined) return;
    this.#close();
    this.#out.answers.push(...this.#questions.refuse(describeFailure(this.#settings.path, error)));
  }

  #pause(error: unknown, ms: number): void {
    const now = Date.now();
    const isBusy = meaningOf(error) === "busy";
    this.#pauseUntil = now + ms;
    if (isBusy) this.#busySince = Math.min(this.#busySince, now);
    if (!isBusy || now - this.#busySince > patienceMs) this.#trouble = describeFailure(this.#settings.path, error);
  }

  #calmDown(): void {
    if (this.#pauseUntil > Date.now()) return;
    this.#busySince = Infinity;
    this.#trouble = undefined;
  }

  #report(): void {
    const out = this.#out;
    const isNews = this.#trouble?.message !== this.#toldTrouble?.message;
    const { added, settled, deliveries, lost, answers } = out;
    if (added.length + settled.length + deliveries.length + lost.length + answers.length === 0 && !isNews) return;
    this.#toldTrouble = this.#trouble;
    this.#out = emptyReport();
    this.#post(isNews ? { ...out, trouble: this.#trouble ?? null } : out);
  }

  #planTurn(): void {
    if (!this.#isTurnPlanned) setImmediate(this.#turn);
    this.#isTurnPlanned = true;
  }

  #plan(): void {
    clearTimeout(this.#timer);
    const now = Date.now();
    const waits = this.#adds.length > 0 || this.#settles.length > 0 || this.#questions.isWaiting;
    if (now >= this.#pauseUntil && (waits || this.#takers.canClaim)) {
      this.#planTurn();
      return;
    }
    const times = [
      waits ? 0 : Infinity,
      this.#nextDue,
      this.#takers.nextRenewal(),
      this.#takers.isHungry ? this.#nextPoll : Infinity,
      this.#takers.hasConsumers ? this.#nextSweep : Infinity,
    ];
    const next = Math.max(Math.min(...times), this.#pauseUntil);
    // A timer takes 31 bits.
    if (next < Infinity) this.#timer = setTimeout(this.#turn, Math.min(Math.max(next - now, 0), 2 ** 31 - 1));
  }
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] extends readonly (infer Item)[] ? Item[] : T[Key] };

function emptyReport(): Mutable<Pick<Report, "added" | "settled" | "deliveries" | "lost" | "answers">> {
  return { added: [], settled: [], deliveries: [], lost: [], answers: [] };
}

function readSettle(fields: Orders["settles"], at: number): SettleOrder {
  const failure = fields[at + 5] ?? null;
  return {
    queue: Number(fields[at]),
    taker: Number(fields[at + 1]),
    seq: Number(fields[at + 2]),
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by our own side of the line
    kind: Number(fields[at + 3]) as SettleOrder["kind"],
    delayMs: Number(fields[at + 4]),
    failure: failure === null ? null : String(failure),
  };
}

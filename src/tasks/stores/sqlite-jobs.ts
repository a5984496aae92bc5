/**
 * The statements of the SQLite store: what each step in a job's life does to the tables.
 *
 * Everything that changes jobs runs within a transaction that `write` begins and ends, and counts into the levels of the
 * queue what it has moved. Nothing here knows consumers, messages or timers.
 */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { DeadJob, DeadSelection, JobFailure, QueueLevels } from "../store.ts";
import { addFields, settleKinds, type AddOrder, type SettleKind, type SettleOrder } from "./sqlite-protocol.ts";

/** A job just taken. */
export interface ClaimedJob {
  readonly seq: number;
  readonly id: string;
  readonly body: string;
  readonly attempt: number;
  readonly priority: number;
}

/** Values of `sluice_jobs.state`; the statements below have them as numbers, as an index asks for. */
const jobStates = { ready: 0, delayed: 1 } as const;

type Level = "ready" | "delayed" | "active" | "dead";

/** How many rows one statement moves at most, so that a transaction stays short. */
export const rowsAtOnce = 1_000;

const sql = {
  // A dead job's id is taken too: an add that is tried again must not bring it back to life.
  add:
    "INSERT INTO sluice_jobs (id, queue, state, priority, due, attempt, taker, key, body) " +
    "SELECT ?1, ?2, ?3, ?4, ?5, 0, NULL, ?6, ?7 WHERE NOT EXISTS (SELECT 1 FROM sluice_dead WHERE id = ?1) " +
    "ON CONFLICT DO NOTHING",
  findFirst:
    "SELECT id FROM sluice_jobs WHERE id = ?1 UNION ALL SELECT id FROM sluice_dead WHERE id = ?1 " +
    "UNION ALL SELECT id FROM sluice_jobs WHERE queue = ?2 AND key = ?3 LIMIT 1",
  claim:
    "UPDATE sluice_jobs SET state = 2, taker = ?1, attempt = attempt + 1 WHERE seq IN " +
    "(SELECT seq FROM sluice_jobs WHERE queue = ?2 AND state = 0 ORDER BY priority, due, seq LIMIT ?3) " +
    "RETURNING seq, id, body, attempt, priority, due",
  hasReady: "SELECT 1 FROM sluice_jobs WHERE queue = ? AND state = 0 LIMIT 1",
  done: "DELETE FROM sluice_jobs WHERE seq = ? AND taker = ?",
  giveBack: "UPDATE sluice_jobs SET state = ?3, due = ?4, taker = NULL WHERE seq = ?1 AND taker = ?2",
  release: "UPDATE sluice_jobs SET state = 0, attempt = attempt - 1, taker = NULL WHERE seq = ? AND taker = ?",
  releaseAll: "UPDATE sluice_jobs SET state = 0, attempt = attempt - 1, taker = NULL WHERE taker = ? RETURNING queue",
  bury:
    "INSERT INTO sluice_dead (id, queue, died_at, priority, attempts, key, failure, body) " +
    "SELECT id, queue, ?3, priority, attempt, key, ?4, body FROM sluice_jobs WHERE seq = ?1 AND taker = ?2",
  promote:
    "UPDATE sluice_jobs SET state = 0 WHERE seq IN " +
    `(SELECT seq FROM sluice_jobs WHERE state = 1 AND due <= ? ORDER BY due LIMIT ${rowsAtOnce}) RETURNING queue`,
  nextDue: "SELECT min(due) FROM sluice_jobs WHERE state = 1",
  addTaker: "INSERT INTO sluice_takers (queue, lease_until) VALUES (?, ?)",
  renew: "UPDATE sluice_takers SET lease_until = ? WHERE taker = ?",
  dropTaker: "DELETE FROM sluice_takers WHERE taker = ?",
  expired: "SELECT taker FROM sluice_takers WHERE lease_until < ?",
  orphan: "UPDATE sluice_jobs SET state = 0, taker = NULL WHERE taker = ? RETURNING queue",
  addQueue: "INSERT INTO sluice_queues (queue, name) VALUES (?, ?) ON CONFLICT DO NOTHING",
  findQueue: "SELECT queue FROM sluice_queues WHERE name = ?",
  queueNames: "SELECT name FROM sluice_queues WHERE queue = ?",
  count:
    "UPDATE sluice_queues SET ready = ready + ?2, delayed = delayed + ?3, active = active + ?4, dead = dead + ?5 " +
    "WHERE queue = ?1",
  levels: "SELECT ready, delayed, active, dead FROM sluice_queues WHERE queue = ?",
  // The oldest of each priority stands first in the index: from one priority to the next, not over all jobs.
  oldest:
    "WITH RECURSIVE p (x) AS (SELECT min(priority) FROM sluice_jobs WHERE queue = ?1 AND state = 0 UNION ALL " +
    "SELECT (SELECT min(priority) FROM sluice_jobs WHERE queue = ?1 AND state = 0 AND priority > x) FROM p " +
    "WHERE x IS NOT NULL) SELECT min((SELECT min(due) FROM sluice_jobs WHERE queue = ?1 AND state = 0 AND priority = x)) " +
    "FROM p WHERE x IS NOT NULL",
  listDead:
    "SELECT id, body, attempts, failure, died_at FROM sluice_dead WHERE queue = ?1 " +
    "ORDER BY died_at DESC, seq DESC LIMIT ?2",
  listDeadBefore:
    "SELECT d.id, d.body, d.attempts, d.failure, d.died_at FROM sluice_dead d, sluice_dead b WHERE b.id = ?3 " +
    "AND d.queue = ?1 AND (d.died_at, d.seq) < (b.died_at, b.seq) ORDER BY d.died_at DESC, d.seq DESC LIMIT ?2",
  deadIds: "SELECT id FROM sluice_dead WHERE queue = ? ORDER BY died_at, seq",
  revive:
    "INSERT INTO sluice_jobs (id, queue, state, priority, due, attempt, taker, key, body) " +
    "SELECT id, queue, 0, priority, ?3, 0, NULL, " +
    "CASE WHEN EXISTS (SELECT 1 FROM sluice_jobs j WHERE j.queue = d.queue AND j.key = d.key) THEN NULL ELSE key END, " +
    "body FROM sluice_dead d WHERE id = ?1 AND queue = ?2 " +
    "ON CONFLICT DO NOTHING",
  discard: "DELETE FROM sluice_dead WHERE id = ? AND queue = ?",
  discardAll: "DELETE FROM sluice_dead WHERE queue = ?",
  hasOldDead: "SELECT 1 FROM sluice_dead WHERE queue = ? AND died_at < ? LIMIT 1",
  pruneOld: `DELETE FROM sluice_dead WHERE seq IN
    (SELECT seq FROM sluice_dead WHERE queue = ? AND died_at < ? ORDER BY died_at, seq LIMIT ${rowsAtOnce})`,
  pruneOldest: `DELETE FROM sluice_dead WHERE seq IN
    (SELECT seq FROM sluice_dead WHERE queue = ? ORDER BY died_at, seq LIMIT ?)`,
  dataVersion: "PRAGMA data_version",
  begin: "BEGIN IMMEDIATE",
  commit: "COMMIT",
  rollback: "ROLLBACK",
} as const;

/** Invariant: outside `write` and `within`, `#moved` is empty; outside `write` there is no transaction of its own. */
export class JobTables {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<keyof typeof sql, StatementSync>();
  /** What the transaction has changed in the levels of each queue. */
  readonly #moved = new Map<number, Record<Level, number>>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** Runs `work` as one transaction, on the disk when this returns. @throws what SQLite throws; then nothing is changed. */
  write<T>(work: () => T): T {
    this.#prepare("begin").run();
    try {
      const result = this.#countedly(work);
      this.#prepare("commit").run();
      return result;
    } catch (error) {
      // SQLite has rolled back by itself where the disk failed.
      if (this.#db.isTransaction) this.#prepare("rollback").run();
      throw error;
    }
  }

  /** Runs `work` within a transaction that somebody else has begun and will end: all of it, or nothing. */
  within<T>(work: () => T): T {
    this.#db.exec("SAVEPOINT sluice_within");
    try {
      const result = this.#countedly(work);
      this.#db.exec("RELEASE sluice_within");
      return result;
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK TO sluice_within; RELEASE sluice_within");
      throw error;
    }
  }

  #countedly<T>(work: () => T): T {
    try {
      const result = work();
      this.#countMoved();
      return result;
    } finally {
      this.#moved.clear();
    }
  }

  /** Adds the job whose fields begin at `at`, or returns the id of the one that was there first. */
  add(jobs: AddOrder["jobs"], at: number, now: number): string | undefined {
    const [id = "", queue = 0, body = "", key = null, delayMs = 0, priority = 0] = jobs.slice(at, at + addFields);
    const isDelayed = Number(delayMs) > 0;
    const state = isDelayed ? jobStates.delayed : jobStates.ready;
    const due = Math.ceil(now + Number(delayMs));
    if (this.#prepare("add").run(id, queue, state, priority, due, key, body).changes === 1) {
      this.#move(Number(queue), isDelayed ? "delayed" : "ready", 1);
      return undefined;
    }
    const [first = id] = this.#row("findFirst", id, queue, key) ?? [];
    return String(first);
  }

  /** Hands ready jobs of a queue to `taker`, first priority, then the time since when they were ready. */
  claim(queue: number, taker: number, limit: number): ClaimedJob[] {
    const rows = this.#rows("claim", taker, queue, limit);
    // RETURNING keeps no order.
    const jobs = rows
      .map(([seq, id, body, attempt, priority, due]) => ({
        seq: Number(seq),
        id: String(id),
        body: String(body),
        attempt: Number(attempt),
        priority: Number(priority),
        due: Number(due),
      }))
      .toSorted((a, b) => a.priority - b.priority || a.due - b.due || a.seq - b.seq);
    this.#move(queue, "ready", -jobs.length);
    this.#move(queue, "active", jobs.length);
    return jobs;
  }

  hasReady(queue: number): boolean {
    return this.#row("hasReady", queue) !== undefined;
  }

  /** Ends a delivery. Returns whether the lease was still there; if not, nothing is changed. */
  settle(order: SettleOrder, now: number): boolean {
    const { queue, kind, delayMs } = order;
    if (this.#runSettle(order, now) === 0) return false;
    this.#move(queue, "active", -1);
    if (kind === settleKinds.dead) this.#move(queue, "dead", 1);
    else if (kind !== settleKinds.done) this.#move(queue, isDelayedRetry(kind, delayMs) ? "delayed" : "ready", 1);
    return true;
  }

  #runSettle({ kind, seq, taker, delayMs, failure }: SettleOrder, now: number): number | bigint {
    if (kind === settleKinds.release) return this.#prepare("release").run(seq, taker).changes;
    if (kind === settleKinds.retry) {
      const state = isDelayedRetry(kind, delayMs) ? jobStates.delayed : jobStates.ready;
      return this.#prepare("giveBack").run(seq, taker, state, Math.ceil(now + delayMs)).changes;
    }
    if (kind === settleKinds.dead && this.#prepare("bury").run(seq, taker, now, failure).changes === 0) return 0;
    return this.#prepare("done").run(seq, taker).changes;
  }

  /** Makes jobs ready whose time has come. Returns the queues of at most `rowsAtOnce` of them. */
  promote(now: number): Set<number> {
    const queues = this.#rows("promote", now).map(([queue]) => Number(queue));
    for (const queue of queues) {
      this.#move(queue, "delayed", -1);
      this.#move(queue, "ready", 1);
    }
    return new Set(queues);
  }

  /** When the next delayed job of any queue is due; `Infinity` if there is none. */
  nextDue(): number {
    const due = this.#row("nextDue")?.[0];
    return typeof due === "number" ? due : Infinity;
  }

  addTaker(queue: number, leaseUntil: number): number {
    return Number(this.#prepare("addTaker").run(queue, leaseUntil).lastInsertRowid);
  }

  /** Whether the taker still had its lease. */
  renew(taker: number, leaseUntil: number): boolean {
    return this.#prepare("renew").run(leaseUntil, taker).changes === 1;
  }

  /** Forgets a taker and gives back what it holds, as if it had never taken it. Returns the queue if there was any. */
  dropTaker(taker: number): number | undefined {
    const queue = this.#freeAll("releaseAll", taker);
    this.#prepare("dropTaker").run(taker);
    return queue;
  }

  hasExpired(now: number): boolean {
    return this.#row("expired", now) !== undefined;
  }

  /** Takes the jobs from those whose lease is over; their attempt counts. Returns the queues that have got some back. */
  sweep(now: number): Set<number> {
    const queues = new Set<number>();
    for (const [taker] of this.#rows("expired", now)) {
      const queue = this.#freeAll("orphan", Number(taker));
      this.#prepare("dropTaker").run(Number(taker));
      if (queue !== undefined) queues.add(queue);
    }
    return queues;
  }

  #freeAll(statement: "releaseAll" | "orphan", taker: number): number | undefined {
    // A taker is of one queue.
    const freed = this.#rows(statement, taker);
    const queue = freed[0]?.[0];
    if (queue === undefined) return undefined;
    this.#move(Number(queue), "active", -freed.length);
    this.#move(Number(queue), "ready", freed.length);
    return Number(queue);
  }

  /** The number of a queue; `number` is what it should be if it is new. */
  openQueue(name: string, number: number | null = null): number {
    this.#prepare("addQueue").run(number, name);
    return Number(this.#row("findQueue", name)?.[0]);
  }

  levels(queue: number, now: number): QueueLevels {
    const [ready, delayed, active, dead] = (this.#row("levels", queue) ?? []).map(Number);
    const oldest = this.#row("oldest", queue)?.[0];
    const oldestReadyMs = typeof oldest === "number" ? Math.max(0, now - oldest) : 0;
    return { ready: ready ?? 0, delayed: delayed ?? 0, active: active ?? 0, dead: dead ?? 0, oldestReadyMs };
  }

  listDead(queue: number, limit: number, before: string | undefined): DeadJob[] {
    const name = String(this.#row("queueNames", queue)?.[0]);
    const rows =
      before === undefined ? this.#rows("listDead", queue, limit) : this.#rows("listDeadBefore", queue, limit, before);
    return rows.map(([id, body, attempts, failure, diedAt]) => ({
      id: String(id),
      queue: name,
      body: String(body),
      attempts: Number(attempts),
      failure: readFailure(String(failure)),
      diedAt: Number(diedAt),
    }));
  }

  /** Makes dead jobs ready; one whose key is in use again comes without it. */
  redrive(queue: number, which: DeadSelection, now: number): number {
    const ids = which === "all" ? this.#rows("deadIds", queue).map(([id]) => String(id)) : which;
    let redriven = 0;
    for (const id of ids) {
      if (this.#prepare("revive").run(id, queue, now).changes === 0) continue;
      this.#prepare("discard").run(id, queue);
      redriven += 1;
    }
    this.#move(queue, "dead", -redriven);
    this.#move(queue, "ready", redriven);
    return redriven;
  }

  discard(queue: number, which: DeadSelection): number {
    let discarded = 0;
    if (which === "all") discarded = Number(this.#prepare("discardAll").run(queue).changes);
    else for (const id of which) discarded += Number(this.#prepare("discard").run(id, queue).changes);
    this.#move(queue, "dead", -discarded);
    return discarded;
  }

  hasDeadBefore(queue: number, time: number): boolean {
    return this.#row("hasOldDead", queue, time) !== undefined;
  }

  /** Forgets dead jobs that died before `time`, and the oldest beyond `maxDead`; at most `rowsAtOnce` of each. */
  prune(queue: number, maxDead: number, time: number): void {
    this.#move(queue, "dead", -Number(this.#prepare("pruneOld").run(queue, time).changes));
    const dead = Number(this.#row("levels", queue)?.[3] ?? 0) + (this.#moved.get(queue)?.dead ?? 0);
    if (dead <= maxDead) return;
    const { changes } = this.#prepare("pruneOldest").run(queue, Math.min(dead - maxDead, rowsAtOnce));
    this.#move(queue, "dead", -Number(changes));
  }

  /** A number that changes when another connection has changed the file. */
  dataVersion(): number {
    return Number(this.#row("dataVersion")?.[0]);
  }

  /** Moves the log into the file as far as others and the disk let it; that it could not is no error. */
  checkpoint(): void {
    try {
      this.#db.exec("PRAGMA wal_checkpoint(RESTART)");
    } catch {
      // A full disk has no room for the pages at the end. What follows finds out by itself.
    }
  }

  #move(queue: number, level: Level, count: number): void {
    let moved = this.#moved.get(queue);
    if (moved === undefined) this.#moved.set(queue, (moved = { ready: 0, delayed: 0, active: 0, dead: 0 }));
    moved[level] += count;
  }

  #countMoved(): void {
    for (const [queue, { ready, delayed, active, dead }] of this.#moved) {
      if (ready === 0 && delayed === 0 && active === 0 && dead === 0) continue;
      this.#prepare("count").run(queue, ready, delayed, active, dead);
    }
  }

  #row(name: keyof typeof sql, ...values: readonly (string | number | null)[]): readonly unknown[] | undefined {
    return this.#rows(name, ...values)[0];
  }

  #rows(name: keyof typeof sql, ...values: readonly (string | number | null)[]): readonly (readonly unknown[])[] {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what `setReturnArrays` below makes of rows
    return this.#prepare(name).all(...values) as unknown as readonly (readonly unknown[])[];
  }

  #prepare(name: keyof typeof sql): StatementSync {
    let statement = this.#statements.get(name);
    if (statement === undefined) {
      statement = this.#db.prepare(sql[name]);
      statement.setReturnArrays(true);
      this.#statements.set(name, statement);
    }
    return statement;
  }
}

function isDelayedRetry(kind: SettleKind, delayMs: number): boolean {
  return kind === settleKinds.retry && delayMs > 0;
}

/** The text was written by whoever settled the job. */
function readFailure(text: string): JobFailure {
  const failure: { readonly name?: unknown; readonly message?: unknown; readonly stack?: unknown } = JSON.parse(text);
  const { name = "Error", message = "", stack } = failure;
  return { name: String(name), message: String(message), ...(typeof stack === "string" ? { stack } : {}) };
}

/**
 * Who takes jobs in this process, under which leases: the part of the SQLite store's worker that hands jobs out.
 *
 * A lease is that of a taker, a row with a time, and all jobs that it holds go with it. A consumer goes through takers: one
 * whose row is gone (swept by another process after a standstill) has lost all it holds, and the next jobs are taken under
 * a new number. A taker that holds nothing is not renewed and may be swept by anybody.
 */

import type { ClaimedJob, JobTables } from "./sqlite-jobs.ts";

interface Taker {
  readonly taker: number;
  readonly leaseMs: number;
  leaseUntil: number;
  /** Jobs taken and not settled. */
  held: number;
}

interface Consumer {
  readonly consumer: number;
  readonly queue: number;
  readonly leaseMs: number;
  /** How many more jobs it has asked for. */
  want: number;
  taker: Taker | undefined;
}

interface Claim {
  readonly consumer: Consumer;
  readonly taker: Taker;
  readonly asked: number;
  readonly jobs: readonly ClaimedJob[];
}

/** What one transaction does to leases. It holds once the transaction is committed. */
export interface LeaseChanges {
  readonly renewed: Map<Taker, number>;
  readonly lost: Set<Taker>;
  readonly claims: Claim[];
}

/** At most so many jobs are taken at once, so that a commit stays short. */
const claimsAtOnce = 1_000;

/**
 * Invariant: between transactions, `#takers` has every taker that holds jobs or is a consumer's, and `held` is how many
 * active jobs of the file are its own, unless its lease was lost and nobody has noticed.
 */
export class Takers {
  readonly #consumers = new Map<number, Consumer>();
  readonly #takers = new Map<number, Taker>();
  /** Queues in which there may be ready jobs; of the others it is known that there are none. */
  readonly #promising = new Set<number>();

  add(consumer: number, queue: number, leaseMs: number): void {
    this.#consumers.set(consumer, { consumer, queue, leaseMs, want: 0, taker: undefined });
    this.#promising.add(queue);
  }

  remove(consumer: number): void {
    const taker = this.#consumers.get(consumer)?.taker;
    this.#consumers.delete(consumer);
    if (taker?.held === 0) this.#takers.delete(taker.taker);
  }

  /** `more` jobs are wanted beyond those already asked for; -1: none any more. */
  want(consumer: number, more: number): void {
    const found = this.#consumers.get(consumer);
    if (found === undefined) return;
    found.want = more === -1 ? 0 : found.want + more;
  }

  /** There may be ready jobs in these queues; in all, if none are named. */
  promise(queues: Iterable<number> = [...this.#consumers.values()].map(({ queue }) => queue)): void {
    for (const queue of queues) this.#promising.add(queue);
  }

  get hasConsumers(): boolean {
    return this.#consumers.size > 0;
  }

  /** Whether some consumer waits for jobs. */
  get isHungry(): boolean {
    return this.#consumers.values().some(({ want }) => want > 0);
  }

  /** Whether some consumer waits for jobs that may be there. */
  get canClaim(): boolean {
    return this.#consumers.values().some(({ want, queue }) => want > 0 && this.#promising.has(queue));
  }

  /** How often somebody should look for the leases of others that are over, in milliseconds. */
  get sweepMs(): number {
    const shortest = Math.min(...this.#consumers.values().map(({ leaseMs }) => leaseMs));
    return Math.min(Math.max(shortest / 4, 20), 5_000);
  }

  /** When the next lease is to be renewed; `Infinity` if none has to be. */
  nextRenewal(): number {
    return Math.min(...this.#takers.values().map((taker) => (taker.held > 0 ? renewAt(taker) : Infinity)));
  }

  /** Looks at the lease at once: something was settled that it did not hold any more. */
  doubt(taker: number): void {
    const found = this.#takers.get(taker);
    if (found !== undefined) found.leaseUntil = 0;
  }

  /** One of its jobs was settled. */
  settle(taker: number): void {
    const found = this.#takers.get(taker);
    if (found === undefined) return;
    found.held -= 1;
    if (found.held === 0 && !this.#consumers.values().some((consumer) => consumer.taker === found)) {
      this.#takers.delete(taker);
    }
  }

  /** Within a transaction: renews the leases whose time it is. */
  renew(tables: JobTables, now: number): LeaseChanges {
    const changes: LeaseChanges = { renewed: new Map(), lost: new Set(), claims: [] };
    for (const taker of this.#takers.values()) {
      if (taker.held > 0 && now >= renewAt(taker)) tryRenew(tables, taker, now, changes);
    }
    return changes;
  }

  /** Within a transaction: takes jobs for those who wait for them. */
  claim(tables: JobTables, now: number, changes: LeaseChanges): void {
    for (const consumer of this.#consumers.values()) {
      const { queue, want } = consumer;
      if (want === 0 || !this.#promising.has(queue)) continue;
      if (!tables.hasReady(queue)) {
        this.#promising.delete(queue);
        continue;
      }
      const taker = takerFor(consumer, tables, now, changes);
      const asked = Math.min(want, claimsAtOnce);
      changes.claims.push({ consumer, taker, asked, jobs: tables.claim(queue, taker.taker, asked) });
    }
  }

  /** After the commit. Returns the takers that have lost their lease. */
  apply({ renewed, lost, claims }: LeaseChanges): number[] {
    for (const [taker, leaseUntil] of renewed) taker.leaseUntil = leaseUntil;
    for (const taker of lost) this.#takers.delete(taker.taker);
    for (const { consumer, taker, asked, jobs } of claims) {
      consumer.taker = taker;
      consumer.want = Math.max(0, consumer.want - jobs.length);
      taker.held += jobs.length;
      this.#takers.set(taker.taker, taker);
      if (jobs.length < asked) this.#promising.delete(consumer.queue);
    }
    for (const consumer of this.#consumers.values()) {
      if (consumer.taker !== undefined && lost.has(consumer.taker)) consumer.taker = undefined;
    }
    return [...lost].filter(({ held }) => held > 0).map(({ taker }) => taker);
  }

  /** Within a transaction: gives back all that is held. */
  dropAll(tables: JobTables): void {
    for (const taker of this.#takers.keys()) tables.dropTaker(taker);
  }
}

/** At a third of the lease, so that two renewals can fail. */
function renewAt({ leaseUntil, leaseMs }: Taker): number {
  return leaseUntil - (leaseMs * 2) / 3;
}

function tryRenew(tables: JobTables, taker: Taker, now: number, { renewed, lost }: LeaseChanges): boolean {
  const leaseUntil = Math.ceil(now + taker.leaseMs);
  const isThere = tables.renew(taker.taker, leaseUntil);
  if (isThere) renewed.set(taker, leaseUntil);
  else lost.add(taker);
  return isThere;
}

function takerFor({ taker, queue, leaseMs }: Consumer, tables: JobTables, now: number, changes: LeaseChanges): Taker {
  if (taker !== undefined && !changes.lost.has(taker)) {
    const isFresh = now < renewAt(taker) || changes.renewed.has(taker);
    if (isFresh || tryRenew(tables, taker, now, changes)) return taker;
  }
  const leaseUntil = Math.ceil(now + leaseMs);
  return { taker: tables.addTaker(queue, leaseUntil), leaseMs, leaseUntil, held: 0 };
}

/**
 * Queues on PostgreSQL, through pg-boss 12.
 *
 * pg-boss makes and migrates the tables, adds jobs (within the caller's own transaction, if asked) and tells of new ones.
 * Its workers are left aside, because they decide what is decided by the runtime here: how often a job is tried and when,
 * and what a stop does to those in hand. So jobs are claimed and ended by statements of this adapter, in pg-boss's own
 * table and states: its dashboard shows them.
 */

import { PgBoss, type Db } from "pg-boss";
import { now, OptionError, resolveOptions, systemClock } from "../core/index.ts";
import {
  remoteCaps,
  remoteStore,
  type AddedJob,
  type ClaimedJob,
  type Claims,
  type DeadJob,
  type DeadSelection,
  type JobFailure,
  type JobSource,
  type NewJob,
  type QueueLevels,
  type QueueSettings,
  type RemoteEngine,
  type RemoteQueue,
  type Settled,
  type Store,
  type StoreCaps,
} from "../tasks/index.ts";
import { pgBossOptions, type PgBossOptions, type ResolvedPgBossOptions } from "./pg-boss/pg-boss-options.ts";

export type { PgBossOptions };

/**
 * Jobs in PostgreSQL, by pg-boss 12, which has to be installed.
 *
 * What `addWithin` takes as a transaction is a client of `pg` on which the caller has said `begin`, or what pg-boss's own
 * `fromKnex`, `fromDrizzle` and so on make of another library's transaction.
 *
 * ```ts
 * const tasks = new Tasks({ store: pgBoss({ url: "postgres://db.internal/shop" }) });
 * ```
 * @throws OptionError for an option that is unknown or out of range.
 */
export function pgBoss(options?: PgBossOptions): Store {
  const resolved = resolveOptions<PgBossOptions, ResolvedPgBossOptions>("pgBoss", pgBossOptions, options);
  if (!/^[a-z_][a-z0-9_]{0,49}$/.test(resolved.schema)) {
    throw new OptionError(
      "pgBoss.schema",
      "must be at most 50 lower-case letters, digits and _, beginning with a letter",
    );
  }
  return remoteStore(new PgBossEngine(resolved));
}

/** Longer than any job waits: pg-boss would discard it otherwise. In seconds. */
const forEver = 50 * 365 * 86_400;
/** The longest that pg-boss allows. Leases are the adapter's own. */
const expireInSeconds = 24 * 3_600;
/** A connection on which nothing comes for this long, though something was asked, is given up. */
const deadSocketMs = 10_000;

/** `startedOn`, as PostgreSQL writes the time, tells this claim from an earlier one and from a later one. */
type BossJob = ClaimedJob & { readonly startedOn: string };

interface Row {
  readonly id: string;
  readonly data: { readonly body?: unknown } | null;
  readonly priority: number;
  readonly retry_count: number;
  readonly started_on: string;
  readonly created_us: number;
  readonly output: Partial<JobFailure> | null;
  readonly died_at: number;
  readonly singleton_key: string;
}

/** pg-boss allows letters, digits and `_ - . /` in the name of a queue. */
function encodeName(queue: string): string {
  return queue.replaceAll(/[^A-Za-z0-9.-]/gu, (char) => `_${char.codePointAt(0)?.toString(16)}_`);
}

/** In a queue of pg-boss that knows keys, every job has one. */
function keyOf({ id, key }: NewJob): string {
  return key === undefined ? `id:${id}` : `key:${key}`;
}

function bodyOf({ data }: Row): string {
  return typeof data?.body === "string" ? data.body : JSON.stringify(data);
}

/** One open queue: what is asked and added. */
class BossQueue implements RemoteQueue {
  readonly name: string;
  readonly #title: string;
  readonly engine: PgBossEngine;
  settings: QueueSettings;

  constructor(title: string, settings: QueueSettings, engine: PgBossEngine) {
    this.name = encodeName(title);
    this.#title = title;
    this.settings = settings;
    this.engine = engine;
  }

  source(): BossSource {
    return new BossSource(this);
  }

  add(jobs: readonly NewJob[]): Promise<readonly AddedJob[]> {
    return this.#insert(jobs, this.engine.db);
  }

  addWithin(transaction: unknown, jobs: readonly NewJob[]): Promise<readonly AddedJob[]> {
    return this.#insert(jobs, toDb(transaction));
  }

  async #insert(jobs: readonly NewJob[], db: Db): Promise<readonly AddedJob[]> {
    const unique = new Map(jobs.map((job) => [job.id, job]));
    const rows = Array.from(unique.values(), (job) => ({
      id: job.id,
      data: { body: job.body },
      // Where ours is earlier, pg-boss's is higher.
      priority: -job.priority,
      singletonKey: keyOf(job),
      ...(job.delayMs > 0 && { startAfter: String(job.delayMs / 1_000) }),
    }));
    const ids = await this.engine.boss.insert(this.name, rows, { db, returnId: true });
    const inserted = new Set(ids);
    const missing = jobs.filter(({ id }) => !inserted.has(id));
    const twins = missing.length === 0 ? new Map<string, string>() : await this.#findTwins(missing, db);
    return jobs.map((job) => {
      // The first of several in one call is the one that was inserted.
      if (inserted.delete(job.id)) return { id: job.id, isDuplicate: false };
      return { id: twins.get(keyOf(job)) ?? job.id, isDuplicate: true };
    });
  }

  /** The jobs that hold the keys of these. */
  async #findTwins(jobs: readonly NewJob[], db: Db): Promise<Map<string, string>> {
    const rows = await this.engine.ask(
      `select id, singleton_key from TABLE where name = $1 and state <= 'active' and singleton_key = any($2::text[])`,
      [this.name, jobs.map(keyOf)],
      db,
    );
    return new Map(rows.map((row) => [row.singleton_key, row.id]));
  }

  async levels(): Promise<QueueLevels> {
    const [levels] = await this.engine.ask<QueueLevels>(
      `select count(*) filter (where state < 'active' and start_after <= now())::int as ready,
         count(*) filter (where state < 'active' and start_after > now())::int as delayed,
         count(*) filter (where state = 'active')::int as active,
         count(*) filter (where state = 'failed')::int as dead,
         coalesce(extract(epoch from now() - min(greatest(created_on, start_after))
           filter (where state < 'active' and start_after <= now())) * 1000, 0)::float8 as "oldestReadyMs"
       from TABLE where name = $1`,
      [this.name],
    );
    return levels ?? { ready: 0, delayed: 0, active: 0, dead: 0, oldestReadyMs: 0 };
  }

  async clearDead(): Promise<void> {
    const { maxDead, deadForMs } = this.settings;
    if (deadForMs < Infinity) {
      await this.engine.ask(
        `delete from TABLE where name = $1 and state = 'failed' and completed_on < now() - $2 * interval '1 ms'`,
        [this.name, deadForMs],
      );
    }
    if (maxDead < Infinity) {
      await this.engine.ask(
        `delete from TABLE where name = $1 and state = 'failed' and id in (select id from TABLE
           where name = $1 and state = 'failed' order by completed_on desc, id desc offset $2)`,
        [this.name, maxDead],
      );
    }
  }

  async listDead(limit: number, before: string | undefined): Promise<DeadJob[]> {
    await this.clearDead();
    const rows = await this.engine.ask(
      `select id, data, retry_count, output, (extract(epoch from completed_on) * 1000)::float8 as died_at from TABLE
       where name = $1 and state = 'failed'
         and ($3::text is null or (completed_on, id) < (select completed_on, id from TABLE
           where name = $1 and state = 'failed' and id::text = $3))
       order by completed_on desc, id desc limit $2`,
      [this.name, limit, before ?? null],
    );
    return rows.map((row) => ({
      id: row.id,
      queue: this.#title,
      body: bodyOf(row),
      attempts: row.retry_count + 1,
      failure: { name: "Error", message: "", ...row.output },
      diedAt: Math.round(row.died_at),
    }));
  }

  /** The key may be another's by now, so the job goes without. */
  redrive(which: DeadSelection): Promise<number> {
    return this.#change(
      `update TABLE set state = 'created', retry_count = 0, started_on = null, completed_on = null, output = null,
         start_after = now(), singleton_key = 'id:' || id`,
      which,
    );
  }

  discard(which: DeadSelection): Promise<number> {
    return this.#change("delete from TABLE", which);
  }

  async #change(statement: string, which: DeadSelection): Promise<number> {
    const rows = await this.engine.ask(
      `${statement} where name = $1 and state = 'failed' and ($2::text[] is null or id::text = any($2)) returning id`,
      [this.name, which === "all" ? null : which],
    );
    if (rows.length > 0) await this.engine.tell(this.name);
    return rows.length;
  }
}

/** The way of one consumer to the jobs of a queue. */
class BossSource implements JobSource<BossJob> {
  readonly #queue: BossQueue;
  readonly #leaseMs: number;
  /** When the first of the jobs is due that this consumer has put off. On the monotonic clock. */
  #retryAtMs = Infinity;

  constructor(queue: BossQueue) {
    this.#queue = queue;
    this.#leaseMs = queue.settings.leaseMs;
  }

  async claim(limit: number): Promise<Claims<BossJob>> {
    const { name, engine } = this.#queue;
    const rows = await engine.ask(
      `with next as (select id from TABLE
         where name = $1 and state < 'active' and not blocked and start_after <= now()
         order by priority desc, created_on, id limit $2 for update skip locked)
       update TABLE j set state = 'active', started_on = clock_timestamp(), heartbeat_on = clock_timestamp(),
         retry_count = j.retry_count + case when j.started_on is null then 0 else 1 end
       from next where j.name = $1 and j.id = next.id
       returning j.id, j.data, j.priority, j.retry_count, j.started_on::text as started_on,
         (extract(epoch from j.created_on) * 1e6)::float8 as created_us`,
      [name, limit],
    );
    // An update answers in an order of its own.
    const inOrder = rows.toSorted(
      (one, other) =>
        other.priority - one.priority || one.created_us - other.created_us || (one.id < other.id ? -1 : 1),
    );
    const dueInMs = this.#retryAtMs - now();
    if (dueInMs <= 0) this.#retryAtMs = Infinity;
    return {
      jobs: inOrder.map((row) => ({
        id: row.id,
        body: bodyOf(row),
        attempt: row.retry_count + 1,
        priority: 0 - row.priority,
        startedOn: row.started_on,
      })),
      dueInMs: Math.max(1, dueInMs),
    };
  }

  waitForMore(): Promise<unknown> {
    return this.#queue.engine.news(this.#queue.name);
  }

  done(jobs: readonly BossJob[]): Promise<Settled>[] {
    const lost = this.#forHeld(jobs, "delete from TABLE j using HELD");
    return jobs.map(async ({ id }) => ((await lost).includes(id) ? "lost" : "settled"));
  }

  renew(jobs: readonly BossJob[]): Promise<readonly string[]> {
    return this.#forHeld(jobs, "update TABLE j set heartbeat_on = clock_timestamp() from HELD");
  }

  /** A statement for those of the claims that still hold; resolves to the ids of the others. */
  async #forHeld(jobs: readonly BossJob[], change: string): Promise<readonly string[]> {
    const rows = await this.#queue.engine.ask(
      `${change.replace("HELD", "unnest($2::uuid[], $3::timestamptz[]) as held (id, started_on)")}
       where j.name = $1 and j.id = held.id and j.state = 'active' and j.started_on = held.started_on returning j.id`,
      [this.#queue.name, jobs.map(({ id }) => id), jobs.map(({ startedOn }) => startedOn)],
    );
    const found = new Set(rows.map(({ id }) => id));
    return jobs.flatMap(({ id }) => (found.has(id) ? [] : [id]));
  }

  retry(job: BossJob, delayMs: number, failure: JobFailure): Promise<Settled> {
    this.#retryAtMs = Math.min(this.#retryAtMs, now() + delayMs);
    const set = "state = 'retry', start_after = clock_timestamp() + $4 * interval '1 ms', output = $5::jsonb";
    return this.#end(job, `update TABLE set ${set}`, [delayMs, JSON.stringify(failure)]);
  }

  dead(job: BossJob, failure: JobFailure): Promise<Settled> {
    const set = "state = 'failed', completed_on = clock_timestamp(), output = $4::jsonb";
    return this.#end(job, `update TABLE set ${set}`, [JSON.stringify(failure)]);
  }

  async release(job: BossJob): Promise<Settled> {
    // The next claim counts no attempt where none has started.
    const settled = await this.#end(job, "update TABLE set state = 'retry', started_on = null");
    if (settled === "settled") await this.#queue.engine.tell(this.#queue.name);
    return settled;
  }

  /** A statement that begins with `change`, for this claim and no other. */
  async #end({ id, startedOn }: BossJob, change: string, values: readonly unknown[] = []): Promise<Settled> {
    const rows = await this.#queue.engine.ask(
      `${change} where name = $1 and id = $2 and state = 'active' and started_on = $3::timestamptz returning id`,
      [this.#queue.name, id, startedOn, ...values],
    );
    return rows.length === 1 ? "settled" : "lost";
  }

  async maintain(): Promise<void> {
    const { name, engine } = this.#queue;
    const rows = await engine.ask(
      `update TABLE set state = 'retry', start_after = now() where name = $1 and id in (select id from TABLE
         where name = $1 and state = 'active' and heartbeat_on < now() - $2 * interval '1 ms'
         for update skip locked) returning id`,
      [name, this.#leaseMs],
    );
    if (rows.length > 0) await engine.tell(name);
    await this.#queue.clearDead();
  }
}

/** A client of `pg`, or what pg-boss takes. */
function toDb(transaction: unknown): Db {
  if (typeof transaction === "object" && transaction !== null) {
    if ("executeSql" in transaction && typeof transaction.executeSql === "function") {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it has the one method that is called
      return transaction as Db;
    }
    if ("query" in transaction && typeof transaction.query === "function") {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
      const client = transaction as { query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }> };
      return { executeSql: (sql, values) => client.query(sql, values) };
    }
  }
  throw new RangeError("a transaction of pgBoss() is a client of pg that has begun one, or a db of pg-boss");
}

/** Invariant: between `connect` and `close` there is one `boss`, and it listens for new jobs of all queues. */
class PgBossEngine implements RemoteEngine {
  readonly name = "pg-boss";
  readonly title = "PostgreSQL behind pg-boss";
  readonly commandMs: number;
  readonly caps: StoreCaps = { ...remoteCaps, transactions: true };
  readonly boss: PgBoss;
  readonly #table: string;
  /** In SQL. pg-boss has one for each schema. */
  readonly #channel: string;
  readonly #pollMs: number;
  readonly #listeners = new Map<string, PromiseWithResolvers<void>>();
  #listening: { close(): Promise<void> } | undefined;

  constructor({ url, connection, schema, maxConns, commandTimeout, pollInterval }: ResolvedPgBossOptions) {
    this.commandMs = commandTimeout;
    this.#pollMs = pollInterval;
    this.#table = `${schema}.job`;
    this.#channel = `'pgboss_' || left(encode(sha224('${schema}'::bytea), 'hex'), 24)`;
    const driver: object = { query_timeout: deadSocketMs, keepAlive: true, ...connection };
    this.boss = new PgBoss({
      ...driver,
      connectionString: url,
      schema,
      max: maxConns,
      connectionTimeoutMillis: commandTimeout,
      // What pg-boss would do to the jobs by itself.
      supervise: false,
      schedule: false,
      registerInstance: false,
      openTelemetry: { enabled: false },
    });
  }

  get db(): Db {
    return this.boss.getDb();
  }

  async connect(onError: (error: unknown) => void): Promise<void> {
    // It is called again while the database is not there.
    this.boss.removeAllListeners("error").on("error", onError);
    await this.boss.start();
    const [channel] = await this.ask<{ readonly name: string }>(`select ${this.#channel} as name`, []);
    this.#listening = await this.db.listen?.(
      channel?.name ?? "",
      (queue) => this.#wake(queue),
      () => {
        // What was told meanwhile was not heard.
        for (const queue of this.#listeners.keys()) this.#wake(queue);
      },
    );
  }

  async open(title: string, settings: QueueSettings): Promise<RemoteQueue> {
    const queue = new BossQueue(title, settings, this);
    await this.boss.createQueue(queue.name, {
      policy: "exclusive",
      notify: true,
      retryLimit: 2 ** 30,
      expireInSeconds,
      retentionSeconds: forEver,
      deleteAfterSeconds: 0,
    });
    return queue;
  }

  /** Runs a statement in which `TABLE` stands for pg-boss's table of jobs. */
  async ask<Answer = Row>(sql: string, values: readonly unknown[], db: Db = this.db): Promise<readonly Answer[]> {
    const { rows }: { readonly rows: readonly Answer[] } = await db.executeSql(sql.replaceAll("TABLE", this.#table), [
      ...values,
    ]);
    return rows;
  }

  /** Says that a queue has jobs that it did not have. */
  async tell(queue: string): Promise<void> {
    await this.ask(`select pg_notify(${this.#channel}, $1)`, [queue]);
  }

  /** Resolves when there may be more jobs, at the latest when it is time to look by oneself. */
  async news(queue: string): Promise<void> {
    const known = this.#listeners.get(queue);
    const listener = known ?? Promise.withResolvers<void>();
    if (known === undefined) this.#listeners.set(queue, listener);
    const callOff = systemClock.wakeAfter(this.#pollMs, () => this.#wake(queue));
    await listener.promise;
    callOff();
  }

  #wake(queue: string): void {
    const listener = this.#listeners.get(queue);
    this.#listeners.delete(queue);
    listener?.resolve();
  }

  ping(): Promise<unknown> {
    return this.ask("select 1", []);
  }

  /** disk_full, and what a database says that may not grow. */
  isFull(error: unknown): boolean {
    return typeof error === "object" && error !== null && "code" in error && error.code === "53100";
  }

  async close(): Promise<void> {
    for (const queue of this.#listeners.keys()) this.#wake(queue);
    const listening = this.#listening;
    this.#listening = undefined;
    await Promise.allSettled([listening?.close(), this.boss.stop({ graceful: false, timeout: 1_000 })]);
  }
}

/**
 * What must hold for every store of jobs, whatever the engine behind it: the same tests for each.
 *
 * A store is reduced to a way of opening handles on one place; each test has handles and a queue of its own in it. What a
 * taker does that stands still or is killed is done by real processes (`store-taker.ts`), not by pretending.
 */

import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { after, before, suite, test } from "node:test";
import type { NewJob, QueueSettings, Store, StoreCaps } from "sluice/tasks";
import { addCases } from "./store-cases-add.ts";
import { deadCases } from "./store-cases-dead.ts";
import { engineCases } from "./store-cases-engine.ts";
import { leaseCases } from "./store-cases-lease.ts";
import { takeCases } from "./store-cases-take.ts";
import { addTimeoutMs } from "./store-limits.ts";
import { OtherProcess, Taker } from "./store-takers.ts";

/** A transaction of the caller's, as the store's `addWithin` takes it. */
export interface OpenTransaction {
  readonly transaction: unknown;
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

/** An engine, or the part of one, that no other test uses. Disposing of it removes what was put there. */
export interface StorePlace extends AsyncDisposable {
  /** A handle on the place, not started. Two handles share all jobs, unless the store is of one process. */
  open(): Store;
  /**
   * The same for another process, unless the store is of one: a module that exports `openStore(argument: string): Store`,
   * and what to call it with.
   */
  readonly elsewhere?: { readonly module: URL; readonly argument: string };
  /** With `caps.transactions`. */
  begin?(): Promise<OpenTransaction>;
  /**
   * Makes the engine deaf to all handles of this place: connections stay, and nothing is answered. Resolves to what ends
   * it. Absent where there is no engine apart from the store.
   */
  silence?(): Promise<() => Promise<void>>;
  /** Breaks all connections of this place, and lets no new ones come. Resolves to what ends it. Absent where there are none. */
  refuse?(): Promise<() => Promise<void>>;
}

/** What differs from one store to another. */
export interface StoreKind {
  readonly name: string;
  /** What its `caps` have to be. */
  readonly caps: StoreCaps;
  /** The shortest lease that the engine knows. */
  /** Why it cannot be tested here. */
  readonly skip?: string | false;
  readonly leaseMs: number;
  /** How much later than asked for the engine does what is due: a delayed job, the job of a dead taker, the clearing of dead ones. */
  readonly slackMs: number;
  /** Whether there is an engine that can fall silent while the store is there; see {@link StorePlace.silence}. */
  readonly hasEngine: boolean;
  /** Resolves to a fresh place. */
  readonly newPlace: () => Promise<StorePlace>;
}

/** What a test has to do with. All of it is let go of when the test is over. */
export interface Stage {
  readonly kind: StoreKind;
  readonly place: StorePlace;
  /** Started, with `queue` open. */
  readonly store: Store;
  readonly queue: string;
  /** What the store has told its host. */
  readonly errors: Error[];
  /** A further handle: started, with `queue` open. */
  readonly another: () => Promise<Store>;
  /** Takes jobs of `queue` from `store`, or from another handle. */
  readonly take: (concurrency?: number, store?: Store) => Promise<Taker>;
  /** Takes jobs of `queue` in another process. */
  readonly takeElsewhere: (concurrency?: number) => Promise<OtherProcess>;
  readonly job: (given?: Partial<NewJob>) => NewJob;
  /** Adds one job, and resolves to its id. */
  readonly add: (given?: Partial<NewJob>) => Promise<string>;
}

/** One thing that must hold. */
export interface StoreCase {
  /** Whether it can be asked of this kind of store; always, unless said. */
  readonly appliesTo?: (kind: StoreKind) => boolean;
  /** Whether it does to the place what other cases would suffer from. */
  readonly hasOwnPlace?: boolean;
  readonly settings?: Partial<QueueSettings>;
  readonly run: (stage: Stage) => Promise<void>;
}

export type StoreCases = Readonly<Record<string, StoreCase>>;

const cases: StoreCases = { ...addCases, ...takeCases, ...leaseCases, ...deadCases, ...engineCases };

let lastMs = 0;
let sequence = 0;

/** A UUID of version 7 (RFC 9562 section 5.7): those of one process sort in the order in which they were made. */
export function newJobId(): string {
  const nowMs = Date.now();
  sequence = nowMs > lastMs ? 0 : sequence + 1;
  lastMs = Math.max(nowMs, lastMs) + (sequence >> 12);
  sequence &= 0xfff;
  const bytes = randomBytes(16);
  bytes.writeUIntBE(lastMs, 0, 6);
  bytes.writeUInt16BE(0x7000 | sequence, 6);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Declares the tests of one kind of store. A few run at once: most of their time is waiting. */
export function testStore(kind: StoreKind): void {
  suite(`${kind.name} as a store`, { concurrency: 4, skip: kind.skip ?? false }, () => {
    let place: StorePlace | undefined;
    before(async () => {
      place = await kind.newPlace();
    });
    after(() => place?.[Symbol.asyncDispose]());
    for (const [name, each] of Object.entries(cases)) {
      if (each.appliesTo?.(kind) === false) continue;
      test(name, { timeout: 60_000 }, async () => {
        if (each.hasOwnPlace === true) {
          await using own = await kind.newPlace();
          await play(kind, own, each);
        } else {
          assert.ok(place !== undefined);
          await play(kind, place, each);
        }
      });
    }
  });
}

async function play(kind: StoreKind, place: StorePlace, { settings, run }: StoreCase): Promise<void> {
  const queue = `contract-${randomUUID()}`;
  const queueSettings: QueueSettings = { leaseMs: kind.leaseMs, maxDead: 1_000, deadForMs: 3_600_000, ...settings };
  const handles: Store[] = [];
  const processes: OtherProcess[] = [];
  const errors: Error[] = [];
  const open = async (): Promise<Store> => {
    const store = place.open();
    handles.push(store);
    await store.start({ onError: (error) => errors.push(error) });
    await store.open(queue, queueSettings);
    return store;
  };
  const job = (given: Partial<NewJob> = {}): NewJob => {
    const id = given.id ?? newJobId();
    return { id, queue, body: JSON.stringify({ v: 1, headers: {}, data: id }), delayMs: 0, priority: 0, ...given };
  };
  try {
    const store = await open();
    await run({
      kind,
      place,
      store,
      queue,
      errors,
      another: open,
      job,
      take: (concurrency = 10, from = store) => Taker.start(from, queue, concurrency),
      takeElsewhere: async (concurrency = 10) => {
        const other = await OtherProcess.start(place.elsewhere, queue, queueSettings, concurrency);
        processes.push(other);
        return other;
      },
      add: async (given) => {
        const [added] = await store.add([job(given)], addTimeoutMs);
        assert.equal(added?.isDuplicate, false);
        return added.id;
      },
    });
  } finally {
    for (const other of processes) other.kill();
    await Promise.all(handles.map((handle) => handle.stop(2_000)));
  }
}

/** A store that does what a test tells it: jobs are delivered by hand, and engines break when they should. */

import type {
  AddedJob,
  Consumer,
  Delivery,
  JobFailure,
  NewJob,
  Settled,
  Store,
  StoreCaps,
  StoreHost,
} from "sluice/tasks";

/** What the runtime told the store about one delivery. */
export interface Settlement {
  readonly id: string;
  readonly how: "done" | "retry" | "dead" | "release";
  readonly delayMs?: number;
  readonly failure?: JobFailure;
}

/** One job to deliver. */
export interface HandedJob {
  readonly id?: string;
  readonly body?: string;
  readonly attempt?: number;
}

/** A body as a producer would write it. */
export function bodyOf(data: unknown, headers: object = {}): string {
  return JSON.stringify({ v: 1, headers: { enqueuedAt: Date.now(), ...headers }, data });
}

/** Nothing in it happens by itself. */
export class HandStore implements Store {
  readonly name = "hand";
  readonly caps: StoreCaps;
  readonly added: NewJob[] = [];
  readonly settlements: Settlement[] = [];
  readonly calls: string[] = [];
  host: StoreHost | undefined;
  isPaused = false;
  isStopped = false;
  /** What the next calls do before anything else: reject, or never settle. */
  engine: "up" | "down" | "silent" = "up";
  /** How many of the next settlements fail. */
  failSettlements = 0;
  /** Answered to settlements. */
  settled: Settled = "settled";
  #take: ((delivery: Delivery) => void) | undefined;
  #leases = new Map<string, AbortController>();
  #nextId = 1;

  constructor(caps: Partial<StoreCaps> = {}) {
    this.caps = {
      delay: true,
      priority: true,
      dedup: "until-done",
      transactions: false,
      sharedBy: "process",
      durable: true,
      ...caps,
    };
  }

  get isConsumed(): boolean {
    return this.#take !== undefined;
  }

  /** Hands a job out, as the engine would. */
  deliver({ id = `job-${this.#nextId++}`, body = bodyOf({}), attempt = 1 }: HandedJob = {}): string {
    const lease = new AbortController();
    this.#leases.set(id, lease);
    const settle = async (settlement: Settlement): Promise<Settled> => {
      this.calls.push(settlement.how);
      if (this.failSettlements > 0) {
        this.failSettlements -= 1;
        throw new Error("the engine could not tell");
      }
      this.settlements.push(settlement);
      return this.settled;
    };
    this.#take?.({
      id,
      queue: "any",
      body,
      attempt,
      priority: 0,
      leaseLost: lease.signal,
      done: () => settle({ id, how: "done" }),
      retry: (delayMs, failure) => settle({ id, how: "retry", delayMs, failure }),
      dead: (failure) => settle({ id, how: "dead", failure }),
      release: () => settle({ id, how: "release" }),
    });
    return id;
  }

  loseLease(id: string): void {
    this.#leases.get(id)?.abort(new Error("lost"));
  }

  async start(host: StoreHost): Promise<void> {
    await this.#reach("start");
    this.host = host;
  }

  async open(): Promise<void> {
    await this.#reach("open");
  }

  async add(jobs: readonly NewJob[]): Promise<readonly AddedJob[]> {
    await this.#reach("add");
    this.added.push(...jobs);
    return jobs.map(({ id }) => ({ id, isDuplicate: false }));
  }

  async consume(_queue: string, _concurrency: number, take: (delivery: Delivery) => void): Promise<Consumer> {
    await this.#reach("consume");
    this.#take = take;
    return {
      pause: () => void (this.isPaused = true),
      resume: () => void (this.isPaused = false),
      stop: async () => void (this.isStopped = true),
    };
  }

  async levels(): Promise<{ ready: number; delayed: number; active: number; dead: number; oldestReadyMs: number }> {
    await this.#reach("levels");
    return { ready: 3, delayed: 2, active: 1, dead: 4, oldestReadyMs: 1_500 };
  }

  async listDead(): Promise<readonly []> {
    await this.#reach("listDead");
    return [];
  }

  async redrive(): Promise<number> {
    await this.#reach("redrive");
    return 0;
  }

  async discard(): Promise<number> {
    await this.#reach("discard");
    return 0;
  }

  async health(): Promise<{ isUp: boolean; roundTripMs: number }> {
    return { isUp: this.engine === "up", roundTripMs: 0 };
  }

  async stop(): Promise<void> {
    await this.#reach("stop");
  }

  #reach(call: string): Promise<void> {
    this.calls.push(call);
    if (this.engine === "down") return Promise.reject(new Error("connection refused"));
    if (this.engine === "silent") return new Promise(() => {});
    return Promise.resolve();
  }
}

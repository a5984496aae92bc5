/** The store: what it keeps where, and what it is asked. */

import {
  JetStreamApiError,
  type ConsumerInfo,
  type JetStreamClient,
  type JetStreamManager,
  type StreamConfig,
} from "@nats-io/jetstream";
import { headers, nanos } from "@nats-io/transport-node";
import { now } from "../../core/index.ts";
import {
  StoreFullError,
  StoreUnavailableError,
  type AddedJob,
  type Consumer,
  type DeadJob,
  type DeadSelection,
  type Delivery,
  type NewJob,
  type QueueLevels,
  type QueueSettings,
  type Store,
  type StoreCaps,
  type StoreHealth,
  type StoreHost,
} from "../../tasks/index.ts";
import { discardDead, listDead, redriveDead } from "./dead-jobs.ts";
import type { OpenQueue } from "./delivery.ts";
import type { ResolvedJetStreamStoreOptions } from "./jetstream-options.ts";
import { later, Link, within } from "./link.ts";
import { dedupId, delayHeader, idHeader, maxAboutBytes, priorityHeader, QueueNames } from "./message.ts";
import { batchSize } from "./puller.ts";
import { QueueConsumer } from "./queue-consumer.ts";

const streamExists = 10_058;

export class JetStreamStore implements Store {
  readonly name = "jetstream";
  readonly caps: StoreCaps = {
    delay: true,
    priority: false,
    dedup: "window",
    transactions: false,
    sharedBy: "network",
    durable: true,
  };
  readonly #options: ResolvedJetStreamStoreOptions;
  readonly #link: Link;
  readonly #queues = new Map<string, OpenQueue>();
  readonly #consumers = new Set<QueueConsumer>();

  constructor(options: ResolvedJetStreamStoreOptions) {
    this.#options = options;
    this.#link = new Link(options);
  }

  async start(host: StoreHost): Promise<void> {
    await this.#link.open(host);
    await this.#ask("making the streams", (_js, jsm) => this.#makeStreams(jsm));
    this.#link.onReturn.add(this.#restore);
  }

  async #makeStreams(jsm: JetStreamManager): Promise<void> {
    const { prefix, maxJobs, dedupWindow } = this.#options;
    await this.#makeStream(jsm, {
      name: `${prefix}-jobs`,
      subjects: [`${prefix}.ready.*`, `${prefix}.delayed.*`],
      retention: "workqueue",
      discard: "new",
      max_msgs: maxJobs === Infinity ? -1 : maxJobs,
      duplicate_window: nanos(dedupWindow),
    });
    // What a note is about seldom lives for long; without it, a job has had some attempts too many.
    await this.#makeStream(jsm, {
      name: `${prefix}-notes`,
      subjects: [`${prefix}.note.>`],
      max_msgs_per_subject: 1,
      max_msgs: 100_000,
      max_age: nanos(7 * 86_400_000),
    });
  }

  /** A server that comes back may have lost its files. */
  readonly #restore = (): void => {
    const open = [...this.#queues.values()];
    this.#ask("making the streams", async (_js, jsm) => {
      await this.#makeStreams(jsm);
      await Promise.all(open.map(({ names, settings }) => this.#make(jsm, names, settings)));
    }).catch((error: unknown) => {
      this.#link.report("making the streams", error);
      if (this.#link.isUp) later(1_000, this.#restore);
    });
  };

  async open(queue: string, settings: QueueSettings): Promise<void> {
    const names = new QueueNames(this.#options.prefix, queue);
    const putBack = this.#queues.get(queue)?.putBack ?? new Map<number, number>();
    this.#queues.set(queue, { names, settings, putBack });
    await this.#ask(`opening queue ${queue}`, (_js, jsm) => this.#make(jsm, names, settings));
  }

  async add(jobs: readonly NewJob[], timeoutMs: number): Promise<readonly AddedJob[]> {
    const batches = Array.from({ length: Math.ceil(jobs.length / batchSize) }, (_, index) =>
      jobs.slice(index * batchSize, (index + 1) * batchSize),
    );
    const endAt = now() + timeoutMs;
    return await batches.reduce<Promise<readonly AddedJob[]>>(async (before, batch) => {
      const added = await before;
      const more = await this.#link.call(`adding ${jobs.length} jobs`, endAt - now(), (js, jsm, timeout) =>
        Promise.all(batch.map((job) => this.#add(js, jsm, job, timeout))),
      );
      return [...added, ...more];
    }, Promise.resolve([]));
  }

  async consume(queue: string, concurrency: number, take: (delivery: Delivery) => void): Promise<Consumer> {
    const open = this.#opened(queue);
    const missing = (): Promise<void> =>
      this.#ask(`opening queue ${queue}`, async (_js, jsm) => {
        await this.#makeStreams(jsm);
        await this.#make(jsm, open.names, open.settings);
      });
    const ended = (): void => void this.#consumers.delete(consumer);
    const consumer = new QueueConsumer(this.#link, open, { concurrency, give: take, missing, ended });
    this.#consumers.add(consumer);
    return consumer;
  }

  /**
   * The engine does not tell a job in work from one that was put back and waits: what this process has put back is
   * told apart, what others have put back counts as active.
   */
  async levels(queue: string): Promise<QueueLevels> {
    const { names, putBack } = this.#opened(queue);
    const [ready, delayed, dead, oldestReadyAt] = await this.#ask("counting jobs", async (_js, jsm) => {
      const info = jsm.consumers.info(names.jobs, names.consumer("ready"));
      return await Promise.all([
        info,
        jsm.consumers.info(names.jobs, names.consumer("delayed")),
        jsm.streams.info(names.dead),
        info.then((known) => oldestReady(jsm, names, known)),
      ]);
    });
    const at = now();
    // With somebody waiting for messages, none is left that could be handed out.
    if (ready.num_waiting > 0) for (const [sequence, dueAt] of putBack) if (dueAt <= at) putBack.delete(sequence);
    const waiting = [...putBack.values()].filter((dueAt) => dueAt > at).length;
    const due = putBack.size - waiting;
    return {
      ready: ready.num_pending + due,
      delayed: delayed.num_pending + delayed.num_ack_pending + waiting,
      active: Math.max(0, ready.num_ack_pending - putBack.size),
      dead: dead.state.messages,
      oldestReadyMs: oldestReadyAt === undefined ? 0 : Math.max(0, Date.now() - oldestReadyAt),
    };
  }

  async listDead(
    queue: string,
    page: { readonly limit: number; readonly before?: string },
  ): Promise<readonly DeadJob[]> {
    const { names } = this.#opened(queue);
    return await this.#ask("listing dead jobs", (_js, jsm) => listDead(jsm, names, page));
  }

  async redrive(queue: string, which: DeadSelection): Promise<number> {
    const { names } = this.#opened(queue);
    return await this.#ask("redriving dead jobs", (js, jsm) => redriveDead(js, jsm, names, which));
  }

  async discard(queue: string, which: DeadSelection): Promise<number> {
    const { names } = this.#opened(queue);
    return await this.#ask("discarding dead jobs", (_js, jsm) => discardDead(jsm, names, which));
  }

  async health(timeoutMs: number): Promise<StoreHealth> {
    const askedAt = now();
    try {
      await this.#link.call("asking for its health", timeoutMs, (_js, jsm) => jsm.getAccountInfo());
      return { isUp: true, roundTripMs: now() - askedAt };
    } catch (error) {
      return { isUp: false, roundTripMs: now() - askedAt, detail: error instanceof Error ? error.message : "" };
    }
  }

  async stop(timeoutMs: number): Promise<void> {
    const endAt = now() + timeoutMs;
    const ends = Promise.all([...this.#consumers].map((consumer) => consumer.end()));
    // What cannot be given back in time comes back by the end of its lease.
    await within(ends, timeoutMs, () => new Error("late")).catch(() => undefined);
    await this.#link.close(Math.max(100, endAt - now()));
  }

  #ask<T>(doing: string, ask: (js: JetStreamClient, jsm: JetStreamManager) => Promise<T>): Promise<T> {
    return this.#link.call(doing, this.#options.callTimeout, ask);
  }

  #opened(queue: string): OpenQueue {
    const open = this.#queues.get(queue);
    if (open === undefined)
      throw new StoreUnavailableError("jetstream", `Queue ${queue} was not opened: call open() first.`);
    return open;
  }

  async #add(js: JetStreamClient, jsm: JetStreamManager, job: NewJob, timeout: number): Promise<AddedJob> {
    const { names } = this.#opened(job.queue);
    this.#checkSize(job);
    const about = headers();
    about.set("Nats-Msg-Id", dedupId(names, job));
    about.set(idHeader, job.id);
    if (job.priority !== 0) about.set(priorityHeader, String(job.priority));
    if (job.delayMs > 0) about.set(delayHeader, String(job.delayMs));
    const subject = job.delayMs > 0 ? names.delayed : names.ready;
    const { duplicate, seq } = await js.publish(subject, job.body, { headers: about, timeout });
    if (!duplicate || job.key === undefined) return { id: job.id, isDuplicate: duplicate };
    // The first one may be done and forgotten by now.
    const first = await jsm.streams.getMessage(names.jobs, { seq });
    return { id: first?.header.get(idHeader) ?? job.id, isDuplicate: true };
  }

  /** With room for what is written down when it dies. */
  #checkSize({ queue, body }: NewJob): void {
    const most = (this.#link.nc.info?.max_payload ?? Infinity) - maxAboutBytes;
    const size = Buffer.byteLength(body);
    if (size <= most) return;
    const next = "Raise the server's max_payload, or add a reference to the data.";
    throw new StoreFullError("jetstream", `A job of ${queue} has ${size} bytes, and the server takes ${most}. ${next}`);
  }

  async #make(jsm: JetStreamManager, names: QueueNames, settings: QueueSettings): Promise<void> {
    const { maxDead, deadForMs } = settings;
    const maxAge = deadForMs === Infinity ? 0 : Math.max(100, deadForMs);
    await this.#makeStream(jsm, {
      name: names.dead,
      subjects: [names.deadSubject("*")],
      // -1 is no limit here, and so is 0; a queue that keeps no dead jobs does not bury them.
      max_msgs: maxDead === Infinity ? -1 : Math.max(1, maxDead),
      max_age: nanos(maxAge),
      duplicate_window: nanos(Math.min(this.#options.dedupWindow, maxAge || Infinity)),
    });
    await Promise.all(
      (["ready", "delayed"] as const).map((lane) =>
        jsm.consumers.add(names.jobs, {
          durable_name: names.consumer(lane),
          filter_subject: names[lane],
          ack_policy: "explicit",
          ack_wait: nanos(settings.leaseMs),
          max_deliver: -1,
          // What waits for its next attempt counts as not acknowledged, and must not hold up the others.
          max_ack_pending: -1,
        }),
      ),
    );
  }

  async #makeStream(jsm: JetStreamManager, config: Partial<StreamConfig> & { name: string }): Promise<void> {
    const whole = { storage: "file" as const, num_replicas: this.#options.replicas, ...config };
    try {
      await jsm.streams.add(whole);
    } catch (error) {
      if (!(error instanceof JetStreamApiError) || error.code !== streamExists) throw error;
      await jsm.streams.update(config.name, whole);
    }
  }
}

/** When the oldest job came that was never handed out; `undefined` if there is none. */
async function oldestReady(jsm: JetStreamManager, names: QueueNames, info: ConsumerInfo): Promise<number | undefined> {
  if (info.num_pending === 0) return undefined;
  const from = { seq: info.delivered.stream_seq + 1, next_by_subj: names.ready };
  return (await jsm.streams.getMessage(names.jobs, from))?.time.getTime();
}

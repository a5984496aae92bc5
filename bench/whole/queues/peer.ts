/** What the measured queues have in common: the job, and the shape of a peer. */

/** What a job carries: 200 bytes as JSON. */
export interface Payload {
  readonly n: number;
  readonly text: string;
}

export function payload(n: number): Payload {
  return { n, text: "x".repeat(180) };
}

/** One queue, ready to be measured. Each is set up as its own documentation recommends for throughput. */
export interface QueuePeer {
  /** Resolves when the job is on record. */
  readonly addOne: (job: Payload) => Promise<void>;
  /** As many in one call as the queue takes. */
  readonly addMany: (jobs: readonly Payload[]) => Promise<void>;
  /** Takes jobs until the function returned is called; `onJob` is the whole work of a job. */
  readonly work: (onJob: (n: number) => void) => Promise<() => Promise<void>>;
  readonly close: () => Promise<void>;
}

/** Where the engines are, and what in them is this run's own. */
export interface Place {
  readonly folder: string;
  readonly name: string;
  readonly redisPort: number;
  readonly database: string;
}

/** Jobs in work at a time, for those that take such a number. */
export const concurrency = 64;

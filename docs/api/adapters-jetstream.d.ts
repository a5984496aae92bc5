// The interface of sluice/adapters/jetstream, printed by `npm run api`. Do not edit.

// adapters/jetstream.d.ts

/**
 * Jobs in NATS JetStream.
 *
 * JetStream is a log with acknowledgements and no job queue, so this file makes one of it:
 *
 * - All queues of a prefix are one stream that forgets what is acknowledged (`<prefix>-jobs`). A queue is a durable
 *   consumer of it, a lease is its `ack_wait`. A taker asks for as many messages as it has free places, and no more.
 * - A delayed job lies under a subject of its own, whose consumer puts each message back until it is due, and then
 *   moves it. The schedules of server 2.12 would do the same; this works with 2.9 and later.
 * - A failed attempt is put back with a delay (`-NAK`), so the server knows when the next one is due, whoever is gone
 *   by then. The server counts every delivery; one that shall not count is written down (`<prefix>-notes`).
 * - Dead jobs are copied into a stream for each queue (`<prefix>-dead-<queue>`), whose limits are those of the queue.
 *
 * Every acknowledgement is confirmed by the server. What the server does not say is that a lease was lost: the taker
 * finds that out by its own clock, which it reads before it asks for more time, and so never later than the server.
 */
import type { Store } from "../tasks/index.ts";
import { type JetStreamStoreOptions } from "./jetstream/jetstream-options.ts";
export type { JetStreamStoreOptions } from "./jetstream/jetstream-options.ts";
/**
 * A store in NATS JetStream, server 2.9 or later, for queues that machines share.
 *
 * ```ts
 * const tasks = new Tasks({ store: jetStream({ servers: "nats://queue:4222" }) });
 * ```
 *
 * @throws OptionError for an unknown or wrong option
 */
export declare function jetStream(options?: JetStreamStoreOptions): Store;

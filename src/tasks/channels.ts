/**
 * What tasks and queues publish, for whoever wants to log or trace them: `node:diagnostics_channel` under these names.
 *
 * The library itself prints nothing. A message is made only if somebody listens.
 */

import { channel, type Channel } from "node:diagnostics_channel";
import type { AttemptOutcome } from "./queue-instruments.ts";
import type { TaskOutcome } from "./task-kinds.ts";

/** `sluice.tasks.task.ended`: a task is over. */
export interface TaskEndedMessage {
  readonly task: string;
  readonly outcome: TaskOutcome;
  readonly durationMs: number;
  readonly waitedMs: number;
  readonly heldMs: number;
  readonly error: unknown;
}

/** `sluice.tasks.attempt.ended`: an attempt at a job is over, and the store was told. */
export interface AttemptEndedMessage {
  readonly queue: string;
  readonly id: string;
  readonly attempt: number;
  readonly outcome: AttemptOutcome;
  /** What was told to the store. */
  readonly next: "done" | "retry" | "dead" | "release";
  /** What the store answered: `lost` if somebody else has the job, `undefined` if nothing. */
  readonly settled: "settled" | "lost" | undefined;
  readonly durationMs: number;
  readonly error: unknown;
}

/** A channel of one kind of message. */
export class Topic<Message extends object> {
  readonly #channel: Channel;

  constructor(name: string) {
    this.#channel = channel(name);
  }

  get isFollowed(): boolean {
    return this.#channel.hasSubscribers;
  }

  publish(message: Message): void {
    this.#channel.publish(message);
  }
}

export const taskEnded: Topic<TaskEndedMessage> = new Topic("sluice.tasks.task.ended");
export const attemptEnded: Topic<AttemptEndedMessage> = new Topic("sluice.tasks.attempt.ended");

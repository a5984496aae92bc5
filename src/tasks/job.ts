/** A job as its handler sees it. */

import type { Context } from "../core/context.ts";
import type { JobHeaders } from "./envelope.ts";
import type { DeadJob, Delivery, JobFailure } from "./store.ts";

/** One attempt at a job. */
export interface Job<T> {
  readonly id: string;
  readonly queue: string;
  readonly data: T;
  /** 1 for the first. */
  readonly attempt: number;
  /** Most attempts that there will be. */
  readonly attempts: number;
  /** When it was added: milliseconds since 1970. */
  readonly enqueuedAt: number;
  readonly headers: JobHeaders;
  /** With the attempt's deadline and the trace of whoever added the job. */
  readonly context: Context;
  /** Aborts at the deadline, when the lease is lost, and in a drain. Pass it on to whatever the handler waits for. */
  readonly signal: AbortSignal;
}

/** Does a job. Throws what is to be tried again, or `Permanent`, or `RetryAfter`. */
export type JobHandler<T> = (job: Job<T>) => unknown;

/** A job that will not be tried again by itself. */
export interface DeadLetter<T> {
  readonly id: string;
  /** `undefined` if its body was no job of ours. */
  readonly data: T | undefined;
  /** As it is in the store. */
  readonly body: string;
  readonly attempts: number;
  readonly failure: JobFailure;
  readonly diedAt: Date;
}

/** How a job is made. */
export interface JobParts {
  readonly delivery: Delivery;
  readonly attempts: number;
  readonly data: unknown;
  readonly headers: JobHeaders;
  readonly context: Context;
}

/** The signal is made when first asked for. */
export class AttemptedJob implements Job<unknown> {
  readonly id: string;
  readonly queue: string;
  readonly data: unknown;
  readonly attempt: number;
  readonly attempts: number;
  readonly headers: JobHeaders;
  readonly context: Context;

  constructor({ delivery, attempts, data, headers, context }: JobParts) {
    this.id = delivery.id;
    this.queue = delivery.queue;
    this.attempt = delivery.attempt;
    this.attempts = attempts;
    this.data = data;
    this.headers = headers;
    this.context = context;
  }

  get enqueuedAt(): number {
    return this.headers.enqueuedAt;
  }

  get signal(): AbortSignal {
    return this.context.signal;
  }
}

const maxMessage = 2_000;
const maxStack = 8_000;

/** What is kept of an error with a job. It does not throw, whatever was thrown. */
export function toFailure(error: unknown): JobFailure {
  try {
    if (!(error instanceof Error)) return { name: "NonError", message: cut(describeThrown(error), maxMessage) };
    const { name, message, stack } = error;
    const failure = { name: cut(name, 200), message: cut(message, maxMessage) };
    return typeof stack === "string" ? { ...failure, stack: cut(stack, maxStack) } : failure;
  } catch {
    return { name: "NonError", message: "What was thrown cannot be read." };
  }
}

function describeThrown(thrown: unknown): string {
  return typeof thrown === "object" && thrown !== null ? (JSON.stringify(thrown) ?? "an object") : String(thrown);
}

/** Not within a surrogate pair: not every store takes half a character. */
function cut(text: string, most: number): string {
  return text.length <= most ? text.toWellFormed() : `${text.slice(0, most - 1).toWellFormed()}…`;
}

/** The dead job with its data, if it can be read. */
export function toDeadLetter<T>({ id, body, attempts, failure, diedAt }: DeadJob, data: T | undefined): DeadLetter<T> {
  return Object.freeze({ id, data, body, attempts, failure, diedAt: new Date(diedAt) });
}

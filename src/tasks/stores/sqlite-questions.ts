/** The rare questions to the SQLite store, answered between transactions; and how long the dead are kept. */

import { UnusableFileError } from "./sqlite-file.ts";
import type { JobTables } from "./sqlite-jobs.ts";
import type { AnswerReport, Failure, Orders, Question } from "./sqlite-protocol.ts";
import type { Takers } from "./sqlite-takers.ts";

interface OpenQueue {
  readonly queue: string;
  readonly maxDead: number;
  readonly deadForMs: number;
}

interface Waiting {
  readonly order: number;
  readonly question: Question;
}

/** Invariant: `#waiting` holds what was asked and not answered, oldest first. */
export class Questions {
  readonly #takers: Takers;
  readonly #queues = new Map<number, OpenQueue>();
  #waiting: Waiting[] = [];
  #isStopped = false;

  constructor(takers: Takers) {
    this.#takers = takers;
  }

  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Whether the store was told to stop, and has given back what it held. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Makes the queues known to a file that has taken the place of another. @throws UnusableFileError if it has others under their numbers. */
  reopen(tables: JobTables): void {
    for (const [number, { queue }] of this.#queues) {
      if (tables.write(() => tables.openQueue(queue, number)) === number) continue;
      throw new UnusableFileError(
        `it is another file than before, whose queues have other numbers; start the process again`,
      );
    }
  }

  take(questions: Orders["questions"]): void {
    this.#waiting.push(...questions);
  }

  /** Answers what can be answered; to stop waits for `isIdle`. @throws what SQLite throws; the question then waits. */
  *answer(tables: JobTables, now: number, isIdle: boolean): Generator<AnswerReport> {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (next.question.kind === "stop" && !isIdle) return;
      const value = this.#answer(tables, next.question, now);
      this.#waiting.shift();
      yield { order: next.order, value };
    }
  }

  refuse(failure: Failure): AnswerReport[] {
    return this.#waiting.splice(0).map(({ order }) => ({ order, failure }));
  }

  /** Within a transaction: forgets the dead of a queue that are too old or too many. */
  prune(tables: JobTables, queue: number, now: number): void {
    const { maxDead = Infinity, deadForMs = Infinity } = this.#queues.get(queue) ?? {};
    tables.prune(queue, maxDead, now - deadForMs);
  }

  // oxlint-disable-next-line typescript/consistent-return -- every kind returns; see switch-exhaustiveness-check
  #answer(tables: JobTables, question: Question, now: number): unknown {
    switch (question.kind) {
      case "open": {
        const queue = tables.write(() => tables.openQueue(question.queue));
        this.#queues.set(queue, question);
        this.#pruneOld(tables, queue, now);
        return queue;
      }
      case "consume":
        this.#takers.add(question.consumer, question.queue, question.leaseMs);
        return undefined;
      case "stop-consumer":
        this.#takers.remove(question.consumer);
        return undefined;
      case "levels":
        this.#pruneOld(tables, question.queue, now);
        return tables.levels(question.queue, now);
      case "list-dead":
        this.#pruneOld(tables, question.queue, now);
        return tables.listDead(question.queue, question.limit, question.before);
      case "redrive":
        this.#pruneOld(tables, question.queue, now);
        this.#takers.promise([question.queue]);
        return tables.write(() => tables.redrive(question.queue, question.which, now));
      case "discard":
        return tables.write(() => tables.discard(question.queue, question.which));
      case "ping":
        // Whether it could be written; nothing is.
        tables.write(() => undefined);
        return undefined;
      case "stop":
        tables.write(() => this.#takers.dropAll(tables));
        this.#isStopped = true;
        return undefined;
    }
  }

  #pruneOld(tables: JobTables, queue: number, now: number): void {
    const { deadForMs = Infinity } = this.#queues.get(queue) ?? {};
    while (tables.hasDeadBefore(queue, now - deadForMs)) tables.write(() => this.prune(tables, queue, now));
  }
}

/**
 * The last events of a channel, so that a client that comes again gets those that it has missed.
 *
 * It is bounded by number, age and bytes. A client is not handed a copy: it reads along at its own pace, and if what it
 * would read next has gone meanwhile, it is told that there is a gap. Whoever needs more than this keeps it in a
 * database, and begins from there when it is told.
 */

import { now } from "../core/clock.ts";

/** One event that is kept. */
interface Kept {
  readonly id: string;
  readonly frame: Buffer;
  readonly at: number;
}

/** How much is kept. Times in milliseconds. */
export interface HistoryLimits {
  readonly maxEvents: number;
  readonly maxAge: number;
  readonly maxBytes: number;
}

/** What a client that comes again gets: a frame to write, or word of events that are not kept any more. */
export type Replayed = { readonly frame: Buffer } | { readonly missed: number };

/**
 * Events have numbers, beginning with 1; what was before them all is number 0, and has an id too.
 *
 * Invariants: `#kept` holds the events `#first` to `#last`; `#numbers` has the number of each, and of the one before the
 * first, from which one can still go on without a gap.
 */
export class SseHistory {
  readonly #limits: HistoryLimits;
  readonly #kept = new Map<number, Kept>();
  readonly #numbers = new Map<string, number>();
  #first = 1;
  #last = 0;
  #bytes = 0;
  /** Ids of the one before the first, and of the newest. */
  #before: string;
  #newestId: string;

  constructor(limits: HistoryLimits, beginning: string) {
    this.#limits = limits;
    this.#before = beginning;
    this.#newestId = beginning;
    this.#numbers.set(beginning, 0);
  }

  get size(): number {
    return this.#last - this.#first + 1;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(id: string, frame: Buffer): void {
    const { maxEvents, maxBytes } = this.#limits;
    this.#last += 1;
    this.#newestId = id;
    this.#kept.set(this.#last, { id, frame, at: now() });
    this.#numbers.set(id, this.#last);
    this.#bytes += frame.byteLength;
    while (this.size > maxEvents || this.#bytes > maxBytes) this.#forgetFirst();
    this.forgetOld();
  }

  /** The number of the event with this id, `undefined` if it is not known any more. */
  find(id: string): number | undefined {
    this.forgetOld();
    return this.#numbers.get(id);
  }

  /** The number of the newest event. */
  get newest(): number {
    return this.#last;
  }

  /** Its id. */
  get newestId(): string {
    return this.#newestId;
  }

  /** The number before that of the oldest event that is kept. */
  get beforeOldest(): number {
    return this.#first - 1;
  }

  /** All events after this number, also those that are added while it is read; ends when there are no more. */
  *after(number: number): Generator<Replayed, void, undefined> {
    let at = number;
    while (at < this.#last) {
      if (at + 1 < this.#first) {
        yield { missed: this.#first - 1 - at };
        at = this.#first - 1;
        continue;
      }
      at += 1;
      const kept = this.#kept.get(at);
      if (kept !== undefined) yield { frame: kept.frame };
    }
  }

  /** Forgets what is too old; done whenever something is added or looked for, so that there is no timer. */
  forgetOld(): void {
    const oldest = now() - this.#limits.maxAge;
    for (let kept = this.#kept.get(this.#first); kept !== undefined; kept = this.#kept.get(this.#first)) {
      if (kept.at >= oldest) return;
      this.#forgetFirst();
    }
  }

  #forgetFirst(): void {
    const kept = this.#kept.get(this.#first);
    if (kept === undefined) return;
    this.#kept.delete(this.#first);
    this.#bytes -= kept.frame.byteLength;
    this.#first += 1;
    const before = this.#before;
    this.#before = kept.id;
    // Unless a later one has the same id.
    if ((this.#numbers.get(before) ?? Infinity) < this.#first - 1) this.#numbers.delete(before);
  }
}

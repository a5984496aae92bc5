/**
 * The streams of a group that are open, and how they end together.
 *
 * They are ended some at a time, so that others have their turn in between, and cut after a grace. Where the server is
 * guarded (`core/served.ts`), its drain is that of the streams that came to it.
 */

import { now } from "../core/clock.ts";
import { WheelTimer, type DeadlineWheel } from "../core/deadline-wheel.ts";
import type { Lifecycle } from "../core/lifecycle.ts";
import { outside } from "../core/outside.ts";

/** What can be ended. */
export interface Endable {
  /** Of the guarded server that it came to. */
  readonly lifecycle: Lifecycle | undefined;
  /** Ends it now. */
  cut(reason: "drain"): void;
}

/** How a drain went. */
export interface StreamsDrainReport {
  readonly tookMs: number;
  /** Streams that ended with all that waited for them. */
  readonly ended: number;
  /** Streams whose clients did not read in time. */
  readonly cut: number;
}

/** How a group ends its streams. */
export interface EndingSettings<Stream> {
  readonly wheel: DeadlineWheel;
  /** How long a stream has for its end, in milliseconds. */
  readonly grace: number;
  /** Begins the end of one. */
  readonly end: (stream: Stream) => void;
}

class Alarm extends WheelTimer {
  readonly #ring: () => void;

  constructor(ring: () => void) {
    super();
    this.#ring = ring;
  }

  onDeadline(): void {
    this.#ring();
  }
}

/** An ending, and the streams that it waits for. */
interface UnderWay<Stream> {
  readonly left: Set<Stream>;
  readonly done: () => void;
}

/** How many streams are ended before others have their turn. */
const endedAtOnce = 250;

/** Invariant: holds what was added and not deleted; `#underWay` are the endings that wait for some of it. */
export class OpenStreams<Stream extends Endable> {
  readonly #settings: EndingSettings<Stream>;
  readonly #open = new Set<Stream>();
  readonly #followed = new WeakSet<Lifecycle>();
  readonly #underWay = new Set<UnderWay<Stream>>();

  constructor(settings: EndingSettings<Stream>) {
    this.#settings = settings;
  }

  get size(): number {
    return this.#open.size;
  }

  [Symbol.iterator](): Iterator<Stream> {
    return this.#open.values();
  }

  /** Takes one that is open. With its server it ends by itself. */
  add(stream: Stream): void {
    this.#open.add(stream);
    const { lifecycle } = stream;
    if (lifecycle === undefined || this.#followed.has(lifecycle)) return;
    this.#followed.add(lifecycle);
    lifecycle.onDrain(() => void this.end((other) => other.lifecycle === lifecycle));
  }

  /** One is over. */
  delete(stream: Stream): void {
    this.#open.delete(stream);
    for (const { left, done } of this.#underWay) {
      left.delete(stream);
      if (left.size === 0) done();
    }
  }

  /** Ends all for which `isMeant` holds, and resolves when they are over: at the end of the grace at the latest. */
  async end(isMeant: (stream: Stream) => boolean): Promise<StreamsDrainReport> {
    const startedAt = now();
    const { wheel, grace, end } = this.#settings;
    const streams = [...this.#open].filter((stream) => isMeant(stream));
    const { promise, resolve: done } = Promise.withResolvers<void>();
    const underWay = { left: new Set(streams), done };
    const alarm = new Alarm(done);
    this.#underWay.add(underWay);
    wheel.arm(alarm, grace);
    if (streams.length === 0) done();
    for (let at = 0; at < streams.length; at += endedAtOnce) {
      for (const stream of streams.slice(at, at + endedAtOnce)) end(stream);
      // oxlint-disable-next-line no-await-in-loop -- others have their turn in between
      await nextTurn();
    }
    await promise;
    wheel.cancel(alarm);
    this.#underWay.delete(underWay);
    const cut = [...underWay.left];
    for (const stream of cut) stream.cut("drain");
    return Object.freeze({ tookMs: now() - startedAt, ended: streams.length - cut.length, cut: cut.length });
  }
}

function nextTurn(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  outside(() => setImmediate(resolve));
  return promise;
}

/**
 * How a server goes away without losing a request.
 *
 * The order is everything. First it only says so: readiness turns, and each answer carries `Connection: close`, so that
 * whoever sends requests here moves on by itself, while new connections are still served. Only then the listener is
 * closed and idle connections with it; what is in flight ends in its own time, up to the grace. Node's own `close()`
 * does the last step first, keeps answering with `keep-alive`, and has no end.
 */

import { now } from "../core/clock.ts";
import { WheelTimer } from "../core/deadline-wheel.ts";
import { isLinked } from "../core/ring.ts";
import { Connection } from "./connection.ts";
import { nextTurn, untilNobodyQueues } from "./last-accepts.ts";
import type { QueuePlug } from "./queue-plug.ts";
import type { ServerCore } from "./server-core.ts";

/** How a drain went. Times in milliseconds. */
export interface DrainReport {
  readonly tookMs: number;
  /** Connections that were still open at the end of the grace, and were cut. */
  readonly cut: number;
  /** Upgraded ones among them. */
  readonly cutUpgraded: number;
}

/** No request in this many looks in a row: half a second, with what the wheel adds to each. */
const quietLooks = 12;
const lookMs = 25;

/** Where requests never cease, each comes from somebody else: then idle connections are closed after this all the same. */
const longestQuietMs = 5_000;

/** How long a connection that has never said anything is waited for. */
const silenceMs = 500;

/** How long a handler has, after its context has ended, before its connection is cut. */
const lastWordsMs = 250;

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

/** The listener of a server. */
export interface Listener {
  readonly isOpen: () => boolean;
  readonly plug: QueuePlug;
  /** Node's `close`, without its way with idle connections. */
  readonly close: () => Promise<void>;
}

export class Drain {
  readonly #core: ServerCore;
  readonly #listener: Listener;
  #report: DrainReport | undefined;

  constructor(core: ServerCore, listener: Listener) {
    this.#core = core;
    this.#listener = listener;
  }

  async run(): Promise<DrainReport> {
    await this.#core.lifecycle.drain(() => this.#drain());
    return this.#report ?? { tookMs: 0, cut: 0, cutUpgraded: 0 };
  }

  /** Closes what is idle, unless a drain is under way, which knows better when. */
  closeIdle(): void {
    if (this.#core.draining) return;
    for (const connection of connectionsOf(this.#core.idle)) connection.close("drain");
  }

  async #drain(): Promise<void> {
    const core = this.#core;
    const { settle, grace } = core.options.drain;
    const startedAt = now();
    core.drainsFrom = startedAt;
    await inSlices(this.#busy(), (connection) => connection.closeAfterwards());
    const { isOpen, plug, close } = this.#listener;
    if (isOpen() && settle > 0) await this.#sleep(settle);
    if (isOpen()) await untilNobodyQueues(() => core.accepted, plug);
    const stopped = isOpen() ? close() : Promise.resolve();
    core.hasStopped = true;
    core.gate.drain();
    await inSlices(this.#busy(), (connection) => connection.closeAfterwards());
    const left = this.#emptyWithin(grace);
    await Promise.race([left, this.#quiet(Math.min(grace, longestQuietMs))]);
    core.closesIdle = true;
    // Clients open connections ahead of need. What has come in time is here by now; Go waits for 5 s.
    await inSlices(this.#busy(), (connection) => connection.hurry(silenceMs));
    await this.#closeIdle();
    let cut: readonly Connection[] = [];
    if (!(await left)) {
      core.gate.close();
      core.contexts.endAll("ERR_SHUTTING_DOWN");
      await this.#emptyWithin(lastWordsMs);
      cut = this.#busy();
      await inSlices(cut, (connection) => connection.cut("drain"));
    }
    await stopped;
    core.sendQueues.close();
    this.#report = Object.freeze({
      tookMs: now() - startedAt,
      cut: cut.length,
      cutUpgraded: cut.filter((connection) => connection.wasUpgraded).length,
    });
  }

  /**
   * Resolves when no request has come for a while, or `ms` are over. A proxy that has not noticed yet may be sending one on
   * a connection that looks idle, and closing it then would lose that request. So each is answered, and its connection
   * closed with it, until there are none: the proxy has used up its connections, or has met the closed listener. An
   * answer that had begun before, such as an event stream, has told nobody, and leaves one that looks as good as new.
   */
  async #quiet(ms: number): Promise<void> {
    const until = now() + ms;
    let seen = this.#core.begun;
    for (let looks = 0; looks < quietLooks && !this.#isEmpty && now() < until; looks += 1) {
      // Counted in looks and not in time: if this machine stands still, so may the proxy.
      // oxlint-disable-next-line no-await-in-loop -- one look after the other
      await this.#sleep(lookMs);
      if (seen !== this.#core.begun) looks = -1;
      seen = this.#core.begun;
    }
  }

  async #closeIdle(): Promise<void> {
    // Requests that have come are in the kernel's hands until the loop asks for them: once in this turn, perhaps before
    // they came, and once in the next.
    for (let turn = 0; turn < 2 && isLinked(this.#core.idle); turn += 1) {
      // oxlint-disable-next-line no-await-in-loop -- one turn after the other
      await nextTurn();
    }
    // One that has begun a request meanwhile is not idle any more.
    await inSlices(connectionsOf(this.#core.idle), (connection) => {
      if (connection.state === "idle") connection.close("drain");
    });
  }

  get #isEmpty(): boolean {
    return !isLinked(this.#core.busy) && !isLinked(this.#core.idle);
  }

  #busy(): readonly Connection[] {
    return connectionsOf(this.#core.busy);
  }

  /** Whether all connections have closed in time. */
  #emptyWithin(ms: number): Promise<boolean> {
    const core = this.#core;
    if (this.#isEmpty) return Promise.resolve(true);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const alarm = new Alarm(() => resolve(false));
    core.wheel.arm(alarm, ms);
    core.onLess = () => {
      if (this.#isEmpty) resolve(true);
    };
    return promise.finally(() => {
      core.onLess = undefined;
      core.wheel.cancel(alarm);
    });
  }

  #sleep(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#core.wheel.arm(new Alarm(resolve), ms);
    return promise;
  }
}

/** Longest time for which connections are told before the loop turns: ten thousand at once take half a second. */
const sliceMs = 5;

async function inSlices(connections: readonly Connection[], tell: (connection: Connection) => void): Promise<void> {
  let from = now();
  for (const connection of connections) {
    tell(connection);
    if (now() - from < sliceMs) continue;
    // oxlint-disable-next-line no-await-in-loop -- one slice after the other
    await nextTurn();
    from = now();
  }
}

function connectionsOf(ring: ServerCore["busy"]): readonly Connection[] {
  const connections: Connection[] = [];
  for (let node = ring.ringNext; node !== ring; node = node.ringNext) {
    // Only connections are in these rings.
    if (node instanceof Connection) connections.push(node);
  }
  return connections;
}

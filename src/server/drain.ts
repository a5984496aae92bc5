/**
 * How a server goes away without losing a request.
 *
 * The order is everything. First it only says so: readiness turns, and each answer carries `Connection: close`, so that
 * whoever sends requests here moves on by itself, while new connections are still served. Only then the listener is
 * closed and idle connections with it; what is in flight ends in its own time, up to the grace. Node's own `close()`
 * does the last step first, keeps answering with `keep-alive`, and has no end.
 */

import type { Server } from "node:net";
import { now } from "../core/clock.ts";
import { outside } from "../core/outside.ts";
import { WheelTimer } from "../core/deadline-wheel.ts";
import { isLinked } from "../core/ring.ts";
import { Connection } from "./connection.ts";
import type { ServerCore } from "./server-core.ts";

/** How a drain went. Times in milliseconds. */
export interface DrainReport {
  readonly tookMs: number;
  /** Connections that were still open at the end of the grace, and were cut. */
  readonly cut: number;
  /** Upgraded ones among them. */
  readonly cutUpgraded: number;
}

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

export class Drain {
  readonly #core: ServerCore;
  readonly #server: Pick<Server, "listening" | "close">;
  /** Node's `close`, without its way with idle connections. */
  readonly #stopListening: () => Promise<void>;
  #report: DrainReport | undefined;

  constructor(core: ServerCore, server: Pick<Server, "listening" | "close">, stopListening: () => Promise<void>) {
    this.#core = core;
    this.#server = server;
    this.#stopListening = stopListening;
  }

  async run(): Promise<DrainReport> {
    await this.#core.lifecycle.drain(() => this.#drain());
    return this.#report ?? { tookMs: 0, cut: 0, cutUpgraded: 0 };
  }

  async #drain(): Promise<void> {
    const core = this.#core;
    const { settle, grace } = core.options.drain;
    const startedAt = now();
    for (const connection of this.#busy()) connection.closeAfterwards();
    if (settle > 0 && this.#server.listening) await this.#sleep(settle);
    const stopped = this.#server.listening ? this.#stopListening() : Promise.resolve();
    core.closesIdle = true;
    core.gate.drain();
    await this.#closeIdle();
    let cut: readonly Connection[] = [];
    if (!(await this.#emptyWithin(grace))) {
      core.gate.close();
      core.contexts.endAll("ERR_SHUTTING_DOWN");
      await this.#emptyWithin(lastWordsMs);
      cut = this.#busy();
      for (const connection of cut) connection.cut("drain");
    }
    await stopped;
    this.#report = Object.freeze({
      tookMs: now() - startedAt,
      cut: cut.length,
      cutUpgraded: cut.filter((connection) => connection.wasUpgraded).length,
    });
  }

  async #closeIdle(): Promise<void> {
    // Requests that have come are in the kernel's hands until the loop asks for them: once in this turn, perhaps before
    // they came, and once in the next.
    for (let turn = 0; turn < 2 && isLinked(this.#core.idle); turn += 1) {
      // oxlint-disable-next-line no-await-in-loop -- one turn after the other
      await afterPoll();
    }
    for (const connection of connectionsOf(this.#core.idle)) connection.close("drain");
  }

  #busy(): readonly Connection[] {
    return connectionsOf(this.#core.busy);
  }

  /** Whether all connections have closed in time. */
  #emptyWithin(ms: number): Promise<boolean> {
    const core = this.#core;
    const isEmpty = (): boolean => !isLinked(core.busy) && !isLinked(core.idle);
    if (isEmpty()) return Promise.resolve(true);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const alarm = new Alarm(() => resolve(false));
    core.wheel.arm(alarm, ms);
    core.onLess = () => {
      if (isEmpty()) resolve(true);
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

/** Keeps the process alive, unlike what `systemClock` plans: a drain is waited for, perhaps by nothing else. */
function afterPoll(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  outside(() => setImmediate(resolve));
  return promise;
}

function connectionsOf(ring: ServerCore["busy"]): readonly Connection[] {
  const connections: Connection[] = [];
  for (let node = ring.ringNext; node !== ring; node = node.ringNext) {
    // Only connections are in these rings.
    if (node instanceof Connection) connections.push(node);
  }
  return connections;
}

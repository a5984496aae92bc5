/**
 * Which dials may start. A burst of thousands of dials at once overflows the listen backlog of the server and keeps
 * the event loop busy with TLS handshakes until healthy ones time out (undici#3617), so only `maxDials` run at a time.
 *
 * A plain first-come queue would let one dead host hold every place for a whole `dialTimeout` and stop the dials to
 * all others. So a host gets at most half of the places, and a free place goes round among the hosts that wait;
 * within a host, first come, first served. The gate has no timer: the caller's signal carries the bound of the wait.
 */

import { abortable } from "./abortable.ts";

/** A place in the gate. Giving it back twice is harmless. */
export interface Turn extends Disposable {
  release(): void;
}

interface Host {
  readonly name: string;
  running: number;
  readonly waiters: Set<(turn: Turn) => void>;
}

/**
 * Invariant: `running <= limit`, and no host runs more than `#limitPerHost`. A host stands in `#ready` exactly while
 * it has waiters and is below its share; while `#ready` is not empty, `running === limit`. A host that neither runs
 * nor waits is forgotten. `#settle` is the only place that hands out a turn.
 */
export class DialGate {
  readonly limit: number;
  readonly #limitPerHost: number;
  #running = 0;
  #waiting = 0;
  readonly #hosts: Map<string, Host> = new Map();
  readonly #ready: Set<Host> = new Set();

  constructor(limit: number) {
    this.limit = limit;
    this.#limitPerHost = Math.ceil(limit / 2);
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Resolves when `hostName` may dial. Rejects with `signal.reason` if aborted first, which leaves no gap behind. */
  enter(hostName: string, signal: AbortSignal): Promise<Turn> {
    return abortable<Turn>(signal, ({ resolve }) => {
      const host = this.#host(hostName);
      host.waiters.add(resolve);
      this.#waiting += 1;
      this.#settle(host);
      return () => {
        if (!host.waiters.delete(resolve)) return;
        this.#waiting -= 1;
        this.#settle(host);
      };
    });
  }

  #host(name: string): Host {
    let host = this.#hosts.get(name);
    if (host === undefined) {
      host = { name, running: 0, waiters: new Set() };
      this.#hosts.set(name, host);
    }
    return host;
  }

  /** Brings `changed` up to date with the invariant, then hands out the places that are free. */
  #settle(changed: Host): void {
    this.#place(changed);
    for (const host of this.#ready) {
      if (this.#running >= this.limit) return;
      const [grant] = host.waiters;
      if (grant === undefined) continue;
      host.waiters.delete(grant);
      this.#waiting -= 1;
      this.#running += 1;
      host.running += 1;
      // Taken out and put back at the end: the next place goes to another host, and this loop comes round to it again.
      this.#ready.delete(host);
      this.#place(host);
      grant(this.#turn(host));
    }
  }

  #place(host: Host): void {
    if (host.waiters.size > 0 && host.running < this.#limitPerHost) this.#ready.add(host);
    else this.#ready.delete(host);
    if (host.waiters.size === 0 && host.running === 0) this.#hosts.delete(host.name);
  }

  #turn(host: Host): Turn {
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      this.#running -= 1;
      host.running -= 1;
      this.#settle(host);
    };
    return { release, [Symbol.dispose]: release };
  }
}

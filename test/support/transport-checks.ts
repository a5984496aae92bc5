/** What must hold of a transport's books at any moment, and when all requests have ended. */

import assert from "node:assert/strict";
import { readdirSync, readlinkSync } from "node:fs";
import { Registry } from "sluice/core";
import { Transport, type TransportOptions } from "sluice/client";
import { until } from "./loopback.ts";

/** A transport with a registry of its own, which ends with its test even when requests are still under way. */
export function openTransport(options: TransportOptions = {}): Transport {
  const transport = new Transport({ registry: new Registry(), ...options });
  return Object.assign(transport, { [Symbol.asyncDispose]: () => transport.abort() });
}

/** The levels that are zero when nothing goes on. */
export function levels(transport: Transport): Record<string, number> {
  const { inUse, connecting, waiting, inFlight, unreadBodies } = transport.stats();
  return { inUse, connecting, waiting, inFlight, unreadBodies };
}

const quiet = { inUse: 0, connecting: 0, waiting: 0, inFlight: 0, unreadBodies: 0 };

/** Connections that were opened and have not been counted as closed. */
export function uncounted(transport: Transport): number {
  const { opened, closed } = transport.stats();
  return opened - Object.values(closed).reduce((sum, count) => sum + count, 0);
}

/** Waits until no request holds or awaits anything, and all connections but the idle ones are counted as closed. */
export async function assertQuiet(transport: Transport): Promise<void> {
  await until(() => {
    const { inUse, connecting, waiting, inFlight, idle } = transport.stats();
    return inUse + connecting + waiting + inFlight === 0 && uncounted(transport) === idle;
  });
  assert.deepEqual(levels(transport), quiet);
  assert.equal(uncounted(transport), transport.stats().idle, "opened, less closed, is not what is idle");
}

/** The sockets of this process, by the kernel's count. */
export function socketCount(): number {
  let count = 0;
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:")) count += 1;
    } catch (error) {
      // The descriptor with which the directory itself was read has been closed since.
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    }
  }
  return count;
}

/** Measures by how much timers come late: what a limit on time has to allow on a busy machine. */
export class LagMeter implements Disposable {
  readonly #timer: NodeJS.Timeout;
  #expectedAt = performance.now() + 5;
  /** All of it together: a request takes several turns of the event loop, and each may come late. */
  totalMs = 0;

  constructor() {
    this.#timer = setInterval(() => {
      const at = performance.now();
      this.totalMs += Math.max(0, at - this.#expectedAt);
      this.#expectedAt = at + 5;
    }, 5);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

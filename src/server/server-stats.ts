/**
 * What a server looks like at one moment: immutable plain numbers, limits beside levels.
 *
 * Every count is kept where its state changes; nothing here asks a connection anything.
 */

import type { AddressInfo } from "node:net";
import type { CounterFamily } from "../core/instruments.ts";
import type { LifecycleState } from "../core/lifecycle.ts";
import type { RejectReason, ShedReason, TimeoutKind } from "./instruments.ts";
import type { LateWrite } from "./late-writes.ts";
import { readListenDrops, readListenQueue } from "./listen-queue.ts";
import type { CloseReason, ServerCore } from "./server-core.ts";

/** A server at one moment. Levels first, then totals since the start. */
export interface ServerStats {
  readonly name: string;
  readonly state: LifecycleState;
  readonly connections: {
    /** No byte of a request yet; TLS handshakes among them. */
    readonly new: number;
    /** A request in the works. */
    readonly active: number;
    /** Kept open. */
    readonly idle: number;
    /** Handed to the user by an upgrade or `CONNECT`. They count against `maxUpgradedConns` alone. */
    readonly upgraded: number;
  };
  /** Requests that have not ended. */
  readonly inFlight: number;
  /** Requests that wait for the concurrency limit. */
  readonly queued: number;
  /** How long the first of them has waited, in milliseconds. */
  readonly oldestQueued: number;
  /** Requests that handlers may work on at once, as of now. */
  readonly concurrencyLimit: number;
  /** Pipelined requests that wait for the one before them. */
  readonly deferred: number;
  /** Connections held until another one closes. */
  readonly pending: number;
  /** How long the first of them has waited, in milliseconds. */
  readonly oldestPending: number;
  /** Connections that are being told 503. */
  readonly refusing: number;
  readonly limits: { readonly maxConns: number; readonly maxConnsPerIp: number; readonly maxUpgradedConns: number };
  readonly accepted: number;
  readonly closed: Readonly<Record<CloseReason, number>>;
  readonly rejected: Readonly<Record<RejectReason, number>>;
  readonly requests: number;
  readonly timeouts: Readonly<Record<TimeoutKind, number>>;
  readonly shed: Readonly<Record<ShedReason, number>>;
  readonly badRequests: number;
  /** Calls on answers that were complete. */
  readonly lateWrites: number;
  /** Where they were made: each place once, with its stack. */
  readonly lateWritePlaces: readonly LateWrite[];
}

export function describeServer(core: ServerCore): ServerStats {
  const { options, instruments, levels } = core;
  const { maxConns, maxConnsPerIp, maxUpgradedConns } = options;
  return Object.freeze({
    name: options.name,
    state: core.lifecycle.state,
    connections: Object.freeze({ ...levels }),
    inFlight: core.inFlight,
    queued: core.admission.queued,
    oldestQueued: core.admission.oldestWaitMs,
    concurrencyLimit: core.admission.limit,
    deferred: core.deferred,
    pending: core.gate.held,
    oldestPending: core.gate.oldestHeldMs,
    refusing: core.gate.refusing,
    limits: Object.freeze({ maxConns, maxConnsPerIp, maxUpgradedConns }),
    accepted: instruments.acceptedCount,
    closed: Object.freeze({ ...core.closed }),
    rejected: instruments.rejected.read(),
    requests: instruments.requestCount,
    timeouts: instruments.timeouts.read(),
    shed: instruments.shed.read(),
    badRequests: instruments.badRequestCount,
    lateWrites: instruments.lateWriteCount,
    lateWritePlaces: Object.freeze(core.lateWrites.places()),
  });
}

/** Lets the gauges read the levels of this server; disposed of when it is gone. */
export function observeServer(core: ServerCore, addressOf: () => AddressInfo | string | null): Disposable {
  const { instruments, levels, options } = core;
  const { name } = options;
  const stack = new DisposableStack();
  stack.use(
    instruments.connections.observe((report) => {
      for (const [state, level] of Object.entries(levels)) report(level, name, state);
    }),
  );
  stack.use(instruments.active.observe((report) => report(core.inFlight, name)));
  stack.use(instruments.draining.observe((report) => report(core.draining ? 1 : 0, name)));
  stack.use(instruments.queued.observe((report) => report(core.admission.queued, name)));
  stack.use(instruments.concurrencyLimit.observe((report) => report(core.admission.limit, name)));
  stack.use(instruments.pending.observe((report) => report(core.gate.held, name)));
  stack.use(
    instruments.limits.observe((report) => {
      report(options.maxConns, name, "total");
      report(options.maxConnsPerIp, name, "address");
      report(options.maxUpgradedConns, name, "upgraded");
    }),
  );
  stack.use(
    instruments.acceptQueue.observe((report) => {
      const address = addressOf();
      const queue =
        typeof address === "object" && address !== null ? readListenQueue(address, options.backlog) : undefined;
      if (queue === undefined) return;
      report(queue.length, name, "length");
      report(queue.limit, name, "limit");
    }),
  );
  stack.use(observeDrops(instruments.acceptDrops));
  return stack;
}

/** The servers of this process that would tell it. The kernel counts for all of them together: only the first one does. */
const tellers = new WeakMap<CounterFamily, Set<object>>();

function observeDrops(drops: CounterFamily): Disposable {
  const those = tellers.get(drops) ?? new Set();
  tellers.set(drops, those);
  const teller = {};
  those.add(teller);
  const observed = drops.observe((report) => {
    const [first] = those;
    const counts = first === teller ? readListenDrops() : undefined;
    if (counts === undefined) return;
    report(counts.overflows, "overflow");
    report(counts.drops - counts.overflows, "other");
  });
  return {
    [Symbol.dispose]: () => {
      those.delete(teller);
      observed[Symbol.dispose]();
    },
  };
}

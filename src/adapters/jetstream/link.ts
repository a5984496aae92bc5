/** The connection, and how long is waited for it. */

import {
  jetstream,
  JetStreamApiError,
  jetstreamManager,
  type JetStreamClient,
  type JetStreamManager,
} from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { now, outside } from "../../core/index.ts";
import { StoreFullError, StoreUnavailableError, type StoreHost } from "../../tasks/index.ts";
import type { ResolvedJetStreamStoreOptions } from "./jetstream-options.ts";

/** A connection that is away for no longer than this is waited for. */
export const blipMs = 1_000;

/** Of JetStream's error codes (nats-server, `server/errors.json`) those that mean that there is no room. */
const fullCodes = new Set([10_023, 10_028, 10_047, 10_054, 10_077]);

export function later(wakeMs: number, wake: () => void): NodeJS.Timeout {
  return outside(() => setTimeout(wake, wakeMs).unref());
}

/** The outcome of `work`, or the error of `late` after `limitMs`. */
export function within<T>(work: Promise<T>, limitMs: number, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = later(limitMs, () => reject(late()));
    const settle = (): void => clearTimeout(timer);
    work.then(resolve, reject).then(settle, settle);
  });
}

/**
 * The connection, and what is asked through it.
 *
 * The client keeps what is sent while it has no connection, to send it later; here nothing is sent then, so that a call
 * that has failed stays failed and nothing piles up.
 */
export class Link {
  readonly #options: ResolvedJetStreamStoreOptions;
  #nc: NatsConnection | undefined;
  #js: JetStreamClient | undefined;
  #jsm: JetStreamManager | undefined;
  #downSince = -Infinity;
  #host: StoreHost = { onError() {} };
  readonly #waiting = new Set<() => void>();
  readonly #acknowledging = new Set<(error: Error) => void>();
  /** Called after each reconnect. */
  readonly onReturn: Set<() => void> = new Set();

  constructor(options: ResolvedJetStreamStoreOptions) {
    this.#options = options;
  }

  get isUp(): boolean {
    return this.#downSince === Infinity;
  }

  get nc(): NatsConnection {
    if (this.#nc === undefined) throw new StoreUnavailableError("jetstream", "The store has not been started.");
    return this.#nc;
  }

  async open(host: StoreHost): Promise<void> {
    const { servers, connection, callTimeout } = this.#options;
    this.#host = host;
    // A start that got no further than this is made again.
    if (this.#nc !== undefined) return;
    const opening = outside(() =>
      connect({
        timeout: callTimeout,
        // A server that stands still is found out within 15 s, not the client's 6 minutes.
        pingInterval: 5_000,
        reconnectTimeWait: 250,
        noAsyncTraces: true,
        ...connection,
        servers: typeof servers === "string" ? servers : [...servers],
        maxReconnectAttempts: -1,
        ignoreAuthErrorAbort: true,
      }),
    );
    try {
      this.#nc = await within(opening, callTimeout, () => new Error(`no connection within ${callTimeout} ms`));
    } catch (cause) {
      opening.then((nc) => nc.close()).catch(() => undefined);
      throw this.unavailable("connecting", cause);
    }
    this.#js = jetstream(this.#nc, { timeout: callTimeout });
    this.#jsm = await jetstreamManager(this.#nc, { timeout: callTimeout, checkAPI: false });
    this.#downSince = Infinity;
    outside(() => void this.#watch(this.nc));
  }

  async close(limitMs: number): Promise<void> {
    this.#downSince = -Infinity;
    if (this.#nc === undefined) return;
    // A write to a socket that the server has just ended fails a little later, as an event of the socket that nobody would
    // hear: the client takes its listeners away as it closes, and the process would end (transport-node 3.4.0).
    await new Promise((resolve) => outside(() => setImmediate(resolve)));
    await within(this.#nc.close(), limitMs, () => new Error("late")).catch(() => undefined);
  }

  report(doing: string, cause: unknown): void {
    this.#host.onError(this.unavailable(doing, cause));
  }

  /** Whether there is a connection, or there is one again within `limitMs`. */
  up(limitMs: number): Promise<boolean> {
    if (this.isUp || limitMs <= 0) return Promise.resolve(this.isUp);
    return new Promise((resolve) => {
      const settle = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(settle);
        resolve(this.isUp);
      };
      const timer = later(limitMs, settle);
      this.#waiting.add(settle);
    });
  }

  /** What `ask` answers within `limitMs`. Fails with a `StoreUnavailableError` or a `StoreFullError`. */
  async call<T>(
    doing: string,
    limitMs: number,
    ask: (js: JetStreamClient, jsm: JetStreamManager, leftMs: number) => Promise<T>,
  ): Promise<T> {
    const endAt = now() + limitMs;
    const { nc } = this;
    const isUp = await this.up(Math.min(limitMs, this.#downSince + blipMs - now()));
    if (!isUp || this.#js === undefined || this.#jsm === undefined) {
      throw this.unavailable(doing, new Error(`not connected to ${nc.getServer()}`));
    }
    const leftMs = Math.max(1, endAt - now());
    try {
      return await within(ask(this.#js, this.#jsm, leftMs), leftMs, () => new Error(`no answer within ${limitMs} ms`));
    } catch (cause) {
      throw this.unavailable(doing, cause);
    }
  }

  /**
   * Sends `payload` to where a message was delivered from, and resolves when the server has taken it. A lost connection
   * ends the wait, so that it can be sent again as soon as there is another one.
   */
  acknowledge(reply: string, payload: string, limitMs: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#acknowledging.add(reject);
    this.nc
      .request(reply, payload, { timeout: Math.max(1, limitMs) })
      .then(() => resolve(), reject)
      .finally(() => this.#acknowledging.delete(reject));
    return promise;
  }

  async #watch(nc: NatsConnection): Promise<void> {
    for await (const status of nc.status()) {
      if (status.type === "disconnect" && this.isUp) {
        this.#downSince = now();
        for (const fail of this.#acknowledging) fail(new Error("the connection was lost"));
        this.report("connected", new Error(`the connection to ${status.server} was lost`));
      } else if (status.type === "reconnect") {
        this.#downSince = Infinity;
        for (const wake of this.#waiting) wake();
        for (const wake of this.onReturn) wake();
      } else if (status.type === "error") this.report("connected", status.error);
    }
  }

  unavailable(doing: string, cause: unknown): Error {
    if (cause instanceof StoreUnavailableError || cause instanceof StoreFullError) return cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (cause instanceof JetStreamApiError && fullCodes.has(cause.code)) {
      const next = "Raise maxJobs or the server's storage, or add jobs more slowly.";
      return new StoreFullError("jetstream", `JetStream has no room (${doing}): ${reason}. ${next}`, { cause });
    }
    const next = "Is the server up, with JetStream on? The call can be made again.";
    return new StoreUnavailableError("jetstream", `JetStream failed (${doing}): ${reason}. ${next}`, { cause });
  }
}

/** The two that every show puts side by side: sluice's Transport and undici's Agent, under the same limits. */

import type { LookupFunction } from "node:net";
import { Transport } from "sluice/client";
import { Agent, request } from "undici";
import type { Dispatcher } from "undici";

export type ContenderName = "sluice" | "undici";

export interface Limits {
  readonly maxConnsPerHost: number;
  readonly idleConnTimeoutMs: number;
  readonly maxIdleConnsPerHost?: number;
  readonly maxWaitersPerHost?: number;
  readonly maxHosts?: number;
  readonly lookup?: LookupFunction;
}

export interface Call {
  readonly method?: Dispatcher.HttpMethod;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
}

/** What a show needs of a client, and no more. */
export interface Contender extends AsyncDisposable {
  readonly name: ContenderName;
  request(url: string, call?: Call): Promise<Dispatcher.ResponseData>;
  /** Requests sent again after a stale connection; undici sends none again. */
  replays(): number;
  /** Origins that the client still has a pool for. */
  origins(): number;
}

export function openContender(name: ContenderName, limits: Limits): Contender {
  return name === "sluice" ? openSluice(limits) : openUndici(limits);
}

function openSluice({ idleConnTimeoutMs, ...limits }: Limits): Contender {
  const transport = new Transport({ ...limits, idleConnTimeout: idleConnTimeoutMs });
  return {
    name: "sluice",
    request: (url, call) => transport.request(url, call),
    replays: () => transport.stats().replays,
    origins: () => transport.stats().origins.length,
    [Symbol.asyncDispose]: () => transport.close(),
  };
}

function openUndici({ maxConnsPerHost, idleConnTimeoutMs, lookup }: Limits): Contender {
  const agent = new Agent({
    connections: maxConnsPerHost,
    keepAliveTimeout: idleConnTimeoutMs,
    ...(lookup ? { connect: { lookup } } : {}),
  });
  return {
    name: "undici",
    request: (url, call) => request(url, { ...call, dispatcher: agent }),
    replays: () => 0,
    origins: () => Object.keys(agent.stats).length,
    [Symbol.asyncDispose]: () => agent.close(),
  };
}

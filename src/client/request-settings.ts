/** What a request needs to know of its transport's options, in milliseconds; one object for all requests alike. */

import type { Dispatcher } from "undici";
import type { LeakedBody } from "./channels.ts";
import { errors } from "./undici.ts";

export interface RequestSettings {
  readonly responseHeaderTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly expectContinueTimeoutMs: number;
  /** How long a body may stand unread before it is counted, and reported if `onLeak` is there. */
  readonly unreadAfterMs: number;
  readonly maxReplays: number;
  readonly keepAlive: boolean;
  readonly onLeak: ((leak: LeakedBody) => void) | undefined;
}

/**
 * The settings with a request's own timeouts put in. As in undici, 0 means none.
 *
 * @throws {errors.InvalidArgumentError} a timeout is below 0 or no number
 */
export function settingsFor(base: RequestSettings, options: Dispatcher.DispatchOptions): RequestSettings {
  const { headersTimeout, bodyTimeout } = options;
  if (headersTimeout == null && bodyTimeout == null) return base;
  return {
    ...base,
    responseHeaderTimeoutMs: ownTimeout("headersTimeout", headersTimeout) ?? base.responseHeaderTimeoutMs,
    bodyTimeoutMs: ownTimeout("bodyTimeout", bodyTimeout) ?? base.bodyTimeoutMs,
  };
}

function ownTimeout(name: string, ms: number | null | undefined): number | undefined {
  if (ms == null) return undefined;
  if (typeof ms === "number" && ms >= 0) return ms === 0 ? Infinity : ms;
  throw new errors.InvalidArgumentError(`invalid ${name}: ${String(ms)} is no number of milliseconds`);
}

/** What a request needs to know of its transport's options, in milliseconds; one object for all requests alike. */

import type { Dispatcher } from "undici";
import type { LeakedBody } from "./channels.ts";

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

/** The settings with a request's own timeouts put in. As in undici, 0 means none. */
export function settingsFor(base: RequestSettings, options: Dispatcher.DispatchOptions): RequestSettings {
  const { headersTimeout, bodyTimeout } = options;
  if (headersTimeout == null && bodyTimeout == null) return base;
  return {
    ...base,
    responseHeaderTimeoutMs: headersTimeout == null ? base.responseHeaderTimeoutMs : headersTimeout || Infinity,
    bodyTimeoutMs: bodyTimeout == null ? base.bodyTimeoutMs : bodyTimeout || Infinity,
  };
}

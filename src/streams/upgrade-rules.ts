/** Which request for a WebSocket is one that is served here, by what its header says. */

import type { IncomingMessage } from "node:http";
import type { StreamRejectReason } from "./instruments.ts";
import type { ResolvedWebSocketsOptions } from "./web-sockets-options.ts";

/** Why a request is answered with a status instead of an upgrade. */
export interface UpgradeRefusal {
  readonly reason: StreamRejectReason;
  readonly status: 400 | 403 | 404 | 503;
  readonly message: string;
}

/** Whether the request is for this path. */
export function isForPath({ url = "/" }: IncomingMessage, path: string | undefined): boolean {
  if (path === undefined) return true;
  const query = url.indexOf("?");
  return (query < 0 ? url : url.slice(0, query)) === path;
}

type Rules = Pick<ResolvedWebSocketsOptions, "origins" | "protocols">;

/** What is wrong with the request, if anything. */
export function checkUpgradeRules(req: IncomingMessage, { origins, protocols }: Rules): UpgradeRefusal | undefined {
  if (!isAllowedOrigin(req, origins)) {
    return { reason: "origin", status: 403, message: "This page may not connect here." };
  }
  const offered = offeredProtocols(req);
  if (protocols.length > 0 && offered.length > 0 && chooseProtocol(offered, protocols) === undefined) {
    return { reason: "handshake", status: 400, message: `Spoken here: ${protocols.join(", ")}.` };
  }
  return undefined;
}

/** The first one that the client asks for, in its order of preference. */
export function chooseProtocol(offered: Iterable<string>, spoken: readonly string[]): string | undefined {
  for (const protocol of offered) if (spoken.includes(protocol)) return protocol;
  return undefined;
}

function offeredProtocols({ headers }: IncomingMessage): readonly string[] {
  const raw = headers["sec-websocket-protocol"] ?? "";
  return raw
    .split(",")
    .map((protocol) => protocol.trim())
    .filter((protocol) => protocol !== "");
}

function isAllowedOrigin({ headers }: IncomingMessage, origins: Rules["origins"]): boolean {
  const { origin, host = "" } = headers;
  if (origin === undefined || origins === "any") return true;
  if (origins !== "same") return origins.includes(origin);
  const page = URL.parse(origin);
  // With a user's name before it, what stands first would not be the host.
  if (page === null || /[@/\\?#]/.test(host)) return false;
  // The port that a scheme has by itself is left out of an origin, and may stand in `Host`.
  return page.host === URL.parse(`${page.protocol}//${host}`)?.host;
}

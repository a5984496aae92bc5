/**
 * What fetch must know of a URL's origin before it sends anything: whether the port is one that browsers block,
 * whether the origin counts as trustworthy (then `sec-fetch-mode` is sent), and which codings are offered to it.
 *
 * `new URL` itself takes half a microsecond, so URLs are always parsed by it and never by hand. The facts of an
 * origin are kept, as a process talks to few of them.
 */

import { isIPv4 } from "node:net";

/** Facts of one origin. */
export interface OriginTraits {
  /** `scheme://host[:port]`, as `URL.origin` writes it. */
  readonly origin: string;
  /** Fetch refuses these ports, so that it cannot be made to talk SMTP and the like ("bad port"). */
  readonly blocked: boolean;
  /** https, localhost and loopback addresses (W3C Secure Contexts, 3.1). */
  readonly trustworthy: boolean;
  readonly acceptEncoding: string;
  /** The whole header list of a request without headers, shared and frozen. */
  readonly defaultHeaders: readonly string[];
}

// Fetch standard, "port blocking". Port 0 is absent, as in undici: connecting to it fails by itself.
const blockedPorts = new Set(
  (
    "1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113 115 117 119 123 " +
    "135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 548 554 556 563 587 601 636 989 990 993 " +
    "995 1719 1720 1723 2049 3659 4045 4190 5060 5061 6000 6566 6665 6666 6667 6668 6669 6679 6697 10080"
  ).split(" "),
);

const maxKnownOrigins = 1_000;
const knownOrigins = new Map<string, OriginTraits>();

/** The facts of the origin of an http or https URL. */
export function traitsOf(url: URL): OriginTraits {
  const { origin } = url;
  const known = knownOrigins.get(origin);
  if (known !== undefined) return known;
  const traits = examine(url, origin);
  // Nothing here is worth a least-recently-used list: facts are found again in a microsecond.
  if (knownOrigins.size >= maxKnownOrigins) knownOrigins.clear();
  knownOrigins.set(origin, traits);
  return traits;
}

/** Path and query as they go on the request line. An empty query keeps its question mark, as in `URL.href`. */
export function requestPath(url: URL): string {
  const { pathname, search } = url;
  if (search !== "") return pathname + search;
  const { href, hash } = url;
  const end = hash === "" && !href.endsWith("#") ? href.length : href.indexOf("#");
  return href.charCodeAt(end - 1) === 0x3f ? `${pathname}?` : pathname;
}

/** The URL without its fragment, which is how a response names itself. */
export function withoutFragment(url: URL): string {
  const { href } = url;
  const fragment = href.indexOf("#");
  return fragment === -1 ? href : href.slice(0, fragment);
}

function examine(url: URL, origin: string): OriginTraits {
  const secure = url.protocol === "https:";
  const trustworthy = secure || isLoopback(url.hostname);
  const acceptEncoding = secure ? "br, gzip, deflate, zstd" : "gzip, deflate";
  const defaultHeaders = ["accept", "*/*", "accept-language", "*"];
  if (trustworthy) defaultHeaders.push("sec-fetch-mode", "cors");
  defaultHeaders.push("user-agent", "node", "accept-encoding", acceptEncoding);
  return {
    origin,
    blocked: blockedPorts.has(url.port),
    trustworthy,
    acceptEncoding,
    defaultHeaders: Object.freeze(defaultHeaders),
  };
}

function isLoopback(hostname: string): boolean {
  if (isIPv4(hostname)) return hostname.startsWith("127.");
  return hostname === "[::1]" || /^(?:.+\.)?localhost\.?$/.test(hostname);
}

/**
 * Refuses requests that Node's parser accepts and should not, before a handler sees them.
 *
 * llhttp is strict about where a message ends, and lenient about what it says: two `Host` headers, `HTTP/2.0` or
 * `Transfer-Encoding: gzip` reach the handler, where one middleware reads the first and the next one the last. Whatever
 * stands in front may read it in a third way; that is how requests are smuggled and caches poisoned. The rule here is
 * that nothing is passed on that two parsers could read in two ways, even where one of the readings is RFC 9112's.
 *
 * It runs for every request, so it reads `rawHeaders` once and allocates nothing; what needs a closer look is decided
 * once for each distinct Host and remembered.
 *
 * Not checked, because there is one reading: escapes in a path (`%2f`, `%zz`), double slashes (`//a` is a path), blanks
 * and empty lines that RFC 9112 2.2 and 3 let a server skip. Not seen from here: `RTSP/1.1` where `HTTP/1.1` belongs,
 * which llhttp accepts for a few methods and does not tell.
 */

import type { IncomingMessage } from "node:http";
import { isIPv6 } from "node:net";
import { badRequests, type BadRequest } from "./bad-request.ts";
import { http } from "./builtins.ts";

/** Character codes. */
const slash = 0x2f;
const letterC = 0x63;
const letterT = 0x74;
const digit0 = 0x30;
const digit9 = 0x39;

const knownMethods: ReadonlySet<string> = new Set(http.METHODS);

/** Hosts found to be good, so that each is parsed once; forgotten all together when there are too many. */
const goodHosts = new Set<string>();
const mostGoodHosts = 1_000;
let lastGoodHost = "";

/** A name is looked up, so it has no more than DNS has. */
const longestName = 255;
/** With a colon and a port. */
const longestHost = longestName + 6;

/**
 * What every parser reads as the same authority: `name`, `name:port`, `address`, `[ipv6]:port`.
 *
 * RFC 3986 has more: `a,b`, `a;b` and `%61` are names too, and no resolver knows them. An underscore is no part of a
 * host name (RFC 952), but of thousands of names in container networks, and nobody reads it otherwise.
 */
const authorityPattern = /^(?:([\w~-]+(?:\.[\w~-]+)*\.?)|\[([\d:a-fA-F.]+)\])(?::(\d{0,5}))?$/;

function parsesAsHost(host: string): boolean {
  if (host.length > longestHost) return false;
  const [, name, address, port = ""] = authorityPattern.exec(host) ?? [];
  if (Number(port) > 65_535) return false;
  if (address !== undefined) return isIPv6(address);
  if (name === undefined || name.length > longestName) return false;
  // `127.1`, `0x7f.1` and `2130706433` are names for one parser and an address for the next.
  return URL.parse(`http://${name}`)?.hostname === name.toLowerCase();
}

function isGoodHost(host: string): boolean {
  if (host === lastGoodHost) return true;
  if (!goodHosts.has(host)) {
    if (!parsesAsHost(host)) return false;
    if (goodHosts.size >= mostGoodHosts) goodHosts.clear();
    goodHosts.add(host);
  }
  lastGoodHost = host;
  return true;
}

function isHost(name: string): boolean {
  return name === "Host" || name === "host" || name.toLowerCase() === "host";
}

/** Looks at the first letter before it makes a string: `Sec-Fetch-Mode`, for one, is as long. */
function isContentLength(name: string): boolean {
  if ((name.charCodeAt(0) | 0x20) !== letterC) return false;
  return name === "Content-Length" || name === "content-length" || name.toLowerCase() === "content-length";
}

function isTransferEncoding(name: string): boolean {
  return (name.charCodeAt(0) | 0x20) === letterT && name.toLowerCase() === "transfer-encoding";
}

/** llhttp counts up to 2^64. Elsewhere the count ends at 2^63, at 2^31, or becomes another number at 2^53. */
function isLength(value: string): boolean {
  if (value.length === 0 || value.length > 16) return false;
  for (let at = 0; at < value.length; at += 1) {
    const code = value.charCodeAt(at);
    if (code < digit0 || code > digit9) return false;
  }
  return value.length < 16 || Number(value) <= Number.MAX_SAFE_INTEGER;
}

/** RFC 9112 6.1. In HTTP/1.0 it means that somebody on the way passed on what he did not know. */
function checkCoding(coding: string, httpVersionMinor: number): BadRequest | undefined {
  if (httpVersionMinor === 0) return badRequests.transfer_encoding;
  if (coding === "chunked" || coding.toLowerCase() === "chunked") return undefined;
  return /^[\w-]+(?:[ \t]*,[ \t]*[\w-]+)*[ \t]*,[ \t]*chunked$/i.test(coding)
    ? badRequests.transfer_coding
    : badRequests.transfer_encoding;
}

function checkHost(host: string | undefined, httpVersionMinor: number): BadRequest | undefined {
  // RFC 9112 3.2: HTTP/1.0 knew no Host.
  if (host === undefined) return httpVersionMinor === 0 ? undefined : badRequests.host_missing;
  // An empty one is for targets without an authority, which no client of http: or https: has.
  if (host === "") return badRequests.host_empty;
  return isGoodHost(host) ? undefined : badRequests.host_malformed;
}

/** Everything but the request target. What makes the next request uncertain comes first. */
function checkHeader(req: IncomingMessage, maxHeaders: number): BadRequest | undefined {
  const { rawHeaders, httpVersionMinor } = req;
  if (req.httpVersionMajor !== 1 || httpVersionMinor > 1) return badRequests.version;
  const end = rawHeaders.length;
  if (end > 2 * maxHeaders) return badRequests.header_count;
  let host: string | undefined;
  let length: string | undefined;
  let coding: string | undefined;
  let isHostTwice = false;
  for (let at = 0; at < end; at += 2) {
    const name = rawHeaders[at] ?? "";
    // The length alone tells nearly all names from the three that matter here.
    if (name.length === 4) {
      if (!isHost(name)) continue;
      isHostTwice ||= host !== undefined;
      host = rawHeaders[at + 1];
    } else if (name.length === 14) {
      if (!isContentLength(name)) continue;
      if (length !== undefined) return badRequests.content_length;
      length = rawHeaders[at + 1];
    } else if (name.length === 17 && isTransferEncoding(name)) {
      if (coding !== undefined) return badRequests.transfer_encoding;
      coding = rawHeaders[at + 1];
    }
  }
  if (length !== undefined && (coding !== undefined || !isLength(length))) return badRequests.content_length;
  const bad = coding === undefined ? undefined : checkCoding(coding, httpVersionMinor);
  if (bad !== undefined) return bad;
  return isHostTwice ? badRequests.host_duplicate : checkHost(host, httpVersionMinor);
}

/**
 * RFC 9112 3.2: a target has no fragment. A backslash is a slash for a browser and for `new URL`, and a letter for
 * everybody else; after the `?` it is one for all, and browsers send it.
 */
function isGoodPath(url: string): boolean {
  if (url.includes("#")) return false;
  const backslash = url.indexOf("\\");
  if (backslash < 0) return true;
  const query = url.indexOf("?");
  return query >= 0 && query < backslash;
}

/** Without the port that the scheme has anyway. */
function withoutDefaultPort(host: string, scheme: string): string {
  const port = scheme === "https" ? ":443" : ":80";
  const shorter = host.endsWith(port) ? host.slice(0, -port.length) : host;
  return shorter.endsWith(":") ? shorter.slice(0, -1) : shorter;
}

function isSameHost(one: string, other: string, scheme: string): boolean {
  return withoutDefaultPort(one.toLowerCase(), scheme) === withoutDefaultPort(other.toLowerCase(), scheme);
}

/**
 * `http://host/path`, as proxies get it, and as RFC 9112 3.2.2 wants it accepted everywhere.
 *
 * There the target's host counts and Host is ignored; frameworks do it the other way round. So they must be the same.
 */
function checkAbsolute(url: string, host: string | undefined): BadRequest | undefined {
  const [, scheme = "", target = ""] = /^(https?):\/\/([^/?]+)/.exec(url.toLowerCase()) ?? [];
  if (!isGoodHost(target) || !isGoodPath(url)) return badRequests.target;
  // HTTP/1.0 may leave Host out, but then the target names a host for some and nobody does for others.
  if (host === undefined) return badRequests.host_missing;
  return isSameHost(target, host, scheme) ? undefined : badRequests.host_mismatch;
}

function checkTarget(req: IncomingMessage): BadRequest | undefined {
  const { url = "", method = "" } = req;
  // RTSP's own methods, which come with its own version.
  if (method !== "GET" && method !== "POST" && !knownMethods.has(method)) return badRequests.request_line;
  if (url.charCodeAt(0) === slash) return isGoodPath(url) ? undefined : badRequests.target;
  if (url === "*") return method === "OPTIONS" ? undefined : badRequests.target;
  return checkAbsolute(url, req.headers.host);
}

/** The header of a stream begins with its pseudo-fields, whose names no request of HTTP/1 can have. */
const pseudoFields = 4;

/**
 * A request of HTTP/2: nghttp2 has seen to its framing, its pseudo-fields and their characters. It lets Host say
 * something else than `:authority`, which RFC 9113 8.3.1 calls malformed.
 */
function checkStream(
  { headers, method, url = "", rawHeaders }: IncomingMessage,
  maxHeaders: number,
): BadRequest | undefined {
  if (rawHeaders.length > 2 * (maxHeaders + pseudoFields)) return badRequests.header_count;
  const { ":authority": authority, ":scheme": scheme, host } = headers;
  // Declared as a list like any field that Node does not know, and never one: nghttp2 refuses the second.
  const target = typeof authority === "string" ? authority : host;
  if (target === undefined) return badRequests.host_missing;
  if (target === "") return badRequests.host_empty;
  if (!isGoodHost(target)) return badRequests.host_malformed;
  if (host !== undefined && host !== target && !isSameHost(host, target, String(scheme)))
    return badRequests.host_mismatch;
  return isGoodPath(url) && (url !== "*" || method === "OPTIONS") ? undefined : badRequests.target;
}

/**
 * Says what is wrong with a request that Node gives to a handler: one of `'request'`, `'checkContinue'` or
 * `'checkExpectation'`.
 *
 * For `header_count` and `host_missing` the server must let them through to here: `maxHeadersCount` above `maxHeaders`,
 * since Node drops what is beyond without a word, and `requireHostHeader: false`.
 */
export function checkRequest(req: IncomingMessage, maxHeaders: number): BadRequest | undefined {
  const bad = checkHeader(req, maxHeaders) ?? checkTarget(req);
  // HTTP/2 has that version in earnest.
  return bad === badRequests.version && ":method" in req.headers ? checkStream(req, maxHeaders) : bad;
}

/** RFC 9112 3.2.3: `host:port` and nothing else. */
function checkTunnel(req: IncomingMessage, maxHeaders: number): BadRequest | undefined {
  const { url = "" } = req;
  const bad = checkHeader(req, maxHeaders);
  if (bad !== undefined) return bad;
  return isGoodHost(url) && /:\d+$/.test(url) ? undefined : badRequests.target;
}

/**
 * Says what is wrong with a request of `'upgrade'` or `'connect'`, whose connection will not be HTTP any more.
 *
 * A body is refused: what follows the header is its body for Node 26 and the new protocol's first bytes for Node 24.
 * RFC 9110 7.8 has an upgrade in HTTP/1.0 ignored, for which it is too late here.
 */
export function checkUpgrade(req: IncomingMessage, maxHeaders: number): BadRequest | undefined {
  const isTunnel = req.method === "CONNECT";
  const bad = isTunnel ? checkTunnel(req, maxHeaders) : checkRequest(req, maxHeaders);
  if (bad !== undefined) return bad;
  const { "content-length": length = "0", "transfer-encoding": coding } = req.headers;
  if (Number(length) > 0 || coding !== undefined) return badRequests.upgrade;
  return isTunnel || req.httpVersionMinor === 1 ? undefined : badRequests.upgrade;
}

/**
 * The redirect rules of the Fetch standard ("HTTP-redirect fetch"), as Node's fetch applies them.
 *
 * A pure function from one hop and its answer to the next hop; the exchange does the sending.
 */

import { repeatBody } from "./request-body.ts";
import type { LeanRequest } from "./lean-request.ts";

const maxRedirects = 20;

export function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

/**
 * The next hop.
 *
 * Throws the error that becomes the `cause` of "fetch failed": the location is no http URL, carries a password, is one
 * too many, or asks to send again a body that is gone. The messages are those of Node's fetch.
 */
export function followRedirect(request: LeanRequest, status: number, location: string): LeanRequest {
  const url = new URL(decodeLocation(location), request.url);
  if (url.hash === "") url.hash = request.url.hash;
  if (url.protocol !== "http:" && url.protocol !== "https:") throw new Error("URL scheme must be a HTTP(S) scheme");
  if (request.redirectCount === maxRedirects) throw new Error("redirect count exceeded");
  if (url.username !== "" || url.password !== "") {
    throw new Error('cross origin not allowed for request mode "cors"');
  }
  const body = status === 303 ? null : repeatBody(request.body);
  // The standard has a network error without a message here.
  if (body === undefined) throw new Error("");
  const next = { ...request, url, redirectCount: request.redirectCount + 1 };
  const toGet = turnsIntoGet(request.method, status);
  let { headers } = request;
  if (toGet) headers = headers.withoutBodyHeaders();
  if (url.origin !== request.url.origin) headers = headers.withoutSecrets();
  return {
    ...next,
    headers,
    method: toGet ? "GET" : request.method,
    body: toGet ? null : body,
    tainted: request.tainted || url.origin !== request.firstUrl.origin,
  };
}

function turnsIntoGet(method: string, status: number): boolean {
  if (status === 303) return method !== "GET" && method !== "HEAD";
  return (status === 301 || status === 302) && method === "POST";
}

/** Some servers write the location as raw UTF-8, which arrives as Latin-1. Browsers read it as UTF-8, and so does Node. */
function decodeLocation(location: string): string {
  return /^[\x20-\x7e]*$/.test(location) ? location : Buffer.from(location, "latin1").toString("utf8");
}

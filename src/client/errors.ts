/**
 * What can go wrong between `transport.dispatch` and the last byte of a response, one class per cause.
 *
 * `phase` says where the request stood, so that "it timed out" is never the whole story; `sent` says whether the
 * server may have seen the request, which is what a caller needs to decide if trying again is safe. A failure that
 * undici or Node users already match on is kept as `cause` under its own name and code. System errors of a dial
 * (`ECONNREFUSED`, `ENOTFOUND`, certificate errors) are not wrapped at all.
 */

import { SluiceError } from "../core/errors.ts";
import { errors as undiciErrors } from "./undici.ts";

/** Where a request stands. The order is the order of a request's life. */
export type Phase = "queue" | "dns" | "connect" | "proxy" | "tls" | "request" | "response_header" | "body" | "total";

/** The pool of one origin at the moment it gave up. */
export interface PoolSnapshot {
  readonly origin: string;
  readonly limit: number;
  readonly inUse: number;
  readonly idle: number;
  readonly connecting: number;
  readonly waiting: number;
}

/** What all errors of the client have: the phase, and whether bytes of the request may have reached the server. */
export abstract class ClientError extends SluiceError {
  abstract readonly phase: Phase;
  abstract readonly sent: boolean;
}

function describePool(pool: PoolSnapshot): string {
  return (
    `${pool.inUse} of ${pool.limit} connections in use, ${pool.idle} idle, ` +
    `${pool.connecting} connecting, ${pool.waiting} waiting`
  );
}

/** No connection became free within `poolTimeout`. The request was never sent, so it is safe to repeat. */
export class PoolTimeoutError extends ClientError {
  readonly code = "ERR_POOL_TIMEOUT";
  readonly phase = "queue";
  readonly sent = false;
  readonly pool: PoolSnapshot;

  constructor(waitedMs: number, pool: PoolSnapshot) {
    super(
      `No connection to ${pool.origin} became free within ${Math.round(waitedMs)} ms (${describePool(pool)}). ` +
        "Raise maxConnsPerHost, or find what holds the connections: stats() names unread bodies.",
    );
    this.pool = pool;
  }
}

/** `maxWaitersPerHost` requests already wait for others' connections. It was never sent, so it is safe to repeat. */
export class PoolFullError extends ClientError {
  readonly code = "ERR_POOL_FULL";
  readonly phase = "queue";
  readonly sent = false;
  readonly pool: PoolSnapshot;

  constructor(pool: PoolSnapshot) {
    super(
      `Too many requests wait for a connection to ${pool.origin} (${describePool(pool)}). ` +
        "Shed load earlier, or raise maxWaitersPerHost or maxConnsPerHost.",
    );
    this.pool = pool;
  }
}

/** `maxHosts` origins are known and every one of them is in use, so none can be forgotten to make room. */
export class TooManyHostsError extends ClientError {
  readonly code = "ERR_TOO_MANY_HOSTS";
  readonly phase = "queue";
  readonly sent = false;

  constructor(origin: string, maxHosts: number) {
    super(
      `No room for ${origin}: all ${maxHosts} known origins are in use. Raise maxHosts, or bound what is fetched at once.`,
    );
  }
}

/** DNS and TCP, or the tunnel through a proxy, took longer than `dialTimeout`. Nothing was sent. */
export class DialTimeoutError extends ClientError {
  readonly code = "ERR_DIAL_TIMEOUT";
  readonly phase: "dns" | "connect" | "proxy";
  readonly sent = false;

  constructor(phase: "dns" | "connect" | "proxy", target: string, timeoutMs: number, detail = "") {
    const step = { dns: "The name lookup for", connect: "Connecting to", proxy: "The proxy's tunnel to" }[phase];
    const message = `${step} ${target} took longer than dialTimeout (${timeoutMs} ms).${detail && ` ${detail}`}`;
    super(message, { cause: new undiciErrors.ConnectTimeoutError(message) });
    this.phase = phase;
  }
}

/** The TLS handshake took longer than `tlsHandshakeTimeout`. Nothing was sent. */
export class TlsHandshakeTimeoutError extends ClientError {
  readonly code = "ERR_TLS_HANDSHAKE_TIMEOUT";
  readonly phase = "tls";
  readonly sent = false;

  constructor(target: string, timeoutMs: number) {
    const message = `The TLS handshake with ${target} took longer than tlsHandshakeTimeout (${timeoutMs} ms).`;
    super(message, { cause: new undiciErrors.ConnectTimeoutError(message) });
  }
}

/** The proxy could not be reached, answered `CONNECT` with something else than 2xx, or broke off. Nothing reached the origin. */
export class ProxyConnectError extends ClientError {
  readonly code = "ERR_PROXY_CONNECT";
  readonly phase = "proxy";
  readonly sent = false;
  /** Status of the proxy's answer; 0 when it gave none. */
  readonly status: number;

  constructor(proxy: string, target: string, status: number, options?: ErrorOptions) {
    const cause = options?.cause instanceof Error ? `: ${options.cause.message}` : "";
    const answer = status === 0 ? `failed${cause}` : `answered ${status}`;
    const next = status === 407 ? " Put the user and password into the proxy's URL." : "";
    super(`The proxy ${proxy} ${answer}, when asked to connect to ${target}.${next}`, options);
    this.status = status;
  }
}

/** The request body stood still for longer than `bodyTimeout`: its source gave nothing, or the server took nothing. */
export class RequestBodyTimeoutError extends ClientError {
  readonly code = "ERR_REQUEST_BODY_TIMEOUT";
  readonly phase = "request";
  readonly sent = true;

  constructor(origin: string, timeoutMs: number) {
    super(`The request body to ${origin} stood still for longer than bodyTimeout (${timeoutMs} ms).`);
  }
}

/** The server sent interim answers (1xx) without an end in sight. */
export class InterimResponsesError extends ClientError {
  readonly code = "ERR_TOO_MANY_INTERIM_RESPONSES";
  readonly phase = "response_header";
  readonly sent = true;

  constructor(origin: string, count: number) {
    super(`${origin} sent ${count} interim responses (1xx) and no final one.`);
  }
}

/** No response header arrived within `responseHeaderTimeout` after the request was written. The server may have acted on it. */
export class ResponseHeaderTimeoutError extends ClientError {
  readonly code = "ERR_RESPONSE_HEADER_TIMEOUT";
  readonly phase = "response_header";
  readonly sent = true;

  constructor(origin: string, timeoutMs: number) {
    const message = `${origin} sent no response header within responseHeaderTimeout (${timeoutMs} ms).`;
    super(`${message} The server may have acted on the request.`, {
      cause: new undiciErrors.HeadersTimeoutError(message),
    });
  }
}

/** The response body stood still for longer than `bodyTimeout` while it was being read. */
export class BodyTimeoutError extends ClientError {
  readonly code = "ERR_BODY_TIMEOUT";
  readonly phase = "body";
  readonly sent = true;

  constructor(origin: string, timeoutMs: number) {
    const message = `The response body from ${origin} stood still for longer than bodyTimeout (${timeoutMs} ms).`;
    super(message, { cause: new undiciErrors.BodyTimeoutError(message) });
  }
}

/** The transport is closed or closing. Nothing was sent. */
export class TransportClosedError extends ClientError {
  readonly code = "ERR_TRANSPORT_CLOSED";
  readonly phase = "queue";
  readonly sent = false;

  constructor() {
    const message = "The transport is closed and takes no new requests.";
    super(message, { cause: new undiciErrors.ClientDestroyedError(message) });
  }
}

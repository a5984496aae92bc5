/**
 * Every way in which a request can be bad, and what the client and the operator are told.
 *
 * Node answers a parser's error with a bare status line, and tells nobody why. Here each cause has a word, which is the
 * label of a counter, a status and one sentence that names the rule and never repeats what was sent: an answer that
 * echoes its request is a way to put words into the mouth of a server. The operator gets the same, the address, and of
 * the wire at most the beginning of a request line, without its query: further on there may be somebody's password.
 *
 * What the parser lets through and should not is found by `strict-request.ts`.
 */

import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";

/** Why a request was refused. Stable: these words are the values of a label. */
export type BadRequestReason =
  | "request_line"
  | "method"
  | "target"
  | "target_size"
  | "version"
  | "host_missing"
  | "host_empty"
  | "host_duplicate"
  | "host_malformed"
  | "host_mismatch"
  | "header"
  | "header_size"
  | "header_count"
  | "content_length"
  | "transfer_encoding"
  | "transfer_coding"
  | "chunk"
  | "chunk_extension"
  | "upgrade"
  | "after_close"
  | "incomplete"
  | "timeout"
  | "tls_on_http"
  | "http_on_tls"
  | "other";

/** One way to be bad. There is one object for each reason, so that refusing allocates nothing. */
export interface BadRequest {
  readonly reason: BadRequestReason;
  readonly status: 400 | 408 | 413 | 414 | 431 | 501 | 505;
  /** One sentence for the client. */
  readonly message: string;
  /** Whether the connection must be closed: it is not certain where the next request begins, or whose it is. */
  readonly close: boolean;
}

/** What is told about a request that was refused. */
export interface BadRequestEvent {
  readonly reason: BadRequestReason;
  readonly status: number;
  readonly message: string;
  readonly remoteAddress: string | undefined;
  /** The code of Node's error, such as `HPE_INVALID_METHOD`; undefined when Node had none. */
  readonly code: string | undefined;
  /**
   * The beginning of the request line without the query: at most 64 characters, with escapes for what is not printable
   * ASCII. Undefined unless it is certain that this is where a request began.
   */
  readonly excerpt: string | undefined;
}

/** What Node adds to the error that it gives to `'clientError'`. */
interface ClientError extends Error {
  readonly code?: string;
  /** The parser's own words. */
  readonly reason?: string;
  /** What was parsed last: one read from the socket, which need not begin where a request does. */
  readonly rawPacket?: Buffer;
  readonly bytesParsed?: number;
}

function closing(reason: BadRequestReason, status: BadRequest["status"], message: string): BadRequest {
  return { reason, status, message, close: true };
}

/** For what is wrong in itself and leaves no doubt where the next request begins. */
function keeping(reason: BadRequestReason, status: BadRequest["status"], message: string): BadRequest {
  return { reason, status, message, close: false };
}

/** The one {@link BadRequest} of each reason. */
export const badRequests: Readonly<Record<BadRequestReason, BadRequest>> = {
  request_line: closing("request_line", 400, "The request line is malformed."),
  method: closing("method", 501, "This method is not known here."),
  target: keeping("target", 400, "The request target is malformed."),
  target_size: closing("target_size", 414, "The request target is too long."),
  version: closing("version", 505, "This server speaks HTTP/1.1 and HTTP/1.0."),
  host_missing: keeping("host_missing", 400, "The Host header is missing."),
  host_empty: keeping("host_empty", 400, "The Host header is empty."),
  // Two requests that were melted into one, because somebody on the way read a length otherwise, have a Host each.
  host_duplicate: closing("host_duplicate", 400, "There is more than one Host header."),
  host_malformed: keeping("host_malformed", 400, "The Host header is malformed."),
  host_mismatch: keeping("host_mismatch", 400, "The Host header names another host than the request target."),
  header: closing("header", 400, "A header field is malformed."),
  header_size: closing("header_size", 431, "The request line and the header are too large."),
  header_count: closing("header_count", 431, "There are too many header fields."),
  content_length: closing("content_length", 400, "The Content-Length is malformed, repeated, or not alone."),
  transfer_encoding: closing("transfer_encoding", 400, "The Transfer-Encoding leaves the body's length unclear."),
  transfer_coding: closing("transfer_coding", 501, "No transfer coding but chunked is known here."),
  chunk: closing("chunk", 400, "A chunk of the body is malformed."),
  chunk_extension: closing("chunk_extension", 413, "The chunk extensions are too large."),
  upgrade: closing("upgrade", 400, "A request that leaves HTTP must be HTTP/1.1 and have no body."),
  after_close: closing("after_close", 400, "Something follows a request that was to be the last one."),
  incomplete: closing("incomplete", 400, "The request ended before it was complete."),
  timeout: closing("timeout", 408, "The request took too long to arrive."),
  tls_on_http: closing("tls_on_http", 400, "This port speaks HTTP, not HTTPS."),
  http_on_tls: closing("http_on_tls", 400, "This port speaks HTTPS, not HTTP."),
  other: closing("other", 400, "The request is malformed."),
};

/** Codes of llhttp and of Node that say by themselves what was wrong. */
const reasonOfCode: ReadonlyMap<string, BadRequestReason> = new Map([
  ["HPE_INVALID_CONSTANT", "request_line"],
  ["HPE_INVALID_URL", "target"],
  ["HPE_PAUSED_H2_UPGRADE", "version"],
  ["HPE_INVALID_HEADER_TOKEN", "header"],
  ["HPE_UNEXPECTED_SPACE", "header"],
  ["HPE_INVALID_CONTENT_LENGTH", "content_length"],
  ["HPE_UNEXPECTED_CONTENT_LENGTH", "content_length"],
  ["HPE_INVALID_TRANSFER_ENCODING", "transfer_encoding"],
  ["HPE_INVALID_CHUNK_SIZE", "chunk"],
  ["HPE_CHUNK_EXTENSIONS_OVERFLOW", "chunk_extension"],
  ["HPE_CLOSED_CONNECTION", "after_close"],
  ["HPE_INVALID_EOF_STATE", "incomplete"],
  ["ERR_HTTP_REQUEST_TIMEOUT", "timeout"],
  ["ERR_SSL_HTTP_REQUEST", "http_on_tls"],
]);

const carriageReturn = 13;
const newline = 10;
const longestExcerpt = 64;

/** `bytes` as Latin-1, up to the end of its first line, or to `limit`. */
function firstLineOf(bytes: Buffer, limit: number): string {
  const end = bytes.subarray(0, limit).findIndex((byte) => byte === newline || byte === carriageReturn);
  return bytes.toString("latin1", 0, end < 0 ? Math.min(limit, bytes.length) : end);
}

/** Whether everything up to the error is the first line of what was parsed. */
function isInFirstLine({ rawPacket, bytesParsed = 0 }: ClientError): boolean {
  return rawPacket !== undefined && firstLineOf(rawPacket, bytesParsed).length === bytesParsed;
}

/** The record header of a TLS handshake: type 22, version 3.x. */
function beginsTls(packet: Buffer | undefined): boolean {
  return packet?.[0] === 0x16 && packet[1] === 3;
}

function unknownMethod({ rawPacket, bytesParsed = 0 }: ClientError): BadRequestReason {
  if (rawPacket === undefined) return "request_line";
  if (beginsTls(rawPacket)) return "tls_on_http";
  // RFC 9110 9.1 has 501 for a method that a server does not know. But this must be one, and not what follows a request.
  const [method = ""] = /^[\w!#$%&'*+.^`|~-]+(?= \S+ HTTP\/1\.[01]$)/.exec(firstLineOf(rawPacket, 1_024)) ?? [];
  return bytesParsed < method.length ? "method" : "request_line";
}

function wrongVersion({ reason, rawPacket, bytesParsed = 0 }: ClientError): BadRequestReason {
  // "Invalid HTTP version" is one that is spelt well, such as 1.2 or 3.0. HTTP/2 and HTTP/3 are spelt without a dot.
  const isWhole = reason === "Expected dot" && rawPacket?.[bytesParsed] === carriageReturn;
  return isWhole || reason === "Invalid HTTP version" ? "version" : "request_line";
}

/** llhttp has one limit for the request line and the header; only sometimes it is certain which one was too large. */
function overflow(error: ClientError): BadRequestReason {
  const start = error.rawPacket?.toString("latin1", 0, 32) ?? "";
  return /^[A-Z-]+ [/*h]/.test(start) && isInFirstLine(error) ? "target_size" : "header_size";
}

/** Codes that llhttp uses for the end of any line. */
function brokenLine({ reason = "" }: ClientError): BadRequestReason {
  if (reason.includes("chunk")) return "chunk";
  return reason.includes("version") ? "request_line" : "header";
}

function reasonOf(error: ClientError): BadRequestReason | undefined {
  const { code } = error;
  switch (code) {
    case "HPE_INVALID_METHOD":
      return unknownMethod(error);
    case "HPE_INVALID_VERSION":
      return wrongVersion(error);
    case "HPE_HEADER_OVERFLOW":
      return overflow(error);
    case "HPE_CR_EXPECTED":
    case "HPE_LF_EXPECTED":
    case "HPE_STRICT":
      return brokenLine(error);
    case undefined:
      return undefined;
    default:
      return reasonOfCode.get(code) ?? (code.startsWith("HPE_") ? "other" : undefined);
  }
}

/**
 * What the error of a `'clientError'` event means. `undefined` for what is no request at all, and has nobody left to be
 * answered: a connection that was reset, or a TLS handshake that failed.
 */
export function describeClientError(error: Error): BadRequest | undefined {
  const reason = reasonOf(error);
  return reason === undefined ? undefined : badRequests[reason];
}

/** What is safe to show of a request line: no query, and nothing that a terminal or a log would act on. */
function excerpt(line: string): string {
  const [shown = ""] = line.slice(0, longestExcerpt).split("?", 1);
  const escaped = shown.replaceAll(/[^ -~]|\\/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
  return escaped.slice(0, longestExcerpt);
}

/** The event of a request that `checkRequest` refused. */
export function eventOfRequest(bad: BadRequest, req: IncomingMessage): BadRequestEvent {
  const { reason, status, message } = bad;
  const line = excerpt(`${req.method} ${req.url} HTTP/${req.httpVersion}`);
  return { reason, status, message, remoteAddress: req.socket.remoteAddress, code: undefined, excerpt: line };
}

/** The event of a `'clientError'`. */
export function eventOfClientError(bad: BadRequest, error: Error, socket: Socket): BadRequestEvent {
  const { reason, status, message } = bad;
  const clientError: ClientError = error;
  const { code, rawPacket } = clientError;
  // Later reads may be anything: the middle of a header, or what follows a body with a wrong length.
  const isFirstRead = rawPacket !== undefined && socket.bytesRead === rawPacket.length;
  const shown = isFirstRead && isInFirstLine(clientError) ? excerpt(firstLineOf(rawPacket, longestExcerpt)) : undefined;
  return { reason, status, message, remoteAddress: socket.remoteAddress, code, excerpt: shown };
}

/**
 * Every way to write to a response, for tests of writing when it is too late.
 *
 * They are here and not in a test, because a report names the first place outside `src`; each stands on a line of its
 * own, which is its place.
 */

import { ServerResponse } from "node:http";
import { Http2ServerResponse } from "node:http2";
import { PassThrough, Readable } from "node:stream";

/** A response of HTTP/1, which may as well be one of HTTP/2. */
export interface AnyResponse extends ServerResponse {
  readonly setTrailer?: (name: string, value: string) => void;
  readonly createPushResponse?: (headers: object, callback: (error: Error | null) => void) => void;
}

export interface LateCall {
  /** What a report calls it. */
  readonly method: string;
  readonly call: (res: AnyResponse) => unknown;
  /** What it returns when it is too late; `"res"` stands for the response. */
  readonly returns: unknown;
  /** Whether Node takes it for an error once the header is out, as long as the answer is on its way. */
  readonly ofHead?: boolean;
  /** `false` when it is a mistake at any time. */
  readonly isValid?: boolean;
}

const nothing = (): void => {};

export const lateCalls: Readonly<Record<string, LateCall>> = {
  setHeader: {
    method: "setHeader",
    ofHead: true,
    returns: "res",
    call: (res) => res.setHeader("x-late", "1"),
  },
  setHeaders: {
    method: "setHeaders",
    ofHead: true,
    returns: "res",
    call: (res) => res.setHeaders(new Map([["x-late", "1"]])),
  },
  appendHeader: {
    method: "appendHeader",
    ofHead: true,
    returns: "res",
    call: (res) => res.appendHeader("x-late", "1"),
  },
  removeHeader: {
    method: "removeHeader",
    ofHead: true,
    returns: undefined,
    call: (res) => res.removeHeader("x-kept"),
  },
  writeHead: {
    method: "writeHead",
    ofHead: true,
    returns: "res",
    call: (res) => res.writeHead(500, { "x-late": "1" }),
  },
  flushHeaders: {
    method: "flushHeaders",
    returns: undefined,
    call: (res) => res.flushHeaders(),
  },
  write: {
    method: "write",
    returns: false,
    call: (res) => res.write("late"),
  },
  "write of bytes": {
    method: "write",
    returns: false,
    call: (res) => res.write(Buffer.from("late"), nothing),
  },
  "write of nothing": {
    method: "write",
    isValid: false,
    returns: false,
    call: (res) => res.write(null),
  },
  "end with a last chunk": {
    method: "end",
    returns: "res",
    call: (res) => res.end("late"),
  },
  "end with a chunk and a callback": {
    method: "end",
    returns: "res",
    call: (res) => res.end("late", "utf8", nothing),
  },
  addTrailers: {
    method: "addTrailers",
    returns: undefined,
    call: (res) => res.addTrailers({ "x-late": "1" }),
  },
  setTrailer: {
    method: "setTrailer",
    returns: undefined,
    call: (res) => res.setTrailer?.("x-late", "1"),
  },
  cork: {
    method: "cork",
    returns: undefined,
    call: (res) => res.cork(),
  },
  pipe: {
    method: "pipe",
    returns: "res",
    call: (res) => Readable.from(["late", "later"]).pipe(res),
  },
  "pipe of a stream that flows": {
    method: "pipe",
    returns: "res",
    call: (res) => new PassThrough().on("data", nothing).pipe(res),
  },
  "pipe out of the response": {
    method: "pipe",
    returns: undefined,
    call: (res) => void res.pipe(new PassThrough()),
  },
  writeContinue: {
    method: "writeContinue",
    ofHead: true,
    returns: false,
    call: (res) => res.writeContinue(),
  },
  writeProcessing: {
    method: "writeProcessing",
    ofHead: true,
    returns: false,
    call: (res) => res.writeProcessing(),
  },
  writeEarlyHints: {
    method: "writeEarlyHints",
    ofHead: true,
    returns: false,
    call: (res) => res.writeEarlyHints({ link: "</late.css>; rel=preload" }),
  },
  writeInformation: {
    method: "writeInformation",
    ofHead: true,
    returns: false,
    call: (res) => res.writeInformation(103, { "x-late": "1" }),
  },
  createPushResponse: {
    method: "createPushResponse",
    returns: undefined,
    call: (res) => res.createPushResponse?.({ ":path": "/late" }, nothing),
  },
};

/** Names of the calls that the responses of a protocol know in this version of Node. */
export function lateCallsOf(protocol: "HTTP/1" | "HTTP/2"): readonly string[] {
  const prototype: object = protocol === "HTTP/1" ? ServerResponse.prototype : Http2ServerResponse.prototype;
  return Object.keys(lateCalls).filter((name) => (lateCalls[name]?.method ?? "") in prototype);
}

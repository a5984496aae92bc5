/**
 * The methods of a response whose answer may be complete already.
 *
 * Node's own throw then (`setHeader`) or emit 'error' (`write`), or they harm the answer (`cork` holds up what is on its
 * way, HTTP/2's `write` resets the stream); and as a handler that has answered is not waited for, nobody catches
 * it, and the process ends. These do nothing then, and tell {@link LateWrites}. Until then they are Node's.
 *
 * They must not depend on the prototype, because Express replaces the prototype of
 * each response, at times after its end, and because middlewares keep the functions that they find (compression,
 * express-session) and call them whenever they like. All are shared: there is no closure and no state for a request,
 * since Node knows whether an answer is complete. Twenty own properties cost half a microsecond, so the prototype of a
 * class has them where there is a say in it, and a response has them only from its end on, if it is not of that class
 * any more. `Object.setPrototypeOf`, the other way to change many methods at once, takes 1 us.
 *
 * What it does not reach: functions of Node's prototypes called by their name, what is written to the socket itself,
 * `destroy()`, and `stream.pipeline()`, which throws ERR_STREAM_UNABLE_TO_PIPE to its caller before it does anything.
 */

import type { EventEmitter } from "node:events";
import { servedBy as exchangeOf } from "../core/served.ts";
import type { LateRequest, LateWrites } from "./late-writes.ts";

export { exchangeOf };

/** On whatever has the methods below as its own: a response, or the prototype of a class of responses. */
const contained: unique symbol = Symbol("sluice.contained");

/** What is needed of that request-answer here. */
export interface LateWriteOwner {
  readonly lateWrites: LateWrites;
}

/** A response of `node:http` or `node:http2`: both have the same words for how far they are. */
export interface ContainableResponse {
  readonly writableEnded: boolean;
  readonly headersSent: boolean;
  /** Set by {@link containLateWrites}. */
  [exchangeOf]?: LateWriteOwner | undefined;
  /** See below. */
  readonly [contained]?: Pick<Methods, "end">;
}

interface Response extends ContainableResponse, Pick<EventEmitter, "listeners" | "once"> {
  readonly req?: LateRequest;
  readonly destroyed?: boolean;
  /** HTTP/1: `null` after the answer. HTTP/2: `undefined` when the stream has closed. */
  readonly socket?: { readonly destroyed: boolean } | null;
}

type Method = (this: Response, ...args: unknown[]) => unknown;

interface Methods {
  setHeader: Method;
  appendHeader: Method;
  removeHeader: Method;
  writeHead: Method;
  flushHeaders: Method;
  addTrailers: Method;
  write: Method;
  end: Method;
  cork: Method;
  pipe: Method;
  prependListener: Method;
  writeContinue: Method;
  writeEarlyHints: Method;
  // What HTTP/1 or HTTP/2 has alone, or not every version of Node.
  setHeaders: Method;
  setTrailer: Method;
  writeProcessing: Method;
  writeInformation: Method;
  createPushResponse: Method;
}

/** Makes late calls of the response's methods harmless, now and after its prototype was replaced. */
export function containLateWrites(response: ContainableResponse, owner: LateWriteOwner): void {
  response[exchangeOf] = owner;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the types of node:http say the same in more words
  setMethods(response as Response & Methods);
}

/**
 * The same for all responses of a class, whose prototype this is: to set them on each response takes half a microsecond.
 */
export function containClass(prototype: ContainableResponse, base: ContainableResponse): void {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
  const methods = prototype as Response & Methods;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
  const below = base as Response & Methods;
  setMethods(methods);
  // The four that every answer calls, without a search for what is beneath them.
  methods.setHeader = function setContainedHeader(name, value) {
    return isHeadLate(this)
      ? late(this, "setHeader", setContainedHeader, this)
      : below.setHeader.call(this, name, value);
  };
  methods.writeHead = function writeContainedHead(status, reason, headers) {
    return isHeadLate(this)
      ? late(this, "writeHead", writeContainedHead, this)
      : below.writeHead.call(this, status, reason, headers);
  };
  methods.write = function writeContained(chunk, encoding, callback) {
    return isComplete(this)
      ? writeLate(this, writeContained, [encoding, callback])
      : below.write.call(this, chunk, encoding, callback);
  };
  methods.end = function endContained(chunk, encoding, callback) {
    return isLateEnd(this, chunk)
      ? endLate(this, endContained, [encoding, callback])
      : endInTime(this, below, [chunk, encoding, callback]);
  };
}

/**
 * Sees to a response that is complete, if its class does not: Express, for one, gives each another prototype.
 *
 * Its `end` is left: a middleware may have work to do in it, such as saving a session, and calls the one it has found.
 */
export function containComplete(response: ContainableResponse): void {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
  if (!isContained(response)) setAllButEnd(response as Response & Methods);
}

/** Sees to a response whose client has left. Its handler goes on, and so does what middlewares have put on it. */
export function containCut(response: ContainableResponse): void {
  if (isContained(response)) return;
  for (const [name, method] of Object.entries(allMethods)) {
    const isFree = Reflect.get(response, name) !== undefined && !Object.hasOwn(response, name);
    if (isFree) Reflect.set(response, name, method);
  }
}

function isContained(response: ContainableResponse): boolean {
  return response[contained] !== undefined;
}

/** The methods of the response's class, if they are there. */
export function containedOf(response: ContainableResponse): Readonly<Pick<Methods, "end">> | undefined {
  return response[contained];
}

function setMethods(res: Response & Methods): void {
  Object.defineProperty(res, contained, { value: res });
  res.end = end;
  setAllButEnd(res);
}

function setAllButEnd(res: Response & Methods): void {
  res.setHeader = setHeader;
  res.appendHeader = appendHeader;
  res.removeHeader = removeHeader;
  res.writeHead = writeHead;
  res.flushHeaders = flushHeaders;
  res.addTrailers = addTrailers;
  res.write = write;
  res.cork = cork;
  res.pipe = pipe;
  res.prependListener = prependListener;
  res.writeContinue = writeContinue;
  res.writeEarlyHints = writeEarlyHints;
  // Frameworks ask whether a method is there.
  if (res.setHeaders !== undefined) res.setHeaders = setHeaders;
  if (res.setTrailer !== undefined) res.setTrailer = setTrailer;
  if (res.writeProcessing !== undefined) res.writeProcessing = writeProcessing;
  if (res.writeInformation !== undefined) res.writeInformation = writeInformation;
  if (res.createPushResponse !== undefined) res.createPushResponse = createPushResponse;
}

/** The methods under ours: what the prototype has by now, be it Node's, Express's or a subclass's. */
export function beneath(response: ContainableResponse): Readonly<Methods> {
  let proto = Object.getPrototypeOf(response);
  // Ours are on its class, or somebody passes on `Object.create(res)`, whose prototype has them.
  while (contained in proto) proto = Object.getPrototypeOf(proto);
  return proto;
}

/** Whether `end()` was called. HTTP/2 says so while `end` itself still writes the header; that is not late. */
function isComplete(res: Response): boolean {
  return res.writableEnded && res.headersSent;
}

/** Whether the client has left, or somebody has destroyed the response. */
function isCut(res: Response): boolean {
  return res.destroyed === true || res.socket === undefined || res.socket?.destroyed === true;
}

/**
 * Whether it is too late for a header. For an answer on its way it is too late as well, but that is the handler's own
 * mistake, which Node throws and frameworks rely on. Without a client it is only late, as the handler may not know yet.
 */
function isHeadLate(res: Response): boolean {
  return res.headersSent && (res.writableEnded || isCut(res));
}

function tell(res: Response, method: keyof Methods, callee: (...args: never) => unknown): void {
  res[exchangeOf]?.lateWrites.add(method, res.req, callee);
}

/** Tells of a call, and returns what it shall return. */
function late<R>(res: Response, method: keyof Methods, callee: Method, result: R): R {
  tell(res, method, callee);
  return result;
}

/** Tells the callback of a late call what Node tells it. */
function failLater(args: readonly unknown[]): void {
  const callback = args.findLast((argument) => typeof argument === "function");
  if (callback === undefined) return;
  process.nextTick(callback, Object.assign(new Error("write after end"), { code: "ERR_STREAM_WRITE_AFTER_END" }));
}

// The four that every answer calls have their parameters written out: to collect them takes longer than the rest.

function setHeader(this: Response, name?: unknown, value?: unknown): unknown {
  return isHeadLate(this) ? late(this, "setHeader", setHeader, this) : beneath(this).setHeader.call(this, name, value);
}

function setHeaders(this: Response, ...args: unknown[]): unknown {
  return isHeadLate(this) ? late(this, "setHeaders", setHeaders, this) : beneath(this).setHeaders.apply(this, args);
}

function appendHeader(this: Response, ...args: unknown[]): unknown {
  return isHeadLate(this)
    ? late(this, "appendHeader", appendHeader, this)
    : beneath(this).appendHeader.apply(this, args);
}

function removeHeader(this: Response, ...args: unknown[]): unknown {
  return isHeadLate(this)
    ? late(this, "removeHeader", removeHeader, undefined)
    : beneath(this).removeHeader.apply(this, args);
}

function writeHead(this: Response, status?: unknown, reason?: unknown, headers?: unknown): unknown {
  return isHeadLate(this)
    ? late(this, "writeHead", writeHead, this)
    : beneath(this).writeHead.call(this, status, reason, headers);
}

function flushHeaders(this: Response, ...args: unknown[]): unknown {
  return isComplete(this)
    ? late(this, "flushHeaders", flushHeaders, undefined)
    : beneath(this).flushHeaders.apply(this, args);
}

function addTrailers(this: Response, ...args: unknown[]): unknown {
  return isComplete(this)
    ? late(this, "addTrailers", addTrailers, undefined)
    : beneath(this).addTrailers.apply(this, args);
}

function setTrailer(this: Response, ...args: unknown[]): unknown {
  return isComplete(this)
    ? late(this, "setTrailer", setTrailer, undefined)
    : beneath(this).setTrailer.apply(this, args);
}

function cork(this: Response, ...args: unknown[]): unknown {
  return isComplete(this) ? late(this, "cork", cork, undefined) : beneath(this).cork.apply(this, args);
}

function writeContinue(this: Response, ...args: unknown[]): unknown {
  return isPastInforming(this, "writeContinue", writeContinue, args)
    ? false
    : beneath(this).writeContinue.apply(this, args);
}

function writeProcessing(this: Response, ...args: unknown[]): unknown {
  return isPastInforming(this, "writeProcessing", writeProcessing, args)
    ? false
    : beneath(this).writeProcessing.apply(this, args);
}

function writeEarlyHints(this: Response, ...args: unknown[]): unknown {
  return isPastInforming(this, "writeEarlyHints", writeEarlyHints, args)
    ? false
    : beneath(this).writeEarlyHints.apply(this, args);
}

function writeInformation(this: Response, ...args: unknown[]): unknown {
  return isPastInforming(this, "writeInformation", writeInformation, args)
    ? false
    : beneath(this).writeInformation.apply(this, args);
}

/** Whether it is too late for an interim answer. HTTP/2 throws at one as soon as the client has left, header or not. */
function isPastInforming(res: Response, method: keyof Methods, callee: Method, args: readonly unknown[]): boolean {
  const isLate = isHeadLate(res);
  if (!isLate && !isCut(res)) return false;
  if (isLate) tell(res, method, callee);
  failLater(args);
  return true;
}

function createPushResponse(this: Response, ...args: unknown[]): unknown {
  if (!isComplete(this) && !isCut(this)) return beneath(this).createPushResponse.apply(this, args);
  if (isComplete(this)) tell(this, "createPushResponse", createPushResponse);
  failLater(args);
  return undefined;
}

function write(this: Response, chunk?: unknown, encoding?: unknown, callback?: unknown): unknown {
  return isComplete(this)
    ? writeLate(this, write, [encoding, callback])
    : beneath(this).write.call(this, chunk, encoding, callback);
}

function writeLate(res: Response, callee: Method, args: readonly unknown[]): boolean {
  tell(res, "write", callee);
  failLater(args);
  // A source that looks at it stops.
  return false;
}

function end(this: Response, chunk?: unknown, encoding?: unknown, callback?: unknown): unknown {
  return isLateEnd(this, chunk)
    ? endLate(this, end, [encoding, callback])
    : endInTime(this, beneath(this), [chunk, encoding, callback]);
}

function isLateEnd(res: Response, chunk: unknown): boolean {
  return isComplete(res) && Boolean(chunk) && typeof chunk !== "function";
}

function endLate(res: Response, callee: Method, args: readonly unknown[]): Response {
  tell(res, "end", callee);
  failLater(args);
  return res;
}

function endInTime(res: Response, methods: Pick<Methods, "end">, args: readonly [unknown, unknown, unknown]): unknown {
  try {
    // With nothing to write it is harmless, also twice, and widely done: it is Node's.
    return methods.end.call(res, args[0], args[1], args[2]);
  } catch (error) {
    if (!isCut(res) || !isLengthMismatch(error)) throw error;
    return res;
  }
}

/** With `strictContentLength` Node misses in the end what it did not take from a handler whose client has left. */
function isLengthMismatch(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_HTTP_CONTENT_LENGTH_MISMATCH";
}

/** A response is not to be read from: Node emits an error, at any time. */
function pipe(this: Response, ...args: unknown[]): unknown {
  return isComplete(this) || isCut(this) ? late(this, "pipe", pipe, args[0]) : beneath(this).pipe.apply(this, args);
}

/** The first thing that a stream does to a response into which it is piped; few others ever call it. */
function prependListener(this: Response, ...args: unknown[]): unknown {
  if (args[0] === "error" && isComplete(this) && !this.listeners("pipe").includes(onLatePipe)) {
    this.once("pipe", onLatePipe);
  }
  return beneath(this).prependListener.apply(this, args);
}

/**
 * `source.pipe(res)` is one late call, told with the stack of whoever piped: the writes that would follow have none that
 * helps. So the source is unpiped, and stays paused. As it may have another use, it is not destroyed.
 */
function onLatePipe(this: Response, source?: EventEmitter & { unpipe?: (res: Response) => void }): void {
  tell(this, "pipe", onLatePipe);
  // Streams of the oldest kind cannot be unpiped; they stop at the first `write` that returns false.
  if (typeof source?.unpipe !== "function") return;
  const unpipe = (): void => {
    source.removeListener("resume", unpipe);
    source.unpipe?.(this);
  };
  // Not at once, as `pipe` is about to start the source; just before it gives something, or else in the next turn.
  source.once("resume", unpipe);
  process.nextTick(unpipe);
}

const allMethods: Readonly<Methods> = {
  setHeader,
  appendHeader,
  removeHeader,
  writeHead,
  flushHeaders,
  addTrailers,
  write,
  end,
  cork,
  pipe,
  prependListener,
  writeContinue,
  writeEarlyHints,
  setHeaders,
  setTrailer,
  writeProcessing,
  writeInformation,
  createPushResponse,
};

/** As they are put on a response, for those who need more of them. */
export const containedMethods: Readonly<Pick<Methods, "writeHead" | "end">> = { writeHead, end };

/**
 * The methods of a response whose answer may be complete already.
 *
 * Node's own throw then (`setHeader`) or emit 'error' (`write`), or they harm the answer (`cork` holds up what is on its
 * way, HTTP/2's `write` resets the stream); and as a handler that has answered is not waited for, nobody catches
 * it, and the process ends. These do nothing then, and tell {@link LateWrites}. Until then they are Node's.
 *
 * They are the response's own from its beginning on, and not its prototype's: Express replaces the prototype of each
 * response, and middlewares keep the functions that they find before the answer (compression, express-session) and call
 * them whenever they like. All are shared: there is no closure and no state for a request, since Node knows whether an
 * answer is complete. Set on a finished object they cost half a microsecond; a class with places for them (`attend.ts`)
 * sets them for 10 ns.
 *
 * What it does not reach: functions of Node's prototypes called by their name, what is written to the socket itself,
 * `destroy()`, and `stream.pipeline()`, which throws ERR_STREAM_UNABLE_TO_PIPE to its caller before it does anything.
 */

import type { EventEmitter } from "node:events";
import { servedBy as exchangeOf } from "../core/served.ts";
import type { LateRequest, LateWrites } from "./late-writes.ts";

export { exchangeOf };

/** On the prototype of a class whose responses have the methods below: what its base has. Saves a search for that. */
export const baseMethods: unique symbol = Symbol("sluice.base");

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
  /** Gone when somebody gives it another prototype. */
  readonly [baseMethods]?: Readonly<ContainedMethods>;
}

interface Response extends ContainableResponse, Pick<EventEmitter, "listeners" | "once"> {
  readonly req?: LateRequest;
  readonly destroyed?: boolean;
  /** HTTP/1: `null` after the answer. HTTP/2: `undefined` when the stream has closed. */
  readonly socket?: { readonly destroyed: boolean } | null;
}

type Method = (this: Response, ...args: unknown[]) => unknown;

/** The methods that are contained. */
export interface ContainedMethods {
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
  const res = response as Response & ContainedMethods;
  res.end = end;
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
export function beneath(response: ContainableResponse): Readonly<ContainedMethods> {
  let proto = Object.getPrototypeOf(response);
  // Only right below: somebody may have put methods of their own between (`Object.setPrototypeOf`).
  if (Object.hasOwn(proto, baseMethods)) return proto[baseMethods];
  // Somebody passes on `Object.create(res)`, whose prototype has ours.
  while (proto[exchangeOf] !== undefined) proto = Object.getPrototypeOf(proto);
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

function tell(res: Response, method: keyof ContainedMethods, callee: (...args: never) => unknown): void {
  res[exchangeOf]?.lateWrites.add(method, res.req, callee);
}

/** Tells of a call, and returns what it shall return. */
function late<R>(res: Response, method: keyof ContainedMethods, callee: Method, result: R): R {
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
function isPastInforming(
  res: Response,
  method: keyof ContainedMethods,
  callee: Method,
  args: readonly unknown[],
): boolean {
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
  if (!isComplete(this)) return beneath(this).write.call(this, chunk, encoding, callback);
  tell(this, "write", write);
  failLater([encoding, callback]);
  // A source that looks at it stops.
  return false;
}

function end(this: Response, chunk?: unknown, encoding?: unknown, callback?: unknown): unknown {
  // With nothing to write it is harmless, also twice, and widely done: it is Node's.
  if (isComplete(this) && Boolean(chunk) && typeof chunk !== "function") {
    tell(this, "end", end);
    failLater([encoding, callback]);
    return this;
  }
  try {
    return beneath(this).end.call(this, chunk, encoding, callback);
  } catch (error) {
    if (!isCut(this) || !isLengthMismatch(error)) throw error;
    return this;
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

/** As they are put on a response, for those who set or need them one by one. */
export const containedMethods: Readonly<ContainedMethods> = {
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

/**
 * The own methods that a request and a response get for as long as an exchange has them.
 *
 * They are shared functions and find their exchange by a symbol. They have to be own properties: a framework may
 * exchange the prototype (Express does), and a guard takes servers whose classes it did not choose. Those that Node
 * calls anyway, once for each answer, tell what happens at the price of a call; events would cost listeners.
 *
 * Listeners have to run in the context of their request, while Node emits most events in that of the connection. So the
 * first listener of a request or response puts a method `emit` of its own on it, that changes over. Most have none.
 */

import { EventEmitter } from "node:events";
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { context as currentContext } from "../core/context.ts";
import { http } from "./builtins.ts";
import type { Exchange } from "./exchange.ts";
import { makeHarmless } from "./harmless-socket.ts";
import { baseMethods, containedMethods, containLateWrites, exchangeOf, type ContainedMethods } from "./late-methods.ts";
import { abortRequest } from "./refusal.ts";

/** What Node keeps on a request and declares nowhere. Each is checked before it is used. */
interface AttendedRequest extends IncomingMessage {
  [exchangeOf]?: Exchange | undefined;
  /** Node's own short way to the end of a request that has no body (`optimizeEmptyRequests`). */
  _dumpAndCloseReadable?: () => void;
}

interface StreamedRequest extends AttendedRequest {
  readonly stream: Readable;
}

interface StreamedResponse extends AttendedResponse {
  readonly stream: ServerHttp2Stream | undefined;
}

interface AttendedResponse extends ServerResponse {
  [exchangeOf]?: Exchange | undefined;
  readonly [baseMethods]?: Readonly<ContainedMethods>;
}

interface ParsedSocket extends Socket {
  readonly parser?: { incoming: unknown } | null;
}

/** That of nearly every request that nobody listens to; one of another kind goes the long way. */
// oxlint-disable-next-line typescript/unbound-method -- it is only compared
const plainEmit = EventEmitter.prototype.emit;

type Attended = AttendedRequest | AttendedResponse;
type Method = (...args: never) => unknown;

/** The methods that are set, and looked up where they are set over. By name: computed ones are several times slower. */
interface Methods {
  destroy: Method;
  removeHeader: Method;
  on: Method;
  addListener: Method;
  emit: Method;
  push: Method;
  writeHead: Method;
  end: Method;
  detachSocket: Method;
  _dump: Method;
}

function methodsOf(object: Attended): Methods {
  // What is set fits what Node calls; see the functions below.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return object as unknown as Methods;
}

function below(object: object): Methods {
  // A request or response inherits from those of Node, whatever a framework has put between.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return Object.getPrototypeOf(object) as Methods;
}

/** The methods as they would be without ours. */
function inherited(object: Attended): Methods {
  let methods = below(object);
  // Somebody has made an object over this one (`Object.create(req)`).
  while (methods.on === addListener) methods = below(methods);
  return methods;
}

/** Sends a whole answer by Node's own methods: those on the response may be a middleware's by now. */
export function sendWhole(
  { req, res }: Exchange,
  { status, headers, body }: { status: number; headers: OutgoingHttpHeaders; body: string },
): void {
  const { removeHeader } = inherited(res);
  for (const name of res.getHeaderNames()) Reflect.apply(removeHeader, res, [name]);
  // HTTP/2 has none, and Node warns.
  const reason = req.httpVersionMajor === 2 ? undefined : http.STATUS_CODES[status];
  Reflect.apply(containedMethods.writeHead, res, [status, reason, headers]);
  Reflect.apply(end, res, [body]);
}

/**
 * Leaves a handler on its own that was answered for: whatever it destroys, the connection is not touched, which carries
 * the answer, and soon the next request. A body that is not complete ends with `error`.
 */
export function letGo({ req, res }: Pick<Exchange, "req" | "res">, error: Error): void {
  const { socket } = req;
  // In HTTP/2 it is a proxy, which allows nothing of that kind.
  if (Object.hasOwn(req, "socket") && socket !== null) req.socket = makeHarmless(socket);
  methodsOf(res).destroy = returnThis;
  abortRequest(req, error);
}

function returnThis<T>(this: T): T {
  return this;
}

type RequestClass = new (...args: never[]) => IncomingMessage;
type ResponseClass = new (...args: never[]) => ServerResponse;

/**
 * The same class, whose requests have places for what `attend` sets. A property that is added later goes into a store
 * beside the object, which has to grow with each few.
 */
export function attendableRequests(base: RequestClass): RequestClass {
  // Node makes it with a socket.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const Base = base as unknown as new (socket: unknown) => AttendedRequest & Methods;
  const { on, _dump } = Base.prototype;
  return class extends Base {
    /** Loggers and adapters ask for it. A getter, see `attendableResponses`. */
    static override get name(): string {
      return base.name;
    }

    constructor(socket: unknown) {
      super(socket);
      this[exchangeOf] = undefined;
      this.on = on;
      this.addListener = on;
      this._dump = _dump;
    }
  };
}

/** What has a place in a response; the methods as loose as they are set. */
type ResponsePlaces = Omit<AttendedResponse, keyof Methods | keyof ContainedMethods> & Methods & ContainedMethods;

/** The same for responses, which also take late writes: see `late-methods.ts`. */
export function attendableResponses(base: ResponseClass): ResponseClass {
  // Node makes it with the request and its options.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const Base = base as unknown as new (req: unknown, options: unknown) => ResponsePlaces;
  const { on, detachSocket: detach } = Base.prototype;
  const Attendable = class extends Base {
    // Not a property: defined over that of a finished class it makes V8 take the class for a dictionary, on whose shape
    // nothing can rely. What constructs it is then compiled again and again, in vain, at half the price of a request.
    static override get name(): string {
      return base.name;
    }

    constructor(req: unknown, options: unknown) {
      super(req, options);
      this[exchangeOf] = undefined;
      this.on = on;
      this.addListener = on;
      this.detachSocket = detach;
      // Each by name, and here: so V8 makes room for them in the object itself.
      this.end = containedMethods.end;
      this.setHeader = containedMethods.setHeader;
      this.appendHeader = containedMethods.appendHeader;
      this.removeHeader = containedMethods.removeHeader;
      this.writeHead = containedMethods.writeHead;
      this.flushHeaders = containedMethods.flushHeaders;
      this.addTrailers = containedMethods.addTrailers;
      this.write = containedMethods.write;
      this.cork = containedMethods.cork;
      this.pipe = containedMethods.pipe;
      this.prependListener = containedMethods.prependListener;
      this.writeContinue = containedMethods.writeContinue;
      this.writeEarlyHints = containedMethods.writeEarlyHints;
      this.setHeaders = containedMethods.setHeaders;
      this.writeProcessing = containedMethods.writeProcessing;
      // Not in every version of Node, and frameworks ask whether it is there.
      if (this.writeInformation !== undefined) this.writeInformation = containedMethods.writeInformation;
    }
  };
  Object.defineProperty(Attendable.prototype, baseMethods, { value: Base.prototype });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is one, with looser types of methods
  return Attendable as unknown as ResponseClass;
}

/** Gives a request and its response what they need. */
export function attend(exchange: Exchange): void {
  const req: AttendedRequest = exchange.req;
  const res: AttendedResponse = exchange.res;
  req[exchangeOf] = exchange;
  // One of a class that is not ours.
  if (!(exchangeOf in res)) containLateWrites(res, exchange);
  res[exchangeOf] = exchange;
  const ofRequest = methodsOf(req);
  const ofResponse = methodsOf(res);
  ofRequest.on = addListener;
  ofRequest.addListener = addListener;
  ofResponse.on = addListener;
  ofResponse.addListener = addListener;
  ofResponse.detachSocket = detachSocket;
  ofResponse.end = end;
  ofRequest._dump = closeQuietly;
  if (exchange.announcedBytes === 0) return;
  ofRequest.emit = emitOnRequest;
  ofResponse.writeHead = writeHeadOfUpload;
  if (exchange.announcedBytes === Infinity) ofRequest.push = pushChunk;
}

/** The same for a stream of HTTP/2, whose end its carrier learns from the stream. */
export function attendStream(exchange: Exchange): void {
  const req: AttendedRequest = exchange.req;
  const res: AttendedResponse = exchange.res;
  req[exchangeOf] = exchange;
  containLateWrites(res, exchange);
  const ofRequest = methodsOf(req);
  const ofResponse = methodsOf(res);
  ofRequest.on = addListener;
  ofRequest.addListener = addListener;
  ofResponse.on = addListener;
  ofResponse.addListener = addListener;
  ofResponse.destroy = destroyStream;
  if (exchange.announcedBytes > 0) {
    ofRequest.emit = emitOnRequest;
    ofRequest.push = pushStreamChunk;
  }
}

/** From the first listener on, events are emitted in the context of the request. */
function addListener(this: Attended, ...args: unknown[]): unknown {
  if (!Object.hasOwn(this, "emit")) methodsOf(this).emit = emit;
  return Reflect.apply(inherited(this).on, this, args);
}

function callEmit(emitter: Attended, args: unknown[]): boolean {
  return Reflect.apply(inherited(emitter).emit, emitter, args) === true;
}

function emit(this: Attended, ...args: unknown[]): boolean {
  const context = this[exchangeOf]?.context;
  if (context === undefined || currentContext() === context) return callEmit(this, args);
  return context.run(callEmit, this, args);
}

/** Of a request with a body. */
function emitOnRequest(this: Attended, ...args: unknown[]): boolean {
  const result = Reflect.apply(emit, this, args);
  if (args[0] === "end") this[exchangeOf]?.onBodyEnd();
  return result;
}

/** From here on whatever is written is late. */
function end(this: AttendedResponse, chunk: unknown, encoding: unknown, callback: unknown): unknown {
  const exchange = this[exchangeOf];
  const ended = containedMethods.end.call(this, chunk, encoding, callback);
  exchange?.onWritten();
  return ended;
}

/** Node calls it when the answer is complete and with the kernel. */
function detachSocket(this: AttendedResponse, socket: Socket): void {
  const exchange = this[exchangeOf];
  Reflect.apply(inherited(this).detachSocket, this, [socket]);
  exchange?.onFinish();
}

/**
 * Node calls it at the end of an answer whose request nobody has read, to have it read to its end, with an `end` and
 * a `close`. Where nobody listens and there is no body, it is closed without that.
 */
function closeQuietly(this: AttendedRequest): void {
  const exchange = this[exchangeOf];
  const parser = (this.socket as ParsedSocket | null)?.parser;
  // Some come another way than `on`: `prependListener`, or `on` of an object made over this one.
  const isHeard = this.emit !== plainEmit || this.listenerCount("end") > 0 || this.listenerCount("close") > 0;
  const mayBeQuiet = exchange?.announcedBytes === 0 && this.complete && !isHeard;
  if (!mayBeQuiet || this._dumpAndCloseReadable === undefined || parser?.incoming !== this) {
    // Node's own has the parser throw pieces away by itself, where nobody counts them.
    if (exchange?.announcedBytes === Infinity) this.removeAllListeners("data").resume();
    else Reflect.apply(inherited(this)._dump, this, []);
    return;
  }
  this._dumpAndCloseReadable();
  // Else the parser keeps the request until the next one comes (nodejs/node#9668).
  parser.incoming = null;
}

/** Keeps a connection from being kept when more of an upload is left than will be read. */
function writeHeadOfUpload(this: AttendedResponse, ...args: unknown[]): unknown {
  if (this[exchangeOf]?.isFarFromRead === true) this.shouldKeepAlive = false;
  return Reflect.apply(containedMethods.writeHead, this, args);
}

/** Counts the bytes of a body whose length was not announced. */
function pushChunk(this: AttendedRequest, chunk: Buffer | null): boolean {
  const exchange = this[exchangeOf];
  if (exchange !== undefined && chunk !== null && !exchange.takeChunk(chunk.length)) return true;
  return Reflect.apply(inherited(this).push, this, [chunk]) === true;
}

/** The same for HTTP/2, where Node ends the request of a client that has left as if it were complete. */
function pushStreamChunk(this: StreamedRequest, chunk: Buffer | null): boolean {
  if (chunk !== null || this.stream.readableEnded) return Reflect.apply(pushChunk, this, [chunk]);
  abortRequest(this);
  return true;
}

/** NGHTTP2_INTERNAL_ERROR, RFC 9113 section 7. */
const internalError = 0x2;

/** Without an error Node resets the stream with NO_ERROR, and half of an answer looks like a whole one. */
function destroyStream(this: StreamedResponse, ...args: unknown[]): unknown {
  if (!this.writableEnded) this.stream?.close(internalError);
  return Reflect.apply(inherited(this).destroy, this, args);
}

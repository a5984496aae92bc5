/**
 * Puts limits on a server that exists already: `http`, `https` or `http2`, whatever framework is on it.
 *
 * An own `emit` on the server stands between Node and the listeners. Everything that Node's server does it does by
 * emitting, so that nothing is patched, no prototype is touched, and a framework that looks at the server sees the
 * one that it made. What is refused is never emitted.
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { RequestOwner } from "../core/context.ts";
import { OptionError } from "../core/errors.ts";
import { resolveOptions } from "../core/options.ts";
import { setLifecycle } from "../core/served.ts";
import type { AcceptHandler, RefuseReason } from "./accept.ts";
import { attend } from "./attend.ts";
import { requestBad } from "./channels.ts";
import { exchangeOf } from "./late-methods.ts";
import {
  describeClientError,
  eventOfClientError,
  eventOfRequest,
  type BadRequest,
  type BadRequestEvent,
} from "./bad-request.ts";
import { accept, connectionKey, Connection, type Deferred, type GuardedSocket } from "./connection.ts";
import { Drain, type DrainReport } from "./drain.ts";
import { Exchange, type RequestEvent } from "./exchange.ts";
import { endGently, makeHarmless } from "./harmless-socket.ts";
import { isOfHttp2, StreamCarrier } from "./http2.ts";
import { beGuardable, refuseListening } from "./guardable.ts";
import { refuseNodeOptions } from "./node-options.ts";
import { QueuePlug } from "./queue-plug.ts";
import { ServerCore } from "./server-core.ts";
import { checkRequest, checkUpgrade } from "./strict-request.ts";
import { takeOverClose, takeOverListen, takeOverClasses, takeOverTimers, type GuardableServer } from "./take-over.ts";
import { serverOptions, type ResolvedServerOptions, type ServerOptions } from "./server-options.ts";
import { describeServer, observeServer, type ServerStats } from "./server-stats.ts";

/** What a guard adds to a server. */
export interface Guarded {
  /** Whether it is going away: readiness probes answer 503 then. */
  readonly draining: boolean;
  /**
   * Goes away without losing a request: see `ServerOptions.drain` for the steps. A later call gets the first one's
   * promise.
   */
  drain(): Promise<DrainReport>;
  /** Calls `fn` once when draining begins: for streams, which have to be told. */
  onDrain(fn: () => void): Disposable;
  /** What it looks like now: immutable plain numbers, limits beside levels. */
  stats(): ServerStats;
}

type Emit = (event: string | symbol, ...args: unknown[]) => boolean;

const guardedServers = new WeakSet<GuardableServer>();

/** Guards `server`, which must not listen yet. */
export function guard(server: GuardableServer, options?: ServerOptions): Guarded {
  beGuardable(server);
  refuseNodeOptions(options);
  // Two guards would wait for one another's requests.
  if (guardedServers.has(server)) {
    throw new OptionError("guard", "must be called once: createServer() has guarded this server, or another guard().");
  }
  return new Guard(server, resolveOptions<ServerOptions, ResolvedServerOptions>("Server", serverOptions, options));
}

/** How a request came. */
interface Arrival {
  readonly connection: Connection;
  readonly event: RequestEvent;
  readonly refusal: RefuseReason | undefined;
  /** Whether Node's parser has just called, and nothing of another request's is going on. */
  readonly isFirst: boolean;
}

/** Header in which a caller that we trust no more than any other says how long it will wait. It can only shorten. */
const remainingHeader = "x-request-timeout-ms";
const traceparentPattern = /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}(?:-.{0,100})?$/;

/** Invariant: `server.emit` is ours, and everything that reaches a listener of the server has passed `#onEvent`. */
class Guard implements Guarded, AcceptHandler {
  readonly #server: GuardableServer;
  readonly #core: ServerCore;
  /** Reaches the listeners. */
  readonly #emit: Emit;
  readonly #emitRequest: (req: IncomingMessage, res: ServerResponse) => boolean;
  readonly #isTls: boolean;
  readonly #drain: Drain;
  /** While it listens, its levels are among the metrics. */
  #observed: Disposable | undefined;
  /** What clients are told: a second less than what holds. 0 tells them nothing. */
  readonly #keepAliveHintMs: number;

  constructor(server: GuardableServer, options: ResolvedServerOptions) {
    if (server.listening) {
      throw new OptionError("guard", "must be called before listen(): connections it has not seen it cannot limit.");
    }
    guardedServers.add(server);
    this.#server = server;
    this.#core = new ServerCore(options, server, this);
    setLifecycle(server, this.#core.lifecycle);
    this.#isTls = "setSecureContext" in server;
    this.#keepAliveHintMs = options.idleTimeout === Infinity ? 0 : Math.max(options.idleTimeout - 1_000, 0);
    const emit: Emit = server.emit;
    this.#emit = (event, ...args) => Reflect.apply(emit, server, [event, ...args]);
    this.#emitRequest = (req, res) => emit.call(server, "request", req, res);
    const listening = takeOverListen(server, options.backlog);
    this.#drain = new Drain(this.#core, {
      isOpen: () => server.listening,
      plug: new QueuePlug(server, listening),
      close: takeOverClose(server, { drain: () => this.drain(), closeIdle: () => this.#drain.closeIdle() }),
    });
    this.#core.onAdmitted = (exchange) => this.#run(exchange, readDeadline(exchange), false);
    this.#core.onTurn = (connection, deferred) => this.#begin(connection, deferred, false);
    this.#core.lifecycle.onDrain(() => refuseListening(server));
    takeOverClasses(server);
    takeOverTimers(server, options);
    server.emit = (event: string | symbol, ...args: unknown[]) => this.#onEvent(event, args);
    // Node decides by the number of listeners whether these events exist: see `#onEvent`.
    server.on("checkContinue", () => undefined);
    server.on("checkExpectation", () => undefined);
    server.on("connect", () => undefined);
  }

  get draining(): boolean {
    return this.#core.draining;
  }

  drain(): Promise<DrainReport> {
    return this.#drain.run();
  }

  onDrain(fn: () => void): Disposable {
    return this.#core.lifecycle.onDrain(fn);
  }

  stats(): ServerStats {
    return describeServer(this.#core);
  }

  #onEvent(event: string | symbol, args: unknown[]): boolean {
    // Node's own emits have these arguments.
    // oxlint-disable typescript/no-unsafe-type-assertion
    switch (event) {
      case "request":
      case "checkContinue":
      case "checkExpectation":
        return this.#onRequest(args[0] as IncomingMessage, args[1] as ServerResponse, event);
      case "connection":
        return this.#onConnection(args[0] as GuardedSocket);
      case "secureConnection":
        return this.#onSecureConnection(args[0] as GuardedSocket);
      case "clientError":
        return this.#onClientError(args[0] as Error, args[1] as GuardedSocket);
      case "session": {
        const session = args[0] as ServerHttp2Session;
        (session.socket as GuardedSocket)[connectionKey]?.startSession(session);
        break;
      }
      case "upgrade":
      case "connect":
        return this.#onUpgrade(event, args as [IncomingMessage, Duplex, Buffer]);
      case "close":
        this.#observed?.[Symbol.dispose]();
        this.#observed = undefined;
        this.#core.pressure.stop();
        break;
      case "listening":
        this.#observed ??= observeServer(this.#core, () => this.#server.address());
        this.#core.pressure.start();
        takeOverTimers(this.#server, this.#core.options);
        break;
      default:
    }
    // oxlint-enable typescript/no-unsafe-type-assertion
    return this.#emit(event, ...args);
  }

  #onConnection(socket: GuardedSocket): boolean {
    this.#core.instruments.accepted();
    this.#core.accepted += 1;
    this.#core.gate.take(socket);
    return true;
  }

  onAdmit(socket: Socket, heldMs: number): void {
    if (heldMs > 0) this.#core.instruments.pendingTime.record(heldMs / 1_000);
    accept(this.#core, socket, { tls: this.#isTls, refusal: undefined });
    this.#emit("connection", socket);
  }

  onRefuse(socket: Socket, reason: RefuseReason): void {
    this.#core.instruments.rejected.add(reason);
    accept(this.#core, socket, { tls: this.#isTls, refusal: reason });
    this.#emit("connection", socket);
  }

  onDrop(): void {
    this.#core.instruments.rejected.add("pending");
  }

  makeRoom(): boolean {
    const oldest = this.#core.idle.ringNext;
    if (!(oldest instanceof Connection)) return false;
    oldest.close("room");
    return true;
  }

  #onSecureConnection(socket: GuardedSocket): boolean {
    const connection = socket._parent?.[connectionKey];
    connection?.secured(socket);
    const isHeard = this.#emit("secureConnection", socket);
    // A server of HTTP/2 sets the classes of HTTP/1 anew for each client that speaks it.
    takeOverClasses(this.#server);
    return isHeard;
  }

  #onRequest(req: IncomingMessage, res: ServerResponse, event: RequestEvent): boolean {
    if (isAttended(req)) return this.#emit(event, req, res);
    const ofHttp2 = isOfHttp2(req);
    const socket: GuardedSocket | null = ofHttp2 ? (req.stream.session?.socket ?? null) : req.socket;
    const connection = socket?.[connectionKey];
    // Emitted by hand, as test tools do: there is nothing to guard.
    if (connection === undefined) return this.#emit(event, req, res);
    // Came after our FIN: whoever sent it is told by that that it was not served.
    if (connection.isClosing) return true;
    if (ofHttp2) {
      const { exchange } = new StreamCarrier(this.#core, connection, req, res);
      this.#decide(exchange, { connection, event, isFirst: true, refusal: connection.refusal });
      return true;
    }
    const deferred = { req, res, event };
    if (connection.exchange === undefined) this.#begin(connection, deferred, true);
    else connection.defer(deferred);
    return true;
  }

  #begin(connection: Connection, { req, res, event }: Deferred, isFirst: boolean): void {
    const core = this.#core;
    const { options } = core;
    const exchange = new Exchange(core, connection, req, res);
    attend(exchange);
    connection.startExchange(exchange);
    if (
      (core.draining && core.sendsAway(connection)) ||
      core.gate.wantsRoom ||
      connection.refusal !== undefined ||
      !options.keepAlive ||
      connection.requests >= options.maxRequestsPerConn
    ) {
      res.shouldKeepAlive = false;
    }
    hint(res, this.#keepAliveHintMs);
    this.#decide(exchange, { connection, event, isFirst, refusal: connection.refusal });
  }

  /** Lets it in, or not. */
  #decide(exchange: Exchange, how: Arrival): void {
    const { options } = this.#core;
    const bad = checkRequest(exchange.req, options.maxHeaders);
    if (bad !== undefined) {
      this.#tellBad(bad, eventOfRequest(bad, exchange.req));
      how.connection.refuseRequest(exchange, bad);
      return;
    }
    if (how.refusal !== undefined) {
      exchange.answer(503, refusals[how.refusal]);
      return;
    }
    if (!this.#countAddress(exchange)) {
      exchange.shed("address");
      return;
    }
    if (exchange.announcedBytes > options.maxBodyBytes && exchange.announcedBytes !== Infinity) {
      exchange.answer(413, "The body is too large.");
      return;
    }
    exchange.event = how.event;
    const deadline = readDeadline(exchange);
    const entrance = this.#core.admission.enter(exchange, exchange.req, deadline);
    if (entrance === "admitted") this.#run(exchange, deadline, how.isFirst);
    else if (entrance !== "queued") exchange.shed(entrance);
  }

  /** Behind a trusted proxy a connection is nobody's: there the requests of an address are counted. */
  #countAddress(exchange: Exchange): boolean {
    const { addresses, perAddress } = this.#core.gate;
    if (!addresses.trustsProxies || perAddress.limit === Infinity) return true;
    const { headers, socket } = exchange.req;
    const peer = socket.remoteAddress;
    if (peer === undefined || !addresses.isTrusted(peer)) return true;
    const forwardedFor = headers["x-forwarded-for"];
    const key = addresses.requestKeyOf(peer, Array.isArray(forwardedFor) ? forwardedFor.join(",") : forwardedFor);
    if (key === undefined) return true;
    if (!perAddress.tryEnter(key)) return false;
    exchange.addressKey = key;
    return true;
  }

  #run(exchange: Exchange, deadline: number, isFirst: boolean): void {
    const { req, res } = exchange;
    const context = exchange.start(deadline, readTraceparent(req));
    if (exchange.event === "request") {
      if (isFirst) {
        // Node's parser is the caller, and puts its own scope back: there is no need to pay for that twice.
        context.enter();
        this.#emitRequest(req, res);
      } else context.run(this.#emitRequest, req, res);
      return;
    }
    // One of the listeners is ours, and does nothing.
    const isHeard = this.#server.listenerCount(exchange.event) > 1;
    if (isHeard) context.run(this.#emit, exchange.event, req, res);
    else if (exchange.event === "checkExpectation") exchange.answer(417, "This expectation cannot be met.");
    else {
      res.writeContinue();
      context.run(this.#emit, "request", req, res);
    }
  }

  #onClientError(error: Error, socket: GuardedSocket): boolean {
    const connection = socket[connectionKey] ?? socket._parent?.[connectionKey];
    // Node tells of each piece that comes after the first error, and of the end. It concerns nobody.
    if (connection?.isDeaf === true) return true;
    if (connection !== undefined && Reflect.get(error, "code") === "ERR_HTTP_REQUEST_TIMEOUT") {
      connection.onHeaderOverdue();
      return true;
    }
    const bad = describeClientError(error);
    if (bad !== undefined) this.#tellBad(bad, eventOfClientError(bad, error, socket));
    if (connection === undefined) return this.#emit("clientError", error, socket);
    if (this.#server.listenerCount("clientError") > 0) {
      const tell = (heard: Socket): boolean => this.#emit("clientError", error, heard);
      // Whoever listens answers, unless that would get into another answer.
      if (connection.exchange === undefined) {
        endGently(
          socket,
          () => connection.close("refused"),
          () => tell(socket),
        );
        return true;
      }
      tell(makeHarmless(socket));
    }
    if (bad === undefined) socket.destroy();
    else connection.refuseInput(bad);
    return true;
  }

  #tellBad(bad: BadRequest, event: BadRequestEvent): void {
    this.#core.instruments.badRequest(bad.reason);
    this.#core.tell("badRequest", requestBad, event);
  }

  #onUpgrade(event: "upgrade" | "connect", args: [IncomingMessage, Duplex, Buffer]): boolean {
    const [req, stream] = args;
    // A stream of HTTP/2: Node answers 405 itself if nobody listens.
    if (isOfHttp2(req)) return this.#server.listenerCount("connect") > 1 && this.#emit(event, ...args);
    const connection = (req.socket as GuardedSocket)[connectionKey];
    if (connection === undefined) return this.#emit(event, ...args);
    // http has taken its own off by now, and an error that nobody hears would end the process.
    stream.on("error", ignoreError);
    if (connection.isClosing) return true;
    // The answer to the one before it would get into the new protocol; http has not waited for that.
    if (connection.exchange !== undefined) {
      connection.endWithExchange();
      return true;
    }
    if (event === "connect" && this.#server.listenerCount("connect") === 1) {
      connection.refuse({ status: 405, message: "CONNECT is not served here." });
      return true;
    }
    const bad = checkUpgrade(req, this.#core.options.maxHeaders);
    if (bad !== undefined) {
      this.#tellBad(bad, eventOfRequest(bad, req));
      connection.refuse(bad);
      return true;
    }
    if (connection.refusal !== undefined || this.#core.hasStopped) {
      connection.refuse({ status: 503, message: refusals[connection.refusal ?? "draining"] });
      return true;
    }
    const context = this.#core.contexts.create(Infinity, neverPutOff, readTraceparent(req));
    if (!connection.upgrade(context)) {
      this.#core.instruments.rejected.add("upgraded");
      connection.refuse({ status: 503, message: "Too many upgraded connections. Try again soon." });
      return true;
    }
    stream.off("error", ignoreError);
    context.run(this.#emit, event, ...args);
    return true;
  }
}

/** The close that follows tells enough. */
function ignoreError(): void {}

/** Whether it has been here before: a handler may emit its request again. */
function isAttended(req: IncomingMessage & { readonly [exchangeOf]?: unknown }): boolean {
  return req[exchangeOf] !== undefined;
}

/** What Node makes `Keep-Alive: timeout=` of; it does without the header if it is 0, or not there any more. */
function hint(res: ServerResponse & { _keepAliveTimeout?: number }, ms: number): void {
  res._keepAliveTimeout = ms;
}

const refusals: Readonly<Record<RefuseReason, string>> = {
  max_connections: "Too many connections. Try again soon.",
  pending_timeout: "Too many connections. Try again soon.",
  address: "Too many connections from this address.",
  draining: "The server is going away. Try again.",
};

const neverPutOff: RequestOwner = { reconsiderDeadline: (passed) => passed };

/** The caller's own deadline on the monotonic clock; `Infinity` without one. */
function readDeadline({ req, startedAt }: Exchange): number {
  const raw = req.headers[remainingHeader];
  if (typeof raw !== "string" || !/^\d{1,9}$/.test(raw)) return Infinity;
  return startedAt + Number(raw);
}

function readTraceparent(req: IncomingMessage): string | undefined {
  const raw = req.headers["traceparent"];
  return typeof raw === "string" && traceparentPattern.test(raw) ? raw : undefined;
}

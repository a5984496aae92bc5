/**
 * Puts limits on a server that exists already: `http`, `https` or `http2`, whatever framework is on it.
 *
 * An own `emit` on the server stands between Node and the listeners. Everything that Node's server does it does by
 * emitting, so that nothing is patched, no prototype is touched, and a framework that looks at the server sees the
 * one that it made. What is refused is never emitted.
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { now } from "../core/clock.ts";
import type { RequestOwner } from "../core/context.ts";
import { OptionError } from "../core/errors.ts";
import { resolveOptions } from "../core/options.ts";
import { attend, connectionKey, type Connection, type Deferred, type GuardedSocket } from "./connection.ts";
import { Drain, type DrainReport } from "./drain.ts";
import { Exchange } from "./exchange.ts";
import { ServerCore } from "./server-core.ts";
import { takeOverClose, takeOverListen, takeOverTimers, type GuardableServer } from "./take-over.ts";
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

/** Guards `server`, which must not listen yet. */
export function guard(server: GuardableServer, options?: ServerOptions): Guarded {
  return new Guard(server, resolveOptions<ServerOptions, ResolvedServerOptions>("Server", serverOptions, options));
}

/** Header in which a caller that we trust no more than any other says how long it will wait. It can only shorten. */
const remainingHeader = "x-request-timeout-ms";
const traceparentPattern = /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}(?:-.{0,100})?$/;

/** Invariant: `server.emit` is ours, and everything that reaches a listener of the server has passed `#onEvent`. */
class Guard implements Guarded {
  readonly #server: GuardableServer;
  readonly #core: ServerCore;
  /** Reaches the listeners. */
  readonly #emit: Emit;
  readonly #isTls: boolean;
  readonly #drain: Drain;
  /** What clients are told: a second less than what holds. 0 tells them nothing. */
  readonly #keepAliveHintMs: number;

  constructor(server: GuardableServer, options: ResolvedServerOptions) {
    if (server.listening) {
      throw new OptionError("guard", "must be called before listen(): connections it has not seen it cannot limit.");
    }
    this.#server = server;
    this.#core = new ServerCore(options, server);
    this.#isTls = "setSecureContext" in server;
    this.#keepAliveHintMs = options.idleTimeout === Infinity ? 0 : Math.max(options.idleTimeout - 1_000, 0);
    const emit: Emit = server.emit;
    this.#emit = (event, ...args) => Reflect.apply(emit, server, [event, ...args]);
    this.#drain = new Drain(
      this.#core,
      server,
      takeOverClose(server, () => void this.drain()),
    );
    this.#core.onTurn = (connection, deferred) => this.#begin(connection, deferred);
    observeServer(this.#core);
    takeOverListen(server, options.backlog);
    takeOverTimers(server, options);
    server.emit = (event: string | symbol, ...args: unknown[]) => this.#onEvent(event, args);
    // Node decides by the number of listeners whether these events exist: see `#onEvent`.
    server.on("checkContinue", () => undefined);
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
        return this.#onRequest(args[0] as IncomingMessage, args[1] as ServerResponse, false);
      case "checkContinue":
        return this.#onRequest(args[0] as IncomingMessage, args[1] as ServerResponse, true);
      case "connection":
        return this.#onConnection(args[0] as GuardedSocket);
      case "secureConnection":
        return this.#onSecureConnection(args[0] as GuardedSocket);
      case "clientError":
        return this.#onClientError(args[0] as Error, args[1] as GuardedSocket);
      case "upgrade":
      case "connect":
        return this.#onUpgrade(event, args as [IncomingMessage, Duplex, Buffer]);
      case "listening":
        takeOverTimers(this.#server, this.#core.options);
        break;
      default:
    }
    // oxlint-enable typescript/no-unsafe-type-assertion
    return this.#emit(event, ...args);
  }

  #onConnection(socket: GuardedSocket): boolean {
    this.#core.instruments.accepted();
    this.#admit(socket);
    return true;
  }

  #admit(socket: GuardedSocket): void {
    attend(this.#core, socket, this.#isTls);
    this.#emit("connection", socket);
  }

  #onSecureConnection(socket: GuardedSocket): boolean {
    const connection = socket._parent?.[connectionKey];
    connection?.secured(socket);
    return this.#emit("secureConnection", socket);
  }

  #onRequest(req: IncomingMessage, res: ServerResponse, expectsContinue: boolean): boolean {
    const socket: GuardedSocket | null = req.socket;
    const connection = socket?.[connectionKey];
    // Emitted by hand, as test tools do: there is nothing to guard.
    if (connection === undefined) return this.#emit(expectsContinue ? "checkContinue" : "request", req, res);
    // Came after our FIN: whoever sent it is told by that that it was not served.
    if (connection.isClosing) return true;
    const deferred = { req, res, expectsContinue };
    if (connection.exchange === undefined) this.#begin(connection, deferred);
    else connection.defer(deferred);
    return true;
  }

  #begin(connection: Connection, { req, res, expectsContinue }: Deferred): void {
    const core = this.#core;
    const { options } = core;
    const exchange = new Exchange(core, connection, req, res);
    connection.startExchange(exchange);
    if (core.draining || core.closesIdle || !options.keepAlive || connection.requests >= options.maxRequestsPerConn) {
      res.shouldKeepAlive = false;
    }
    Reflect.set(res, "_keepAliveTimeout", this.#keepAliveHintMs);
    if (exchange.announcedBytes > options.maxBodyBytes && exchange.announcedBytes !== Infinity) {
      exchange.answer(413, "The body is too large.");
      return;
    }
    this.#run(exchange, expectsContinue);
  }

  #run(exchange: Exchange, expectsContinue: boolean): void {
    const { req, res } = exchange;
    const context = exchange.start(readDeadline(req), readTraceparent(req));
    const isOwnListener = expectsContinue && this.#server.listenerCount("checkContinue") === 1;
    if (isOwnListener) res.writeContinue();
    context.run(this.#emit, expectsContinue && !isOwnListener ? "checkContinue" : "request", req, res);
  }

  #onClientError(error: Error, socket: GuardedSocket): boolean {
    const connection = socket[connectionKey] ?? socket._parent?.[connectionKey];
    if (connection === undefined || this.#server.listenerCount("clientError") > 0) {
      return this.#emit("clientError", error, socket);
    }
    if (connection.exchange === undefined) connection.refuse(400, "Bad request.");
    else connection.exchange.answer(400, "Bad request.");
    return true;
  }

  #onUpgrade(event: "upgrade" | "connect", args: [IncomingMessage, Duplex, Buffer]): boolean {
    const [req] = args;
    const connection = (req.socket as GuardedSocket)[connectionKey];
    if (connection === undefined) return this.#emit(event, ...args);
    if (event === "connect" && this.#server.listenerCount("connect") === 1) {
      connection.refuse(405, "CONNECT is not served here.");
      return true;
    }
    if (this.#core.levels.upgraded >= this.#core.options.maxUpgradedConns) {
      this.#core.instruments.rejected.add("upgraded");
      connection.refuse(503, "Too many upgraded connections.");
      return true;
    }
    const context = this.#core.contexts.create(Infinity, neverPutOff, readTraceparent(req));
    connection.upgrade(context);
    context.run(this.#emit, event, ...args);
    return true;
  }
}

const neverPutOff: RequestOwner = { reconsiderDeadline: (passed) => passed };

/** The caller's own deadline on the monotonic clock; `Infinity` without one. */
function readDeadline(req: IncomingMessage): number {
  const raw = req.headers[remainingHeader];
  if (typeof raw !== "string" || !/^\d{1,9}$/.test(raw)) return Infinity;
  return now() + Number(raw);
}

function readTraceparent(req: IncomingMessage): string | undefined {
  const raw = req.headers["traceparent"];
  return typeof raw === "string" && traceparentPattern.test(raw) ? raw : undefined;
}

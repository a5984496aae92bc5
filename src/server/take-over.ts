/**
 * What a guard changes about a server itself: its timers, its classes of requests and responses, `close` and `listen`.
 *
 * All are own properties of this one server. Frameworks set some of them after the server is made (Fastify its
 * timeouts), so the timers are set again when it listens.
 */

import type { Server as HttpServer } from "node:http";
import type { Http2SecureServer } from "node:http2";
import type { Server as HttpsServer } from "node:https";
import { attendableRequests, attendableResponses } from "./attend.ts";
import type { Listening } from "./queue-plug.ts";
import type { ResolvedServerOptions } from "./server-options.ts";

/** The servers that can be guarded. */
export type GuardableServer = HttpServer | HttpsServer | Http2SecureServer;

const maxInt32 = 2 ** 31 - 1;

/**
 * Puts Node's own timers to rest: they are coarse, and stop in `close()`. What is left of them is the check of a header
 * whose first bytes came in one piece with the request before it, which nothing else sees.
 */
export function takeOverTimers(server: GuardableServer, options: ResolvedServerOptions): void {
  const { readHeaderTimeout, maxHeaderBytes, maxHeaders } = options;
  Object.assign(server, {
    requestTimeout: 0,
    headersTimeout: Number.isFinite(readHeaderTimeout) ? Math.ceil(readHeaderTimeout) : 0,
    connectionsCheckingInterval: 1_000,
    keepAliveTimeout: 0,
    timeout: 0,
    maxHeaderSize: Math.min(maxHeaderBytes, maxInt32),
    // Node leaves out what is above its own limit without a word: one more is what shows it.
    maxHeadersCount: maxHeaders + 1,
    requireHostHeader: false,
  });
}

type AnyClass = new (...args: never[]) => object;

const attendable = new WeakMap<object, AnyClass>();
const ours = new WeakSet<object>();

/**
 * Requests and responses that have places for what is set on them. Node keeps their classes under two symbols of its
 * own (`options.IncomingMessage`, `options.ServerResponse`); without them it works all the same, and costs more.
 */
export function takeOverClasses(server: GuardableServer): void {
  for (const key of Object.getOwnPropertySymbols(server)) {
    const base: unknown = Reflect.get(server, key);
    if (typeof base !== "function") continue;
    const make = { IncomingMessage: attendableRequests, ServerResponse: attendableResponses }[key.description ?? ""];
    if (make === undefined || ours.has(base)) continue;
    // It is under the symbol for that.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const made = attendable.get(base) ?? make(base as never);
    attendable.set(base, made);
    ours.add(made);
    Reflect.set(server, key, made);
  }
}

/** What a server's own ways to end connections become. */
export interface Ending {
  /** In the place of `close()`. */
  readonly drain: () => Promise<unknown>;
  /** In the place of `closeIdleConnections()`, which resets them, and whatever request is on its way with them. */
  readonly closeIdle: () => void;
}

/** Makes `close()` a drain, so that what frameworks call does the right thing. Returns what closes the listener alone. */
export function takeOverClose(server: GuardableServer, { drain, closeIdle }: Ending): () => Promise<void> {
  const close = server.close.bind(server);
  Reflect.set(server, "close", (done?: (error?: Error) => void) => {
    if (server.listening) void drain().then(done === undefined ? done : () => done());
    else close(done);
    return server;
  });
  if ("closeIdleConnections" in server) {
    // Later, since frameworks call it together with `close()`, and so does that of Node.
    Reflect.set(server, "closeIdleConnections", () => process.nextTick(closeIdle));
  }
  return () => new Promise((resolve) => close(() => resolve()));
}

/** Gives `listen` another default for the backlog; whoever passes one gets that one. */
export function takeOverListen(server: GuardableServer, backlog: number): Listening {
  const listening: Listening = { isOwn: false, backlog };
  const listen: unknown = Reflect.get(server, "listen");
  if (typeof listen !== "function") return listening;
  Reflect.set(server, "listen", (...args: unknown[]) => {
    const given = withBacklog(args, backlog);
    const [target] = given;
    // A worker of a cluster may share its socket with the others, and so may whoever is given one.
    listening.isOwn =
      !process.getBuiltinModule("node:cluster").isWorker &&
      (typeof target !== "object" || target === null || Object.hasOwn(target, "port"));
    Reflect.apply(listen, server, given);
    return server;
  });
  return listening;
}

/** `listen` takes `(options)`, `(handle)`, `(path)` or `(port, host, backlog)`, each with a callback at the end. */
function withBacklog(args: readonly unknown[], backlog: number): unknown[] {
  const [first] = args;
  const rest = args.filter((arg) => typeof arg !== "function");
  const callbacks = args.filter((arg) => typeof arg === "function");
  if (typeof first === "object" && first !== null) {
    // A handle or a server has its own.
    const isOptions = Object.hasOwn(first, "port") || Object.hasOwn(first, "path");
    return [isOptions ? { backlog, ...first } : first, ...args.slice(1)];
  }
  if (rest.length > 1 && typeof rest.at(-1) === "number") return [...args];
  const port = rest.length === 0 || rest[0] === undefined ? 0 : rest[0];
  const target = typeof port === "string" && !/^\d+$/.test(port) ? { path: port } : { port };
  const host = typeof rest[1] === "string" ? { host: rest[1] } : {};
  return [{ backlog, ...target, ...host }, ...callbacks];
}

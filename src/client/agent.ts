/**
 * A `node:http` and `node:https` agent on the connections of a transport.
 *
 * axios, got, node-fetch, the AWS SDK and whatever else is built on `node:http` take an agent, and Node asks it for a
 * socket for each request. This one asks the transport's pools, so the limits, the timeouts before the request is
 * written, the statistics and the connections themselves are the transport's. One object serves both protocols, so
 * that it survives a redirect from one to the other.
 *
 * It does not do what would have to be done in Node's own request: a request that met a stale connection is not sent
 * again, HTTP/2 is not offered, and of the failure policies only outlier ejection holds; retries, hedges and adaptive
 * limits are for what goes through `dispatch`. That a body stands still is noticed after one to one and a half times
 * `bodyTimeout`; `agent-request.ts` says why. A request's own `timeout` counts from when it has its connection; before that
 * `poolTimeout` and `dialTimeout` hold. `agent.sockets`, `freeSockets` and `requests` stay empty; ask `stats()`.
 */

import type { RequestOptions } from "node:http";
import type { AgentOptions } from "node:https";
import { isIP } from "node:net";
import { context } from "../core/context.ts";
import { OptionError } from "../core/errors.ts";
import { AgentRequest, type AgentClientRequest } from "./agent-request.ts";
import { authorityOf } from "./dial/dial-target.ts";
import { http, tls as loadTls } from "./builtins.ts";
import type { OriginPools } from "./origin-pools.ts";
import type { Pool } from "./pool.ts";
import type { RequestSettings } from "./request-settings.ts";
import { toError } from "./to-error.ts";
import type { ResolvedTransportOptions } from "./transport-options.ts";
import { absolutePath, addedHeaders } from "./wire-options.ts";

/** The transport, as its agent sees it. */
export interface AgentSource {
  readonly options: Readonly<ResolvedTransportOptions>;
  readonly pools: OriginPools;
  readonly settings: RequestSettings;
  /** Why no request is taken any more. */
  refusal(): Error | undefined;
}

/** The options of a request as Node hands them to an agent: its own, those of `node:net` and those of `node:tls`. */
type GivenOptions = RequestOptions & Readonly<Record<string, unknown>>;

type SharedOptions = Readonly<Record<string, unknown>>;

const defaultPorts: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 };

/**
 * What Node puts where the caller gave no port. It asks an agent for its default port without saying for which
 * protocol, and one agent that serves two cannot know; this number is no port, so it cannot be mistaken for a given one.
 */
const noPort = -1;

/** Options that make one TLS connection differ from another. */
const tlsOptions = [
  "ALPNProtocols",
  "ca",
  "cert",
  "checkServerIdentity",
  "ciphers",
  "clientCertEngine",
  "crl",
  "dhparam",
  "ecdhCurve",
  "honorCipherOrder",
  "key",
  "maxVersion",
  "minVersion",
  "passphrase",
  "pfx",
  "privateKeyEngine",
  "privateKeyIdentifier",
  "pskCallback",
  "rejectUnauthorized",
  "secureContext",
  "secureOptions",
  "secureProtocol",
  "session",
  "sessionIdContext",
  "sigalgs",
] as const;

/** Options that make it come from, or go to, somewhere else. */
const dialOptions = ["family", "hints", "localAddress", "localPort", "lookup", "socketPath"] as const;

/** Node's own defaults: whoever writes them down has asked for nothing special. */
const harmless: Readonly<Record<string, unknown>> = {
  rejectUnauthorized: true,
  family: 0,
  hints: 0,
};

/**
 * Invariant: it holds no connection and no request. Each request is an {@link AgentRequest} in a pool of the transport
 * from `addRequest` until its connection was given back.
 */
export class TransportAgent extends http.Agent {
  /** Node compares it with the protocol of the request; without one it compares nothing. */
  readonly protocol: undefined = undefined;
  readonly defaultPort: number = noPort;
  /** Node sets it. Said here, so that the type fits where an agent of `node:https` is wanted (got). */
  declare readonly options: AgentOptions;
  readonly #source: AgentSource;
  /** What the requests may name besides: the transport's own settings, by the names that Node gives them. */
  readonly #dialing: SharedOptions;
  readonly #tls: SharedOptions;

  constructor(source: AgentSource) {
    const { keepAlive, maxConns, maxConnsPerHost, maxIdleConnsPerHost } = source.options;
    if (source.options.upstream !== undefined) {
      throw new OptionError("Transport.upstream", "takes requests of dispatch() only; a node:http agent cannot use it");
    }
    // Node says `Connection: close` for an agent that keeps nothing and limits nothing.
    const limits = { maxSockets: maxConnsPerHost, maxTotalSockets: maxConns, maxFreeSockets: maxIdleConnsPerHost };
    super(keepAlive ? { keepAlive, ...limits } : { keepAlive });
    this.#source = source;
    const { localAddress, lookup, socketPath, tls } = source.options;
    this.#dialing = { localAddress, lookup, socketPath };
    this.#tls = { ...tls };
  }

  /** Node calls this for every request, and expects a call of `request.onSocket` sooner or later. */
  addRequest(request: AgentClientRequest, options: GivenOptions): void {
    try {
      const refusal = this.#source.refusal();
      if (refusal !== undefined) throw refusal;
      const pool = this.#poolFor(request, options);
      const current = context();
      addHeaders(request, pool, addedHeaders({ method: request.method }, pool.route, current));
      // Node reads it when it makes the parser, once there is a socket.
      request.maxHeaderSize ??= this.#source.options.maxResponseHeaderBytes;
      new AgentRequest(pool, request, this.#source.settings).start(current);
    } catch (error) {
      request.onSocket(null, toError(error));
    }
  }

  /** Connections are dialled by the pool; one made here would be in nobody's books. */
  override createConnection(): never {
    throw new TypeError("The connections of this agent come from its transport; make requests with it instead.");
  }

  /**
   * Closes what is idle in the whole transport. Requests go on, and new ones are taken: other clients share the
   * connections, and a library that destroys its agent when it is done must not end theirs. `transport.close()` ends it.
   */
  override destroy(): void {
    this.#source.pools.closeIdle();
  }

  #poolFor(request: AgentClientRequest, given: GivenOptions): Pool {
    const { options, pools } = this.#source;
    const { protocol } = request;
    const hostname = given.host ?? "localhost";
    // They would end the host in the URL made of it, and the request would go to whatever stands before them; an
    // escape would be resolved there, past whoever has looked at the host.
    if (/[/?#@\\%\s]/.test(hostname)) throw new OptionError("request.host", `is no host: ${JSON.stringify(hostname)}`);
    const defaultPort = defaultPorts[protocol];
    const port = Number(given.port) === noPort ? (defaultPort ?? 0) : Number(given.port);
    const authority = authorityOf({ hostname, port });
    const plain = port === defaultPort ? authority.slice(0, authority.lastIndexOf(":")) : authority;
    const origin = `${protocol}//${plain}`;
    checkSame(dialOptions, given, this.#dialing);
    const named = request.getHeader("host");
    if (port === defaultPort && named === authority && !request.headersSent) request.setHeader("host", plain);
    if (protocol !== "https:") return pools.poolFor({ origin });
    checkSame(tlsOptions, given, this.#tls);
    const dispatch = {
      origin,
      servername: servernameOf(given, hostname),
      // A Host header that is not the origin's own asks for another certificate.
      ...(typeof named === "string" && named !== plain && named !== authority && { headers: { host: named } }),
      // node:http cannot speak HTTP/2. Where the others do not either, they share one pool.
      ...(options.http2 === "auto" && { allowH2: false }),
    };
    return pools.poolFor(dispatch);
  }
}

/** The name that the caller wants in the TLS handshake, when he gave one. */
function servernameOf(given: GivenOptions, hostname: string): string | null {
  const servername = given["servername"];
  if (typeof servername !== "string" || servername === hostname) return null;
  if (servername !== "") return servername;
  if (isIP(hostname) !== 0) return null;
  throw new OptionError("request.servername", "is empty: this agent always names the host in the TLS handshake");
}

/** Refuses what would make the request's connection another one than those that it shares. */
function checkSame(names: readonly string[], given: GivenOptions, shared: SharedOptions): void {
  for (const name of names) {
    const value = given[name];
    if (value === undefined || value === null || value === shared[name]) continue;
    if (isHarmless(name, value) && shared[name] === undefined) continue;
    throw new OptionError(
      `request.${name}`,
      "differs from the transport's, whose connections are shared. Give it to the Transport, or make another one.",
    );
  }
}

/** Whether the value is what Node fills in by itself. */
function isHarmless(name: string, value: unknown): boolean {
  return name === "checkServerIdentity" ? value === loadTls().checkServerIdentity : value === harmless[name];
}

/** What the route adds: trace and deadline for everybody, the absolute form for a forward proxy. */
function addHeaders(
  request: AgentClientRequest,
  { route }: Pool,
  added: Readonly<Record<string, string>> | undefined,
): void {
  if (route.forward !== undefined && request.method !== "CONNECT") {
    if (request.headersSent) {
      throw new OptionError(
        "request.headers",
        "were written before the proxy was known, as Node does with an array or with Expect; give an object, or tunnel",
      );
    }
    request.path = absolutePath(route.origin, request.path);
  }
  if (request.headersSent) return;
  for (const [name, value] of Object.entries(added ?? {})) {
    if (!request.hasHeader(name)) request.setHeader(name, value);
  }
}

/**
 * Makes the connections of the pool: name lookup, TCP, tunnel through a proxy, TLS, each step limited, timed and
 * abortable on its own, so that a slow name server never looks like a slow server.
 *
 * undici's connector has one coarse timer around all of it, and Node's sequential `autoSelectFamily` inside. So we
 * dial ourselves and hand undici a live socket. The dialer keeps no connection: which request gets it, and when it is
 * closed, is for the pool to decide.
 *
 * A socket is handed over connected, unread and not flowing; what the peer has sent already waits in its buffer. The
 * listeners left on it are `ignoreError`, so that it cannot crash the process before its owner listens, and on a TLS
 * socket the one that keeps session tickets. undici's `connect` callback must not be called synchronously with it.
 */

import type { LookupAddress } from "node:dns";
import { isIPv6, type Socket } from "node:net";
import { outside } from "../../core/context.ts";
import { DialTimeoutError, ProxyConnectError, TlsHandshakeTimeoutError, TransportClosedError } from "../errors.ts";
import { DialGate, type Turn } from "./dial-gate.ts";
import { checkDialOptions, secureContextFor, type DialOptions } from "./dial-options.ts";
import { DialScope } from "./dial-scope.ts";
import { authorityOf, withoutBrackets, type DialTarget } from "./dial-target.ts";
import { connectFirst, interleave, type Candidate } from "./happy-eyeballs.ts";
import { resolveProxyRule, type ProxyRoute, type ProxyTable } from "./proxy-rule.ts";
import { Resolver } from "./resolve.ts";
import { secure, servernameFor, type TlsPeer, type TlsSettings } from "./tls-handshake.ts";
import { TlsSessions } from "./tls-sessions.ts";
import { openTunnel } from "./tunnel.ts";

/** How long each step of a dial took, in ms; 0 for a step that was not needed. */
export interface DialTimings {
  /** Waiting for a turn, while `maxDials` others were under way. */
  readonly queueMs: number;
  readonly dnsMs: number;
  readonly connectMs: number;
  /** The tunnel, with the TLS handshake with the proxy itself if it is an `https:` one. */
  readonly proxyMs: number;
  readonly tlsMs: number;
  readonly tlsResumed: boolean;
}

/** A connection that nobody has used yet. Its new owner must destroy it, or it stays open. */
export interface DialedConnection {
  readonly socket: Socket;
  readonly protocol: "http/1.1" | "h2";
  /** Address at the other end of the TCP connection, which is the proxy's if there is one; the path of a Unix socket. */
  readonly remoteAddress: string;
  readonly timings: DialTimings;
}

/** What a request needs to know of the proxy on its way. */
export interface ProxyUse {
  /** `http://proxy.example:3128`, without user and password. */
  readonly url: string;
  /** `forward`: send requests in absolute form, with `authorization`. `tunnel`: the connection reaches the target. */
  readonly kind: "forward" | "tunnel";
  /** Value of `Proxy-Authorization` for a request in absolute form. A secret, undefined for a tunnel. */
  readonly authorization: string | undefined;
}

/** One dial under way: what it is for, how far it is, and what it has used so far. */
interface Attempt {
  readonly target: DialTarget;
  readonly route: ProxyRoute | undefined;
  readonly scope: DialScope;
  readonly timings: { -readonly [Step in keyof DialTimings]: DialTimings[Step] };
  readonly tried: string[];
  phase: "dns" | "connect" | "proxy";
  socket: Socket | undefined;
}

/**
 * Invariant: every scope in `#scopes` belongs to a dial whose promise has not settled, and a dial that does not
 * resolve has destroyed its sockets before it rejects. Everything is made outside the caller's async scope.
 */
export class Dialer {
  readonly #options: DialOptions;
  readonly #proxies: ProxyTable;
  readonly #resolver: Resolver;
  readonly #gate: DialGate;
  readonly #tls: TlsSettings;
  readonly #scopes: Set<DialScope> = new Set();
  #closed = false;

  /** @throws {OptionError} a proxy, certificate or address that cannot be used */
  constructor(options: DialOptions) {
    checkDialOptions(options);
    this.#options = options;
    this.#proxies =
      options.socketPath === undefined ? resolveProxyRule("Transport.proxy", options.proxy ?? "none") : () => undefined;
    this.#resolver = new Resolver(options.lookup);
    this.#gate = new DialGate(options.maxDials ?? 100);
    // Without settings there is nothing that could be wrong, and TLS may never be needed.
    let context = options.tls && secureContextFor(options.tls);
    this.#tls = {
      options: options.tls ?? {},
      context: () => (context ??= secureContextFor(undefined)),
      sessions: new TlsSessions(options.maxCachedTlsSessions ?? 100),
    };
  }

  /** Dials begun and not settled, those waiting for their turn included. */
  get dialing(): number {
    return this.#scopes.size;
  }

  /** The proxy that a connection to `target` goes through. */
  proxyFor(target: Pick<DialTarget, "protocol" | "hostname" | "port">): ProxyUse | undefined {
    const route = this.#proxies(target);
    if (route === undefined) return undefined;
    const { proxy, kind } = route;
    return { url: proxy.url, kind, authorization: kind === "forward" ? proxy.authorization : undefined };
  }

  /**
   * Connects to `target`. An abort rejects with `signal.reason` in the same turn of the event loop.
   *
   * A dial first waits for its turn, at most for one `dialTimeout`; the limits of its steps count from that turn.
   * Otherwise a burst would fail those at its end although the server answered every connection at once.
   *
   * @throws {DialTimeoutError} lookup, TCP and tunnel, or the wait for a turn, took longer than `dialTimeoutMs`
   * @throws {TlsHandshakeTimeoutError} the handshake took longer than `tlsHandshakeTimeoutMs`
   * @throws {ProxyConnectError} the proxy opened no tunnel
   * @throws {TransportClosedError} the dialer was closed
   * @throws the system's error, unchanged: `ENOTFOUND`, `ECONNREFUSED`, a certificate error; an `AggregateError` with
   *   such a code if several addresses failed
   */
  dial(target: DialTarget, signal?: AbortSignal): Promise<DialedConnection> {
    return outside(() => this.#dial(target, signal));
  }

  /** Ends all dials with a `TransportClosedError` and forgets the TLS sessions. Connections handed over live on. */
  close(): void {
    this.#closed = true;
    for (const scope of this.#scopes) scope.end(new TransportClosedError());
    this.#tls.sessions.clear();
  }

  async #dial(target: DialTarget, signal: AbortSignal | undefined): Promise<DialedConnection> {
    if (this.#closed) throw new TransportClosedError();
    using scope = new DialScope(signal);
    const attempt: Attempt = {
      target,
      route: this.#proxies(target),
      scope,
      timings: { queueMs: 0, dnsMs: 0, connectMs: 0, proxyMs: 0, tlsMs: 0, tlsResumed: false },
      tried: [],
      phase: "dns",
      socket: undefined,
    };
    this.#scopes.add(scope);
    try {
      using _turn = await this.#waitForTurn(attempt);
      const connection = await this.#run(attempt);
      // An abort in the microtasks since the last event has found no step to end.
      scope.signal.throwIfAborted();
      return connection;
    } catch (error) {
      attempt.socket?.destroy();
      throw error;
    } finally {
      this.#scopes.delete(scope);
    }
  }

  async #waitForTurn({ target, scope, timings }: Attempt): Promise<Turn> {
    const { dialTimeoutMs } = this.#options;
    const startedAt = performance.now();
    const detail = `It waited for its turn all the time: maxDials is ${this.#gate.limit}.`;
    using _limit = scope.limit(
      dialTimeoutMs,
      () => new DialTimeoutError("connect", authorityOf(target), dialTimeoutMs, detail),
    );
    const turn = await this.#gate.enter(authorityOf(target), scope.signal);
    timings.queueMs = performance.now() - startedAt;
    return turn;
  }

  async #run(attempt: Attempt): Promise<DialedConnection> {
    const { target, route, scope, timings } = attempt;
    const { socket: transportSocket, address } = await this.#reach(attempt);
    const peer = tlsPeer(target, route);
    if (peer === undefined) {
      return { socket: transportSocket, protocol: "http/1.1", remoteAddress: address, timings };
    }
    const { tlsHandshakeTimeoutMs } = this.#options;
    const startedAt = performance.now();
    using _limit = scope.limit(
      tlsHandshakeTimeoutMs,
      () => new TlsHandshakeTimeoutError(authorityOf(peer), tlsHandshakeTimeoutMs),
    );
    const socket = await secure(transportSocket, peer, this.#tls, scope.signal);
    attempt.socket = socket;
    timings.tlsMs = performance.now() - startedAt;
    timings.tlsResumed = socket.isSessionReused();
    const protocol = socket.alpnProtocol === "h2" ? "h2" : "http/1.1";
    return { socket, protocol, remoteAddress: address, timings };
  }

  /** All that `dialTimeout` covers: up to a socket whose other end is the target, or a proxy that forwards to it. */
  async #reach(attempt: Attempt): Promise<{ readonly socket: Socket; readonly address: string }> {
    const { target, route, scope, timings, tried } = attempt;
    const { dialTimeoutMs } = this.#options;
    using _limit = scope.limit(dialTimeoutMs, () => {
      const detail = attempt.phase === "connect" ? `Tried without an answer: ${tried.join(", ")}.` : "";
      return new DialTimeoutError(attempt.phase, authorityOf(target), dialTimeoutMs, detail);
    });

    const startedAt = performance.now();
    const candidates = await this.#candidates(route?.proxy ?? target, scope.signal);
    const resolvedAt = performance.now();
    timings.dnsMs = resolvedAt - startedAt;

    attempt.phase = "connect";
    const { socket, candidate } = await connectFirst(candidates, scope.signal, {
      onAttempt: ({ name }) => tried.push(name),
    }).catch((cause: unknown) => {
      if (route === undefined || scope.signal.aborted) throw cause;
      // Whoever reads "connection refused" would look for the fault at the origin.
      throw new ProxyConnectError(route.proxy.url, authorityOf(target), 0, { cause });
    });
    attempt.socket = socket;
    const connectedAt = performance.now();
    timings.connectMs = connectedAt - resolvedAt;
    if (route?.kind !== "tunnel") return { socket, address: candidate.address };

    attempt.phase = "proxy";
    const tunnelled = await this.#tunnel(socket, route, attempt);
    timings.proxyMs = performance.now() - connectedAt;
    return { socket: tunnelled, address: candidate.address };
  }

  async #tunnel(raw: Socket, { proxy }: ProxyRoute, attempt: Attempt): Promise<Socket> {
    const { scope, target } = attempt;
    let socket = raw;
    if (proxy.protocol === "https:") {
      socket = await secure(
        raw,
        { ...proxy, servername: servernameFor(proxy.hostname), allowH2: false },
        this.#tls,
        scope.signal,
      );
      attempt.socket = socket;
    }
    await openTunnel(socket, proxy, authorityOf(target), scope.signal);
    return socket;
  }

  async #candidates(
    endpoint: Pick<DialTarget, "hostname" | "port" | "avoid">,
    signal: AbortSignal,
  ): Promise<readonly Candidate[]> {
    const { socketPath, localAddress, keepAliveInitialDelay = 30_000 } = this.#options;
    if (socketPath !== undefined) return [{ name: socketPath, address: socketPath, options: { path: socketPath } }];
    const found = await this.#resolver.resolve(withoutBrackets(endpoint.hostname), signal);
    const usable = interleave(localAddress === undefined ? found : sameFamily(found, localAddress));
    if (usable.length === 0) throw noUsableAddress(endpoint.hostname, localAddress);
    const avoided = usable.filter(({ address }) => endpoint.avoid?.(address) === true);
    const ordered = [...usable.filter((each) => !avoided.includes(each)), ...avoided];
    return ordered.map(({ address, family }) => ({
      name: authorityOf({ hostname: address, port: endpoint.port }),
      address,
      options: {
        host: address,
        port: endpoint.port,
        family,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay,
        ...(localAddress !== undefined && { localAddress }),
      },
    }));
  }
}

/** Who is at the other end of the last TLS layer: the target, or the proxy that forwards for it; undefined for neither. */
function tlsPeer(target: DialTarget, route: ProxyRoute | undefined): TlsPeer | undefined {
  if (target.protocol === "https:") return { ...target, servername: target.servername };
  if (route?.proxy.protocol !== "https:") return undefined;
  return { ...route.proxy, servername: servernameFor(route.proxy.hostname), allowH2: false };
}

function sameFamily(addresses: readonly LookupAddress[], localAddress: string): readonly LookupAddress[] {
  const local = isIPv6(localAddress) ? 6 : 4;
  return addresses.filter(({ family }) => family === local);
}

function noUsableAddress(hostname: string, localAddress: string | undefined): Error {
  const message = `${hostname} has no address of the family of localAddress ${localAddress}`;
  // The code that the system gives for it.
  return Object.assign(new Error(message), { code: "EADDRNOTAVAIL", hostname });
}

/**
 * The pools of a transport by origin, and what they share.
 *
 * The table is bounded: beyond `maxHosts` the origin that has been quiet for longest is forgotten. undici's Agent keeps
 * every origin it ever saw, and a crawler's memory grows with it (undici#4424, #3895).
 */

import { isIP } from "node:net";
import type { Dispatcher } from "undici";
import { errors } from "./undici.ts";
import type { DeadlineWheel } from "../core/deadline-wheel.ts";
import { Dialer } from "./dial/dialer.ts";
import { TooManyHostsError, TransportClosedError } from "./errors.ts";
import { ClientInstruments, OriginInstruments } from "./instruments.ts";
import { Pool, type PoolNeighbours } from "./pool.ts";
import type { ConcurrencyPolicy, GateStats } from "./policies/concurrency.ts";
import { findHeader } from "./request-headers.ts";
import { SharedLimits } from "./shared-limits.ts";
import type { ResolvedTransportOptions } from "./transport-options.ts";
import { addPool, describeOrigin, emptySums, freezeCounts, type TransportStats } from "./transport-stats.ts";

type DispatchOptions = Pick<Dispatcher.DispatchOptions, "origin" | "headers">;

/** What undici and Node add to dispatch options besides the typed ones. */
interface TlsHints {
  readonly servername?: string | null;
  readonly allowH2?: boolean;
}

/**
 * Invariant: `#pools` has at most `maxHosts` pools. One that left it is closed, in `#retired` until its last socket has
 * closed, and then only in the sums of `#forgotten`.
 */
export class OriginPools {
  readonly #options: Readonly<ResolvedTransportOptions>;
  readonly #near: PoolNeighbours;
  readonly #instruments: ClientInstruments;
  readonly #pools = new Map<string, Pool>();
  readonly #gauges: Disposable[];
  readonly #retired = new Set<Pool>();
  /** What forgotten pools had counted, so that totals never fall. */
  readonly #forgotten = emptySums();

  constructor(options: Readonly<ResolvedTransportOptions>, wheel: DeadlineWheel) {
    this.#options = options;
    const dialer = new Dialer({
      dialTimeoutMs: options.dialTimeout,
      tlsHandshakeTimeoutMs: options.tlsHandshakeTimeout,
      tls: options.tls,
      lookup: options.lookup,
      proxy: options.proxy,
      socketPath: options.socketPath,
      localAddress: options.localAddress,
      maxCachedTlsSessions: options.maxTlsSessions,
    });
    const shared = new SharedLimits(options.maxConns, options.maxIdleConns);
    this.#near = { limits: options, shared, wheel, dialer, ejection: options.ejection };
    this.#instruments = new ClientInstruments(options.registry);
    this.#gauges = this.#observeLevels();
  }

  get size(): number {
    return this.#pools.size;
  }

  all(): Iterable<Pool> {
    return this.#pools.values();
  }

  /**
   * The pool for a request's origin; made if it is new.
   *
   * @throws {errors.InvalidArgumentError} the origin is no http or https URL
   * @throws {TooManyHostsError} there is no room for another
   */
  poolFor(options: DispatchOptions): Pool {
    const { origin } = options;
    const text = typeof origin === "string" ? origin : String(origin?.origin);
    // Plain HTTP in its canonical form is its own key: no parsing, nothing made.
    if (text.startsWith("https:")) return this.#securePoolFor(text, options);
    return this.#pools.get(text) ?? this.#find(text, "", {});
  }

  /** A pool of that origin, in whichever form the caller wrote it: its variants are in the same books. */
  peek(origin: string): Pool | undefined {
    const known = this.#pools.get(origin);
    if (known !== undefined) return known;
    const canonical = URL.parse(origin)?.origin;
    for (const pool of this.#pools.values()) if (pool.origin === canonical) return pool;
    return undefined;
  }

  closeIdle(): void {
    for (const pool of this.#pools.values()) pool.closeAllIdle("shutdown");
  }

  /** Lets requests end, closes each connection when it is no longer needed, and resolves when none is left. */
  async drain(): Promise<void> {
    const { shared } = this.#near;
    for (const pool of this.#pools.values()) pool.drain();
    // A request whose connection was stale dials again.
    // oxlint-disable-next-line no-await-in-loop -- one wait after the other, until there is nothing to wait for
    while (shared.open > 0) await shared.whenEmpty();
    this.#dispose();
  }

  /** Ends every request with `reason` and closes every connection. Resolves when the sockets have closed. */
  async abort(reason: Error): Promise<void> {
    for (const pool of this.#pools.values()) pool.abort(reason);
    this.#near.dialer.close();
    await this.#near.shared.whenEmpty();
    this.#dispose();
  }

  /** Shows the limits of a policy, and who waits for them, beside the levels of the pools. */
  observeLimits(policy: ConcurrencyPolicy): void {
    const { limit, limitWaiting } = this.#instruments.policies;
    const perOrigin =
      (read: (stats: GateStats) => number) =>
      (report: (value: number, ...labels: string[]) => void): void => {
        for (const [origin, stats] of policy.all()) {
          const labels = this.peek(origin)?.instruments.labels;
          if (labels !== undefined) report(read(stats), ...labels);
        }
      };
    this.#gauges.push(
      limit.observe(perOrigin((stats) => stats.limit)),
      limitWaiting.observe(perOrigin((stats) => stats.waiting)),
    );
  }

  stats(): TransportStats {
    const { name, maxConns, maxIdleConns, maxHosts } = this.#options;
    this.#foldRetired();
    const sums = structuredClone(this.#forgotten);
    for (const pool of [...this.#pools.values(), ...this.#retired]) addPool(sums, pool);
    const origins = Array.from(this.#pools.values(), describeOrigin);
    const limits = Object.freeze({ maxConns, maxIdleConns, maxHosts });
    return Object.freeze({ name, ...freezeCounts(sums), limits, origins: Object.freeze(origins) });
  }

  #securePoolFor(origin: string, options: DispatchOptions): Pool {
    // undici's callers may add both; the types of dispatch options leave them out.
    const { servername, allowH2 } = options as DispatchOptions & TlsHints;
    // As in undici, a Host header decides the certificate that is asked for.
    const host = servername ?? serverNameOf(options.headers == null ? undefined : findHeader(options.headers, "host"));
    // The name comes last: whoever writes the header may put anything into it, but nothing into another's place.
    const variant = host === undefined && allowH2 !== false ? "" : `${allowH2 === false ? "h1" : "h2"}|${host ?? ""}`;
    const hints = { servername: host ?? null, allowH2: allowH2 !== false };
    return this.#pools.get(variant === "" ? origin : `${origin}|${variant}`) ?? this.#find(origin, variant, hints);
  }

  #find(text: string, variant: string, hints: TlsHints): Pool {
    const url = parseOrigin(text);
    const key = variant === "" ? url.origin : `${url.origin}|${variant}`;
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    if (this.#pools.size >= this.#options.maxHosts) this.#forgetOne(url.origin);
    const pool = this.#create(url, hints);
    this.#pools.set(key, pool);
    return pool;
  }

  #create(url: URL, { servername, allowH2 }: TlsHints): Pool {
    const secure = url.protocol === "https:";
    const target = {
      protocol: secure ? ("https:" as const) : ("http:" as const),
      hostname: url.hostname,
      port: Number(url.port) || (secure ? 443 : 80),
      servername: servername ?? undefined,
      allowH2: secure && this.#options.http2 === "auto" && allowH2 !== false,
    };
    const { name, propagate, keepAlive } = this.#options;
    const proxy = this.#near.dialer.proxyFor(target);
    const route = {
      origin: url.origin,
      url: cheapUrl(url),
      servername: target.servername,
      http2: target.allowH2,
      forward: proxy?.kind === "forward" ? { authorization: proxy.authorization } : undefined,
      keepAlive,
      trace: propagate.trace,
      deadline: propagate.deadlineTo.includes(url.origin),
    };
    return new Pool(route, target, this.#near, new OriginInstruments(this.#instruments, name, url));
  }

  #forgetOne(newcomer: string): void {
    let oldest: [string, Pool] | undefined;
    for (const entry of this.#pools) {
      if (entry[1].quiet && entry[1].lastUsedAt < (oldest?.[1].lastUsedAt ?? Infinity)) oldest = entry;
    }
    if (oldest === undefined) throw new TooManyHostsError(newcomer, this.#options.maxHosts);
    const [key, pool] = oldest;
    this.#pools.delete(key);
    pool.abort(new TransportClosedError());
    this.#foldRetired();
    this.#retired.add(pool);
  }

  #foldRetired(): void {
    for (const pool of this.#retired) {
      if (pool.open > 0 || pool.upgraded > 0) continue;
      this.#retired.delete(pool);
      addPool(this.#forgotten, pool);
    }
  }

  #dispose(): void {
    this.#near.shared.exitGuard.close();
    this.#near.dialer.close();
    for (const gauge of this.#gauges) gauge[Symbol.dispose]();
  }

  #observeLevels(): Disposable[] {
    const { active, pending, openConnections, limits, unreadBodies } = this.#instruments;
    const { name, maxConns, maxConnsPerHost, maxIdleConns, maxIdleConnsPerHost } = this.#options;
    const perPool = (read: (pool: Pool) => number) => (report: (value: number, ...labels: string[]) => void) => {
      for (const pool of this.#pools.values()) report(read(pool), ...pool.instruments.labels);
    };
    return [
      active.observe(perPool((pool) => pool.active)),
      pending.observe(perPool((pool) => pool.waiting)),
      unreadBodies.observe(perPool((pool) => pool.unreadBodies)),
      openConnections.observe((report) => {
        for (const pool of this.#pools.values()) {
          report(pool.inUse, ...pool.instruments.labels, "active");
          report(pool.idle, ...pool.instruments.labels, "idle");
        }
      }),
      limits.observe((report) => {
        report(maxConns, name, "total");
        report(maxConnsPerHost, name, "per_host");
        report(maxIdleConns, name, "idle");
        report(maxIdleConnsPerHost, name, "idle_per_host");
      }),
    ];
  }
}

function parseOrigin(text: string): URL {
  const url = URL.parse(text);
  if (url === null) throw new errors.InvalidArgumentError(`Invalid URL: ${JSON.stringify(text)} is not an origin`);
  if (url.protocol === "http:" || url.protocol === "https:") return url;
  throw new errors.InvalidArgumentError(`Invalid URL protocol: ${url.protocol} is not http: or https:`);
}

/** The name in a Host header, as TLS wants it: without a port, and none for an address. */
function serverNameOf(host: string | undefined): string | undefined {
  if (host === undefined || host.startsWith("[")) return undefined;
  const name = host.split(":", 1)[0] ?? "";
  return name === "" || isIP(name) !== 0 ? undefined : name;
}

/**
 * The origin with the parts that undici looks at for each request at hand: a URL's own getters make a new string each
 * time, and undici compares it with the last. That is 0.3 us of the 12 that a request costs.
 */
function cheapUrl({ origin, protocol }: URL): URL {
  return Object.defineProperties(new URL(origin), { origin: { value: origin }, protocol: { value: protocol } });
}

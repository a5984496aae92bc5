/**
 * The instruments of a server, by the names of OpenTelemetry's HTTP conventions in Prometheus' form, and Kestrel's
 * where those have none.
 *
 * A request is counted at its end, whatever the end was; its duration runs from the end of its header to the last byte
 * handed to the kernel, or to the moment when its client left. The client's `Host` is no label: whoever sends requests
 * could make a series of each. Routes come only as patterns, from the user. What is a level is read when somebody
 * collects, so it costs a request nothing.
 */

import {
  connectionBounds,
  type Counter,
  type CounterFamily,
  durationBounds,
  type Family,
  type GaugeFamily,
  type Histogram,
  knownMethods,
  queueBounds,
  type Registry,
} from "../core/instruments.ts";

const requestLabels = ["server", "http_route", "http_request_method", "http_response_status_code", "error_type"];

/** Each route has a series for each method and status that it meets. */
const maxRequestSeries = 2_000;
/** Routes whose series are held. More than this are no patterns. */
const maxRoutes = 500;

const timeoutKinds = ["tls", "read_header", "read", "read_rate", "handler", "write", "write_rate", "idle"] as const;
const rejectReasons = ["max_connections", "pending_timeout", "pending", "address", "upgraded", "draining"] as const;
const shedReasons = ["concurrency", "event_loop", "memory", "deadline", "address", "draining"] as const;

/** Which limit on time was reached. */
export type TimeoutKind = (typeof timeoutKinds)[number];

/** Why a connection got no place. */
export type RejectReason = (typeof rejectReasons)[number];

/** Why a request got no place. */
export type ShedReason = (typeof shedReasons)[number];

/** The counts of one kind of event of one server, and the counters that they are also found in. */
class Tally<Kind extends string> {
  readonly #counts: Map<Kind, number>;
  readonly #counters: Map<Kind, Counter>;

  constructor(kinds: readonly Kind[], counterOf: (kind: Kind) => Counter) {
    this.#counts = new Map(kinds.map((kind) => [kind, 0]));
    // All of them from the start: a counter that appears with its first event hides that event from `increase()`.
    this.#counters = new Map(kinds.map((kind) => [kind, counterOf(kind)]));
  }

  add(kind: Kind): void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
    this.#counters.get(kind)?.add();
  }

  /** A copy. */
  read(): Readonly<Record<Kind, number>> {
    // Made from all kinds.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return Object.freeze(Object.fromEntries(this.#counts) as Record<Kind, number>);
  }
}

/** What one request is counted under. */
interface RequestSeries {
  readonly requests: Counter;
  readonly duration: Histogram;
}

/** The series of one route by method, then by status. */
type RouteSeries = Map<string, (RequestSeries | undefined)[]>;

/** A request that has ended without an answer, or with half of one. */
export interface Failure {
  readonly method: string;
  /** 0 if the answer had not begun. */
  readonly status: number;
  readonly route: string;
  readonly error: string;
  readonly durationMs: number;
}

/** All families of one server, and the series that its requests touch. */
export class ServerInstruments {
  badRequestCount = 0;
  lateWriteCount = 0;
  requestCount = 0;
  acceptedCount = 0;
  readonly connectionDuration: Histogram;
  readonly queueTime: Histogram;
  readonly pendingTime: Histogram;
  readonly active: GaugeFamily;
  readonly connections: GaugeFamily;
  readonly limits: GaugeFamily;
  readonly queued: GaugeFamily;
  readonly pending: GaugeFamily;
  readonly concurrencyLimit: GaugeFamily;
  readonly draining: GaugeFamily;
  readonly acceptQueue: GaugeFamily;
  readonly acceptDrops: CounterFamily;
  readonly #name: string;
  readonly #accepted: Counter;
  readonly #requests: Family<Counter>;
  readonly #duration: Family<Histogram>;
  readonly rejected: Tally<RejectReason>;
  readonly timeouts: Tally<TimeoutKind>;
  readonly shed: Tally<ShedReason>;
  readonly #badRequests: Family<Counter>;
  readonly #lateWrites: Family<Counter>;
  readonly #routes = new Map<string, RouteSeries>();

  constructor(registry: Registry, name: string) {
    this.#name = name;
    const counter = (family: string, help: string, labels: readonly string[] = []) =>
      registry.counter(family, help, ["server", ...labels]);
    const gauge = (family: string, help: string, labels: readonly string[] = []) =>
      registry.gauge(family, help, ["server", ...labels]);
    const histogram = (family: string, help: string, bounds: readonly number[]) =>
      registry.histogram(family, help, { labelNames: ["server"], bounds }).labels(name);
    const most = { maxSeries: maxRequestSeries };
    this.#requests = registry.counter(
      "http_server_requests_total",
      "Requests that have ended, whatever the end was.",
      requestLabels,
      most,
    );
    this.#duration = registry.histogram(
      "http_server_request_duration_seconds",
      "Time from the end of a request's header to the end of its answer.",
      { labelNames: requestLabels, bounds: durationBounds, ...most },
    );
    this.active = gauge("http_server_active_requests", "Requests that have not ended.");
    this.connections = gauge("http_server_connections_active", "Open connections by state.", ["state"]);
    this.#accepted = counter("http_server_connections_total", "Connections accepted.").labels(name);
    const rejected = counter("http_server_connections_rejected_total", "Connections refused, by reason.", ["reason"]);
    this.rejected = new Tally(rejectReasons, (reason) => rejected.labels(name, reason));
    this.connectionDuration = histogram(
      "http_server_connection_duration_seconds",
      "Life of the connections that have closed.",
      connectionBounds,
    );
    this.limits = gauge("http_server_connections_limit", "Limits on connections.", ["scope"]);
    this.pending = gauge("http_server_pending_connections", "Connections held until another one closes.");
    this.pendingTime = histogram(
      "http_server_connection_time_pending_seconds",
      "Time that connections were held until another one closed; those let in at once are not in it.",
      queueBounds,
    );
    this.queued = gauge("http_server_queued_requests", "Requests that wait for the concurrency limit.");
    this.queueTime = histogram(
      "http_server_request_time_in_queue_seconds",
      "Time that requests waited for the concurrency limit; those let in at once are not in it.",
      queueBounds,
    );
    this.concurrencyLimit = gauge("http_server_concurrency_limit", "Requests that may be worked on at once.");
    const shed = counter("http_server_requests_shed_total", "Requests refused with 503, by reason.", ["reason"]);
    this.shed = new Tally(shedReasons, (reason) => shed.labels(name, reason));
    const timeouts = counter("http_server_timeouts_total", "Limits on time that were reached, by kind.", ["kind"]);
    this.timeouts = new Tally(timeoutKinds, (kind) => timeouts.labels(name, kind));
    this.#badRequests = counter("http_server_bad_requests_total", "Requests refused as malformed, by reason.", [
      "reason",
    ]);
    this.#lateWrites = counter("http_server_late_writes_total", "Calls on answers that were complete, by method.", [
      "method",
    ]);
    this.draining = gauge("http_server_draining", "1 while the server drains.");
    this.acceptQueue = gauge(
      "http_server_accept_queue",
      "Connections that the kernel has completed and nobody has accepted (Linux), and the most that fit.",
      ["scope"],
    );
    this.acceptDrops = registry.counter(
      "http_server_accept_queue_drops_total",
      "Connections lost before accept (Linux), on all listening sockets of this network namespace since its start.",
      ["reason"],
    );
  }

  accepted(): void {
    this.acceptedCount += 1;
    this.#accepted.add();
  }

  /** A request has been answered. */
  finished(method: string, status: number, route: string, durationMs: number): void {
    this.requestCount += 1;
    const series = this.#routes.get(route)?.get(method)?.[status] ?? this.#hold(method, status, route);
    series.requests.add();
    series.duration.record(durationMs / 1_000);
  }

  /** A request has ended without an answer, or with half of one. */
  failed({ method, status, route, error, durationMs }: Failure): void {
    this.requestCount += 1;
    const series = this.#look(method, status, route, error);
    series.requests.add();
    series.duration.record(durationMs / 1_000);
  }

  badRequest(reason: string): void {
    this.badRequestCount += 1;
    this.#badRequests.labels(this.#name, reason).add();
  }

  lateWrite(method: string): void {
    this.lateWriteCount += 1;
    this.#lateWrites.labels(this.#name, method).add();
  }

  #hold(method: string, status: number, route: string): RequestSeries {
    const series = this.#look(method, status, route, "");
    // Only known methods and statuses of HTTP are held, and a sane number of routes: there is no end to others.
    if (!knownMethods.has(method) || !(status >= 100 && status < 600)) return series;
    if (!this.#routes.has(route) && this.#routes.size >= maxRoutes) return series;
    const byMethod: RouteSeries = this.#routes.get(route) ?? new Map();
    const byStatus = byMethod.get(method) ?? [];
    byStatus[status] = series;
    byMethod.set(method, byStatus);
    this.#routes.set(route, byMethod);
    return series;
  }

  #look(method: string, status: number, route: string, error: string): RequestSeries {
    const statusLabel = status === 0 ? "" : String(status);
    const labels = [
      this.#name,
      route,
      knownMethods.has(method) ? method : "_OTHER",
      statusLabel,
      // OpenTelemetry: for a server only 5xx are errors, and then the status is the error type.
      error === "" && status >= 500 ? statusLabel : error,
    ];
    return { requests: this.#requests.labels(...labels), duration: this.#duration.labels(...labels) };
  }
}

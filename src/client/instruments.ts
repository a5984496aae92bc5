/**
 * The instruments of the client, by the names of OpenTelemetry's HTTP conventions in Prometheus' form.
 *
 * A request that fails is counted and timed like any other, under its `error_type`: promhttp leaves such requests
 * out, and a dead upstream looks like silence. A request's duration runs from the call to the end of the body. What
 * is a level (open connections, requests waiting) is read from the pools when somebody collects, so it costs a request
 * nothing.
 */

import {
  connectionBounds,
  type Counter,
  durationBounds,
  type Family,
  type GaugeFamily,
  type Histogram,
  knownMethods,
  queueBounds,
  type Registry,
} from "../core/instruments.ts";
import type { CloseReason } from "./connection.ts";
import type { DialTimings } from "./dial/dialer.ts";
import type { Phase } from "./errors.ts";

/** What every series of a request says. `pool` is the name of the transport. */
const originLabels = ["pool", "server_address", "server_port"] as const;
const requestLabels = [...originLabels, "http_request_method", "http_response_status_code", "error_type"];

/** The families of what is off by default; empty until it is on. */
class PolicyInstruments {
  readonly refusedRetries: Family<Counter>;
  readonly hedges: Family<Counter>;
  readonly ejections: Family<Counter>;
  readonly gated: Family<Counter>;
  readonly limit: GaugeFamily;
  readonly limitWaiting: GaugeFamily;

  constructor(registry: Registry) {
    this.refusedRetries = registry.counter(
      "http_client_retries_refused_total",
      "Failed requests that were not sent again although their kind may be, by reason.",
      [...originLabels, "reason"],
    );
    this.hedges = registry.counter("http_client_hedges_total", "Second requests against slow first ones.", [
      ...originLabels,
      "outcome",
    ]);
    this.ejections = registry.counter("http_client_ejections_total", "Addresses left alone for a while.", originLabels);
    this.gated = registry.counter(
      "http_client_concurrency_limited_total",
      "Requests that the concurrency limit kept back, by outcome.",
      [...originLabels, "outcome"],
    );
    this.limit = registry.gauge(
      "http_client_concurrency_limit",
      "Requests that the concurrency limit lets be in flight at once.",
      originLabels,
    );
    this.limitWaiting = registry.gauge(
      "http_client_concurrency_waiting",
      "Requests that wait for the concurrency limit; they ask for no connection yet.",
      originLabels,
    );
  }
}

/** All families of the client in one registry. Made once for a transport; transports of one registry share them. */
export class ClientInstruments {
  readonly requests: Family<Counter>;
  readonly duration: Family<Histogram>;
  readonly header: Family<Histogram>;
  readonly queueTime: Family<Histogram>;
  readonly opened: Family<Counter>;
  readonly closed: Family<Counter>;
  readonly acquired: Family<Counter>;
  readonly connectionDuration: Family<Histogram>;
  readonly establish: Family<Histogram>;
  readonly timeouts: Family<Counter>;
  readonly retries: Family<Counter>;
  readonly policies: PolicyInstruments;
  readonly active: GaugeFamily;
  readonly pending: GaugeFamily;
  readonly openConnections: GaugeFamily;
  readonly limits: GaugeFamily;
  readonly unreadBodies: GaugeFamily;

  constructor(registry: Registry) {
    const histogram = (name: string, help: string, labelNames: readonly string[], bounds: readonly number[]) =>
      registry.histogram(name, help, { labelNames, bounds });
    this.requests = registry.counter(
      "http_client_requests_total",
      "Requests that have ended, failed ones among them.",
      requestLabels,
    );
    this.duration = histogram(
      "http_client_request_duration_seconds",
      "Time from the call to the end of the response body.",
      requestLabels,
      durationBounds,
    );
    this.header = histogram(
      "http_client_response_header_seconds",
      "Time from the call to the end of the response header.",
      originLabels,
      durationBounds,
    );
    this.queueTime = histogram(
      "http_client_request_time_in_queue_seconds",
      "Time that requests waited for a connection; those that got one at once are not in it.",
      originLabels,
      queueBounds,
    );
    this.opened = registry.counter("http_client_connections_opened_total", "Connections opened.", originLabels);
    this.closed = registry.counter("http_client_connections_closed_total", "Connections closed, by reason.", [
      ...originLabels,
      "reason",
    ]);
    this.acquired = registry.counter(
      "http_client_connection_acquired_total",
      "Connections given to requests, by whether they had served before.",
      [...originLabels, "reused"],
    );
    this.connectionDuration = histogram(
      "http_client_connection_duration_seconds",
      "Life of the connections that have closed.",
      originLabels,
      connectionBounds,
    );
    this.establish = histogram(
      "http_client_connection_establish_seconds",
      "Time that the phases of opening a connection took.",
      [...originLabels, "phase"],
      durationBounds,
    );
    this.timeouts = registry.counter("http_client_timeouts_total", "Requests and dials that ran out of time.", [
      ...originLabels,
      "phase",
    ]);
    this.retries = registry.counter("http_client_retries_total", "Requests sent again, by reason.", [
      ...originLabels,
      "reason",
    ]);
    this.policies = new PolicyInstruments(registry);
    this.active = registry.gauge("http_client_active_requests", "Requests that have not ended.", originLabels);
    this.pending = registry.gauge("http_client_pending_requests", "Requests that wait for a connection.", originLabels);
    this.openConnections = registry.gauge("http_client_open_connections", "Open connections by state.", [
      ...originLabels,
      "http_connection_state",
    ]);
    this.limits = registry.gauge("http_client_connections_limit", "Limits on connections.", ["pool", "scope"]);
    this.unreadBodies = registry.gauge(
      "http_client_unread_bodies",
      "Response bodies that nobody has read on from for a while.",
      originLabels,
    );
  }
}

/** What one request may be counted under. */
interface RequestSeries {
  readonly requests: Counter;
  readonly duration: Histogram;
}

/** How a timeout's phase is called in the metrics. */
const timeoutPhases: Readonly<Record<Phase, string>> = {
  queue: "queue",
  dns: "dns",
  connect: "connect",
  proxy: "connect",
  tls: "tls",
  request: "body",
  response_header: "response_header",
  body: "body",
  total: "total",
};

/** Most statuses of one origin that are told apart. */
const maxStatuses = 32;

/** The series of one origin, looked up once and held. */
export class OriginInstruments {
  readonly queueTime: Histogram;
  readonly #all: ClientInstruments;
  readonly #labels: readonly [string, string, string];
  readonly #opened: Counter;
  readonly #header: Histogram;
  readonly #acquiredNew: Counter;
  readonly #acquiredReused: Counter;
  /** By method, then by status; failures have status 0 and are looked up by `error_type` instead. */
  readonly #byStatus = new Map<string, (RequestSeries | undefined)[]>();
  /** The statuses that have a label of their own. */
  readonly #statuses = new Set<number>();

  constructor(all: ClientInstruments, pool: string, origin: URL) {
    this.#all = all;
    const port = origin.port === "" ? (origin.protocol === "https:" ? "443" : "80") : origin.port;
    this.#labels = [pool, origin.hostname, port];
    this.queueTime = all.queueTime.labels(...this.#labels);
    this.#opened = all.opened.labels(...this.#labels);
    this.#header = all.header.labels(...this.#labels);
    this.#acquiredNew = all.acquired.labels(...this.#labels, "false");
    this.#acquiredReused = all.acquired.labels(...this.#labels, "true");
  }

  /** The values of {@link originLabels}. */
  get labels(): readonly [string, string, string] {
    return this.#labels;
  }

  acquired(reused: boolean): void {
    (reused ? this.#acquiredReused : this.#acquiredNew).add();
  }

  /** A request has ended. `error` is empty on success; `status` is 0 when there was none. Times in milliseconds. */
  finished(method: string, status: number, error: string, times: { durationMs: number; headerMs: number }): void {
    const series = error === "" ? this.#seriesOf(method, status) : this.#look(method, status, error);
    series.requests.add();
    series.duration.record(times.durationMs / 1_000);
    if (status !== 0) this.#header.record(times.headerMs / 1_000);
  }

  opened(timings: DialTimings): void {
    this.#opened.add();
    this.#establish("dns", timings.dnsMs);
    this.#establish("connect", timings.connectMs);
    this.#establish("tls", timings.tlsMs);
  }

  closed(reason: CloseReason, seconds: number): void {
    this.#all.closed.labels(...this.#labels, reason).add();
    this.#all.connectionDuration.labels(...this.#labels).record(seconds);
  }

  timedOut(phase: Phase): void {
    this.#all.timeouts.labels(...this.#labels, timeoutPhases[phase]).add();
  }

  retried(reason: string): void {
    this.#all.retries.labels(...this.#labels, reason).add();
  }

  retryRefused(reason: string): void {
    this.#all.policies.refusedRetries.labels(...this.#labels, reason).add();
  }

  hedged(outcome: string): void {
    this.#all.policies.hedges.labels(...this.#labels, outcome).add();
  }

  gated(outcome: string): void {
    this.#all.policies.gated.labels(...this.#labels, outcome).add();
  }

  ejected(): void {
    this.#all.policies.ejections.labels(...this.#labels).add();
  }

  #establish(phase: string, ms: number): void {
    // A phase that was not needed took no time; counting zeros would hide how long it takes when it is.
    if (ms > 0) this.#all.establish.labels(...this.#labels, phase).record(ms / 1_000);
  }

  #seriesOf(method: string, status: number): RequestSeries {
    let byStatus = this.#byStatus.get(method);
    const known = byStatus?.[status];
    if (known !== undefined) return known;
    const series = this.#look(method, status, "");
    // Only known methods are held: any other one is made up by a caller, and there is no end to them.
    if (!knownMethods.has(method)) return series;
    byStatus ??= [];
    byStatus[status] = series;
    this.#byStatus.set(method, byStatus);
    return series;
  }

  /** A server could make up statuses until all series are its own, and no other origin has any left. */
  #statusLabel(status: number): string {
    if (status === 0) return "";
    if (this.#statuses.size < maxStatuses) this.#statuses.add(status);
    return this.#statuses.has(status) ? String(status) : "_OTHER";
  }

  #look(method: string, status: number, error: string): RequestSeries {
    const statusLabel = this.#statusLabel(status);
    const labels = [
      ...this.#labels,
      knownMethods.has(method) ? method : "_OTHER",
      statusLabel,
      // OpenTelemetry: the status itself is the error type where it is an error and nothing else went wrong.
      error === "" && status >= 400 ? statusLabel : error,
    ];
    return { requests: this.#all.requests.labels(...labels), duration: this.#all.duration.labels(...labels) };
  }
}

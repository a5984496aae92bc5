/**
 * The instruments of streams: one set of names for event streams (`sse_`) and one for WebSockets (`ws_`).
 *
 * They are counted where the state changes. Addresses, paths and keys are no labels: whoever connects could make a
 * series of each.
 */

import type { Counter, Registry } from "../core/instruments.ts";
import type { DropReason } from "./backlog.ts";
import { Tally } from "./tally.ts";

const dropReasons: readonly DropReason[] = ["overflow", "superseded"];
const rejectReasons = ["limit", "address", "draining", "origin", "path", "handshake"] as const;
const closeReasons = [
  "client",
  "ended",
  "aborted",
  "overflow",
  "stalled",
  "max_age",
  "drain",
  "context",
  "protocol",
] as const;

/** Why a stream or a WebSocket was not taken. The last three are of WebSockets alone. */
export type StreamRejectReason = (typeof rejectReasons)[number];

/**
 * Why a stream or a WebSocket is over: its client left, it was ended or aborted by the program, its client was too far
 * behind or took nothing, it was old, its server went away, the context of its request ended, or what came was no
 * WebSocket message that is allowed.
 */
export type StreamCloseReason = (typeof closeReasons)[number];

/** What a group counts. */
export class StreamInstruments {
  /** Bytes that wait for clients, beyond what is on its way to the kernel. */
  bufferedBytes = 0;
  /** Those that are open, or in the course of being closed. */
  active = 0;
  openedCount = 0;
  sentCount = 0;
  replayedCount = 0;
  gapCount = 0;
  readonly rejected: Tally<StreamRejectReason>;
  readonly closed: Tally<StreamCloseReason>;
  readonly dropped: Tally<DropReason>;
  readonly #opened: Counter;
  readonly #sent: Counter;
  /** Only of event streams. */
  readonly #replayed: Counter | undefined;
  readonly #gaps: Counter | undefined;
  readonly #observed: DisposableStack = new DisposableStack();

  constructor(
    registry: Registry,
    kind: "sse" | "ws",
    { name, limits }: { readonly name: string; readonly limits: Readonly<Record<"total" | "address", number>> },
  ) {
    const noun = kind === "sse" ? "Event streams" : "WebSockets";
    const labels = ["streams"];
    const counter = (family: string, help: string): Counter =>
      registry.counter(`${kind}_${family}`, help, labels).labels(name);
    const tally = <Kind extends string>(family: string, help: string, kinds: readonly Kind[]): Tally<Kind> => {
      const counters = registry.counter(`${kind}_${family}`, help, [...labels, "reason"]);
      return new Tally(kinds, (reason) => counters.labels(name, reason));
    };
    this.#opened = counter("connections_total", `${noun} opened.`);
    this.#sent = counter("messages_total", "Messages handed to clients, those that wait included.");
    this.rejected = tally("rejected_total", `${noun} refused, by reason.`, rejectReasons);
    this.closed = tally("closed_total", `${noun} that are over, by reason.`, closeReasons);
    this.dropped = tally("dropped_total", "Messages left out for clients that were behind, by reason.", dropReasons);
    if (kind === "sse") {
      this.#replayed = counter("replayed_total", "Events sent again to clients that came again.");
      this.#gaps = counter("gaps_total", "Clients that were told that they have missed events.");
    }
    const gauge = (family: string, help: string, ...more: readonly string[]) =>
      registry.gauge(`${kind}_${family}`, help, [...labels, ...more]);
    const active = gauge("connections_active", `${noun} that are open.`);
    this.#observed.use(active.observe((report) => report(this.active, name)));
    const buffered = gauge("buffer_bytes", "Bytes that wait for clients that read slowly.");
    this.#observed.use(buffered.observe((report) => report(this.bufferedBytes, name)));
    const limit = gauge("connections_limit", `Limits on ${noun}.`, "scope");
    this.#observed.use(
      limit.observe((report) => {
        report(limits.total, name, "total");
        report(limits.address, name, "address");
      }),
    );
  }

  opened(): void {
    this.active += 1;
    this.openedCount += 1;
    this.#opened.add();
  }

  over(reason: StreamCloseReason): void {
    this.active -= 1;
    this.closed.add(reason);
  }

  sent(): void {
    this.sentCount += 1;
    this.#sent.add();
  }

  replayed(): void {
    this.replayedCount += 1;
    this.#replayed?.add();
  }

  gap(): void {
    this.gapCount += 1;
    this.#gaps?.add();
  }

  /** Takes the levels out of the metrics; the counts stay. */
  [Symbol.dispose](): void {
    this.#observed.dispose();
  }
}

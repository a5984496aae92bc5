/**
 * The event streams of a process: how many there may be, and how they end when their server goes away.
 *
 * A guarded server tells by itself that it drains (`core/served.ts`); for another one `drain()` is called. Each client is
 * told to wait for a time of its own before it comes again: ten thousand of them at once would be the end of the next
 * server.
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import { DeadlineWheel } from "../core/deadline-wheel.ts";
import { Lifecycle, type LifecycleState } from "../core/lifecycle.ts";
import { resolveOptions } from "../core/options.ts";
import { servedOf } from "../core/served.ts";
import type { DropReason } from "./backlog.ts";
import { streamOpened, streamRejected } from "./channels.ts";
import { StreamInstruments, type StreamCloseReason, type StreamRejectReason } from "./instruments.ts";
import { OpenStreams, type StreamsDrainReport } from "./open-streams.ts";
import { PerAddress } from "./per-address.ts";
import { refuseByStatus, refuseToRetry, streamHeaders } from "./refuse-stream.ts";
import { sseOptions, type ResolvedSseOptions, type SseOptions } from "./sse-options.ts";
import { SseStream, type StreamHost } from "./sse-stream.ts";
import { streamsOptions, type ResolvedStreamsOptions, type StreamsOptions } from "./streams-options.ts";

/** A group of streams at one moment. Levels first, then totals since the start. */
export interface StreamsStats {
  readonly name: string;
  readonly state: LifecycleState;
  readonly active: number;
  /** Bytes that wait for clients that read slowly. */
  readonly bufferedBytes: number;
  readonly limits: { readonly maxStreams: number; readonly maxStreamsPerAddress: number };
  readonly opened: number;
  readonly rejected: Readonly<Record<StreamRejectReason, number>>;
  readonly closed: Readonly<Record<StreamCloseReason, number>>;
  /** Events and comments handed to streams. */
  readonly sent: number;
  readonly dropped: Readonly<Record<DropReason, number>>;
  readonly replayed: number;
  readonly gaps: number;
}

/** How late a heartbeat may be, in milliseconds. */
const tickMs = 50;
/** Invariant: `#open` has the streams that are not closed; each is counted under its address. */
export class Streams implements StreamHost, AsyncDisposable {
  readonly name: string;
  /** @internal */
  readonly wheel: DeadlineWheel = new DeadlineWheel({ tickMs });
  /** @internal */
  readonly instruments: StreamInstruments;
  readonly #options: ResolvedStreamsOptions;
  readonly #lifecycle = new Lifecycle();
  readonly #open: OpenStreams<SseStream>;
  readonly #perAddress: PerAddress;
  #report: StreamsDrainReport = { tookMs: 0, ended: 0, cut: 0 };

  constructor(options?: StreamsOptions) {
    this.#options = resolveOptions<StreamsOptions, ResolvedStreamsOptions>("Streams", streamsOptions, options);
    const { name, registry, drain, maxStreams: total, maxStreamsPerAddress: address } = this.#options;
    this.name = name;
    this.#perAddress = new PerAddress(address);
    const end = (stream: SseStream): void => stream.endFor("drain", spread(drain.retry));
    this.#open = new OpenStreams({ wheel: this.wheel, grace: drain.grace, end });
    this.instruments = new StreamInstruments(registry, "sse", { name, limits: { total, address } });
  }

  /**
   * Answers a request with an event stream. One that is refused, or whose client has left, is returned `closed`; nothing
   * has to be done about it.
   */
  sse(req: IncomingMessage, res: ServerResponse, options?: SseOptions): SseStream {
    const resolved = resolveOptions<SseOptions, ResolvedSseOptions>("sse", sseOptions, options);
    const address = this.#options.addressOf(req);
    // Whoever asks for the header alone gets that, and no stream that would never end.
    if (req.method === "HEAD" && !isGone(res)) res.writeHead(200, { ...streamHeaders, ...resolved.headers }).end();
    const refused = isGone(res) ? undefined : this.#findRefusal(res, address);
    if (refused !== undefined) this.#refuse({ res, address, reason: refused });
    const fate = isGone(res) ? "gone" : refused === undefined ? "begins" : "refused";
    const stream = new SseStream({ host: this, req, res, options: resolved, address, fate });
    if (stream.state !== "open") return stream;
    this.#open.add(stream);
    this.#perAddress.enter(address);
    const { lastEventId } = stream;
    streamOpened.publish(() => ({ kind: "sse", streams: this.name, address, lastEventId }));
    resolved.channel?.add(stream);
    return stream;
  }

  /** Whether it is going away. */
  get draining(): boolean {
    return this.#lifecycle.state !== "serving";
  }

  /**
   * Ends all streams, each with a time to wait before it comes again, and cuts after the grace those whose clients do not
   * read. Whoever comes from here on is told to come again elsewhere. A later call gets the first one's promise.
   */
  async drain(): Promise<StreamsDrainReport> {
    await this.#lifecycle.drain(async () => {
      this.#report = await this.#open.end(() => true);
      this.instruments[Symbol.dispose]();
    });
    return this.#report;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.drain().then(() => undefined);
  }

  stats(): StreamsStats {
    const { instruments } = this;
    const { maxStreams, maxStreamsPerAddress } = this.#options;
    return Object.freeze({
      name: this.name,
      state: this.#lifecycle.state,
      active: instruments.active,
      bufferedBytes: instruments.bufferedBytes,
      limits: Object.freeze({ maxStreams, maxStreamsPerAddress }),
      opened: instruments.openedCount,
      rejected: instruments.rejected.read(),
      closed: instruments.closed.read(),
      sent: instruments.sentCount,
      dropped: instruments.dropped.read(),
      replayed: instruments.replayedCount,
      gaps: instruments.gapCount,
    });
  }

  /** @internal */
  onClosed(stream: SseStream): void {
    this.#open.delete(stream);
    this.#perAddress.leave(stream.address);
  }

  #findRefusal(res: ServerResponse, address: string | undefined): StreamRejectReason | undefined {
    const lifecycle = servedOf(res)?.lifecycle;
    if (this.draining || (lifecycle !== undefined && lifecycle.state !== "serving")) return "draining";
    if (this.#open.size >= this.#options.maxStreams) return "limit";
    return this.#perAddress.hasPlace(address) ? undefined : "address";
  }

  #refuse({ res, address, reason }: Refusal): void {
    this.instruments.rejected.add(reason);
    streamRejected.publish(() => ({ kind: "sse", streams: this.name, address, reason }));
    const { refusal, drain } = this.#options;
    if (reason === "draining") refuseToRetry(res, spread(drain.retry));
    else if (refusal === "retry") refuseToRetry(res, refusedRetryMs * (1 + 2 * Math.random()));
    else refuseByStatus(res);
  }
}

/** A stream that is not taken. */
interface Refusal {
  readonly res: ServerResponse;
  readonly address: string | undefined;
  readonly reason: StreamRejectReason;
}

/** The shortest time after which a client comes again that was over a limit; the longest is three times that. */
const refusedRetryMs = 10_000;

/** A time of its own for each client. */
function spread(longestMs: number): number {
  return longestMs * (0.1 + 0.9 * Math.random());
}

/** Whether nobody is there any more to answer. */
function isGone(res: ServerResponse & { readonly stream?: { readonly destroyed: boolean } }): boolean {
  return res.destroyed || res.writableEnded || res.stream?.destroyed === true;
}

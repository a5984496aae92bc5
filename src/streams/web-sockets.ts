/**
 * The WebSockets of one server and path: which are taken, how many, and how they end. The protocol itself is spoken by an
 * adapter (`sluice/adapters/ws`).
 */

import type { IncomingMessage } from "node:http";
import { context } from "../core/context.ts";
import { DeadlineWheel } from "../core/deadline-wheel.ts";
import { Lifecycle, type LifecycleState } from "../core/lifecycle.ts";
import { resolveOptions } from "../core/options.ts";
import { lifecycleOf } from "../core/served.ts";
import type { DropReason } from "./backlog.ts";
import {
  BoundedWebSocket,
  toMessage,
  type MessageOptions,
  type WebSocketHost,
  type WebSocketPort,
} from "./bounded-web-socket.ts";
import { streamOpened, streamRejected } from "./channels.ts";
import { StreamInstruments, type StreamCloseReason, type StreamRejectReason } from "./instruments.ts";
import { OpenStreams, type StreamsDrainReport } from "./open-streams.ts";
import { PerAddress } from "./per-address.ts";
import { checkUpgradeRules, isForPath, type UpgradeRefusal } from "./upgrade-rules.ts";
import { webSocketsOptions, type ResolvedWebSocketsOptions, type WebSocketsOptions } from "./web-sockets-options.ts";

/** WebSockets at one moment. Levels first, then totals since the start. */
export interface WebSocketsStats {
  readonly name: string;
  readonly state: LifecycleState;
  readonly active: number;
  /** Bytes that wait for clients that read slowly. */
  readonly bufferedBytes: number;
  readonly limits: { readonly maxConns: number; readonly maxConnsPerAddress: number };
  readonly opened: number;
  readonly rejected: Readonly<Record<StreamRejectReason, number>>;
  readonly closed: Readonly<Record<StreamCloseReason, number>>;
  /** Messages handed to connections. */
  readonly sent: number;
  readonly dropped: Readonly<Record<DropReason, number>>;
}

/** What becomes of a request: refused with a status, told to try again later once it is open, or taken. */
export type UpgradeDecision = UpgradeRefusal | "later" | "take";

/** How late a ping may be, in milliseconds. */
const tickMs = 50;
/** How many that have to try again later are told so at once. */
const maxTold = 100;

/** Invariant: `#open` has the connections that are not closed; each is counted under its address. */
export class WebSockets<Socket extends WebSocketPort = WebSocketPort>
  implements WebSocketHost<Socket>, AsyncDisposable
{
  /** @internal */
  readonly options: ResolvedWebSocketsOptions;
  /** @internal */
  readonly wheel: DeadlineWheel = new DeadlineWheel({ tickMs });
  /** @internal */
  readonly instruments: StreamInstruments;
  readonly #server: object;
  readonly #lifecycle = new Lifecycle();
  readonly #open: OpenStreams<BoundedWebSocket<Socket>>;
  readonly #perAddress: PerAddress;
  #told = 0;
  #report: StreamsDrainReport = { tookMs: 0, ended: 0, cut: 0 };

  /** Of `server`, which may be guarded, now or later. */
  constructor(server: object, options?: WebSocketsOptions) {
    this.#server = server;
    this.options = resolveOptions<WebSocketsOptions, ResolvedWebSocketsOptions>(
      "WebSockets",
      webSocketsOptions,
      options,
    );
    const { name, registry, drain, maxConns: total, maxConnsPerAddress: address } = this.options;
    this.#perAddress = new PerAddress(address);
    this.#open = new OpenStreams<BoundedWebSocket<Socket>>({ wheel: this.wheel, grace: drain.grace, end: endForDrain });
    this.instruments = new StreamInstruments(registry, "ws", { name, limits: { total, address } });
  }

  /** Whether it is going away. */
  get draining(): boolean {
    return this.#lifecycle.state !== "serving";
  }

  /** The connections that are open. */
  [Symbol.iterator](): Iterator<BoundedWebSocket<Socket>> {
    return this.#open[Symbol.iterator]();
  }

  /** Sends a message to all. Who is behind gets it later, or not at all, by the policy. */
  broadcast(data: string | Uint8Array, { key = "" }: MessageOptions = {}): void {
    const message = toMessage(data);
    for (const connection of this.#open) connection.push(message, key);
  }

  /**
   * Closes all with 1001 and cuts after the grace those that do not answer. Whoever comes from here on is refused. A
   * later call gets the first one's promise.
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

  stats(): WebSocketsStats {
    const { instruments } = this;
    const { name, maxConns, maxConnsPerAddress } = this.options;
    return Object.freeze({
      name,
      state: this.#lifecycle.state,
      active: instruments.active,
      bufferedBytes: instruments.bufferedBytes,
      limits: Object.freeze({ maxConns, maxConnsPerAddress }),
      opened: instruments.openedCount,
      rejected: instruments.rejected.read(),
      closed: instruments.closed.read(),
      sent: instruments.sentCount,
      dropped: instruments.dropped.read(),
    });
  }

  /** For an adapter: whether a request is for these. */
  isFor(req: IncomingMessage): boolean {
    return isForPath(req, this.options.path);
  }

  /** For an adapter: what becomes of a request. Who has to try again later is told so by `told`. */
  decide(req: IncomingMessage): UpgradeDecision {
    const reason = this.#findReason(req);
    const refusal = reason === undefined ? checkUpgradeRules(req, this.options) : fullRefusals[reason];
    if (refusal === undefined) return "take";
    this.reject(refusal.reason, req);
    if (reason === undefined || reason === "draining" || this.#told >= maxTold) return refusal;
    this.#told += 1;
    return "later";
  }

  /** For an adapter: one that had to try again later is gone. */
  told(): void {
    this.#told -= 1;
  }

  /** For an adapter: counts a request that is no WebSocket's. */
  reject(reason: StreamRejectReason, req: IncomingMessage): void {
    this.instruments.rejected.add(reason);
    const { addressOf, name: streams } = this.options;
    streamRejected.publish(() => ({ kind: "ws", streams, address: addressOf(req), reason }));
  }

  /** For an adapter: takes a connection that is open, in the context of its request. */
  open(socket: Socket, req: IncomingMessage): BoundedWebSocket<Socket> {
    const address = this.options.addressOf(req);
    const lifecycle = lifecycleOf(this.#server);
    const connection = new BoundedWebSocket({ host: this, socket, req, address, lifecycle, context: context() });
    this.#perAddress.enter(address);
    this.#open.add(connection);
    const { name: streams } = this.options;
    streamOpened.publish(() => ({ kind: "ws", streams, address, lastEventId: undefined }));
    return connection;
  }

  /** @internal */
  onClosed(connection: BoundedWebSocket<Socket>): void {
    this.#open.delete(connection);
    this.#perAddress.leave(connection.address);
  }

  #findReason(req: IncomingMessage): "draining" | "limit" | "address" | undefined {
    const lifecycle = lifecycleOf(this.#server);
    if (this.draining || (lifecycle !== undefined && lifecycle.state !== "serving")) return "draining";
    if (this.#open.size >= this.options.maxConns) return "limit";
    return this.#perAddress.hasPlace(this.options.addressOf(req)) ? undefined : "address";
  }
}

function endForDrain(connection: Pick<BoundedWebSocket, "endFor">): void {
  connection.endFor("drain");
}

const fullRefusals: Readonly<Record<"draining" | "limit" | "address", UpgradeRefusal>> = {
  draining: { reason: "draining", status: 503, message: "The server is going away. Try again." },
  limit: { reason: "limit", status: 503, message: "Too many connections. Try again soon." },
  address: { reason: "address", status: 503, message: "Too many connections from this address." },
};

/**
 * Which of the connections that the kernel has completed are served now, and what becomes of the others.
 *
 * Node's own `maxConnections` closes what is above it, and a client whose request is on its way sees a reset. Here a
 * connection above `maxConns` is held until another one closes, or is given to HTTP all the same, only to be told 503:
 * a client that can read an answer knows what to do. Where the limit of those is reached too, and only there, it is
 * closed unheard, which the kernel turns into a reset if the client has sent something.
 *
 * The gate cannot leave connections to the kernel's queue: libuv accepts whatever comes for as long as the port is
 * open. That queue, the backlog, therefore begins only where the event loop is too slow to accept, and what waits in it
 * has no limit in time; `listen-queue.ts` tells its length.
 *
 * A held socket is read, up to `maxHeldBytes`, because that is the only way to learn that its client has left. What
 * has been read is put back before HTTP sees the socket. A client that closes its half and goes on listening counts
 * as gone, as it does for node:http (`httpAllowHalfOpen`).
 */

import { AsyncLocalStorage } from "node:async_hooks";
import type { Socket } from "node:net";
import { now } from "../core/clock.ts";
import { type DeadlineWheel, WheelTimer } from "../core/deadline-wheel.ts";
import { throwLater } from "../core/outside.ts";
import { append, RingNode, unlink } from "../core/ring.ts";
import { AddressCounts, ClientAddresses } from "./addresses.ts";
import type { ResolvedServerOptions } from "./server-options.ts";

/** Why a client is answered 503 and nothing else; labels of `http_server_connections_rejected_total`. */
export type RefuseReason = "max_connections" | "pending_timeout" | "address" | "draining";

/** What a connection takes up; whoever has it gives it back to `AcceptGate.leave`. */
export type Place = "admitted" | "refusing" | "upgraded";

/** What the gate calls. It calls back from `take`, `leave` and `upgrade`, and when a socket was held for too long. */
export interface AcceptHandler {
  /** The socket is to be served. It was held for `heldMs`, 0 if not at all; its deadlines begin now. */
  onAdmit(socket: Socket, heldMs: number): void;
  /** The socket's request is to be read and answered with 503 and `Connection: close`, whatever it is. */
  onRefuse(socket: Socket, reason: RefuseReason): void;
  /** One beyond `maxPending` was closed. */
  onDrop(): void;
  /** Closes the connection that has been idle for longest, unless there is none; then the answer is `false`. */
  makeRoom(): boolean;
}

/** The options that the gate goes by. */
export type AcceptLimits = Pick<
  ResolvedServerOptions,
  | "maxConns"
  | "maxConnsPerIp"
  | "ipv6Prefix"
  | "trustedProxies"
  | "maxUpgradedConns"
  | "overflow"
  | "maxPending"
  | "pendingTimeout"
>;

/** As much as is read of a held socket; the stream's own buffer, 64 KiB and one read of as much, comes behind it. */
const maxHeldBytes = 16_384;

/**
 * Admits up to `maxConns` sockets at once, in the order in which they came.
 *
 * It knows of an admitted connection only that it is one: idle connections are many, and must cost nothing here.
 *
 * Invariants: while a socket is held, all places are taken. `#held` counts the ring, and `held + refusing` never
 * exceeds `maxPending`. While there is a line, and `pendingTimeout` is finite, the gate is armed as a timer for its
 * first member or an earlier one. `#addresses` counts those held, admitted and upgraded; `#refusingAddresses` those
 * being refused.
 */
export class AcceptGate extends WheelTimer {
  /** Which client an address stands for. */
  readonly addresses: ClientAddresses;
  /** Connections of each client; also for its requests in flight behind trusted proxies, which the server counts. */
  readonly perAddress: AddressCounts;
  readonly #limits: AcceptLimits;
  readonly #wheel: DeadlineWheel;
  readonly #handler: AcceptHandler;
  readonly #refusingPerAddress: AddressCounts;
  readonly #line = new RingNode();
  #admitted = 0;
  #upgraded = 0;
  #held = 0;
  #refusing = 0;
  /** Connections that are about to close for the sake of held sockets. */
  #promised = 0;
  #gone = 0;
  #draining = false;
  #settling = false;

  constructor(limits: AcceptLimits, wheel: DeadlineWheel, handler: AcceptHandler) {
    super();
    this.#limits = limits;
    this.#wheel = wheel;
    this.#handler = handler;
    this.addresses = new ClientAddresses(limits.ipv6Prefix, limits.trustedProxies);
    this.perAddress = new AddressCounts(limits.maxConnsPerIp);
    this.#refusingPerAddress = new AddressCounts(limits.maxConnsPerIp);
  }

  /** Connections that have a place of `maxConns`. */
  get admitted(): number {
    return this.#admitted;
  }

  /** Sockets that wait for one. */
  get held(): number {
    return this.#held;
  }

  /** Connections that are being told 503. */
  get refusing(): number {
    return this.#refusing;
  }

  get upgraded(): number {
    return this.#upgraded;
  }

  /** Held sockets whose clients have left, so far. */
  get gone(): number {
    return this.#gone;
  }

  /** How long the first in line has waited, in milliseconds; 0 without a line. */
  get oldestHeldMs(): number {
    const first = this.#first();
    return first === undefined ? 0 : now() - first.since;
  }

  /**
   * Whether a connection that falls idle now should be closed instead, and answers end with `Connection: close`. Tell
   * `promiseRoom` when you do so: then it is asked of no more connections than are needed.
   */
  get wantsRoom(): boolean {
    return this.#held > this.#promised;
  }

  /** A connection is about to close because of `wantsRoom`. */
  promiseRoom(): void {
    this.#promised += 1;
  }

  /** Decides on a socket that was accepted now. */
  take(socket: Socket): void {
    if (!this.#enterAddress(socket, this.perAddress)) {
      this.#refuse(socket, "address");
      return;
    }
    const comesFree = !this.#hasRoom && this.#makeRoom();
    // The handler may have closed a connection at once.
    if (this.#hasRoom) {
      this.#admitted += 1;
      this.#handler.onAdmit(socket, 0);
    } else if (this.#mayPend && !this.#draining && (comesFree || this.#limits.overflow === "wait")) {
      this.#hold(socket);
    } else {
      this.#leaveAddress(socket, this.perAddress);
      this.#refuse(socket, this.#draining ? "draining" : "max_connections");
    }
  }

  /** A connection has closed that had a place: the first in line takes it. */
  leave(place: Place, socket: Socket): void {
    switch (place) {
      case "admitted":
        this.#admitted -= 1;
        this.#leaveAddress(socket, this.perAddress);
        this.#vacated();
        break;
      case "upgraded":
        this.#upgraded -= 1;
        this.#leaveAddress(socket, this.perAddress);
        break;
      case "refusing":
        this.#refusing -= 1;
        this.#leaveAddress(socket, this.#refusingPerAddress);
        break;
    }
  }

  /** Moves an admitted connection to the upgraded ones, which frees its place; `false` if they are too many. */
  upgrade(): boolean {
    if (this.#upgraded >= this.#limits.maxUpgradedConns) return false;
    this.#upgraded += 1;
    this.#admitted -= 1;
    this.#vacated();
    return true;
  }

  /** From now on nothing more is held; what is held already is served as places come free. */
  drain(): void {
    this.#draining = true;
  }

  /** Closes what is still held. */
  close(): void {
    this.#draining = true;
    for (let first = this.#first(); first !== undefined; first = this.#first()) {
      this.#unhold(first);
      this.#leaveAddress(first.socket, this.perAddress);
      first.socket.destroy();
    }
  }

  /** @internal The first in line has waited for long enough. */
  override onDeadline(): void {
    const at = now();
    for (let first = this.#first(); first !== undefined; first = this.#first()) {
      const leftMs = first.since + this.#limits.pendingTimeout - at;
      if (leftMs > 0) {
        this.#wheel.arm(this, leftMs);
        return;
      }
      const { socket } = first;
      this.#unhold(first);
      this.#leaveAddress(socket, this.perAddress);
      first.run(() => this.#refuse(socket, "pending_timeout"));
    }
  }

  /** Nobody overtakes those who are held, even while they are being admitted. */
  get #hasRoom(): boolean {
    return this.#held === 0 && this.#admitted < this.#limits.maxConns;
  }

  get #mayPend(): boolean {
    return this.#held + this.#refusing < this.#limits.maxPending;
  }

  #hold(socket: Socket): void {
    const held = new HeldSocket(socket, now(), this.#onGone);
    append(this.#line, held);
    this.#held += 1;
    if (!this.armed) this.#wheel.arm(this, this.#limits.pendingTimeout);
  }

  /** Takes a socket out of the line, as it was when it came. */
  #unhold(held: HeldSocket): void {
    unlink(held);
    this.#held -= 1;
    this.#promised = Math.min(this.#promised, this.#held);
    if (this.#held === 0) this.#wheel.cancel(this);
    held.release();
  }

  readonly #onGone = (held: HeldSocket): void => {
    this.#gone += 1;
    this.#unhold(held);
    this.#leaveAddress(held.socket, this.perAddress);
    // What has come was read, so this is a plain end and no reset.
    held.socket.on("error", ignoreError).destroy();
  };

  #vacated(): void {
    if (this.#promised > 0) this.#promised -= 1;
    // What is admitted below may close at once, and come back here.
    if (this.#settling) return;
    this.#settling = true;
    try {
      this.#settle();
    } finally {
      this.#settling = false;
    }
  }

  #settle(): void {
    while (this.#admitted < this.#limits.maxConns) {
      const first = this.#first();
      if (first === undefined) return;
      const { socket } = first;
      this.#admitted += 1;
      this.#unhold(first);
      first.run(() => this.#handler.onAdmit(socket, now() - first.since));
    }
  }

  #makeRoom(): boolean {
    if (!this.#mayPend || this.#draining) return false;
    this.#promised += 1;
    if (this.#handler.makeRoom()) return true;
    this.#promised -= 1;
    return false;
  }

  #refuse(socket: Socket, reason: RefuseReason): void {
    // One address must not take up all that there is for telling the others.
    if (!this.#mayPend || !this.#enterAddress(socket, this.#refusingPerAddress)) {
      socket.on("error", ignoreError).destroy();
      this.#handler.onDrop();
      return;
    }
    this.#refusing += 1;
    this.#handler.onRefuse(socket, reason);
  }

  #enterAddress(socket: Socket, counts: AddressCounts): boolean {
    const key = this.#keyOf(socket);
    return key === undefined || counts.tryEnter(key);
  }

  #leaveAddress(socket: Socket, counts: AddressCounts): void {
    const key = this.#keyOf(socket);
    if (key !== undefined) counts.leave(key);
  }

  /**
   * What the socket's address is counted under, if it is. It is not kept, which would cost each idle connection: a
   * socket that has told its address once goes on to tell it when it has closed.
   */
  #keyOf(socket: Socket): string | undefined {
    if (this.#limits.maxConnsPerIp === Infinity) return undefined;
    const { remoteAddress } = socket;
    return this.addresses.isTrusted(remoteAddress) ? undefined : this.addresses.keyOf(remoteAddress);
  }

  #first(): HeldSocket | undefined {
    const first = this.#line.ringNext;
    return first instanceof HeldSocket ? first : undefined;
  }
}

/**
 * A socket in the line, watched for a client that leaves.
 *
 * Invariant: what was read is in `#chunks`, at most `maxHeldBytes`, until `release` puts it back in front of the rest.
 */
class HeldSocket extends RingNode {
  readonly socket: Socket;
  readonly since: number;
  readonly #onGone: (held: HeldSocket) => void;
  /** That of the socket's own event: whoever closes a connection must not lend its scope to the next one. */
  readonly #scope = AsyncLocalStorage.snapshot();
  #chunks: Buffer[] = [];
  #size = 0;

  constructor(socket: Socket, since: number, onGone: (held: HeldSocket) => void) {
    super();
    this.socket = socket;
    this.since = since;
    this.#onGone = onGone;
    socket.on("readable", this.#read).on("end", this.#leave).on("close", this.#leave).on("error", ignoreError);
  }

  /** Leaves the socket as if nobody had touched it. */
  release(): void {
    const { socket } = this;
    socket.off("readable", this.#read).off("end", this.#leave).off("close", this.#leave).off("error", ignoreError);
    const chunks = this.#chunks;
    this.#chunks = [];
    if (socket.readableEnded || socket.destroyed) return;
    for (const chunk of chunks.toReversed()) socket.unshift(chunk);
  }

  /** Calls `fn` in the scope in which the socket came. What it throws stops nobody else in the line. */
  run(fn: () => void): void {
    try {
      this.#scope(fn);
    } catch (error) {
      throwLater(error);
    }
  }

  readonly #read = (): void => {
    const { socket } = this;
    // Beyond the bound it stays where it is, and the stream stops reading: a client that has sent so much is not seen
    // to leave before it is admitted.
    if (this.#size + socket.readableLength > maxHeldBytes) return;
    const chunk: unknown = socket.read();
    if (!(chunk instanceof Buffer)) return;
    this.#chunks.push(chunk);
    this.#size += chunk.length;
  };

  readonly #leave = (): void => this.#onGone(this);
}

/** An error of a socket that nobody serves tells nothing: its close follows. */
function ignoreError(): void {}

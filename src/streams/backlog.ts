/**
 * What waits for a client that reads more slowly than it is written to: never more than so many bytes.
 *
 * Who reads too slowly is not waited for, since there are others. Either it is told to go and come again (`disconnect`),
 * or it misses the oldest (`drop-oldest`), or it gets of each key only the newest (`latest-only`), which for prices and
 * positions is all that anybody wants. The bytes themselves are shared with all others who wait for them.
 */

import { append, isLinked, RingNode, unlink } from "../core/ring.ts";

/** What happens to a client that is too far behind. */
export type OverflowPolicy = "disconnect" | "drop-oldest" | "latest-only";

/** Why a message did not reach a client that is still there: it was too far behind, or a newer one took its place. */
export type DropReason = "overflow" | "superseded";

/** One message that waits for one client. */
export class Waiting<Payload> extends RingNode {
  readonly payload: Payload;
  readonly byteLength: number;
  /** Of `latest-only`: a newer one of the same key takes its place. */
  readonly key: string;

  constructor(payload: Payload, byteLength: number, key: string) {
    super();
    this.payload = payload;
    this.byteLength = byteLength;
    this.key = key;
  }
}

/** How much may wait, and what happens beyond. */
export interface BacklogSettings {
  readonly policy: OverflowPolicy;
  readonly limit: number;
  readonly onDrop: (reason: DropReason) => void;
}

/**
 * Invariant: `bytes` is the sum of what waits in the ring, at most the limit; under `latest-only` there is one for each
 * key, found by `#byKey`.
 */
export class Backlog<Payload> {
  readonly #settings: BacklogSettings;
  readonly #ring = new RingNode();
  readonly #byKey = new Map<string, Waiting<Payload>>();
  #missed = 0;
  bytes = 0;

  constructor(settings: BacklogSettings) {
    this.#settings = settings;
  }

  get isEmpty(): boolean {
    return !isLinked(this.#ring);
  }

  /**
   * Takes one more, or leaves something out, as its policy says. `besides` are bytes of the same client that wait
   * elsewhere, and count too. `false` means that it is too much, and the client has to go.
   */
  add(message: Waiting<Payload>, besides: number): boolean {
    const { policy, limit, onDrop } = this.#settings;
    if (policy === "latest-only") {
      const older = this.#byKey.get(message.key);
      if (older !== undefined) {
        this.#remove(older);
        onDrop("superseded");
      }
    }
    let room = limit - besides - message.byteLength;
    if (policy === "disconnect" && this.bytes > room) return false;
    // However much waits elsewhere, the newest one stays: it is what the client should see next.
    if (message.byteLength <= limit) room = Math.max(room, 0);
    while (this.bytes > room && !this.isEmpty) {
      this.take();
      this.#miss();
    }
    if (this.bytes > room) {
      // It alone is more than may wait.
      this.#miss();
      return true;
    }
    append(this.#ring, message);
    if (policy === "latest-only") this.#byKey.set(message.key, message);
    this.bytes += message.byteLength;
    return true;
  }

  /** The one that has waited longest. */
  take(): Waiting<Payload> | undefined {
    const first = this.#ring.ringNext;
    if (first === this.#ring) return undefined;
    // Only `add` appends.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const message = first as Waiting<Payload>;
    this.#remove(message);
    return message;
  }

  /** How many were left out because of the limit since the last call. */
  takeMissed(): number {
    const missed = this.#missed;
    this.#missed = 0;
    return missed;
  }

  clear(): void {
    while (this.take() !== undefined);
  }

  #miss(): void {
    this.#missed += 1;
    this.#settings.onDrop("overflow");
  }

  #remove(message: Waiting<Payload>): void {
    unlink(message);
    this.#byKey.delete(message.key);
    this.bytes -= message.byteLength;
  }
}

/** How many streams each client has, and what counts as one client. */

import type { IncomingMessage } from "node:http";
import { isIPv6 } from "node:net";

/** The address of the connection; of an IPv6 one its network of 64 bits, since whoever has one address has them all. */
export function clientKeyOf(req: Pick<IncomingMessage, "socket">): string | undefined {
  const address = req.socket.remoteAddress;
  if (address === undefined || !isIPv6(address)) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [bare = ""] = address.split("%");
  const [head = [], tail = []] = bare.split("::").map((half) => half.split(":").filter((part) => part !== ""));
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => "0");
  const groups = [...head, ...zeros, ...tail];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":")}::/64`;
}

/** Invariant: each key that is in has a count above 0, at most the limit. */
export class PerAddress {
  readonly #limit: number;
  readonly #counts = new Map<string, number>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether there is a place for one more. */
  hasPlace(key: string | undefined): boolean {
    return key === undefined || (this.#counts.get(key) ?? 0) < this.#limit;
  }

  enter(key: string | undefined): void {
    if (key !== undefined) this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  leave(key: string | undefined): void {
    if (key === undefined) return;
    const left = (this.#counts.get(key) ?? 1) - 1;
    if (left > 0) this.#counts.set(key, left);
    else this.#counts.delete(key);
  }
}

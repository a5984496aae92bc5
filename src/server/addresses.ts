/**
 * Which client an address stands for, and how many connections each has.
 *
 * One IPv4 address is one client. An IPv6 address is not: whoever has one has a network of them, so its leading bits
 * count. Behind a proxy the client is in `X-Forwarded-For`, which anybody can write: each proxy appends who it was
 * called by, so only what stands to the right, as far as trusted proxies have written it, is believed. `Forwarded`
 * (RFC 7239) is not read: hardly a proxy writes it, and to believe two fields is to let the client choose one.
 */

import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";

/** Most entries of `X-Forwarded-For` that are looked at: a chain of proxies is shorter, a hostile header is not. */
const maxHops = 32;
/** The longest entry that can be an address: an IPv6 one with a dotted end, in brackets, with a port and quotes. */
const maxEntryLength = 64;

/** Invariant: immutable. `BlockList` does the matching; it takes an IPv4-mapped address for the IPv4 one. */
export class ClientAddresses {
  readonly #ipv6Prefix: number;
  readonly #trusted = new BlockList();
  /** Whether any proxy is trusted: without one the header need not be looked at. */
  readonly trustsProxies: boolean;

  /** `trustedProxies`: addresses, or networks such as `"10.0.0.0/8"`, checked before. */
  constructor(ipv6Prefix: number, trustedProxies: readonly string[]) {
    this.#ipv6Prefix = ipv6Prefix;
    this.trustsProxies = trustedProxies.length > 0;
    for (const network of trustedProxies) {
      const [address = "", prefix] = network.split("/");
      const family = isIPv4(address) ? "ipv4" : "ipv6";
      if (prefix === undefined) this.#trusted.addAddress(address, family);
      else this.#trusted.addSubnet(address, Number(prefix), family);
    }
  }

  /** Whether what this address says of others is believed. No address, as on a Unix socket, is not trusted. */
  isTrusted(address: string | undefined): boolean {
    if (!this.trustsProxies || address === undefined) return false;
    const version = isIP(address);
    return version !== 0 && this.#trusted.check(address, version === 4 ? "ipv4" : "ipv6");
  }

  /** What the address is counted under, the same for all addresses of one client; `undefined` without an address. */
  keyOf(address: string | undefined): string | undefined {
    if (address === undefined || isIPv4(address)) return address;
    if (!isIPv6(address)) return undefined;
    const { groups, zone } = parseIPv6(address);
    if (groups.slice(0, 6).join() === "0,0,0,0,0,65535") return dottedOf(groups);
    return maskedOf(groups, this.#ipv6Prefix) + zone;
  }

  /**
   * The address that a request comes from: the first one from the right that is no trusted proxy. `peer` is at the
   * other end of the connection, `forwardedFor` the value of the header, its lines joined by commas.
   *
   * What cannot be read ends the search, and the address to its right is the answer: nobody who is trusted has
   * vouched for another. Where all are trusted, the answer is the furthest.
   */
  clientOf(peer: string, forwardedFor: string = ""): string {
    let client = peer;
    let end = forwardedFor.length;
    for (let hop = 0; hop < maxHops && end > 0 && this.isTrusted(client); hop += 1) {
      const comma = forwardedFor.lastIndexOf(",", end - 1);
      const address = addressIn(forwardedFor, comma + 1, end);
      if (address === undefined) break;
      // Recipients must take empty elements of a list for nothing (RFC 9110, 5.6.1.2).
      if (address !== "") client = address;
      end = comma;
    }
    return client;
  }

  /**
   * What a request is counted under; `undefined` if it comes from a trusted address itself: what a proxy or a
   * neighbour does on its own account, a probe for example, has no limit by address.
   */
  requestKeyOf(peer: string, forwardedFor?: string): string | undefined {
    const client = this.clientOf(peer, forwardedFor);
    return this.isTrusted(client) ? undefined : this.keyOf(client);
  }
}

/**
 * How many of something each address has, up to a limit for each.
 *
 * Invariant: a key is in the table exactly while its count is above 0, so the table is never longer than what it counts.
 */
export class AddressCounts {
  readonly limit: number;
  readonly #counts = new Map<string, number>();

  constructor(limit: number) {
    this.limit = limit;
  }

  /** How many addresses have any. */
  get size(): number {
    return this.#counts.size;
  }

  countOf(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  /** Counts one more, unless the address has `limit` already. */
  tryEnter(key: string): boolean {
    const count = this.#counts.get(key) ?? 0;
    if (count >= this.limit) return false;
    this.#counts.set(key, count + 1);
    return true;
  }

  /** Takes back what `tryEnter` has counted. */
  leave(key: string): void {
    const count = this.#counts.get(key) ?? 0;
    if (count > 1) this.#counts.set(key, count - 1);
    else this.#counts.delete(key);
  }
}

/**
 * The address in one entry of the header, without what stands around it: `192.0.2.1:4711` (some gateways append the
 * port), `[2001:db8::1]:4711`, `"..."`. Empty for an empty entry, `undefined` for what is no address.
 */
function addressIn(header: string, from: number, end: number): string | undefined {
  let start = from;
  let last = end;
  while (start < last && isBlank(header.charCodeAt(start))) start += 1;
  while (last > start && isBlank(header.charCodeAt(last - 1))) last -= 1;
  if (last - start > maxEntryLength) return undefined;
  const entry = header.slice(start, last);
  if (entry === "" || isIPv4(entry)) return entry;
  const quoted = /^"([^"]*)"$/.exec(entry)?.[1] ?? entry;
  const [, bracketed, dotted] = /^(?:\[([^[\]]*)\]|([\d.]+))(?::\d{1,5})?$/.exec(quoted) ?? [];
  const address = bracketed === undefined ? (dotted ?? quoted) : bracketed;
  if (bracketed === undefined && isIPv4(address)) return address;
  // A zone means something only on the machine that wrote it (RFC 4007, 6), and would make a key of each spelling.
  return isIPv6(address) && !address.includes("%") ? address : undefined;
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** The eight groups of an address that `isIPv6` accepts, and its zone with the `%`, if it has one. */
export function parseIPv6(address: string): { readonly groups: readonly number[]; readonly zone: string } {
  const percent = address.indexOf("%");
  const zone = percent === -1 ? "" : address.slice(percent);
  const [head = "", tail] = (percent === -1 ? address : address.slice(0, percent)).split("::");
  const left = parseGroups(head);
  if (tail === undefined) return { groups: left, zone };
  const right = parseGroups(tail);
  return { groups: [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right], zone };
}

function parseGroups(part: string): number[] {
  if (part === "") return [];
  return part.split(":").flatMap((group) => {
    if (!group.includes(".")) return Number.parseInt(group, 16);
    const [a = 0, b = 0, c = 0, d = 0] = group.split(".").map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

function dottedOf(groups: readonly number[]): string {
  const [high = 0, low = 0] = groups.slice(6);
  return `${high >> 8}.${high & 0xff}.${low >> 8}.${low & 0xff}`;
}

/** The first `prefix` bits, as text that is the same however the address was written. */
function maskedOf(groups: readonly number[], prefix: number): string {
  return groups
    .slice(0, Math.ceil(prefix / 16))
    .map((group, index) => group & (0xffff << Math.max(0, 16 * (index + 1) - prefix)))
    .map((group) => (group & 0xffff).toString(16))
    .join(":");
}

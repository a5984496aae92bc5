/**
 * Which hosts a proxy is not for: the `NO_PROXY` list, by the rules of Go's `golang.org/x/net/http/httpproxy`, since
 * that is what the other programs in the same container follow.
 *
 * An entry is `*`, an address, an address block (`10.0.0.0/8`), a domain, or one of these (but no block) with a port.
 * `example.com` covers the host and everything below it, `.example.com` and `*.example.com` only what is below. Names
 * are not looked up to be compared with addresses.
 */

import { BlockList, isIP } from "node:net";
import { withoutBrackets } from "./dial-target.ts";

/** Says whether a connection to this host and port goes past the proxy. */
export type HostMatcher = (hostname: string, port: number) => boolean;

type Matcher = (host: { readonly name: string; readonly ip: string | undefined; readonly port: number }) => boolean;

/** IPv4 and IPv6 apart: in one `BlockList`, `::/0` would cover IPv4 as well, which Go does not do. */
class AddressBlock {
  readonly #ipv4: BlockList = new BlockList();
  readonly #ipv6: BlockList = new BlockList();

  /** Throws if `prefix` is too long for the address. */
  constructor(address: string, prefix?: number) {
    const [list, family, bits] =
      isIP(address) === 4 ? ([this.#ipv4, "ipv4", 32] as const) : ([this.#ipv6, "ipv6", 128] as const);
    list.addSubnet(address, prefix ?? bits, family);
  }

  has(ip: string): boolean {
    if (isIP(ip) === 4) return this.#ipv4.check(ip, "ipv4");
    // The first list knows IPv4 addresses in their IPv6 form, ::ffff:10.0.0.1.
    return this.#ipv4.check(ip, "ipv6") || this.#ipv6.check(ip, "ipv6");
  }
}

const loopback: readonly AddressBlock[] = [new AddressBlock("127.0.0.0", 8), new AddressBlock("::1")];

/** An address without its brackets and zone; undefined for a name. */
function addressOf(hostname: string): string | undefined {
  const [address = ""] = withoutBrackets(hostname).split("%", 1);
  return isIP(address) === 0 ? undefined : address;
}

/** `localhost` and the loopback addresses: what a proxy taken from the environment is never used for. */
export function isLoopback(hostname: string): boolean {
  if (hostname.toLowerCase() === "localhost") return true;
  const ip = addressOf(hostname);
  return ip !== undefined && loopback.some((block) => block.has(ip));
}

function parseBlock(entry: string): AddressBlock | undefined {
  const [, address = "", prefix = ""] = /^(.*)\/(\d{1,3})$/.exec(entry) ?? [];
  if (isIP(address) === 0 || Number(prefix) > (isIP(address) === 4 ? 32 : 128)) return undefined;
  return new AddressBlock(address, Number(prefix));
}

/** Splits `host:port`. A bare IPv6 address is full of colons and has no port. */
function splitPort(entry: string): { readonly host: string; readonly port: number | undefined } {
  const [, host = entry, port] = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(entry) ?? [];
  return { host: withoutBrackets(host), port: port === undefined ? undefined : Number(port) };
}

function parseEntry(entry: string): Matcher | undefined {
  const block = parseBlock(entry);
  if (block !== undefined) return ({ ip }) => ip !== undefined && block.has(ip);
  const { host, port } = splitPort(entry);
  if (host === "") return undefined;
  if (isIP(host) !== 0) {
    const one = new AddressBlock(host);
    return (target) => target.ip !== undefined && one.has(target.ip) && (port ?? target.port) === target.port;
  }
  const below = host.startsWith("*.") ? host.slice(1) : host;
  const exact = below.startsWith(".") ? undefined : below;
  const suffix = exact === undefined ? below : `.${below}`;
  return ({ name, port: given }) => (name === exact || name.endsWith(suffix)) && (port ?? given) === given;
}

/**
 * Reads a `NO_PROXY` list: entries separated by commas, blanks and letter case ignored. An entry that makes no sense
 * matches nothing: the list belongs to the environment, and one typo in it must not stop every program.
 */
export function parseNoProxy(list: string): HostMatcher {
  const entries = list
    .split(",")
    .map((entry) => entry.trim().toLowerCase())
    .filter((entry) => entry !== "");
  if (entries.includes("*")) return () => true;
  const matchers = entries.map(parseEntry).filter((matcher) => matcher !== undefined);
  return (hostname, port) => {
    const host = { name: withoutBrackets(hostname).toLowerCase(), ip: addressOf(hostname), port };
    return matchers.some((matches) => matches(host));
  };
}

/** Where a dial goes, and how a host and port are written down. */

/** What the pool wants a connection to: the origin of its requests, whatever lies in between. */
export interface DialTarget {
  readonly protocol: "http:" | "https:";
  /** A name or an address; an IPv6 address with or without its brackets. */
  readonly hostname: string;
  readonly port: number;
  /** Name sent to and checked against the certificate of the server, when it is not `hostname`. */
  readonly servername?: string | undefined;
  /** Offers HTTP/2 in the TLS handshake, before HTTP/1.1. */
  readonly allowH2: boolean;
  /** Names the addresses that are tried last: those that outlier ejection has taken out. */
  readonly avoid?: ((address: string) => boolean) | undefined;
}

/** `[::1]` as `::1`; anything else as it is. */
export function withoutBrackets(hostname: string): string {
  return hostname.startsWith("[") && hostname.endsWith("]") ? hostname.slice(1, -1) : hostname;
}

/** `host:port` as it stands in a CONNECT request and in messages, with an IPv6 address in brackets. */
export function authorityOf(target: { readonly hostname: string; readonly port: number }): string {
  const hostname = withoutBrackets(target.hostname);
  return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${target.port}`;
}

/** What a dialer can be told. The transport's option table checks and defaults most of it; this is the stored form. */

import { isIP, type LookupFunction } from "node:net";
import type { ConnectionOptions, SecureContext } from "node:tls";
import { tls as loadTls } from "../builtins.ts";
import { OptionError } from "../../core/errors.ts";
import type { ProxyRule } from "./proxy-rule.ts";

export interface DialOptions {
  /** Longest time for the name lookup, the TCP connection and the tunnel through a proxy together; ms, `Infinity` for none. */
  readonly dialTimeoutMs: number;
  /** Longest time for the TLS handshake with the target; ms, `Infinity` for none. */
  readonly tlsHandshakeTimeoutMs: number;
  /**
   * Most dials under way at once, TLS included; more wait for their turn. One host gets at most half of them.
   *
   * @default 100
   */
  readonly maxDials?: number | undefined;
  /** Settings for every TLS connection: client certificate, `ca`, `rejectUnauthorized`, `minVersion`, ... */
  readonly tls?: ConnectionOptions | undefined;
  /** Replaces `dns.lookup`, with its signature. It is called with `all: true` and may answer in either form. */
  readonly lookup?: LookupFunction | undefined;
  /** @default "none" */
  readonly proxy?: ProxyRule | undefined;
  /** Path of a Unix socket: every target is reached through it, without a name lookup and without a proxy. */
  readonly socketPath?: string | undefined;
  /** Address of this machine to connect from. Addresses of the other family are then not tried. */
  readonly localAddress?: string | undefined;
  /**
   * Silence before TCP itself asks whether the peer is still there, in ms.
   *
   * @default 30000, as in Go
   */
  readonly keepAliveInitialDelay?: number | undefined;
  /** Most TLS sessions kept for resumption. @default 100 */
  readonly maxCachedTlsSessions?: number | undefined;
}

/** Refuses what would otherwise fail in every dial, or surprise in one. */
export function checkDialOptions({ localAddress, maxDials, proxy, socketPath }: DialOptions): void {
  if (localAddress !== undefined && isIP(localAddress) === 0) {
    throw new OptionError("Transport.localAddress", `must be an IP address of this machine; got ${localAddress}`);
  }
  if (maxDials !== undefined && !(maxDials >= 1)) {
    throw new OptionError("Transport.maxDials", `must be 1 or more; got ${maxDials}`);
  }
  if (socketPath !== undefined && proxy !== undefined && proxy !== "none" && proxy !== "environment") {
    throw new OptionError("Transport.socketPath", "excludes a proxy: a Unix socket is reached directly");
  }
}

/** Parses the certificates once. A wrong key or password is found here and not in the first request. */
export function secureContextFor(tls: ConnectionOptions | undefined): SecureContext {
  try {
    return tls?.secureContext ?? loadTls().createSecureContext(tls);
  } catch (cause) {
    const error = new OptionError("Transport.tls", `is refused by OpenSSL: ${String(cause)}`);
    error.cause = cause;
    throw error;
  }
}

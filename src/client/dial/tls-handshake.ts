/**
 * TLS over a socket that is already connected, directly or through a tunnel.
 *
 * Node verifies the certificate; nothing here weakens or repeats that. What is added is what the pool needs: the right
 * name, the right protocols, session resumption, and an end that leaves no listener behind.
 */

import { isIP, type Socket } from "node:net";
import type { ConnectionOptions, SecureContext, TLSSocket } from "node:tls";
import { tls as loadTls } from "../builtins.ts";
import { abortable } from "./abortable.ts";
import { withoutBrackets } from "./dial-target.ts";
import { ignoreError } from "./happy-eyeballs.ts";
import type { TlsSessions } from "./tls-sessions.ts";

/** The TLS settings of one dialer. */
export interface TlsSettings {
  readonly options: ConnectionOptions;
  /** The same each time: certificates are parsed once for all connections, not once for each. */
  readonly context: () => SecureContext;
  readonly sessions: TlsSessions;
}

/** The server to shake hands with. */
export interface TlsPeer {
  readonly hostname: string;
  readonly port: number;
  readonly servername: string | undefined;
  readonly allowH2: boolean;
}

/** The name for SNI: none for an address, and never the final dot of a full name (RFC 6066, section 3). */
export function servernameFor(hostname: string): string {
  return isIP(withoutBrackets(hostname)) === 0 ? hostname.replace(/\.$/, "") : "";
}

/**
 * Resolves once the connection is secure and the certificate verified. Rejects with Node's own error otherwise. In
 * both an abort and a failure, `socket` is destroyed.
 *
 * Two listeners of ours stay on the result: `ignoreError`, and one that keeps the session tickets, which a TLS 1.3
 * server sends at any time after the handshake.
 */
export function secure(socket: Socket, peer: TlsPeer, settings: TlsSettings, signal: AbortSignal): Promise<TLSSocket> {
  return abortable(signal, (settle) => {
    const host = withoutBrackets(peer.hostname);
    const servername = peer.servername ?? settings.options.servername ?? servernameFor(peer.hostname);
    const key = `${host}:${peer.port}/${servername}`;
    const session = settings.sessions.use(key);
    const tls = loadTls().connect({
      ...settings.options,
      secureContext: settings.context(),
      socket,
      // Not connected to: it is what the certificate is checked against when there is no servername.
      host,
      servername,
      ALPNProtocols: peer.allowH2 ? ["h2", "http/1.1"] : ["http/1.1"],
      session,
    });
    const unlisten = (): void => {
      tls.off("secureConnect", onSecure);
      tls.off("error", onError);
      tls.off("close", onClose);
    };
    const discard = (): void => {
      unlisten();
      tls.destroy();
      socket.destroy();
    };
    const onSecure = (): void => {
      unlisten();
      settle.resolve(tls);
    };
    const onError = (error: unknown): void => {
      discard();
      // It may be the session that the server choked on. The next handshake is a full one.
      if (session !== undefined) settings.sessions.forget(key);
      settle.reject(error);
    };
    const onClose = (): void => {
      onError(
        Object.assign(new Error("The connection was closed during the TLS handshake"), { code: "ECONNRESET", host }),
      );
    };
    tls.on("error", ignoreError);
    tls.on("session", (ticket) => settings.sessions.keep(key, ticket));
    tls.on("secureConnect", onSecure);
    tls.on("error", onError);
    tls.on("close", onClose);
    return discard;
  });
}

/**
 * A tunnel to the target through an HTTP proxy: the CONNECT method, RFC 9110 section 9.3.6.
 *
 * `node:http` writes the request and parses the answer over the socket that we dialed. A parser of our own would be
 * shorter than one thinks and wrong in more ways than one thinks; this one is bounded, strict and kept up. It knows
 * that no body follows an answer to CONNECT, and gives the socket back with nothing of its own left on it.
 */

import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { ProxyConnectError } from "../errors.ts";
import { abortable } from "./abortable.ts";
import type { Proxy } from "./proxy-rule.ts";
import { http } from "../builtins.ts";

/** Most bytes of the proxy's answer before it counts as broken. */
const maxAnswerBytes = 16_384;

/**
 * Asks the proxy at the other end of `socket` to connect it to `authority`. Bytes that came after the proxy's answer
 * are put back and are the first that the next reader sees. A failure or abort destroys the socket.
 *
 * @throws {ProxyConnectError} the proxy refused, answered nonsense or broke off
 */
export function openTunnel(socket: Socket, proxy: Proxy, authority: string, signal: AbortSignal): Promise<void> {
  return abortable(signal, (settle) => {
    const request = http.request({
      method: "CONNECT",
      path: authority,
      headers: {
        host: authority,
        ...(proxy.authorization !== undefined && { "proxy-authorization": proxy.authorization }),
      },
      maxHeaderSize: maxAnswerBytes,
      createConnection: () => socket,
    });
    // Without an agent, `node:http` would say `Connection: close`, which some proxies take at its word.
    request.removeHeader("connection");
    const fail = (status: number, cause?: unknown): void => {
      socket.destroy();
      settle.reject(new ProxyConnectError(proxy.url, authority, status, cause === undefined ? {} : { cause }));
    };
    request.on("error", (cause) => fail(0, cause));
    request.on("connect", ({ statusCode = 0 }: IncomingMessage, _socket: unknown, head: Buffer) => {
      if (statusCode < 200 || statusCode > 299) {
        fail(statusCode);
        return;
      }
      if (head.length > 0) socket.unshift(head);
      settle.resolve();
    });
    request.end();
    return () => {
      request.destroy();
      socket.destroy();
    };
  });
}

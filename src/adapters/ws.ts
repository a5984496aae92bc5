/**
 * WebSockets by the package `ws`: it speaks the protocol, `sluice/streams` decides who is taken, what waits for a slow
 * reader, and when it ends.
 */

import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer, type WebSocket } from "ws";
import {
  chooseProtocol,
  WebSockets,
  type BoundedWebSocket,
  type UpgradeRefusal,
  type WebSocketsOptions,
} from "../streams/index.ts";

/** A server of `node:http` or `node:https`, guarded or not. */
export interface UpgradableServer {
  on(event: "upgrade", listener: (req: IncomingMessage, socket: Duplex, head: Buffer) => void): unknown;
  listenerCount(event: "upgrade"): number;
}

/** A connection: `connection.socket` is the one of `ws`. */
export type WebSocketConnection = BoundedWebSocket<WebSocket>;

/** Called for each connection, in the context of its request. */
export type WebSocketHandler = (connection: WebSocketConnection, req: IncomingMessage) => void;

/** The ones of a server, each with its path. */
type Endpoint = { readonly sockets: WebSockets<WebSocket>; readonly take: (upgrade: Upgrade) => void };

interface Upgrade {
  readonly req: IncomingMessage;
  readonly stream: Duplex;
  readonly head: Buffer;
}

const endpoints = new WeakMap<UpgradableServer, Endpoint[]>();

/** RFC 6455 section 7.4.1. */
const tryAgainLater = 1_013;
/** How long a client may take to answer a close, in milliseconds. */
const closeTimeout = 5_000;

/**
 * Serves WebSockets on a server: see {@link WebSocketsOptions}. `onConnection` gets each with its request, in the context
 * of that, which ends when the server is shut down. Messages are compressed neither way: a compressor for each
 * connection takes more memory than the rest of it.
 */
export function webSockets(
  server: UpgradableServer,
  options?: WebSocketsOptions,
  onConnection?: WebSocketHandler,
): WebSockets<WebSocket> {
  const sockets = new WebSockets<WebSocket>(server, options);
  const { maxPayload, protocols } = sockets.options;
  // Through a name: the types of `ws` do not have `closeTimeout` yet.
  const settings = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: maxPayload === Infinity ? 0 : maxPayload,
    closeTimeout,
    handleProtocols: (offered: Set<string>) => chooseProtocol(offered, protocols) ?? false,
  };
  const speaker = new WebSocketServer(settings);
  speaker.on("wsClientError", (_error, stream, req) => {
    sockets.reject("handshake", req);
    answer(stream, { reason: "handshake", status: 400, message: "This is no request for a WebSocket." });
  });
  const take = ({ req, stream, head }: Upgrade): void => {
    const decision = sockets.decide(req);
    if (typeof decision === "object") {
      answer(stream, decision);
      return;
    }
    if (decision === "later") {
      stream.once("close", () => sockets.told());
      speaker.handleUpgrade(req, stream, head, turnAway);
      return;
    }
    speaker.handleUpgrade(req, stream, head, (socket) => {
      const connection = sockets.open(socket, req);
      attend(socket, connection);
      onConnection?.(connection, req);
    });
  };
  endpointsOf(server).push({ sockets, take });
  return sockets;
}

/** The list of a server, which gets its listener with the first of them. */
function endpointsOf(server: UpgradableServer): Endpoint[] {
  const known = endpoints.get(server);
  if (known !== undefined) return known;
  const made: Endpoint[] = [];
  endpoints.set(server, made);
  server.on("upgrade", (req, stream, head) => {
    // `http` has taken its own off.
    stream.on("error", ignoreError);
    const endpoint = made.find(({ sockets }) => sockets.isFor(req));
    if (endpoint !== undefined) endpoint.take({ req, stream, head });
    // Whoever else listens may know the path.
    else if (server.listenerCount("upgrade") === 1) {
      made[0]?.sockets.reject("path", req);
      answer(stream, { reason: "path", status: 404, message: "There is no WebSocket at this path." });
    }
  });
  return made;
}

function attend(socket: WebSocket, connection: WebSocketConnection): void {
  let isBroken = false;
  const onHeard = (): void => connection.onHeard();
  socket.on("message", onHeard);
  socket.on("pong", onHeard);
  socket.on("ping", onHeard);
  socket.on("error", () => (isBroken = true));
  socket.on("close", () => connection.onClose(isBroken ? "protocol" : "client"));
}

/** Tells a client that there is no room in words that a page can read: it does not see the status of a handshake. */
function turnAway(socket: WebSocket): void {
  socket.on("error", ignoreError);
  socket.close(tryAgainLater, "try again later");
}

/** The close that follows tells enough. */
function ignoreError(): void {}

const phrases: Readonly<Record<UpgradeRefusal["status"], string>> = {
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  503: "Service Unavailable",
};

function answer(stream: Duplex, { status, message }: UpgradeRefusal): void {
  const body = `${message}\n`;
  const headers = [
    `HTTP/1.1 ${status} ${phrases[status]}`,
    "Connection: close",
    "Content-Type: text/plain; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...(status === 503 ? ["Retry-After: 10"] : []),
  ];
  stream.once("finish", () => stream.destroy());
  stream.end(`${headers.join("\r\n")}\r\n\r\n${body}`);
}

// The interface of sluice/adapters/ws, printed by `npm run api`. Do not edit.

// adapters/ws.d.ts

/**
 * WebSockets by the package `ws`: it speaks the protocol, `sluice/streams` decides who is taken, what waits for a slow
 * reader, and when it ends.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket } from "ws";
import { WebSockets, type BoundedWebSocket, type WebSocketsOptions } from "../streams/index.ts";
/** A server of `node:http` or `node:https`, guarded or not. */
export interface UpgradableServer {
    on(event: "upgrade", listener: (req: IncomingMessage, socket: Duplex, head: Buffer) => void): unknown;
    listenerCount(event: "upgrade"): number;
}
/** A connection: `connection.socket` is the one of `ws`. */
export type WebSocketConnection = BoundedWebSocket<WebSocket>;
/** Called for each connection, in the context of its request. */
export type WebSocketHandler = (connection: WebSocketConnection, req: IncomingMessage) => void;
/**
 * Serves WebSockets on a server: see {@link WebSocketsOptions}. `onConnection` gets each with its request, in the context
 * of that, which ends when the server is shut down. Messages are compressed neither way: a compressor for each
 * connection takes more memory than the rest of it.
 */
export declare function webSockets(server: UpgradableServer, options?: WebSocketsOptions, onConnection?: WebSocketHandler): WebSockets<WebSocket>;

/** What the measured servers have in common: the answer, and the shape of a peer. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { answerBody } from "../work.ts";

/** One server, ready to be measured. */
export interface Peer {
  readonly label: string;
  /** Listens on a free port of 127.0.0.1 and resolves to it. */
  readonly listen: () => Promise<number>;
}

export const answerType = "application/json";

/** As long for all that have such a setting: idle connections are counted while others are being opened. */
export const idleTimeoutMs = 75_000;

const answerLength = Buffer.byteLength(answerBody);

/** The handler of every server that takes one for `node:http`: its quickest way to send a known body. */
export function answer(_req: IncomingMessage, res: ServerResponse): void {
  res.writeHead(200, { "Content-Type": answerType, "Content-Length": answerLength });
  res.end(answerBody);
}

/** What Node's servers of all kinds have in common. */
interface Listening {
  listen(port: number, host: string, onListening: () => void): unknown;
  address(): string | { readonly port: number } | null;
  once(event: "error", onError: (error: Error) => void): unknown;
}

export function listenOnLoopback(server: Listening): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") reject(new Error("The server has no port"));
      else resolve(address.port);
    });
  });
}

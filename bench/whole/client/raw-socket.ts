/**
 * The floor: what 64 keep-alive connections cost with nothing between `node:net` and the caller but the least parsing
 * that still is correct for this response (head end, status, content-length, body in several pieces).
 */

import { connect } from "node:net";
import type { Socket } from "node:net";
import { checkLength, inFlight } from "./peer.ts";
import type { Lap } from "./peer.ts";

const blankLine = Buffer.from("\r\n\r\n");
const lengthName = Buffer.from("\r\nContent-Length: ");

/** Invariant: at most one request is on the socket; `#missing` is undefined until its head has been read. */
class RawConnection {
  readonly #socket: Socket;
  readonly #request: Buffer;
  #head: Buffer = Buffer.alloc(0);
  #missing: number | undefined;
  #length = 0;
  onEnd: () => void = ignore;

  constructor(port: number, onError: (error: Error) => void) {
    this.#request = Buffer.from(`GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: keep-alive\r\n\r\n`);
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    this.#socket.on("error", onError);
    this.#socket.on("close", () => onError(new Error("The target closed a connection")));
  }

  send(): void {
    this.#socket.write(this.#request);
  }

  #onData(chunk: Buffer): void {
    if (this.#missing === undefined)
      this.#readHead(this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]));
    else this.#missing -= chunk.length;
    if (this.#missing !== 0) return;
    checkLength(this.#length);
    this.#missing = undefined;
    this.onEnd();
  }

  #readHead(bytes: Buffer): void {
    const end = bytes.indexOf(blankLine);
    if (end < 0) {
      this.#head = bytes;
      return;
    }
    this.#head = Buffer.alloc(0);
    if (bytes.toString("latin1", 9, 12) !== "200") throw new Error(`Status ${bytes.toString("latin1", 9, 12)}`);
    const from = bytes.indexOf(lengthName) + lengthName.length;
    this.#length = Number.parseInt(bytes.toString("latin1", from, from + 10), 10);
    this.#missing = this.#length - (bytes.length - end - blankLine.length);
  }
}

function ignore(): void {
  // Nothing is expected outside a lap.
}

/** Opens the connections on the first lap and keeps them. */
export function rawLap(origin: string): Lap {
  const port = Number(new URL(origin).port);
  let fail: (error: Error) => void = ignore;
  const connections = Array.from({ length: inFlight }, () => new RawConnection(port, (error) => fail(error)));
  return (count) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    fail = reject;
    let unsent = count;
    let unanswered = count;
    for (const connection of connections) {
      connection.onEnd = () => {
        unanswered -= 1;
        if (unsent > 0) {
          unsent -= 1;
          connection.send();
        } else if (unanswered === 0) resolve();
      };
    }
    for (const connection of connections.slice(0, count)) {
      unsent -= 1;
      connection.send();
    }
    return promise;
  };
}

/**
 * Keep-alive connections with nothing between `node:net` and the caller: the floor of what a client can cost, and the
 * load that servers are measured under.
 *
 * There are two kinds. The bare one sends the same bytes again and again and reads of the answer only where it ends, which
 * no client can do. The one with its heads read does what every client has to: it writes a request from its parts and
 * takes the response's head apart into status and fields. Both are correct for this response and for little else.
 */

import { connect } from "node:net";
import type { Socket } from "node:net";
import { checkLength } from "./work.ts";

const blankLine = Buffer.from("\r\n\r\n");
// Most servers write it so; some in lower case.
const lengthNames = [Buffer.from("\r\nContent-Length: "), Buffer.from("\r\ncontent-length: ")];

/** What is done with heads: the least, or what every client has to do. */
export type HeadWork = "bare" | "read";

/** Invariant: at most one request is on the socket; `#missing` is undefined until its head has been read. */
class RawConnection {
  readonly #socket: Socket;
  readonly #work: HeadWork;
  readonly #host: string;
  readonly #request: Buffer;
  #head: Buffer = Buffer.alloc(0);
  #missing: number | undefined;
  #length = 0;
  onEnd: () => void = ignore;
  #onError: (error: Error) => void;

  constructor(port: number, work: HeadWork, onError: (error: Error) => void) {
    this.#work = work;
    this.#onError = onError;
    this.#host = `127.0.0.1:${port}`;
    this.#request = Buffer.from(`GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: keep-alive\r\n\r\n`);
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    this.#socket.on("error", (error) => this.#onError(error));
    this.#socket.on("close", () => this.#onError(new Error("The other side closed a connection")));
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed;
  }

  close(): void {
    this.onEnd = ignore;
    this.#onError = ignore;
    this.#socket.destroy();
  }

  send(method: string, path: string): void {
    if (this.#work === "bare") this.#socket.write(this.#request);
    else
      this.#socket.write(
        `${method} ${path} HTTP/1.1\r\nhost: ${this.#host}\r\nconnection: keep-alive\r\n\r\n`,
        "latin1",
      );
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
    this.#length = this.#work === "bare" ? findLength(bytes) : parseLength(bytes.toString("latin1", 0, end));
    this.#missing = this.#length - (bytes.length - end - blankLine.length);
  }
}

function findLength(bytes: Buffer): number {
  if (bytes.toString("latin1", 9, 12) !== "200") throw new Error(`Status ${bytes.toString("latin1", 9, 12)}`);
  for (const name of lengthNames) {
    const at = bytes.indexOf(name);
    if (at >= 0) return Number.parseInt(bytes.toString("latin1", at + name.length, at + name.length + 10), 10);
  }
  throw new Error("An answer without Content-Length");
}

function parseLength(head: string): number {
  const [first = "", ...lines] = head.split("\r\n");
  const status = Number(first.slice(9, 12));
  const fields: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(":");
    fields[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  if (status !== 200) throw new Error(`Status ${status}`);
  return Number(fields["content-length"]);
}

function ignore(): void {
  // Nothing is expected outside a lap.
}

/** So many connections, open from the start. */
export class RawConnections {
  readonly #connections: readonly RawConnection[];
  #fail: (error: Error) => void = ignore;

  constructor(port: number, work: HeadWork, size: number) {
    this.#connections = Array.from({ length: size }, () => new RawConnection(port, work, (error) => this.#fail(error)));
  }

  /** Sends `count` GETs, one on each connection at a time, and resolves when the last body has been read. */
  lap(count: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#fail = reject;
    let unsent = count;
    let unanswered = count;
    for (const connection of this.#connections) {
      connection.onEnd = () => {
        unanswered -= 1;
        if (unsent > 0) {
          unsent -= 1;
          connection.send("GET", "/");
        } else if (unanswered === 0) resolve();
      };
    }
    for (const connection of this.#connections.slice(0, count)) {
      unsent -= 1;
      connection.send("GET", "/");
    }
    return promise;
  }

  /** Those that the other side has not closed. */
  countOpen(): number {
    return this.#connections.filter(({ isOpen }) => isOpen).length;
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }
}

/**
 * An HTTP server made of bytes, for what a correct server cannot be made to do: it keeps every request as it came
 * over the wire and answers with whatever it is told to write.
 */

import { once } from "node:events";
import { createServer } from "node:net";
import type { Socket } from "node:net";

export interface RawRequest {
  readonly method: string;
  readonly path: string;
  /** Request line, header and body. */
  readonly text: string;
  /** Place among the requests of this server, from 0. */
  readonly index: number;
}

export type Answer = string | Buffer | ((request: RawRequest, socket: Socket) => void);

/** Invariant: every accepted socket is in `#sockets` until it is closed. */
export class WireServer implements AsyncDisposable {
  /** Wire text of the requests, in order of arrival. */
  readonly seen: string[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => this.#serve(socket));
  readonly #answer: Answer;

  constructor(answer: Answer) {
    this.#answer = answer;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("The server does not listen");
    return address.port;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get openSockets(): number {
    return this.#sockets.size;
  }

  async listen(): Promise<this> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    // A client that breaks off is part of many cases.
    socket.on("error", () => socket.destroy());
    let text = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      text += chunk;
      const length = requestLength(text);
      if (length === undefined) return;
      const request = text.slice(0, length);
      text = text.slice(length);
      const [method = "", path = ""] = request.split(" ", 2);
      const index = this.seen.push(request) - 1;
      if (typeof this.#answer === "function") this.#answer({ method, path, text: request, index }, socket);
      else socket.write(this.#answer);
    });
  }
}

/** Length of the first request in `text`, once it is complete. */
function requestLength(text: string): number | undefined {
  const header = text.indexOf("\r\n\r\n") + 4;
  if (header === 3) return undefined;
  const head = text.slice(0, header).toLowerCase();
  if (head.includes("\r\ntransfer-encoding: chunked")) {
    const end = text.indexOf("0\r\n\r\n", header);
    return end === -1 ? undefined : end + 5;
  }
  const length = header + Number(/\r\ncontent-length: (\d+)/.exec(head)?.[1] ?? 0);
  return text.length < length ? undefined : length;
}

/** A complete answer with a length. */
export function reply(status: string, fields: Record<string, string>, body: string | Buffer = ""): Buffer {
  const content = Buffer.from(body);
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([
    Buffer.from(`HTTP/1.1 ${status}\r\n${lines.join("")}content-length: ${content.length}\r\n\r\n`, "latin1"),
    content,
  ]);
}

/**
 * An HTTP server that does only what a test tells it: it reads requests, and each answer is written byte by byte.
 *
 * `node:http` corrects what a test wants to get wrong. This one finds where requests end (content-length, chunked or no
 * body) and leaves everything else to the test.
 */

import { createServer, type Socket } from "node:net";
import { listen, type LoopbackServer } from "./loopback.ts";

/** One request as it came over the socket. */
export interface RawRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: ReadonlyMap<string, string>;
  /** The whole of it up to the empty line. */
  readonly head: string;
  readonly body: string;
  /** Counts the requests of this connection, from 1. */
  readonly turn: number;
  /** Counts the connections of this server, from 1. */
  readonly connection: number;
}

export type OnRequest = (socket: Socket, request: RawRequest) => void;

export interface RawServer extends LoopbackServer {
  readonly origin: string;
  /** Every request that came in whole. */
  readonly requests: readonly RawRequest[];
  /** Connections accepted so far. */
  readonly accepted: number;
}

export interface HoldingServer extends RawServer {
  /** The connections that wait for an answer. */
  readonly held: Socket[];
  readonly release: (count?: number) => void;
}

export interface RawServerHooks {
  /** A connection was accepted. */
  readonly onConnection?: (socket: Socket, connection: number) => void;
  /** Does not keep the requests: there are too many. */
  readonly forgets?: boolean;
  /** A request's head has come; its body may not have. */
  readonly onHead?: OnRequest;
}

/** Starts a server that calls `onRequest` for each request that has come in whole. */
export async function rawServer(onRequest: OnRequest, hooks: RawServerHooks = {}): Promise<RawServer> {
  const requests: RawRequest[] = [];
  let accepted = 0;
  // The answers of a test are small: Nagle's delay would only slow it down.
  const server = createServer({ noDelay: true }, (socket) => {
    accepted += 1;
    const connection = accepted;
    hooks.onConnection?.(socket, connection);
    const reader = new RequestReader(connection, {
      onHead: (request) => hooks.onHead?.(socket, request),
      onRequest: (request) => {
        if (hooks.forgets !== true) requests.push(request);
        onRequest(socket, request);
      },
    });
    socket.on("data", (chunk: Buffer) => reader.push(chunk.toString("latin1")));
  });
  const listening = await listen(server);
  return {
    port: listening.port,
    origin: `http://127.0.0.1:${listening.port}`,
    connections: listening.connections,
    requests,
    get accepted() {
      return accepted;
    },
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}

/** Writes a whole answer with a content-length. `lines` are further header lines. */
export function answer(socket: Socket, body: string = "ok", ...lines: readonly string[]): void {
  socket.write(["HTTP/1.1 200 OK", `content-length: ${Buffer.byteLength(body)}`, ...lines, "", body].join("\r\n"));
}

/** A server that keeps its answers back until the test releases them, oldest first. */
export async function holdingServer(): Promise<HoldingServer> {
  const held: Socket[] = [];
  const server = await rawServer((socket) => held.push(socket));
  return Object.assign(server, {
    held,
    release: (count: number = held.length) => {
      for (const socket of held.splice(0, count)) answer(socket);
    },
  });
}

/** Invariant: `#rest` holds what has come and belongs to no request that was told. */
class RequestReader {
  readonly #connection: number;
  readonly #on: { onHead(request: RawRequest): void; onRequest(request: RawRequest): void };
  #rest: string = "";
  #turn: number = 0;
  #head: RawRequest | undefined;

  constructor(connection: number, on: { onHead(request: RawRequest): void; onRequest(request: RawRequest): void }) {
    this.#connection = connection;
    this.#on = on;
  }

  push(text: string): void {
    this.#rest += text;
    while (this.#takeHead() && this.#takeBody()) continue;
  }

  #takeHead(): boolean {
    if (this.#head !== undefined) return true;
    const end = this.#rest.indexOf("\r\n\r\n");
    if (end < 0) return false;
    const head = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 4);
    this.#turn += 1;
    const [first = "", ...lines] = head.split("\r\n");
    const [method = "", path = ""] = first.split(" ");
    const headers = new Map(
      lines.map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    this.#head = { method, path, headers, head, body: "", turn: this.#turn, connection: this.#connection };
    this.#on.onHead(this.#head);
    return true;
  }

  #takeBody(): boolean {
    const head = this.#head;
    if (head === undefined) return false;
    const chunked = head.headers.get("transfer-encoding") === "chunked";
    const end = chunked ? this.#rest.indexOf("0\r\n\r\n") + 5 : Number(head.headers.get("content-length") ?? 0);
    if (chunked ? end < 5 : this.#rest.length < end) return false;
    const sent = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end);
    this.#head = undefined;
    this.#on.onRequest({ ...head, body: chunked ? joinChunks(sent) : sent });
    return true;
  }
}

function joinChunks(sent: string): string {
  const size = Number.parseInt(sent, 16);
  if (size === 0) return "";
  const from = sent.indexOf("\r\n") + 2;
  return sent.slice(from, from + size) + joinChunks(sent.slice(from + size + 2));
}

/** An HTTP server behind a gate that decides on each accepted socket, and clients that keep all that they hear. */

import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { listen, until } from "./loopback.ts";

/** What a connection takes up. */
export type Place = "admitted" | "refusing" | "upgraded";

/** What a gate is to the server. */
export interface Gate {
  readonly wantsRoom: boolean;
  promiseRoom(): void;
  take(socket: Socket): void;
  leave(place: Place, socket: Socket): void;
  upgrade(): boolean;
  close(): void;
}

/** A smallest request. */
export const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/** A connection of a test, and all that it has heard. */
export class WireClient implements Disposable {
  readonly socket: Socket;
  text = "";
  error: Error | undefined;
  ended = false;

  constructor(socket: Socket, ...sent: readonly string[]) {
    this.socket = socket;
    socket.setEncoding("latin1").on("data", (chunk: string) => (this.text += chunk));
    socket.on("error", (error) => (this.error = error));
    socket.on("end", () => (this.ended = true));
    for (const part of sent) socket.write(part);
  }

  static to(port: number, ...sent: readonly string[]): WireClient {
    return new WireClient(connect(port, "127.0.0.1"), ...sent);
  }

  /** From another address of the loopback network. */
  static from(localAddress: string, port: number, ...sent: readonly string[]): WireClient {
    return new WireClient(connect({ port, host: "127.0.0.1", localAddress }), ...sent);
  }

  /** How many times it was answered 200. */
  get answers(): number {
    return this.text.split("HTTP/1.1 200").length - 1;
  }

  /** Whether it has read the whole refusal of a {@link GatedServer}. */
  get refused(): boolean {
    return this.text.startsWith("HTTP/1.1 503") && this.text.endsWith("\r\n\r\nfull\n");
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/**
 * As little of a guard as a gate needs: it knows who has which place and who is idle, and tells those refused 503.
 *
 * Invariant: `#places` has every connection that was handed to HTTP and has not closed; `idle` those of them that have
 * answered and wait, the longest one first.
 */
export class GatedServer<OpenGate extends Gate> implements AsyncDisposable {
  readonly gate: OpenGate;
  readonly refused: string[] = [];
  readonly heldMs: number[] = [];
  readonly idle: Set<Socket> = new Set();
  /** Answers that wait for the test, if the server was opened with `holding`. */
  readonly handling: ServerResponse[] = [];
  readonly #server: Server;
  readonly #places = new Map<Socket, Place>();
  #listening: AsyncDisposable | undefined;
  dropped = 0;
  port = 0;

  /** `openGate` is given the server itself, to call back. */
  constructor(server: Server, openGate: (handler: GatedServer<OpenGate>) => OpenGate) {
    this.#server = server;
    this.gate = openGate(this);
    // An own property, as the sockets pass here before TLS and before HTTP, and the requests before their handler.
    server.emit = (name: string, ...args: readonly unknown[]): boolean => this.#onEvent(name, args);
  }

  /** In front of a server whose handler keeps its answers until the test takes them out of `handling`. */
  static holding<OpenGate extends Gate>(
    openGate: (handler: GatedServer<OpenGate>) => OpenGate,
  ): Promise<GatedServer<OpenGate>> {
    const gated = new GatedServer(
      createServer((_req, res) => void gated.handling.push(res)),
      openGate,
    );
    return gated.listen();
  }

  async listen(): Promise<this> {
    const listening = await listen(this.#server);
    this.port = listening.port;
    this.#listening = listening;
    return this;
  }

  #onEvent(name: string, args: readonly unknown[]): boolean {
    const [first, second] = args;
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what node:http emits under these names
    if (name === "connection") this.gate.take(first as Socket);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
    else if (name === "request") this.#onRequest(first as IncomingMessage, second as ServerResponse);
    else return this.#emit(name, ...args);
    return true;
  }

  #emit(name: string, ...args: readonly unknown[]): boolean {
    return Boolean(Reflect.apply(Object.getPrototypeOf(this.#server).emit, this.#server, [name, ...args]));
  }

  #onRequest(req: IncomingMessage, res: ServerResponse): void {
    const socket = this.#acceptedOf(req.socket);
    this.idle.delete(socket);
    if (this.#places.get(socket) === "refusing") {
      req.resume();
      res.writeHead(503, { connection: "close", "retry-after": "1", "content-length": "5" }).end("full\n");
      return;
    }
    res.on("close", () => {
      if (socket.destroyed) return;
      if (this.gate.wantsRoom) {
        this.gate.promiseRoom();
        socket.destroy();
      } else this.idle.add(socket);
    });
    this.#emit("request", req, res);
  }

  /** The socket that was accepted: below TLS it is another one than that of the request. */
  #acceptedOf(socket: Socket): Socket {
    const accepted = [...this.#places.keys()].find((one) => one === socket || one.remotePort === socket.remotePort);
    assert.ok(accepted, "a request came on a connection that has no place");
    return accepted;
  }

  #enter(socket: Socket, place: Place): void {
    this.#places.set(socket, place);
    socket.on("close", () => {
      const last = this.#places.get(socket) ?? place;
      this.idle.delete(socket);
      this.#places.delete(socket);
      this.gate.leave(last, socket);
    });
    this.#emit("connection", socket);
  }

  upgrade(socket: Socket): boolean {
    if (!this.gate.upgrade()) return false;
    this.#places.set(socket, "upgraded");
    return true;
  }

  onAdmit(socket: Socket, heldMs: number): void {
    this.heldMs.push(heldMs);
    this.#enter(socket, "admitted");
  }

  onRefuse(socket: Socket, reason: string): void {
    this.refused.push(reason);
    this.#enter(socket, "refusing");
  }

  onDrop(): void {
    this.dropped += 1;
  }

  makeRoom(): boolean {
    const [longest] = this.idle;
    if (longest === undefined) return false;
    this.idle.delete(longest);
    longest.destroy();
    return true;
  }

  get admitted(): readonly Socket[] {
    return [...this.#places].filter(([, place]) => place === "admitted").map(([socket]) => socket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.gate.close();
    await this.#listening?.[Symbol.asyncDispose]();
    await until(() => this.#places.size === 0);
    assert.equal(this.#places.size, 0, "connections have not closed");
  }
}

/** Clients that take their time, by mistake or on purpose: they write in drops, read in drops or not at all, or say nothing. */

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/** Where a client connects to, on 127.0.0.1. */
export interface Peer {
  readonly port: number;
  /** By TLS. The certificate is not looked at. */
  readonly secure?: boolean;
}

export interface SlowClientOptions {
  /** Leaves what comes with the kernel until `readOn` or `readSlowly`. A reset is not noticed either until then. */
  readonly reads?: boolean;
}

/** Most of what came that is kept as text. */
const maxKept = 65_536;

/** A connection, and what became of it. */
export class SlowClient implements AsyncDisposable {
  readonly socket: Socket;
  /** What came, at most the first 64 KB of it. */
  text = "";
  /** How much came. */
  bytes = 0;
  /** The other side said that nothing more would come. */
  ended = false;
  /** Such as ECONNRESET. */
  error: string | undefined;
  /** When the other side ended or reset it, on the clock of `performance.now()`; `undefined` while it has not. */
  goneAt: number | undefined;
  readonly #gone = Promise.withResolvers<number>();
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(socket: Socket, { reads = true }: SlowClientOptions = {}) {
    this.socket = socket;
    socket.on("end", () => {
      this.ended = true;
      this.#end();
    });
    socket.on("error", (error: Error & { readonly code?: string }) => {
      this.error = error.code ?? error.message;
      this.#end();
    });
    socket.on("close", () => this.#end());
    if (reads) this.readOn();
    else socket.pause();
  }

  static async open({ port, secure = false }: Peer, options?: SlowClientOptions): Promise<SlowClient> {
    const target = { port, host: "127.0.0.1", noDelay: true };
    const socket = secure ? connectTls({ ...target, rejectUnauthorized: false }) : connect(target);
    await once(socket, secure ? "secureConnect" : "connect");
    return new SlowClient(socket, options);
  }

  /** Of the first answer; 0 while there is none. */
  get status(): number {
    return Number(/^HTTP\/1\.1 (\d{3}) /.exec(this.text)?.[1] ?? 0);
  }

  /** Whether it saw a whole answer, by the length that its header announced. Chunked ones end with an empty chunk. */
  get isComplete(): boolean {
    const head = this.text.indexOf("\r\n\r\n");
    if (head < 0) return false;
    const length = /\r\ncontent-length: (\d+)/i.exec(this.text)?.[1];
    if (length !== undefined) return this.bytes >= head + 4 + Number(length);
    return this.bytes <= maxKept && this.text.endsWith("0\r\n\r\n");
  }

  /** Resolves to the moment in which the other side ended or reset the connection. */
  get gone(): Promise<number> {
    return this.#gone.promise;
  }

  write(text: string): void {
    this.socket.write(text, "latin1");
  }

  /** Writes one character after the other, until the connection is gone or nothing is left. */
  trickle(text: string, everyMs: number): void {
    let at = 0;
    const timer = setInterval(() => {
      if (at >= text.length || !this.socket.writable) clearInterval(timer);
      else this.write(text.charAt(at));
      at += 1;
    }, everyMs);
    this.#timers.push(timer);
  }

  readOn(): void {
    this.socket.on("data", (chunk: Buffer) => this.#take(chunk));
    this.socket.resume();
  }

  /** Takes about so much in each second. */
  readSlowly(bytesPerSecond: number): void {
    const perTurn = Math.max(1, Math.round(bytesPerSecond / 20));
    const timer = setInterval(() => {
      const chunk: Buffer | null = this.socket.read(Math.min(perTurn, this.socket.readableLength || 1));
      if (chunk !== null) this.#take(chunk);
    }, 50);
    this.#timers.push(timer);
  }

  #take(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.text.length < maxKept) this.text += chunk.toString("latin1");
  }

  #end(): void {
    if (this.goneAt !== undefined) return;
    this.goneAt = performance.now();
    for (const timer of this.#timers) clearInterval(timer);
    this.#gone.resolve(this.goneAt);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.socket.destroy();
    if (!this.socket.closed) await once(this.socket, "close");
  }
}

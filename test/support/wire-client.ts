/** A client that writes bytes, right or wrong, and reads answers to the byte. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";

export interface WireAnswer {
  readonly status: number;
  /** Names in lower case; of a name that comes twice, the last. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

interface Parsed {
  readonly answer: WireAnswer;
  readonly end: number;
}

/** Where a chunked body ends, and what it holds; undefined while it is not complete. */
function readChunks(text: string, from: number): { readonly body: string; readonly end: number } | undefined {
  let body = "";
  for (let at = from; ;) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd < 0) return undefined;
    const line = text.slice(at, lineEnd);
    assert.match(line, /^[\da-f]+$/i, "a chunk of the answer has no size");
    const size = Number.parseInt(line, 16);
    const end = lineEnd + 2 + size + 2;
    if (text.length < end) return undefined;
    assert.equal(text.slice(end - 2, end), "\r\n", "a chunk of the answer is not as long as it says");
    body += text.slice(lineEnd + 2, end - 2);
    if (size === 0) return { body, end };
    at = end;
  }
}

/** The answer at the beginning of `text`; undefined while it is not complete. Fails the test if it is malformed. */
function parseAnswer(text: string, isClosed: boolean): Parsed | undefined {
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const [first = "", ...lines] = text.slice(0, headEnd).split("\r\n");
  const [, status = ""] = /^HTTP\/1\.1 (\d{3}) [\w '-]+$/.exec(first) ?? [];
  assert.notEqual(status, "", `no status line: ${JSON.stringify(first.slice(0, 80))}`);
  const headers = new Map<string, string>();
  for (const line of lines) {
    const [, name = "", value = ""] = /^([\w-]+): ?(.*)$/.exec(line) ?? [];
    assert.notEqual(name, "", `no header field: ${JSON.stringify(line.slice(0, 80))}`);
    headers.set(name.toLowerCase(), value);
  }
  const from = headEnd + 4;
  const answer = { status: Number(status), headers };
  if (answer.status < 200 || answer.status === 204 || answer.status === 304) {
    return { answer: { ...answer, body: "" }, end: from };
  }
  if (headers.get("transfer-encoding") === "chunked") {
    const chunks = readChunks(text, from);
    return chunks === undefined ? undefined : { answer: { ...answer, body: chunks.body }, end: chunks.end };
  }
  const length = headers.get("content-length");
  if (length === undefined)
    return isClosed ? { answer: { ...answer, body: text.slice(from) }, end: text.length } : undefined;
  const end = from + Number(length);
  return text.length < end ? undefined : { answer: { ...answer, body: text.slice(from, end) }, end };
}

/** Invariant: `#rest` holds what has come and belongs to no answer in `answers`. */
export class WireClient implements AsyncDisposable {
  readonly socket: Socket;
  readonly answers: WireAnswer[] = [];
  #rest = "";
  /** The other side has said that nothing more will come. */
  ended = false;
  /** Code of the socket's error, such as ECONNRESET. */
  error: string | undefined;
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.#take(chunk.toString("latin1")));
    socket.on("end", () => {
      this.ended = true;
      this.#take("");
    });
    socket.on("error", (error: Error & { readonly code?: string }) => {
      this.error = error.code ?? error.message;
    });
    socket.on("close", () => this.#wake?.());
  }

  /** What has come and makes no whole answer. */
  get rest(): string {
    return this.#rest;
  }

  write(bytes: string | Buffer): void {
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** The next answer but interim ones; undefined if the connection ends without one. */
  async answer(): Promise<WireAnswer | undefined> {
    for (;;) {
      const next = this.answers.shift();
      if (next !== undefined && next.status >= 200) return next;
      if (next !== undefined) continue;
      if (this.ended || this.socket.destroyed) return undefined;
      // oxlint-disable-next-line no-await-in-loop -- one wake-up after the other
      await this.#woken();
    }
  }

  /** Resolves when the other side has ended or reset the connection. */
  async end(): Promise<void> {
    // oxlint-disable-next-line no-await-in-loop -- one wake-up after the other
    while (!this.ended && !this.socket.destroyed) await this.#woken();
  }

  /** Ends its own side too, after all that was written, and resolves when the connection is gone. */
  async close(): Promise<void> {
    this.socket.end();
    if (!this.socket.closed) await once(this.socket, "close");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    if (!this.socket.closed) await once(this.socket, "close");
  }

  #woken(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    return promise;
  }

  #take(text: string): void {
    this.#rest += text;
    for (let parsed = this.#next(); parsed !== undefined; parsed = this.#next()) {
      this.answers.push(parsed.answer);
      this.#rest = this.#rest.slice(parsed.end);
    }
    this.#wake?.();
  }

  #next(): Parsed | undefined {
    return this.#rest === "" ? undefined : parseAnswer(this.#rest, this.ended);
  }
}

/** Connects to a port of 127.0.0.1. */
export async function wireClient(port: number): Promise<WireClient> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  return new WireClient(socket);
}

/**
 * Clients that do nothing wrong, and make up the crowd of a show: `node bystanders.ts http|https|http2 PORT`.
 *
 * Some ask once and keep their connection (`idle`), some keep an answer going (`held`), some ask again and again
 * (`quick`, `slow`). They speak with as little code as will do: there are thousands of them beside what is measured.
 */

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { answerParent } from "../support/child.ts";

const [kind = "http", port = "0"] = process.argv.slice(2);
const target = { port: Number(port), host: "127.0.0.1", noDelay: true };

/** RFC 9113: preface, an empty SETTINGS frame. */
const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1");
const settingsAck = Buffer.from("\0\0\0\x04\x01\0\0\0\0", "latin1");

/** A HEADERS frame that ends header and stream; RFC 7541 in its plainest form: nothing indexed, nothing compressed. */
function headersFrame(path: string, stream: number): Buffer {
  // :method GET, :scheme https, then :path and :authority as literals with an indexed name.
  const block = Buffer.from(`\x82\x87\x04${String.fromCharCode(path.length)}${path}\x01\x01a`, "latin1");
  const head = Buffer.from([0, 0, block.length, 1, 5, 0, 0, 0, 0]);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, block]);
}

/** Of the first frame; `Infinity` while not even its head is there. */
function frameLength(bytes: Buffer): number {
  return bytes.length < 9 ? Infinity : 9 + bytes.readUIntBE(0, 3);
}

let open = 0;
let lost = 0;
let answered = 0;
let leaving = false;

class Bystander {
  readonly #socket: Socket;
  readonly #path: string;
  #asked = 0;
  #rest: Buffer = Buffer.alloc(0);

  /** `everyMs`: how long after an answer the next request follows; `Infinity` for never. */
  constructor(socket: Socket, path: string, everyMs: number) {
    this.#socket = socket;
    this.#path = path;
    open += 1;
    socket.on("error", () => {});
    socket.once("close", () => {
      open -= 1;
      if (!leaving) lost += 1;
    });
    socket.on("data", (chunk: Buffer) => {
      if (!this.#takesAnswer(chunk)) return;
      answered += 1;
      // The first time somewhere within the interval, so that not all ask at once.
      const pauseMs = this.#asked === 1 ? Math.random() * everyMs : everyMs;
      if (everyMs < Infinity) setTimeout(() => this.ask(), pauseMs).unref();
    });
  }

  /** Whether an answer is complete with this. All of them are small, and most come in one piece. */
  #takesAnswer(chunk: Buffer): boolean {
    if (kind !== "http2") return chunk.toString("latin1").endsWith("\r\n\r\nok");
    this.#rest = Buffer.concat([this.#rest, chunk]);
    let isEnd = false;
    for (let length = frameLength(this.#rest); length <= this.#rest.length; length = frameLength(this.#rest)) {
      const [, , , type = 0, flags = 0] = this.#rest;
      // DATA or HEADERS with END_STREAM.
      isEnd ||= type <= 1 && (flags & 1) === 1;
      this.#rest = this.#rest.subarray(length);
    }
    return isEnd;
  }

  ask(): void {
    if (!this.#socket.writable) return;
    this.#asked += 1;
    if (kind !== "http2") {
      this.#socket.write(`GET ${this.#path} HTTP/1.1\r\nHost: a\r\n\r\n`);
      return;
    }
    if (this.#asked === 1) this.#socket.write(Buffer.concat([preface, settingsAck]));
    this.#socket.write(headersFrame(this.#path, 2 * this.#asked - 1));
  }
}

async function dial(): Promise<Socket> {
  if (kind === "http") {
    const socket = connect(target);
    await once(socket, "connect");
    return socket;
  }
  const protocols = kind === "http2" ? ["h2"] : ["http/1.1"];
  const socket = connectTls({ ...target, rejectUnauthorized: false, ALPNProtocols: protocols });
  await once(socket, "secureConnect");
  return socket;
}

/** Tries again if it is refused or cut: on a busy machine a handshake may take longer than the server allows. */
async function dialAgain(): Promise<Socket> {
  for (let tries = 1; ; tries += 1) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- one try after the other
      return await dial();
    } catch (error) {
      if (tries === 10) throw error;
    }
  }
}

/** At most 20 at once: a backlog that overflows is another show. */
async function come(count: number, path: string, everyMs: number): Promise<{ open: number }> {
  let left = count;
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      new Bystander(await dialAgain(), path, everyMs).ask();
    }
  };
  await Promise.all(Array.from({ length: 20 }, lane));
  return { open };
}

void answerParent({
  idle: (count) => come(count, "/", Infinity),
  held: (count) => come(count, "/hold", Infinity),
  quick: (count) => come(count, "/", 2_000),
  slow: (count) => come(count, "/slow", 0),
  report: () => ({ open, lost, answered }),
  /** From here on, whoever is closed is not lost. */
  leave: () => {
    leaving = true;
    return { open };
  },
});

/**
 * A server that closes kept-alive connections at the worst moments: `node racing-server.ts SEED WINDOW_MS SHARE`.
 *
 * After a share of its answers it closes that connection at a random moment within the window, which is the time in
 * which the client sends its next request: just before, while it is on its way, or just after. It closes as servers
 * do: politely (FIN), by giving the descriptor back (FIN, then a reset for what still comes), or with a reset. What
 * reaches a closed connection is not processed. Some POSTs on a reused connection are processed and then cut off
 * without an answer: the case in which sending again would do the work twice.
 */

import { createServer } from "node:net";
import type { Socket } from "node:net";
import { answerParent } from "../support/child.ts";
import { seededRandom } from "../support/random.ts";

const [seed = 1, windowMs = 2, share = 0.1] = process.argv.slice(2).map(Number);
const cutShare = 0.01;
const random = seededRandom(seed);
const answer = Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
const kinds = ["fin", "close", "reset"] as const;
const closed = { fin: 0, close: 0, reset: 0 };
/** How often each POST was processed, by the id in its path. */
const processed = new Map<string, number>();
let cut = 0;

/** Invariant: once `closing` nothing that arrives is processed or answered. */
class Connection {
  readonly #socket: Socket;
  #received = "";
  #answered = 0;
  #closing = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("error", () => socket.destroy());
  }

  #onData(chunk: Buffer): void {
    if (this.#closing) return;
    this.#received += chunk.toString("latin1");
    const head = this.#received.indexOf("\r\n\r\n");
    if (head < 0) return;
    const length = Number(/content-length: (\d+)/i.exec(this.#received)?.[1] ?? 0);
    if (this.#received.length < head + 4 + length) return;
    const [method = "", path = ""] = this.#received.split(" ", 2);
    this.#received = "";
    this.#process(method, path);
  }

  #process(method: string, path: string): void {
    if (method === "POST") {
      processed.set(path, (processed.get(path) ?? 0) + 1);
      if (this.#answered > 0 && random.next() < cutShare) {
        cut += 1;
        this.#closing = true;
        this.#socket.resetAndDestroy();
        return;
      }
    }
    this.#socket.write(answer);
    this.#answered += 1;
    if (random.next() < share) this.#closeSoon();
  }

  #closeSoon(): void {
    const delay = random.next() * windowMs;
    if (delay < 0.5) setImmediate(() => this.#close());
    else setTimeout(() => this.#close(), delay);
  }

  #close(): void {
    if (this.#closing || this.#socket.destroyed) return;
    this.#closing = true;
    const kind = random.pick(kinds);
    closed[kind] += 1;
    if (kind === "fin") this.#socket.end();
    else if (kind === "close") this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }
}

const server = createServer({ noDelay: true }, (socket) => new Connection(socket));

void answerParent({
  listen: async () => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject).listen(0, "127.0.0.1", 1024, resolve);
    await promise;
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("The server has no port");
    return { port: address.port };
  },
  report: () => ({
    ...closed,
    cut,
    processed: processed.size,
    twice: [...processed.values()].filter((times) => times > 1).length,
  }),
});

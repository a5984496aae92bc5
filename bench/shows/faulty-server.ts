/**
 * A server with every fault that a client meets: `node faulty-server.ts SEED`. The first part of the path names the
 * fault, so that the client knows what it asked for. Connections are kept alive wherever the fault leaves one alive.
 */

import { createServer } from "node:net";
import type { Socket } from "node:net";
import { answerParent } from "../support/child.ts";
import { seededRandom } from "../support/random.ts";

const random = seededRandom(Number(process.argv[2] ?? 1));
const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const big = Buffer.alloc(300_000, "x");

/**
 * What a fault does with a connection that has sent its request. What is meant for an idle connection asks first
 * whether it still is one, so that no request is disturbed that this server has seen.
 */
const faults: Readonly<Record<string, (socket: Socket, isIdle: () => boolean) => void>> = {
  ok: (socket) => socket.write(ok),
  chunked: (socket) => {
    socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    writeSlowly(socket, ["4\r\nfour\r\n", "3\r\nsix\r\n", "1\r\n7\r\n", "0\r\n\r\n"], 2);
  },
  hint: (socket) => socket.write("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2\r\nContent-Length: 2\r\n\r\nok"),
  hints103: (socket) => socket.write(`HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n${ok}`),
  slowhead: (socket) => writeSlowly(socket, ["HTTP/1.1 200 OK\r\nContent-", "Length: 2\r\n\r\n", "ok"], 50),
  slowbody: (socket) => {
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    writeSlowly(socket, "0123456789".split(""), 10);
  },
  big: (socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${big.length}\r\n\r\n`);
    socket.write(big);
  },
  redirect: (socket) => socket.write("HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n"),
  close: (socket) => socket.end("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
  idleclose: (socket, isIdle) => {
    socket.write(ok);
    later(random.next() * 20, () => {
      if (!isIdle()) return;
      if (random.next() < 0.5) socket.resetAndDestroy();
      else socket.destroy();
    });
  },
  idle408: (socket, isIdle) => {
    socket.write(ok);
    later(random.next() * 20, () => {
      if (isIdle()) socket.end("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    });
  },
  unsolicited: (socket, isIdle) => {
    socket.write(ok);
    later(random.next() * 20, () => {
      if (!isIdle()) return;
      // It answers nothing after that. A request that crossed it would take it for its answer, and its own answer would
      // be the next request's: over HTTP/1 no client can tell, so it would prove nothing.
      socket.removeAllListeners("data").resume();
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned");
      closeAfter(socket, 30);
    });
  },
  twice: (socket) => socket.write(ok + ok),
  early: (socket) => {
    socket.write("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    closeAfter(socket, 50);
  },
  never: (socket) => closeAfter(socket, 3_000),
  garbage: (socket) => socket.write("\u0000\u0001 this is not HTTP\r\n\r\n"),
  reset: (socket) => socket.resetAndDestroy(),
  cut: (socket) => {
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this");
    closeAfter(socket, 5);
  },
};

function later(ms: number, act: () => void): void {
  setTimeout(act, ms);
}

function closeAfter(socket: Socket, ms: number): void {
  later(ms, () => socket.destroy());
}

function writeSlowly(socket: Socket, pieces: readonly string[], everyMs: number): void {
  const [piece, ...rest] = pieces;
  if (piece === undefined || socket.destroyed) return;
  socket.write(piece);
  later(everyMs, () => writeSlowly(socket, rest, everyMs));
}

let accepted = 0;
let open = 0;

const server = createServer({ noDelay: true }, (socket) => {
  let received = "";
  let requests = 0;
  accepted += 1;
  open += 1;
  socket.on("close", () => (open -= 1));
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    received += chunk.toString("latin1");
    const head = received.indexOf("\r\n\r\n");
    if (head < 0) return;
    const name = /^\S+ \/(\w*)/.exec(received)?.[1] ?? "";
    if (name !== "early" && !isComplete(received, head)) return;
    received = "";
    // What follows an early answer is the rest of its body, and is thrown away.
    if (name === "early") socket.removeAllListeners("data").resume();
    requests += 1;
    const seen = requests;
    (faults[name] ?? faults["ok"])?.(socket, () => requests === seen && received === "" && socket.writable);
  });
});

function isComplete(received: string, head: number): boolean {
  if (/^transfer-encoding: chunked/im.test(received.slice(0, head))) return received.endsWith("0\r\n\r\n");
  const length = Number(/^content-length: (\d+)/im.exec(received.slice(0, head + 2))?.[1] ?? 0);
  return received.length >= head + 4 + length;
}

void answerParent({
  listen: async () => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject).listen(0, "127.0.0.1", 1024, resolve);
    await promise;
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("The server has no port");
    return { port: address.port };
  },
  report: () => ({ accepted, open }),
});

/** Servers on loopback for the tests of connections, and the count of what they left open. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";

export interface LoopbackServer extends AsyncDisposable {
  readonly port: number;
  /** Connections that are open at the server's end. */
  readonly connections: ReadonlySet<Socket>;
}

/** Starts `server` on a free port. Disposing of it destroys its connections and waits until it is closed. */
export async function listen(server: Server, host: string = "127.0.0.1", port: number = 0): Promise<LoopbackServer> {
  const connections = new Set<Socket>();
  server.on("connection", (socket) => {
    connections.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => connections.delete(socket));
  });
  server.listen(port, host);
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("the server listens on no TCP port");
  return {
    port: address.port,
    connections,
    async [Symbol.asyncDispose]() {
      for (const socket of connections) socket.destroy();
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      await promise;
    },
  };
}

const neverAccepts = `
  const { parentPort } = require("node:worker_threads");
  const server = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    // Blocks the thread, so that nobody accepts and the backlog stays full.
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
  });
`;

/** A port of 127.0.0.1 that answers no connection attempt at all: its backlog is full. */
export async function blackhole(): Promise<{ readonly port: number } & AsyncDisposable> {
  const worker = new Worker(neverAccepts, { eval: true });
  const [port]: number[] = await once(worker, "message");
  const fillers = Array.from({ length: 4 }, () => connect(port ?? 0, "127.0.0.1").on("error", () => {}));
  await Promise.all(fillers.slice(0, 2).map((socket) => once(socket, "connect")));
  return {
    port: port ?? 0,
    async [Symbol.asyncDispose]() {
      for (const socket of fillers) socket.destroy();
      await worker.terminate();
    },
  };
}

/** Resolves once `condition` holds, and after a second in any case; the assertion that follows says what was wrong. */
export async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 200 && !condition(); turn++) {
    // oxlint-disable-next-line no-await-in-loop -- polling is one look after the other
    await sleep(5);
  }
}

function liveHandles(): readonly string[] {
  const counted = /^(?:TCP|TLS|GetAddrInfo|Timeout|Immediate|JSStream)/;
  return process.getActiveResourcesInfo().filter((name) => counted.test(name));
}

/**
 * Waits until no TCP or TLS socket, lookup or timer of this thread is alive, and fails if one still is after a second:
 * the end of a connection takes a few turns of the event loop.
 */
export async function assertNothingLeft(): Promise<void> {
  await until(() => liveHandles().length === 0);
  assert.deepEqual(liveHandles(), [], "sockets, lookups or timers were left open");
}

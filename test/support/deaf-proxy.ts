/** A way to an engine that can fall silent: connections stay or are taken, and nothing comes back. */

import { connect, createServer, type Socket } from "node:net";
import { listen } from "./loopback.ts";

/** Between the clients of a test and the server on `port` of this machine. */
export interface DeafProxy extends AsyncDisposable {
  readonly port: number;
  /** Nothing is passed on from now, in either direction. */
  silence(): void;
  /** Breaks the connections that there are, and every new one. */
  refuse(): void;
  /** All is passed on again, after a silence also what was sent meanwhile. */
  speak(): void;
}

/** Listens on a free port of 127.0.0.1, and passes on to `port`. */
export async function startDeafProxy(port: number, host: string = "127.0.0.1"): Promise<DeafProxy> {
  const sockets = new Set<Socket>();
  let isSilent = false;
  let isRefusing = false;
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    if (isSilent) socket.pause();
    return socket.on("error", () => {}).on("close", () => sockets.delete(socket));
  };
  const server = createServer((near) => {
    keep(near);
    if (isRefusing) {
      near.destroy();
      return;
    }
    const far = keep(connect(port, host));
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("data", (chunk) => to.write(chunk));
      from.on("close", () => to.destroy());
      if (isSilent) from.pause();
    }
  });
  const listening = await listen(server);
  return {
    port: listening.port,
    silence() {
      isSilent = true;
      for (const socket of sockets) socket.pause();
    },
    refuse() {
      isRefusing = true;
      for (const socket of sockets) socket.destroy();
    },
    speak() {
      isRefusing = false;
      isSilent = false;
      for (const socket of sockets) socket.resume();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await listening[Symbol.asyncDispose]();
    },
  };
}

/**
 * Stops the kernel from completing connections, for the moment in which the listener is closed.
 *
 * Linux drops a client's first packet while the queue of the listening socket is full: it comes again after a second,
 * finds nobody, and is refused, which every proxy knows how to take. So the queue is made to hold one connection, and
 * that one is our own. Whether it got in is known at once, since both ends are on this machine; if not, somebody else
 * was faster, the queue is as it was, and is to be tried again.
 *
 * Only for a socket that is this process's alone: the length of the queue is the socket's, and would stay for others.
 */

import { connect, type Server } from "node:net";

/** What is known of how a server listens. */
export interface Listening {
  /** Whether the socket was made by this process, for a port, and nobody else can have it. */
  isOwn: boolean;
  readonly backlog: number;
}

/** Handles as Node has them, inside; each method is looked for before it is used. */
interface Handle {
  readonly listen?: (backlog: number) => number;
  readonly getpeername?: (out: object) => number;
  readonly fd?: number;
}

function handleOf(owner: object): Handle | undefined {
  const handle: unknown = Reflect.get(owner, "_handle");
  return typeof handle === "object" && handle !== null ? handle : undefined;
}

const anywhere: Readonly<Record<string, string>> = { "::": "::1", "0.0.0.0": "127.0.0.1" };

/** Invariant: the queue is as long as it was asked for, unless `#isNarrow` or our own connection has just got in. */
export class QueuePlug {
  readonly #server: Pick<Server, "address">;
  readonly #listening: Listening;
  #isNarrow = false;

  constructor(server: Pick<Server, "address">, listening: Listening) {
    this.#server = server;
    this.#listening = listening;
  }

  /**
   * Makes the queue hold one connection, until the listener is closed: a server that never comes to an end with accepting
   * would otherwise be closed with as many as always wait there. Who gets no place tries again after a second.
   */
  narrow(): void {
    this.#isNarrow = this.#resize(0);
  }

  /** Resolves to whether the queue holds nothing but our own connection, as long as nothing else is awaited. */
  async plug(): Promise<boolean> {
    const address = this.#server.address();
    if (address === null || typeof address === "string" || !this.#resize(0)) return true;
    const plug = connect({ port: address.port, host: anywhere[address.address] ?? address.address });
    plug.on("error", () => plug.destroy());
    plug.unref();
    // Node connects in the next tick, which comes before this one.
    const isIn = await new Promise<boolean>((resolve) => {
      process.nextTick(() => resolve(handleOf(plug)?.getpeername?.({}) === 0));
    });
    // Later: closed before the listener is, it would leave its place.
    setImmediate(() => plug.destroy());
    if (!isIn && !this.#isNarrow) this.#resize(this.#listening.backlog);
    return isIn;
  }

  /** `false` where that cannot be done, or is not ours to do. */
  #resize(backlog: number): boolean {
    const handle = handleOf(this.#server);
    if (process.platform !== "linux" || !this.#listening.isOwn || handle?.listen === undefined) return false;
    return handle.fd !== undefined && handle.fd >= 0 && handle.listen(backlog) === 0;
  }
}

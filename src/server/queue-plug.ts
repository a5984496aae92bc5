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

/** @returns whether the queue holds nothing but our own connection, as long as nothing else is awaited. */
export async function plugQueue(server: Pick<Server, "address">, { isOwn, backlog }: Listening): Promise<boolean> {
  const address = server.address();
  const handle = handleOf(server);
  if (process.platform !== "linux" || !isOwn || address === null || typeof address === "string") return true;
  if (handle?.listen === undefined || handle.fd === undefined || handle.fd < 0) return true;
  const anywhere: Readonly<Record<string, string>> = { "::": "::1", "0.0.0.0": "127.0.0.1" };
  if (handle.listen(0) !== 0) return true;
  const plug = connect({ port: address.port, host: anywhere[address.address] ?? address.address });
  plug.on("error", () => plug.destroy());
  plug.unref();
  // Node connects in the next tick, which comes before this one.
  const isIn = await new Promise<boolean>((resolve) => {
    process.nextTick(() => resolve(handleOf(plug)?.getpeername?.({}) === 0));
  });
  // Later: closed before the listener is, it would leave its place.
  setImmediate(() => plug.destroy());
  if (!isIn) handle.listen(backlog);
  return isIn;
}

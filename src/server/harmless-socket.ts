/**
 * Sockets for those who may look at a connection, but must not end it.
 *
 * `destroy()` throws away what the kernel still holds of an answer: the other side reads a reset. Frameworks call it
 * freely, Express when a handler fails after its answer, Fastify behind its own 400. Whoever the answer or the next
 * request does not belong to gets a stand-in; and whoever may end the connection does so without a reset.
 */

import type { Socket } from "node:net";

function returnThis<T>(this: T): T {
  return this;
}

function refuse(): boolean {
  return false;
}

/** The socket as it is, except that nothing can be written to it and that it cannot be ended. */
export function makeHarmless(socket: Socket): Socket {
  const methods = { write: refuse, end: returnThis, destroy: returnThis, destroySoon: returnThis };
  // `writable` is an accessor, and cannot be assigned to.
  return Object.defineProperty(
    Object.assign(Object.create(socket), methods, { resetAndDestroy: returnThis }),
    "writable",
    {
      value: false,
    },
  );
}

/** Calls `fn`. What it does to end the socket is done by `close` instead, which waits until the other side has read. */
export function endGently(socket: Socket, close: () => void, fn: () => unknown): void {
  Reflect.set(socket, "destroy", () => {
    close();
    return socket;
  });
  try {
    fn();
  } finally {
    Reflect.deleteProperty(socket, "destroy");
  }
  // Ended, it would stay half open for as long as the other side likes.
  if (!socket.destroyed && socket.writableEnded) close();
}

/**
 * What a request of Express says its socket is once its answer has ended: the same one, except that it cannot be ended.
 *
 * A handler that fails after its answer has nothing more to say to its client, but Express's last word on an error is
 * `req.socket.destroy()` whenever a header is out (finalhandler 2, the same in 1). On a bare server that resets what has
 * not gone out of the answer, and the next request of the connection with it. Only half of an answer has to be cut.
 *
 * Who has not taken a response's class away (all but Express and what stands on it) gets the socket itself, always.
 */

import type { Socket } from "node:net";

/** Told when somebody would end the connection. */
export interface SpentSocketOwner {
  hangUp(callee: (...args: never) => unknown): void;
}

/** A proxy, since it costs less to make than an object over the socket, and what is set on it is set on the socket. */
class SpentSocket implements ProxyHandler<Socket> {
  readonly #owner: SpentSocketOwner;

  constructor(owner: SpentSocketOwner) {
    this.#owner = owner;
  }

  get(socket: Socket, key: string | symbol, proxy: Socket): unknown {
    switch (key) {
      case "end":
      case "destroy":
      case "destroySoon":
      case "resetAndDestroy": {
        const hangUp = (): Socket => {
          this.#owner.hangUp(hangUp);
          return proxy;
        };
        return hangUp;
      }
      default:
        return Reflect.get(socket, key);
    }
  }
}

export function spend(socket: Socket, owner: SpentSocketOwner): Socket {
  return new Proxy(socket, new SpentSocket(owner));
}

/**
 * A well-behaved server that counts: connections at its end, and whether requests (numbered in their paths) arrive in
 * the order of their numbers. It can be slow (`delay`), and it can hold every answer back until it is told (`hold`).
 */

import { createServer } from "node:http";
import type { ServerResponse } from "node:http";
import { answerParent } from "../support/child.ts";

let delayMs = 0;
let holding = false;
let accepted = 0;
let open = 0;
let peak = 0;
let served = 0;
let outOfOrder = 0;
let last = -1;
const held: ServerResponse[] = [];

// Without a limit of its own it sends no Keep-Alive hint either: when to close is the client's choice alone.
const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
  const number = Number(request.url?.slice(1));
  if (number < last) outOfOrder += 1;
  last = number;
  served += 1;
  if (holding) held.push(response);
  else if (delayMs > 0) setTimeout(() => response.end("ok"), delayMs);
  else response.end("ok");
});
server.on("connection", (socket) => {
  accepted += 1;
  open += 1;
  peak = Math.max(peak, open);
  socket.on("close", () => (open -= 1));
});

void answerParent({
  listen: async () => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject).listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, resolve);
    await promise;
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("The server has no port");
    return { port: address.port };
  },
  delay: (ms) => {
    delayMs = ms;
    return {};
  },
  hold: () => {
    holding = true;
    return {};
  },
  release: () => {
    holding = false;
    for (const response of held.splice(0)) response.end("ok");
    return {};
  },
  report: () => ({ accepted, open, peak, served, outOfOrder, held: held.length }),
  /** Starts the counts anew; `accepted` goes on, and what is open now is the peak so far. */
  forget: () => {
    peak = open;
    served = 0;
    outOfOrder = 0;
    last = -1;
    return {};
  },
});

/**
 * The clients of `slow-consumer.ts`: `node slow-consumer-crowd.ts PORT`. Each checks that it gets every number, in
 * order and once, and comes again by its `Last-Event-ID` when its connection ends, as a browser does.
 */

import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { answerParent } from "../support/child.ts";

const port = Number(process.argv[2]);
/** Connections that are opened at once. */
const atOnce = 250;

let gaps = 0;
let told = 0;
let repeats = 0;
let reconnects = 0;

class Client {
  /** The number that comes next. */
  next = 0;
  isOpen = false;
  isPaused = false;
  #socket: Socket | undefined;
  #tag = "";
  #rest = "";
  /** Whether it was told that what comes next is not what came last. */
  #isTold = false;

  open(): void {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket = socket;
    this.#rest = "";
    const resume = this.#tag === "" ? "" : `Last-Event-ID: ${this.#tag}-${this.next}\r\n`;
    socket.write(`GET / HTTP/1.1\r\nHost: a\r\n${resume}\r\n`);
    socket.setEncoding("latin1");
    socket.on("data", (chunk: string) => this.#read(chunk));
    socket.on("error", () => {});
    socket.on("close", () => {
      if (this.#socket !== socket) return;
      this.isOpen = false;
      reconnects += 1;
      this.open();
    });
  }

  pause(): void {
    this.isPaused = true;
    this.#socket?.pause();
  }

  resume(): void {
    this.isPaused = false;
    this.#socket?.resume();
  }

  leave(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
  }

  #read(chunk: string): void {
    const text = this.#rest + chunk;
    let at = 0;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n", at)) {
      this.#take(text.slice(at, end));
      at = end + 2;
    }
    this.#rest = text.slice(at);
  }

  /** One block, perhaps with the size of its chunk before it. */
  #take(block: string): void {
    this.isOpen = true;
    this.#tag ||= /^id: (\w+)-/m.exec(block)?.[1] ?? "";
    if (block.includes("event: gap")) {
      told += 1;
      this.#isTold = true;
      return;
    }
    const data = block.indexOf("data: ");
    if (data < 0) return;
    const number = Number.parseInt(block.slice(data + 6, data + 16), 10);
    if (number < this.next) repeats += 1;
    if (number > this.next && !this.#isTold) gaps += 1;
    this.#isTold = false;
    this.next = number + 1;
  }
}

const clients: Client[] = [];

/** Waits until it holds for all who are meant. */
async function until(holds: () => boolean): Promise<void> {
  // oxlint-disable-next-line no-await-in-loop -- one look after the other
  while (!holds()) await sleep(2);
}

void answerParent({
  come: async (count) => {
    for (let at = 0; at < count; at += atOnce) {
      const group = Array.from({ length: Math.min(atOnce, count - at) }, () => new Client());
      for (const client of group) client.open();
      clients.push(...group);
      // oxlint-disable-next-line no-await-in-loop -- some at a time
      await until(() => group.every(({ isOpen }) => isOpen));
    }
    return { open: clients.length };
  },
  pause: (count) => {
    for (const client of clients.slice(0, count)) client.pause();
    return { paused: count };
  },
  /** Resolves when all who read have had the numbers below `end`. */
  reach: async (end) => {
    await until(() => clients.every(({ next, isPaused }) => isPaused || next >= end));
    return { reached: end };
  },
  resume: () => {
    for (const client of clients) client.resume();
    return { clients: clients.length };
  },
  report: () => ({ gaps, told, repeats, reconnects, whole: clients.filter(({ isOpen }) => isOpen).length }),
  leave: () => {
    for (const client of clients.splice(0)) client.leave();
    return {};
  },
});

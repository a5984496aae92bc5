/**
 * Attackers that hold connections: `node slow-crowd.ts PORT COUNT PER_SECOND`.
 *
 * A third of them never end their headers, a third send bodies in drops, a third do not read what they asked for; every
 * second one of the latter two keeps just above the slowest rate that is allowed by default, for which nobody may cut
 * it. Whoever is cut comes back, though no more than so many in a second.
 *
 * They stand for as many machines. So they do not act all at once, and have only what time the server and the honest
 * clients leave on this one (`nice`).
 */

import { connect, type Socket } from "node:net";
import { setPriority } from "node:os";
import { answerParent } from "../support/child.ts";

const [port = 0, count = 0, perSecond = 0] = process.argv.slice(2).map(Number);
const turnMs = 5;
/** A connection has its turn of dripping once in so many turns. */
const turnsEach = 400;

type Attack = "header" | "body" | "steady body" | "reader" | "steady reader";

const attacks: readonly Attack[] = ["header", "body", "reader", "header", "steady body", "steady reader"];
const openings: Readonly<Record<Attack, string>> = {
  header: "GET / HTTP/1.1\r\nHost: a\r\n",
  body: "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n",
  "steady body": "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n",
  reader: "GET /download HTTP/1.1\r\nHost: a\r\n\r\n",
  "steady reader": "GET /download HTTP/1.1\r\nHost: a\r\n\r\n",
};
/** What is sent at each turn, once in 2 s: some bytes, or 300 in each second. */
const drops: Readonly<Record<Attack, string>> = {
  header: "X-Header: 1\r\n",
  body: "x",
  "steady body": "x".repeat(600),
  reader: "",
  "steady reader": "",
};
/** Bytes that a steady reader takes at each turn: 8 KB in each second, since less is not seen in time. */
const sip = 16_384;

setPriority(10);

let open = 0;
let opened = 0;
let cut = 0;
let answered = 0;
let isOver = false;

/** One place in the crowd, taken by one connection after the other. */
class Attacker {
  readonly #attack: Attack;
  #socket: Socket | undefined;

  constructor(attack: Attack) {
    this.#attack = attack;
  }

  get isAway(): boolean {
    return this.#socket === undefined;
  }

  come(): void {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket = socket;
    opened += 1;
    socket.on("error", () => {});
    socket.once("connect", () => {
      open += 1;
      socket.write(openings[this.#attack]);
      socket.once("close", () => {
        open -= 1;
        if (!isOver) cut += 1;
      });
    });
    socket.once("close", () => (this.#socket = undefined));
    if (this.#attack === "reader" || this.#attack === "steady reader") socket.pause();
    else socket.on("data", () => (answered += 1));
  }

  drip(): void {
    const socket = this.#socket;
    if (socket === undefined || socket.connecting || !socket.writable) return;
    const drop = drops[this.#attack];
    if (drop !== "") socket.write(drop);
    if (this.#attack === "steady reader") socket.read(Math.min(sip, socket.readableLength));
    // A reset is not heard by who does not read: it looks whether it was cut as often as it has its turn.
    if (this.#attack === "reader" && socket.readableLength === 0) socket.read(0);
  }

  leave(): void {
    this.#socket?.resetAndDestroy();
  }
}

const attackers = Array.from(
  { length: count },
  (_, index) => new Attacker(attacks[index % attacks.length] ?? "header"),
);
let turn = 0;
let budget = 0;

function takeTurn(): void {
  turn += 1;
  for (let at = turn % turnsEach; at < attackers.length; at += turnsEach) attackers[at]?.drip();
  budget = Math.min(budget + (perSecond * turnMs) / 1_000, perSecond / 10);
  for (const attacker of attackers) {
    if (budget < 1) return;
    if (!attacker.isAway) continue;
    budget -= 1;
    attacker.come();
  }
}

void answerParent({
  /** All come, some at a time, and then it begins. */
  come: async () => {
    for (let at = 0; at < attackers.length; at += 10) {
      for (const attacker of attackers.slice(at, at + 10)) attacker.come();
      const { promise, resolve } = Promise.withResolvers<void>();
      setTimeout(resolve, 5);
      // oxlint-disable-next-line no-await-in-loop -- some at a time
      await promise;
    }
    setInterval(takeTurn, turnMs);
    return { open };
  },
  report: () => ({ open, opened, cut, answered }),
  leave: () => {
    isOver = true;
    for (const attacker of attackers) attacker.leave();
    return { open };
  },
});

/**
 * Open-loop load: `node overload-load.ts PORT SEED`.
 *
 * Requests leave at random times that were fixed in advance (Poisson), whether or not the ones before were answered,
 * as those of many independent clients do; and each is measured from the time at which it should have left, so that
 * neither a late sender nor a connection that has to be opened first hides anything. A client waits for a second, then
 * it resets its connection and is gone. Nobody tries again.
 */

import { connect } from "node:net";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { answerParent } from "../support/child.ts";
import type { Figures } from "../support/child.ts";
import { seededRandom } from "../support/random.ts";

const [port = 0, seed = 1] = process.argv.slice(2).map(Number);
const random = seededRandom(seed);
const deadlineMs = 1_000;
const maxConnections = 8_000;
const sliceMs = 250;

const request = Buffer.from(`GET /products HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: */*\r\n\r\n`);
const blankLine = Buffer.from("\r\n\r\n");

interface Segment {
  readonly perSecond: number;
  readonly ms: number;
}

/** What became of the requests that should have left within a segment. */
class Tally {
  sent = 0;
  good = 0;
  shed = 0;
  late = 0;
  broken = 0;
  unsent = 0;
  readonly goodMs: number[] = [];
  readonly shedMs: number[] = [];
  readonly lagMs: number[] = [];
}

/** One request on its way. */
interface Shot {
  readonly intendedAt: number;
  readonly tally: Tally;
  readonly slice: Slice;
  connection: Connection | undefined;
  over: boolean;
}

/** A quarter of a second: of the requests meant for it, how many were answered in time; and answers that came in it. */
interface Slice {
  meant: number;
  good: number;
  goodThen: number;
}

let segments: Segment[] = [];
let perSecond = 0;
let startedAt = 0;
let slices: Slice[] = [];
let open = 0;
let mostOpen = 0;
const idle: Connection[] = [];

/** Invariant: in `idle` exactly while it is connected and has no shot; never after its socket was closed. */
class Connection {
  readonly #socket: Socket;
  #shot: Shot | undefined;
  #received: Buffer | undefined;

  constructor() {
    open += 1;
    mostOpen = Math.max(mostOpen, open);
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    // What was on its way then is broken; `close` follows.
    this.#socket.on("error", () => undefined);
    this.#socket.on("close", () => this.#onClose());
  }

  send(shot: Shot): void {
    shot.connection = this;
    this.#shot = shot;
    this.#socket.write(request);
  }

  /** The client has waited long enough. */
  giveUp(): void {
    this.#shot = undefined;
    this.#socket.resetAndDestroy();
  }

  #onData(chunk: Buffer): void {
    const bytes = this.#received === undefined ? chunk : Buffer.concat([this.#received, chunk]);
    const head = bytes.indexOf(blankLine);
    const text = bytes.toString("latin1", 0, head < 0 ? 0 : head);
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(text)?.[1] ?? 0);
    if (head < 0 || bytes.length < head + blankLine.length + length) {
      this.#received = bytes;
      return;
    }
    this.#received = undefined;
    const shot = this.#shot;
    this.#shot = undefined;
    if (shot !== undefined) settle(shot, Number(text.slice(9, 12)));
    if (/\r\nconnection: close/i.test(text)) this.#socket.end();
    else idle.push(this);
  }

  #onClose(): void {
    open -= 1;
    const at = idle.indexOf(this);
    if (at >= 0) idle.splice(at, 1);
    if (this.#shot !== undefined) settle(this.#shot, 0);
    this.#shot = undefined;
  }
}

function settle(shot: Shot, status: number): void {
  if (shot.over) return;
  shot.over = true;
  const { tally } = shot;
  const now = performance.now();
  const tookMs = now - shot.intendedAt;
  if (status === 503) {
    tally.shed += 1;
    tally.shedMs.push(tookMs);
  } else if (status !== 200) tally.broken += 1;
  else if (tookMs > deadlineMs) tally.late += 1;
  else {
    tally.good += 1;
    tally.goodMs.push(tookMs);
    shot.slice.good += 1;
    // Nobody looks at what comes after the last segment.
    const then = sliceAt(now);
    if (then !== undefined) then.goodThen += 1;
  }
}

function sliceAt(at: number): Slice | undefined {
  return slices[Math.floor((at - startedAt) / sliceMs)];
}

function fire(intendedAt: number, tally: Tally): Shot {
  const slice = sliceAt(intendedAt) ?? { meant: 0, good: 0, goodThen: 0 };
  const shot: Shot = { intendedAt, tally, slice, connection: undefined, over: false };
  tally.sent += 1;
  slice.meant += 1;
  tally.lagMs.push(performance.now() - intendedAt);
  const connection = idle.pop() ?? (open < maxConnections ? new Connection() : undefined);
  if (connection === undefined) {
    tally.unsent += 1;
    shot.over = true;
  } else connection.send(shot);
  return shot;
}

/** Those that nobody has answered for a second, in the order in which they left. */
function giveUpOn(shots: Shot[], from: number): number {
  const now = performance.now();
  let next = from;
  for (let shot = shots[next]; shot !== undefined; shot = shots[next]) {
    if (!shot.over && now - shot.intendedAt < deadlineMs) break;
    if (!shot.over) {
      shot.over = true;
      shot.tally.late += 1;
      shot.connection?.giveUp();
    }
    next += 1;
  }
  return next;
}

async function run(): Promise<Figures> {
  const totalMs = segments.reduce((sum, { ms }) => sum + ms, 0);
  slices = Array.from({ length: Math.ceil(totalMs / sliceMs) }, () => ({ meant: 0, good: 0, goodThen: 0 }));
  startedAt = performance.now() + 5;
  mostOpen = open;
  const tallies: Tally[] = [];
  const shots: Shot[] = [];
  let given = 0;
  let segmentAt = startedAt;
  for (const segment of segments) {
    const tally = new Tally();
    tallies.push(tally);
    const endsAt = segmentAt + segment.ms;
    let nextAt = segmentAt + drawGap(segment);
    while (performance.now() < endsAt || nextAt < endsAt) {
      for (const now = performance.now(); nextAt <= now && nextAt < endsAt; nextAt += drawGap(segment)) {
        shots.push(fire(nextAt, tally));
      }
      given = giveUpOn(shots, given);
      await sleep(1);
    }
    segmentAt = endsAt;
  }
  while (given < shots.length) {
    given = giveUpOn(shots, given);
    await sleep(5);
  }
  segments = [];
  return {
    mostOpen,
    sliceMs,
    slices: slices.length,
    ...Object.assign({}, ...tallies.map(describeTally)),
    ...Object.assign({}, ...slices.map(describeSlice)),
  };
}

function drawGap(segment: Segment): number {
  return (-Math.log(1 - random.next()) * 1_000) / segment.perSecond;
}

function describeTally(tally: Tally, index: number): Figures {
  const { sent, good, shed, late, broken, unsent } = tally;
  const figures = {
    sent,
    good,
    shed,
    late,
    broken,
    unsent,
    p50: quantile(tally.goodMs, 0.5),
    p99: quantile(tally.goodMs, 0.99),
    shedP99: quantile(tally.shedMs, 0.99),
    lagP99: quantile(tally.lagMs, 0.99),
  };
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [`${index}.${name}`, value]));
}

function describeSlice(slice: Slice, index: number): Figures {
  return Object.fromEntries(Object.entries(slice).map(([name, value]) => [`slice.${index}.${name}`, value]));
}

/** -1 of nothing: JSON has no NaN. */
function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? -1;
}

/** Answers a second when so many clients each send their next request as soon as they have the answer. */
async function measureCapacity(clients: number): Promise<Figures> {
  const origin = `http://127.0.0.1:${port}/`;
  const untilWarm = performance.now() + 2_000;
  const until = untilWarm + 4_000;
  let answers = 0;
  const client = async (): Promise<void> => {
    while (performance.now() < until) {
      const response = await fetch(origin);
      await response.arrayBuffer();
      const now = performance.now();
      if (now >= untilWarm && now < until) answers += 1;
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return { perSecond: answers / 4 };
}

void answerParent({
  capacity: measureCapacity,
  /** The rate of the segments that follow. */
  rate: (rate) => {
    perSecond = rate;
    return {};
  },
  /** One more segment of so many milliseconds. */
  for: (ms) => {
    segments.push({ perSecond, ms });
    return {};
  },
  run,
});

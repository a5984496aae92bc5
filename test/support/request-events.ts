/**
 * What a handler can observe of a request and its response: the events in their order, and the flags afterwards.
 *
 * One scenario is played the same way on any server of `node:http`, step by step: each step is followed by a few turns
 * of the event loop and not by a time, so that two servers can be compared with `deepEqual`.
 */

import { once } from "node:events";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { finished, PassThrough } from "node:stream";
import { listen } from "./loopback.ts";

type Log = (entry: string) => void;

/** A request on the wire: what is sent at first, and what is sent when it is the body's turn. */
const requests = {
  get: ["GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
  "get, closing": ["GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"],
  "get of HTTP/1.0": ["GET / HTTP/1.0\r\n\r\n"],
  head: ["HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"],
  "post, empty": ["POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"],
  post: ["POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"],
  "post, in pieces": ["POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe", "llo"],
  chunked: ["POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"],
  "chunked, in pieces": [
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "3\r\nabc\r\n0\r\nTrailer: t\r\n\r\n",
  ],
} as const;

/** Reads to the end by iteration. Errors are observed like everything else. */
async function iterate(req: AsyncIterable<unknown>, log: Log): Promise<void> {
  try {
    for await (const chunk of req) log(`iterated ${String(chunk)}`);
    log("iterated to the end");
  } catch (error) {
    log(`iteration failed: ${codeOf(error)}`);
  }
}

const readers = {
  nothing: () => undefined,
  resume: (req: IncomingMessage) => req.resume(),
  pause: (req: IncomingMessage) => req.pause(),
  data: (req: IncomingMessage, log: Log) => req.on("data", (chunk) => log(`data ${String(chunk)}`)),
  text: (req: IncomingMessage, log: Log) => req.setEncoding("utf8").on("data", (chunk) => log(`data ${String(chunk)}`)),
  readable: (req: IncomingMessage, log: Log) =>
    req.on("readable", () => {
      for (let chunk: Buffer | null = req.read(); chunk !== null; chunk = req.read()) log(`read ${chunk.toString()}`);
    }),
  pipe: (req: IncomingMessage) => req.pipe(new PassThrough()).resume(),
  iteration: (req: IncomingMessage, log: Log) => void iterate(req, log),
  destroy: (req: IncomingMessage) => req.destroy(),
} as const;

const answers = {
  whole: (res: ServerResponse) => res.end("ok"),
  pieces: (res: ServerResponse) => {
    res.write("o");
    res.end("k");
  },
  destroy: (res: ServerResponse) => res.destroy(),
} as const;

const requestEvents = ["end", "close", "aborted", "error", "pause", "resume"];
const responseEvents = ["prefinish", "finish", "close", "error", "pipe"];

/** How events are listened to. */
const listeners = {
  none: () => undefined,
  on: (req: IncomingMessage, res: ServerResponse, log: Log) => {
    for (const event of requestEvents) req.on(event, (error) => log(`request: ${event}${codeOf(error)}`));
    for (const event of responseEvents) res.on(event, (error) => log(`response: ${event}${codeOf(error)}`));
  },
  once: (req: IncomingMessage, res: ServerResponse, log: Log) => {
    for (const event of ["end", "close"]) req.once(event, () => log(`request: ${event}`));
    for (const event of ["finish", "close"]) res.once(event, () => log(`response: ${event}`));
  },
  prepend: (req: IncomingMessage, res: ServerResponse, log: Log) => {
    for (const event of ["end", "close"]) req.prependListener(event, () => log(`request: ${event}`));
    for (const event of ["finish", "close"]) res.prependOnceListener(event, () => log(`response: ${event}`));
  },
  finished: (req: IncomingMessage, res: ServerResponse, log: Log) => {
    finished(req, (error) => log(`request finished${codeOf(error)}`));
    finished(res, (error) => log(`response finished${codeOf(error)}`));
  },
  "an object over them": (req: IncomingMessage, res: ServerResponse, log: Log) => {
    over(req).on("close", () => log("request: close"));
    over(res).on("close", () => log("response: close"));
  },
  "other prototypes": (req: IncomingMessage, res: ServerResponse, log: Log) => {
    Object.setPrototypeOf(req, over(Object.getPrototypeOf(req)));
    Object.setPrototypeOf(res, over(Object.getPrototypeOf(res)));
    req.on("close", () => log("request: close"));
    res.on("close", () => log("response: close"));
  },
} as const;

function over<T extends object>(object: T): T {
  return Object.create(object);
}

function codeOf(error: unknown): string {
  return error instanceof Error ? ` ${"code" in error ? String(error.code) : error.message}` : "";
}

/** What comes first: the answer, the rest of the body, or the end of the client. */
const orders = ["answer, body", "body, answer", "leave, answer", "answer, leave"] as const;

/** What there is to choose from. */
export const scenarioParts: Readonly<Record<keyof Scenario, readonly string[]>> = {
  request: Object.keys(requests),
  reader: Object.keys(readers),
  answer: Object.keys(answers),
  listener: Object.keys(listeners),
  order: orders,
};

/** One of each. */
export interface Scenario {
  readonly request: string;
  readonly reader: string;
  readonly answer: string;
  readonly listener: string;
  readonly order: string;
}

/** Everything that was seen; compared as a whole. */
export interface Observation {
  readonly events: readonly string[];
  /** What who comes late is told: listeners and `finished()` of after the answer. */
  readonly late: readonly string[];
  readonly flags: readonly unknown[];
  /** What the client has read, without what depends on the time. */
  readonly answer: string;
}

const requestFlags = ["complete", "aborted", "destroyed", "closed", "readableEnded", "readableAborted", "readable"];
const responseFlags = ["writableEnded", "writableFinished", "destroyed", "closed", "headersSent", "writable"];

function flagsOf(object: object, names: readonly string[]): string[] {
  return names.filter((name) => Boolean(Reflect.get(object, name)));
}

/** Both ends are in this process: a few turns of its loop later, all that was sent has been worked on. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 6; turn += 1) {
    // oxlint-disable-next-line no-await-in-loop -- one turn after the other
    await new Promise(setImmediate);
  }
}

/** Plays `scenario` on a server that nobody listens on yet, and closes it. */
export async function observe(server: Server, scenario: Scenario): Promise<Observation> {
  const events: string[] = [];
  const log: Log = (entry) => events.push(entry);
  server.on("clientError", (error, socket) => {
    log(`clientError${codeOf(error)}`);
    socket.destroy();
  });
  await using listening = await listen(server);
  const client = connect(listening.port, "127.0.0.1");
  let answer = "";
  client.on("error", () => undefined).on("data", (chunk) => (answer += String(chunk)));
  const [first, rest] = find(requests, scenario.request);
  client.write(first ?? "");
  const [req, res]: [IncomingMessage, ServerResponse] = await once(server, "request").then(toExchange);
  find(listeners, scenario.listener)(req, res, log);
  find(readers, scenario.reader)(req, log);

  const steps = { answer: () => void find(answers, scenario.answer)(res), body: () => send(client, rest), leave };
  function leave(): void {
    client.destroy();
  }
  for (const step of scenario.order.split(", ")) {
    find(steps, step)();
    // oxlint-disable-next-line no-await-in-loop -- one step after the other
    await settle();
  }
  const flags = [flagsOf(req, requestFlags), flagsOf(res, responseFlags)];
  const seen = events.splice(0);
  await seeLate(req, res, log);
  server.once("request", (_request, response: ServerResponse) => response.end("the next one"));
  send(client, requests.get[0]);
  await settle();
  flags.push(flagsOf(req, requestFlags), flagsOf(res, responseFlags));
  client.destroy();
  await settle();
  return { events: seen, late: events, flags, answer: answer.replaceAll(/^(?:Date|Keep-Alive): .*\r\n/gm, "") };
}

function send(client: Socket, bytes: string | undefined): void {
  if (bytes !== undefined && client.writable) client.write(bytes);
}

async function seeLate(req: IncomingMessage, res: ServerResponse, log: Log): Promise<void> {
  finished(req, (error) => log(`request finished${codeOf(error)}`));
  finished(res, (error) => log(`response finished${codeOf(error)}`));
  for (const event of ["end", "close"]) req.on(event, () => log(`request: ${event}`));
  for (const event of ["finish", "close"]) res.on(event, () => log(`response: ${event}`));
  void iterate(req, log);
  await settle();
}

function toExchange([req, res]: unknown[]): [IncomingMessage, ServerResponse] {
  // The arguments of `request`.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return [req, res] as [IncomingMessage, ServerResponse];
}

function find<T>(table: Readonly<Record<string, T>>, name: string): T {
  const entry = table[name];
  if (entry === undefined) throw new RangeError(`there is no ${name}`);
  return entry;
}

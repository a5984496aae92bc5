/**
 * Clients that reach one limit each, and how long it took until they were told, cut or closed.
 *
 * One that does not read sees nothing of its end: there the server is asked when the answer ended.
 */

import { once } from "node:events";
import { connect as connectHttp2, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { SlowClient } from "../../test/support/slow-clients.ts";

export type Kind = "http" | "https" | "http2";
export type Config = "whole" | "flow";

/** Where a probe goes. */
export interface Scene {
  readonly kind: Kind;
  readonly port: number;
  /** How long the answer of that number took, as the server saw it; -1 while it goes on. */
  readonly ended: (number: number) => Promise<number>;
}

/** `undefined`: nothing happened for so long that nothing will. */
export type Outcome = number | undefined;

export interface Probe {
  readonly name: string;
  readonly config: Config;
  /** Whether there can be such a client once a drain has begun. */
  readonly drains: boolean;
  readonly kinds: readonly Kind[];
  readonly run: (scene: Scene) => Promise<Outcome>;
}

/** A limit that was not met within this time is taken for none. */
const patienceMs = 4_000;
const all: readonly Kind[] = ["http", "https", "http2"];

let numbers = 0;

function nextNumber(): number {
  numbers += 1;
  return numbers;
}

/** When `event` comes, from `from` on. */
async function timed(from: number, event: Promise<unknown>): Promise<Outcome> {
  const late = Symbol("late");
  const first = await Promise.race([event, sleep(patienceMs, late)]);
  return first === late ? undefined : performance.now() - from;
}

async function untilEnded(scene: Scene, number: number): Promise<Outcome> {
  const from = performance.now();
  while (performance.now() - from < patienceMs) {
    // oxlint-disable-next-line no-await-in-loop -- one look after the other
    const afterMs = await scene.ended(number);
    if (afterMs >= 0) return afterMs;
    // oxlint-disable-next-line no-await-in-loop -- as above
    await sleep(50);
  }
  return undefined;
}

function open(scene: Scene, reads = true): Promise<SlowClient> {
  return SlowClient.open({ port: scene.port, secure: scene.kind === "https" }, { reads });
}

interface Sent {
  readonly head: string;
  readonly trickles?: string;
  readonly everyMs?: number;
}

async function untilGone(scene: Scene, { head, trickles = "", everyMs = 100 }: Sent): Promise<Outcome> {
  await using client = await open(scene);
  const from = performance.now();
  client.write(head);
  client.trickle(trickles, everyMs);
  return await timed(from, client.gone);
}

/** A session of HTTP/2 that ends with its scope. */
async function openSession({ port }: Scene): Promise<ClientHttp2Session & Disposable> {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  session.on("error", () => {});
  await once(session, "connect");
  return Object.assign(session, { [Symbol.dispose]: () => session.destroy() });
}

function request(session: ClientHttp2Session, method: string, path: string): ClientHttp2Stream {
  return session.request({ ":method": method, ":path": path }, { endStream: method === "GET" }).on("error", () => {});
}

/** The first of an answer and the end of the stream. */
function answered(stream: ClientHttp2Stream): Promise<unknown> {
  // Not `once` of node:events, which fails when the stream does: that is one of its ends.
  return new Promise((resolve) => {
    for (const event of ["response", "close"]) stream.once(event, resolve);
  });
}

async function neverRead(scene: Scene): Promise<Outcome> {
  const number = nextNumber();
  if (scene.kind === "http2") {
    using session = await openSession(scene);
    request(session, "GET", `/big/${number}`).pause();
    return await untilEnded(scene, number);
  }
  await using client = await open(scene, false);
  client.write(`GET /big/${number} HTTP/1.1\r\nHost: a\r\n\r\n`);
  return await untilEnded(scene, number);
}

async function slowBody(scene: Scene, bytes: number, everyMs: number): Promise<Outcome> {
  const path = `/read/${nextNumber()}`;
  if (scene.kind !== "http2") {
    const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`;
    await using client = await open(scene);
    const from = performance.now();
    client.write(head);
    const piece = `${bytes.toString(16)}\r\n${"x".repeat(bytes)}\r\n`;
    const timer = setInterval(() => client.write(piece), everyMs);
    return await timed(from, client.gone).finally(() => clearInterval(timer));
  }
  using session = await openSession(scene);
  const from = performance.now();
  const stream = request(session, "POST", path);
  const timer = setInterval(() => stream.writable && stream.write(Buffer.alloc(bytes)), everyMs);
  return await timed(from, answered(stream)).finally(() => clearInterval(timer));
}

/** Half of a HEADERS frame's header: END_HEADERS is missing, and no CONTINUATION comes. RFC 9113, 6.2. */
const halfHeader = Buffer.from(
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x03\x01\0\0\0\0\x01\x82\x87\x84",
  "latin1",
);

async function slowHeader(scene: Scene): Promise<Outcome> {
  if (scene.kind !== "http2") {
    return await untilGone(scene, { head: "GET / HTTP/1.1\r\nX: ", trickles: "x".repeat(100) });
  }
  const target = { port: scene.port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] };
  const socket = connectTls(target);
  await once(socket, "secureConnect");
  await using client = new SlowClient(socket);
  const from = performance.now();
  socket.write(halfHeader);
  return await timed(from, client.gone);
}

async function unanswered(scene: Scene): Promise<Outcome> {
  const path = `/never/${nextNumber()}`;
  if (scene.kind === "http2") {
    using session = await openSession(scene);
    const from = performance.now();
    return await timed(from, answered(request(session, "GET", path)));
  }
  await using client = await open(scene);
  const from = performance.now();
  client.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
  return await timed(from, Promise.race([client.gone, once(client.socket, "data")]));
}

async function idle(scene: Scene): Promise<Outcome> {
  if (scene.kind === "http2") {
    using session = await openSession(scene);
    await once(request(session, "GET", "/").resume(), "close");
    return await timed(performance.now(), once(session, "close"));
  }
  await using client = await open(scene);
  client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await once(client.socket, "data");
  return await timed(performance.now(), client.gone);
}

async function noHandshake({ port }: Scene): Promise<Outcome> {
  await using client = await SlowClient.open({ port });
  return await timed(performance.now(), client.gone);
}

export const probes: readonly Probe[] = [
  { name: "header, in drops", config: "whole", drains: true, kinds: all, run: slowHeader },
  { name: "body, in drops", config: "whole", drains: true, kinds: all, run: (scene) => slowBody(scene, 500, 50) },
  { name: "handler does not answer", config: "whole", drains: true, kinds: all, run: unanswered },
  { name: "answer of 64 MB never read", config: "whole", drains: true, kinds: all, run: neverRead },
  { name: "no TLS handshake", config: "whole", drains: true, kinds: ["https", "http2"], run: noHandshake },
  { name: "body below the rate", config: "flow", drains: true, kinds: all, run: (scene) => slowBody(scene, 1, 50) },
  { name: "reader below the rate", config: "flow", drains: true, kinds: all, run: neverRead },
  { name: "idle", config: "flow", drains: false, kinds: all, run: idle },
];

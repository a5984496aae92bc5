/** What is refused, byte by byte: Node's parser, `checkRequest` and the answers together. */

import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect as connectHttp2, createServer as createHttp2Server, type OutgoingHttpHeaders } from "node:http2";
import type { Socket } from "node:net";
import { after, afterEach, before, describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { requestRows, type RequestRow } from "../../test/support/bad-requests.ts";
import { assertNothingLeft, listen, type LoopbackServer } from "../../test/support/loopback.ts";
import { wireClient } from "../../test/support/wire-client.ts";
import { type BadRequest, describeClientError } from "./bad-request.ts";
import { endAfterAnswer, refuse, startLinger } from "./refusal.ts";
import { checkRequest, checkUpgrade } from "./strict-request.ts";

const maxHeaders = 100;

function linger(this: Socket): void {
  startLinger(this);
}

/** A server that refuses as a guard does, and writes the reasons down. */
class StrictServer {
  readonly http: Server;
  readonly reasons: string[] = [];
  readonly #closing = new WeakSet<Socket>();

  constructor(handler: (req: IncomingMessage, res: ServerResponse) => void) {
    this.http = createServer(handler);
    Object.assign(this.http, { requireHostHeader: false, maxHeadersCount: maxHeaders + 1 });
    const emit = this.http.emit.bind(this.http);
    this.http.on("upgrade", () => {});
    this.http.on("connect", () => {});
    this.http.emit = (event: string, ...args: unknown[]): boolean => {
      if (event === "connection") (args[0] as Socket).destroySoon = linger;
      if (event === "request")
        return this.#onRequest(args as [IncomingMessage, ServerResponse]) || emit(event, ...args);
      if (event === "upgrade" || event === "connect") return this.#onUpgrade(args as [IncomingMessage, Socket]);
      if (event === "clientError") return this.#onClientError(args as [Error, Socket]);
      return emit(event, ...args);
    };
  }

  #onRequest([req, res]: [IncomingMessage, ServerResponse]): boolean {
    const bad = checkRequest(req, maxHeaders);
    if (bad === undefined) return false;
    this.reasons.push(bad.reason);
    if (bad.close) this.#closing.add(req.socket);
    res.writeHead(bad.status, bad.close ? { connection: "close" } : {}).end(bad.message);
    return true;
  }

  #onUpgrade([req, socket]: [IncomingMessage, Socket]): boolean {
    const bad = checkUpgrade(req, maxHeaders);
    if (bad === undefined) socket.destroy();
    else this.#refuse(req.socket, bad);
    return true;
  }

  #onClientError([error, socket]: [Error, Socket]): boolean {
    const bad = describeClientError(error);
    if (bad === undefined) socket.destroy();
    else this.#refuse(socket, bad);
    return true;
  }

  #refuse(socket: Socket, bad: BadRequest): void {
    if (this.#closing.has(socket)) return;
    this.#closing.add(socket);
    this.reasons.push(bad.reason);
    if (!endAfterAnswer(socket)) refuse(socket, bad);
  }
}

/** Answers when the body is there. */
const strict = new StrictServer((req, res) => {
  req.resume();
  req.on("end", () => res.end("served"));
});
let server: LoopbackServer;

async function run(row: RequestRow, isInPieces: boolean): Promise<void> {
  strict.reasons.length = 0;
  await using client = await wireClient(server.port);
  for (const bytes of isInPieces ? row.bytes : [row.bytes]) {
    client.write(bytes);
    if (isInPieces) await nextTurn();
  }
  if (row.ends === true) client.socket.end();
  const answer = await client.answer();

  assert.equal(answer?.status ?? 0, row.status);
  assert.deepEqual(strict.reasons, row.reason === undefined ? [] : [row.reason]);
  if (row.fate === "kept") {
    assert.notEqual(answer?.headers.get("connection"), "close");
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal((await client.answer())?.body, "served");
  } else {
    if (row.fate === "closed") assert.equal(answer?.headers.get("connection"), "close");
    await client.end();
    assert.equal(client.error, undefined);
    assert.equal(client.rest, "");
  }
}

describe("HTTP/1", () => {
  before(async () => {
    server = await listen(strict.http);
  });

  after(async () => {
    await server[Symbol.asyncDispose]();
    await assertNothingLeft();
  });

  for (const row of requestRows) {
    const outcome = row.reason ?? (row.status === 0 ? "no answer" : "served");
    test(`${row.name}: ${outcome}, ${row.fate}`, () => run(row, false));
    if (row.onePiece === true || row.bytes.length > 500) continue;
    test(`${row.name}, byte by byte: ${outcome}, ${row.fate}`, () => run(row, true));
  }
});

const streams: readonly { readonly name: string; readonly headers: OutgoingHttpHeaders; readonly reason?: string }[] = [
  { name: "a request as browsers send it", headers: { ":path": "/a?b\\c", ":authority": "a:80" } },
  { name: "Host in the place of :authority", headers: { host: "a" } },
  { name: "Host beside :authority, spelt otherwise", headers: { ":authority": "a:80", ":scheme": "http", host: "A" } },
  { name: "Host beside another :authority", headers: { ":authority": "a", host: "b" }, reason: "host_mismatch" },
  { name: "a malformed :authority", headers: { ":authority": "a;b" }, reason: "host_malformed" },
  { name: "a malformed Host", headers: { host: "a;b" }, reason: "host_malformed" },
  { name: "a fragment", headers: { ":path": "/a#b" }, reason: "target" },
  { name: "a backslash", headers: { ":path": "/a\\b" }, reason: "target" },
  {
    name: "more header fields than maxHeaders",
    headers: Object.fromEntries(Array.from({ length: maxHeaders + 1 }, (_, at) => [`x-${at}`, "y"])),
    reason: "header_count",
  },
];

describe("HTTP/2", () => {
  afterEach(assertNothingLeft);

  for (const { name, headers, reason } of streams) {
    test(`${name}: ${reason ?? "served"}`, async () => {
      const http2 = createHttp2Server();
      const found = Promise.withResolvers<BadRequest | undefined>();
      http2.on("request", (req, res) => {
        // Node's compatible request has all that is looked at here.
        found.resolve(checkRequest(req as unknown as IncomingMessage, maxHeaders));
        res.end();
      });
      await using listening = await listen(http2);
      const session = connectHttp2(`http://127.0.0.1:${listening.port}`);
      const stream = session.request(headers).resume();

      assert.equal((await found.promise)?.reason, reason);
      stream.close();
      session.destroy();
    });
  }
});

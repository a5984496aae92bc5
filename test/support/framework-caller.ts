/** Clients of a framework's server that keep one connection, or that write bytes; over HTTP/1, TLS or HTTP/2. */

import { once } from "node:events";
import http from "node:http";
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import https from "node:https";
import { connect as connectTcp, type Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { connect as connectTls } from "node:tls";
import { ca } from "./certificates.ts";

/** What is spoken. */
export type Protocol = "http" | "https" | "h2";

type Headers = Readonly<Record<string, unknown>>;

/** The head of an answer, and the body still to be read. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readable;
}

/** A whole answer. */
export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

/** A request under way. */
export interface Sending {
  /** The body of the request. */
  readonly body: Writable;
  readonly answer: Promise<Answer>;
  /** Goes away, whatever has come. */
  leave(): void;
}

/** What is sent, besides the path. */
export interface Call {
  readonly method?: string;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: string;
}

/** A client with one connection, which it keeps. */
export interface Caller extends Disposable {
  /** Sends the head. The body is the caller's: `end()` it. */
  send(path: string, call?: Call): Sending;
  /** Sends all and reads all. */
  ask(path: string, call?: Call): Promise<Reply>;
  /** How many connections it has opened. */
  readonly opened: number;
}

/** A client of the server at `port`. */
export function openCaller(protocol: Protocol, port: number): Caller {
  const { send, close, opened } = protocol === "h2" ? overSession(port) : overAgent(protocol, port);
  return {
    send,
    async ask(path, call = {}) {
      const sending = send(path, { method: call.body === undefined ? "GET" : "POST", ...call });
      sending.body.end(call.body);
      const { status, headers, body } = await sending.answer;
      return { status, headers, body: await text(body) };
    },
    get opened() {
      return opened();
    },
    [Symbol.dispose]: close,
  };
}

interface Wire {
  readonly send: Caller["send"];
  readonly close: () => void;
  readonly opened: () => number;
}

function overAgent(protocol: "http" | "https", port: number): Wire {
  const sockets = new Set<Socket>();
  const { Agent, request } = protocol === "https" ? https : http;
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca });
  return {
    send(path, { method = "GET", headers = {} } = {}) {
      const sent = request({ host: "127.0.0.1", port, path, method, headers, agent, ca });
      sent.once("socket", (socket) => sockets.add(socket));
      const answer = answerOf(sent);
      return { body: sent, answer, leave: () => void sent.destroy() };
    },
    close: () => {
      agent.destroy();
      for (const socket of sockets) socket.destroy();
    },
    opened: () => sockets.size,
  };
}

async function answerOf(sent: http.ClientRequest): Promise<Answer> {
  const [response]: http.IncomingMessage[] = await once(sent, "response");
  // What is sent of an upload after its answer may meet a reset.
  sent.on("error", () => undefined);
  if (response === undefined) throw new TypeError("there is no response");
  return { status: response.statusCode ?? 0, headers: response.headers, body: response };
}

function overSession(port: number): Wire {
  let session: ClientHttp2Session | undefined;
  let opened = 0;
  const open = (): ClientHttp2Session => {
    opened += 1;
    return http2.connect(`https://127.0.0.1:${port}`, { ca }).on("error", () => undefined);
  };
  return {
    send(path, { method = "GET", headers = {} } = {}) {
      if (session === undefined || session.closed || session.destroyed) session = open();
      const { socket } = session;
      const stream = session.request({ ":path": path, ":method": method, ...headers }, { endStream: false });
      return { body: stream, answer: answerOfStream(stream), leave: () => leaveStream(stream, socket) };
    },
    close: () => session?.destroy(),
    opened: () => opened,
  };
}

async function answerOfStream(stream: ClientHttp2Stream): Promise<Answer> {
  const ended = once(stream, "close").then(() => Promise.reject(new Error("closed without an answer")));
  const [head]: Headers[] = await Promise.race([once(stream, "response"), ended]);
  stream.on("error", () => undefined);
  return { status: Number(head?.[":status"]), headers: head ?? {}, body: stream };
}

function leaveStream(stream: ClientHttp2Stream, socket: ClientHttp2Session["socket"]): void {
  // A stream that is closed while it sends would send its end first, as if all had been sent.
  if (stream.writableEnded) stream.close(http2.constants.NGHTTP2_CANCEL);
  else socket.destroy();
}

/** A socket on which bytes of HTTP/1 can be written. */
export async function openSocket(protocol: Protocol, port: number): Promise<Socket> {
  if (protocol === "http") {
    const socket = connectTcp(port, "127.0.0.1");
    await once(socket, "connect");
    return socket;
  }
  const socket = connectTls({ port, host: "127.0.0.1", ca, ALPNProtocols: ["http/1.1"] });
  await once(socket, "secureConnect");
  return socket;
}

/**
 * Answers on a connection that is about to be closed, so that the client reads the answer and not a reset.
 *
 * Closing a socket while its peer still sends makes the kernel answer with a reset, and the reset overtakes what was
 * written before: the client of an upload that is too large sees ECONNRESET, and not the 413. So an answer is followed
 * by FIN, and what still comes is read and thrown away until the peer closes too (RFC 9112 9.6). That costs time and
 * nothing else, and the time is bounded by whoever calls.
 *
 * What is written here is for connections without a `ServerResponse`, or with one that cannot be used any more.
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { http } from "./builtins.ts";

/** What a client is told instead of an answer. */
export interface Refusal {
  readonly status: number;
  /** One sentence, for people. */
  readonly message: string;
  /** For the `Retry-After` of a 503. */
  readonly retryAfterMs?: number;
}

function ignore(): void {}

/**
 * Reads what still comes on a connection and throws it away. HTTP sees none of it any more, except for the end.
 *
 * A handler that is still reading the request gets nothing more of it, and hears of that when the connection closes.
 */
export function discardInput(socket: Socket): void {
  // Node's own listener feeds the parser. While it reads by itself, below JavaScript, there are no such events; that
  // ends when somebody asks for them: http replaces `on` for that (`socketListenerWrap` in _http_server.js).
  socket.removeAllListeners("data");
  socket.on("data", ignore);
  // It may stand still for a handler that did not read on. The stream believes that it reads, since the parser did.
  socket.resume();
  if (!socket.destroyed) socket._read(0);
}

/**
 * Ends a connection when what was written to it has gone out, and reads on. Both sides closed, it is gone by itself;
 * whoever calls destroys it when that takes too long. Takes the place of `socket.destroySoon`, which http calls after
 * the last answer.
 */
export function startLinger(socket: Socket): void {
  discardInput(socket);
  socket.end();
}

function dropChunk(): boolean {
  return true;
}

/** In the place of Node's own `_destroy`, which takes the connection with it. */
function destroyAlone(this: IncomingMessage, error: Error | null, done: (error?: Error | null) => void): void {
  // In HTTP/2 it is the stream that says so.
  if (this.httpVersionMajor === 1) {
    this.aborted = true;
    this.emit("aborted");
  }
  // As Node has it: an error that nobody listens for is none.
  process.nextTick(() => done(this.listenerCount("error") > 0 ? error : null));
}

/**
 * Tells whoever reads a request that there will be no more of it, as if its client had left, and lets the connection
 * live on to carry the answer. Without that a handler that awaits the body waits for ever: http tells it of the end of
 * a connection only while its answer is not complete.
 */
export function abortRequest(
  req: IncomingMessage,
  error: Error = Object.assign(new Error("aborted"), { code: "ECONNRESET" }),
): void {
  // In HTTP/2 what has been cut off is called complete too.
  if ((req.httpVersionMajor === 1 ? req.complete : req.readableEnded) || req.destroyed) return;
  // What still comes of the body would find nobody, and stop the connection.
  Reflect.set(req, "_dumped", true);
  req.push = dropChunk;
  req._destroy = destroyAlone;
  req.destroy(error);
}

/** A whole answer, as it goes over the wire. */
export function wireFormat({ status, message, retryAfterMs }: Refusal): string {
  const lines = [
    `HTTP/1.1 ${status} ${http.STATUS_CODES[status] ?? "Unknown"}`,
    `Date: ${new Date().toUTCString()}`,
    "Content-Type: text/plain; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(message) + 1}`,
    "Connection: close",
  ];
  if (status === 503 && retryAfterMs !== undefined) lines.push(`Retry-After: ${Math.ceil(retryAfterMs / 1_000)}`);
  return `${lines.join("\r\n")}\r\n\r\n${message}\n`;
}

/** The response that http lets write on this socket now. */
function currentAnswer(socket: Socket): ServerResponse | undefined {
  const answer: unknown = Reflect.get(socket, "_httpMessage");
  return answer instanceof http.ServerResponse ? answer : undefined;
}

/**
 * Answers on the socket itself, behind the back of a handler if there is one, and begins to close it.
 *
 * A response that has sent nothing loses its socket; for its handler it is as if the client had left. One that has
 * begun cannot be taken back: then the connection is cut, so that nobody takes the half for the whole. `false` then,
 * and when there is nobody to write to.
 */
export function refuse(socket: Socket, refusal: Refusal): boolean {
  const answer = currentAnswer(socket);
  if (answer !== undefined) {
    if (Reflect.get(answer, "_headerSent") === true) {
      socket.destroy();
      return false;
    }
    answer.detachSocket(socket);
    answer.destroy();
  }
  const isOpen = socket.writable;
  if (isOpen) socket.write(wireFormat(refusal));
  startLinger(socket);
  return isOpen;
}

/**
 * Stops reading requests from a connection whose input makes no sense, if there is an answer to be finished: to a request
 * that came whole, or one that was given early and has not gone out.
 *
 * Answers go in the order of requests, so that one comes first, and is the last: what is wrong came after it and gets
 * none. `false` when no answer is due; then it is the current request that is wrong, and can be refused.
 */
export function endAfterAnswer(socket: Socket): boolean {
  const answer = currentAnswer(socket);
  if (answer === undefined || !(answer.req.complete || answer.writableEnded)) return false;
  discardInput(socket);
  answer.shouldKeepAlive = false;
  // Too late for the header, this still makes http close the connection after the answer.
  Reflect.set(answer, "_last", true);
  return true;
}

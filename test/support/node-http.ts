/** Servers and requests of `node:http` for tests of what goes over it. */

import assert from "node:assert/strict";
import { once } from "node:events";
import http, { type ClientRequest, type IncomingMessage, type ServerResponse } from "node:http";
import https from "node:https";
import { text } from "node:stream/consumers";
import { listen, type LoopbackServer } from "./loopback.ts";

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Answers with the request line. */
export const echo: Handler = (request, response) => response.end(`${request.method} ${request.url}`);

/** A server of `node:http` on a free port, and how many connections it has accepted so far. */
export interface Served extends AsyncDisposable {
  readonly url: string;
  readonly server: LoopbackServer;
  readonly accepted: () => number;
}

export async function serve(
  handler: Handler,
  server: http.Server | https.Server = http.createServer(),
): Promise<Served> {
  let accepted = 0;
  server.keepAliveTimeout = 60_000;
  server.on("connection", () => (accepted += 1));
  server.on("request", handler);
  const listening = await listen(server);
  const scheme = server instanceof https.Server ? "https" : "http";
  return {
    url: `${scheme}://127.0.0.1:${listening.port}`,
    server: listening,
    accepted: () => accepted,
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}

/** Sends and reads to the end. */
export async function send(
  request: ClientRequest,
  body?: string,
): Promise<{ status: number | undefined; body: string }> {
  request.end(body);
  const [response]: IncomingMessage[] = await once(request, "response");
  assert.ok(response);
  return { status: response.statusCode, body: await text(response) };
}

/** The error that ends the request. */
export async function failure(request: ClientRequest): Promise<NodeJS.ErrnoException> {
  const [error] = await once(request, "error");
  return error;
}

/**
 * One of the two instances that are restarted: a small service with answers, uploads and an event stream, on sluice
 * and on `node:http`. `node rolling-restart-service.ts SERVICE NAME PORT`; SIGTERM drains it.
 */

import { createHash } from "node:crypto";
import { createServer as createBareServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { controller, createServer } from "sluice/server";

const [service = "", name = "", port = ""] = process.argv.slice(2);
/** HAProxy takes an instance out after two checks, 100 ms apart. */
const settleMs = 500;
const graceMs = 10_000;
/** After this a bare service gives up on connections that do not end. */
const patienceMs = 2_000;
const filler = "filler ".repeat(1_000);
const streams = new Set<ServerResponse>();
let endsStreams = false;

function handle(req: IncomingMessage, res: ServerResponse, isReady: boolean): void {
  res.setHeader("x-instance", name);
  const { url = "" } = req;
  if (url === "/readyz") {
    res.statusCode = isReady ? 200 : 503;
    res.end();
  } else if (url === "/events") stream(res);
  else if (url.startsWith("/uploads/")) void receive(req, res, url);
  else answer(res, url);
}

/** A page that takes some milliseconds to make, and every fourth one in two pieces. */
function answer(res: ServerResponse, url: string): void {
  const number = Number(url.slice("/items/".length));
  setTimeout(() => {
    if (number % 4 > 0) {
      res.end(`${url} ${filler}\n`);
      return;
    }
    res.write(`${url} ${filler}`);
    setTimeout(() => res.end("\n"), 10);
  }, number % 16);
}

async function receive(req: IncomingMessage, res: ServerResponse, url: string): Promise<void> {
  const hash = createHash("sha1");
  try {
    await pipeline(req, hash);
  } catch {
    // The client or the proxy is gone: there is nobody to tell.
    return;
  }
  process.send?.({ uploaded: url });
  res.end(hash.digest("hex"));
}

function stream(res: ServerResponse): void {
  res.setHeader("content-type", "text/event-stream");
  res.flushHeaders();
  const ticking = setInterval(() => res.write("data: tick\n\n"), 50);
  res.on("close", () => {
    clearInterval(ticking);
    streams.delete(res);
  });
  streams.add(res);
  if (endsStreams) endStreams();
}

/** `node:http` as its manual has it: `close()`, which also closes what is idle, and after a while the rest. */
function serveBare(): Server {
  const server = createBareServer((req, res) => handle(req, res, server.listening));
  process.once("SIGTERM", () => closeBare(server));
  return server;
}

/** `node:http` with what can be done by hand: first not ready, then the streams are told, and only then `close()`. */
function serveCarefully(): Server {
  let isReady = true;
  const server = createBareServer((req, res) => handle(req, res, isReady));
  process.once("SIGTERM", () => {
    isReady = false;
    setTimeout(() => {
      closeBare(server);
      endStreams();
    }, settleMs);
  });
  return server;
}

function closeBare(server: Server): void {
  server.close(() => process.exit());
  setTimeout(() => server.closeAllConnections(), patienceMs);
}

function serveGuarded(): Server {
  const server = createServer({ drain: { settle: settleMs, grace: graceMs } }, (req, res) => {
    if (req.url === "/events") controller(res).stream();
    handle(req, res, !server.draining);
  });
  // Who is sent away earlier comes back: requests still come here until then.
  server.onDrain(() => setTimeout(endStreams, settleMs));
  process.once("SIGTERM", () => void server.drain().then(() => process.exit()));
  return server;
}

function endStreams(): void {
  endsStreams = true;
  for (const res of streams) res.end("event: end\ndata:\n\n");
}

const serve = { sluice: serveGuarded, "node:http": serveBare, careful: serveCarefully }[service] ?? serveGuarded;
const server = serve();
server.listen(Number(port), "127.0.0.1", () => process.send?.("listening"));
// Without its parent it would stay for ever.
process.once("disconnect", () => process.exit());

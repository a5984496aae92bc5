/**
 * A server with limits of a second, sluice's or Node's own: `node deadline-server.ts sluice|node http|https|http2 whole|flow`.
 *
 * `whole` limits how long the parts of a request may take, `flow` how slow or idle a client may be: a server that does
 * both at once would cut the very clients that are only there to keep it busy. Node's is set as well as it can be. It
 * has no limit on handlers, on answers or on rates; `timeout` is the nearest thing to those, and checks are made as
 * often as it allows.
 */

import http from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import http2 from "node:http2";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { controller, createServer, type ServerOptions } from "sluice/server";
import { serverCertificate } from "../../test/support/certificates.ts";
import { answerParent } from "../support/child.ts";

const [contender = "sluice", kind = "http", config = "whole"] = process.argv.slice(2);
const limitMs = 1_000;
const isWhole = config === "whole";
const lag = monitorEventLoopDelay({ resolution: 5 });

/** Start and end of the answers to the probes, by their number. */
const answers = new Map<number, { readonly from: number; at: number }>();

const piece = Buffer.alloc(65_536, "x");
const pieces = 1_024;

/** 64 MB, as fast as the other side takes them. */
function sendBig(res: ServerResponse): void {
  res.writeHead(200, { "content-length": piece.length * pieces });
  let sent = 0;
  const go = (): void => {
    while (sent < pieces && !res.destroyed) {
      sent += 1;
      if (!res.write(piece)) return;
    }
    if (!res.destroyed) res.end();
  };
  res.on("drain", go);
  go();
}

function handle(req: IncomingMessage, res: ServerResponse): void {
  const [, path = "", number = ""] = (req.url ?? "").split("/");
  if (number !== "") {
    const answer = { from: performance.now(), at: 0 };
    answers.set(Number(number), answer);
    res.once("close", () => (answer.at = performance.now()));
  }
  switch (path) {
    case "big":
      sendBig(res);
      return;
    case "never":
      req.resume();
      return;
    case "read":
      req.resume().on("end", () => res.end("ok"));
      return;
    case "hold":
      if (contender === "sluice") controller(res).stream();
      res.writeHead(200).write("held");
      return;
    case "slow":
      setTimeout(() => res.end("ok"), 1_500);
      return;
    default:
      res.end("ok");
  }
}

type Listener = http.Server | https.Server | http2.Http2SecureServer;

function openSluice(): Listener {
  const whole: ServerOptions = {
    readHeaderTimeout: limitMs,
    readTimeout: limitMs,
    handlerTimeout: limitMs,
    writeTimeout: limitMs,
    tlsHandshakeTimeout: limitMs,
  };
  const rate = { bytesPerSecond: 240, grace: limitMs };
  const flow: ServerOptions = { minRequestRate: rate, minResponseRate: rate, idleTimeout: limitMs };
  const limits = isWhole ? whole : flow;
  if (kind === "http") return createServer(limits, handle);
  if (kind === "https") return createServer({ ...limits, tls: serverCertificate }, handle);
  return createServer({ ...limits, tls: serverCertificate, http2: true }, handle);
}

function openNode(): Listener {
  const limits = {
    connectionsCheckingInterval: 50,
    headersTimeout: isWhole ? limitMs : 60_000,
    requestTimeout: isWhole ? limitMs : 300_000,
    keepAliveTimeout: isWhole ? 75_000 : limitMs,
    keepAliveTimeoutBuffer: 0,
  };
  const tls = { ...serverCertificate, handshakeTimeout: isWhole ? limitMs : 120_000 };
  const server =
    kind === "http"
      ? http.createServer(limits, handle)
      : kind === "https"
        ? https.createServer({ ...limits, ...tls }, handle)
        : http2.createSecureServer({ ...tls, allowHTTP1: true });
  if (server instanceof http.Server || server instanceof https.Server) server.timeout = isWhole ? limitMs : 0;
  else {
    // What it emits has the shape of what http emits.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    server.on("request", (req, res) => handle(req as unknown as IncomingMessage, res as unknown as ServerResponse));
    server.setTimeout(limitMs);
  }
  return server;
}

const server = contender === "sluice" ? openSluice() : openNode();

void answerParent({
  listen: async () => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject).listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, resolve);
    await promise;
    lag.enable();
    // Only TCP servers listen here.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return { port: (server.address() as AddressInfo).port };
  },
  /** How long the answer to a probe took until it was out or cut; -1 while it is neither. */
  ended: (number) => {
    const answer = answers.get(number);
    return { afterMs: answer === undefined || answer.at === 0 ? -1 : answer.at - answer.from };
  },
  /** Begins to drain, and does not wait for the end. */
  drain: () => {
    server.close();
    return {};
  },
  /** The longest time for which the event loop was late, since it was last asked. */
  lag: () => {
    const longestMs = lag.max / 1e6;
    lag.reset();
    return { longestMs };
  },
});

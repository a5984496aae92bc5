/**
 * The servers that are measured, by id. Each answers the same small GET as its users would write it, and runs with its
 * own defaults but for the idle timeout. It is imported only in the process that measures it.
 */

import { createServer as createHttpServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer as createNetServer } from "node:net";
import { answerBody } from "../work.ts";
import { answer, answerType, idleTimeoutMs, listenOnLoopback } from "./peer.ts";
import type { Peer } from "./peer.ts";

/** The peers that are measured in a Node process. */
export type NodePeerId = "raw" | "http" | "sluice" | "sluice-context" | "sluice-guard" | "fastify" | "hono" | "express";

/** Go is measured by a program of its own, `go/main.go`, which speaks the same lines. */
export type PeerId = NodePeerId | "go";

const keepAlive = { keepAliveTimeout: idleTimeoutMs } as const;

export const peers: Readonly<Record<NodePeerId, Peer>> = {
  raw: {
    label: "raw net.Server (floor)",
    listen: () => listenOnLoopback(createRawServer()),
  },
  http: {
    label: "node:http",
    listen: () => listenOnLoopback(createHttpServer(keepAlive, answer)),
  },
  sluice: {
    label: "sluice createServer",
    listen: async () => {
      const { createServer } = await import("sluice/server");
      return await listenOnLoopback(createServer({}, answer));
    },
  },
  "sluice-context": {
    label: "sluice, context read",
    listen: async () => {
      const { createServer } = await import("sluice/server");
      const { context } = await import("sluice/core");
      const answerInTime = (req: IncomingMessage, res: ServerResponse): void => {
        if (context().remaining() > 0) answer(req, res);
      };
      return await listenOnLoopback(createServer({}, answerInTime));
    },
  },
  "sluice-guard": {
    label: "sluice guard(node:http)",
    listen: async () => {
      const { guard } = await import("sluice/server");
      const server = createHttpServer(keepAlive, answer);
      guard(server);
      return await listenOnLoopback(server);
    },
  },
  fastify: {
    label: "fastify",
    listen: async () => {
      const { fastify } = await import("fastify");
      const app = fastify(keepAlive);
      app.get("/", (_request, reply) => reply.type(answerType).send(answerBody));
      await app.ready();
      return await listenOnLoopback(app.server);
    },
  },
  hono: {
    label: "hono on node-server",
    listen: async () => {
      const { Hono } = await import("hono");
      const { createAdaptorServer } = await import("@hono/node-server");
      const app = new Hono();
      app.get("/", (context) => context.body(answerBody, 200, { "Content-Type": answerType }));
      return await listenOnLoopback(createAdaptorServer({ fetch: app.fetch, serverOptions: keepAlive }));
    },
  },
  express: {
    label: "express",
    listen: async () => {
      const { default: express } = await import("express");
      const app = express();
      app.get("/", (_req, res) => {
        res.type(answerType).send(answerBody);
      });
      return await listenOnLoopback(createHttpServer(keepAlive, app));
    },
  },
};

/** The floor: the same bytes for whatever ends in a blank line. It is not an HTTP server. */
function createRawServer(): ReturnType<typeof createNetServer> {
  const response = Buffer.from(
    "HTTP/1.1 200 OK\r\n" +
      `Content-Type: ${answerType}\r\n` +
      "Date: Sun, 01 Nov 2026 12:00:00 GMT\r\n" +
      "Connection: keep-alive\r\n" +
      `Content-Length: ${answerBody.length}\r\n\r\n${answerBody}`,
  );
  return createNetServer({ noDelay: true }, (socket) => {
    socket.on("data", (chunk) => {
      if (chunk.at(-1) === 10 && chunk.at(-3) === 10) socket.write(response);
    });
    socket.on("error", () => socket.destroy());
  });
}

export function isMeasuredInNode(id: string): id is NodePeerId {
  return Object.hasOwn(peers, id);
}

/** The label of a peer, Go's included. */
export function labelOf(id: PeerId): string {
  return isMeasuredInNode(id) ? peers[id].label : "Go net/http (one processor)";
}

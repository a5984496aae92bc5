/** An HTTP/2 server on loopback that counts its sessions and streams. */

import {
  createSecureServer,
  type Http2Session,
  type IncomingHttpHeaders,
  type SecureServerOptions,
  type ServerHttp2Stream,
} from "node:http2";
import { serverCertificate } from "./certificates.ts";
import { listen, type LoopbackServer } from "./loopback.ts";

export interface Http2Server extends LoopbackServer {
  readonly origin: string;
  /** Sessions that are open. */
  readonly sessions: ReadonlySet<Http2Session>;
  /** Sessions so far. */
  readonly sessionCount: number;
  /** The most streams that were open at once on one session. */
  readonly mostStreams: number;
}

/** Starts a server that calls `onStream` for each request. `path` is the request's. */
export async function http2Server(
  onStream: (stream: ServerHttp2Stream, path: string) => void,
  options: SecureServerOptions = {},
): Promise<Http2Server> {
  const sessions = new Set<Http2Session>();
  const streamCounts = new WeakMap<Http2Session, number>();
  let sessionCount = 0;
  let mostStreams = 0;
  const server = createSecureServer({ ...serverCertificate, ...options });
  server.on("session", (session) => {
    sessionCount += 1;
    sessions.add(session);
    session.on("error", () => {});
    session.on("close", () => sessions.delete(session));
  });
  const count = (session: Http2Session | undefined, change: number): void => {
    if (session === undefined) return;
    const streams = (streamCounts.get(session) ?? 0) + change;
    streamCounts.set(session, streams);
    mostStreams = Math.max(mostStreams, streams);
  };
  server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    const { session } = stream;
    count(session, 1);
    stream.on("error", () => {});
    stream.on("close", () => count(session, -1));
    onStream(stream, headers[":path"] ?? "");
  });
  server.on("sessionError", () => {});
  const listening = await listen(server);
  return {
    port: listening.port,
    origin: `https://localhost:${listening.port}`,
    connections: listening.connections,
    sessions,
    get sessionCount() {
      return sessionCount;
    },
    get mostStreams() {
      return mostStreams;
    },
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy();
      await listening[Symbol.asyncDispose]();
    },
  };
}

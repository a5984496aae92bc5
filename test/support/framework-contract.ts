/**
 * What must hold for every framework on a guarded server, whichever way the guard gets there: the same tests for each.
 *
 * A framework is reduced to a handful of routes, written the way its users write them; what their handlers do comes
 * from the test. What only one framework can do is tested beside it, in `test/frameworks`.
 */

import { once } from "node:events";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import http2 from "node:http2";
import https from "node:https";
import { Readable } from "node:stream";
import { suite, test } from "node:test";
import { Registry } from "sluice/core";
import {
  createServer,
  guard,
  type Guarded,
  type GuardableServer,
  type Handler,
  type ServerOptions,
} from "sluice/server";
import { serverCertificate } from "./certificates.ts";
import { openCaller, openSocket, type Caller, type Protocol } from "./framework-caller.ts";
import { contextCases } from "./framework-cases-context.ts";
import { drainCases } from "./framework-cases-drain.ts";
import { limitCases } from "./framework-cases-limits.ts";
import { streamCases } from "./framework-cases-streams.ts";
import { until } from "./loopback.ts";

/** The request and response of Node, which every framework has somewhere. */
export interface RawExchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
}

/** What the routes do. */
export interface Work {
  /** `GET /work`: the answer, as text. */
  readonly answer: (raw: RawExchange) => string | Promise<string>;
  /** `GET /source`: a stream that is the answer. */
  readonly source: (raw: RawExchange) => Readable;
  /** `POST /upload`: reads the body as it comes, and answers with text. */
  readonly takeIn: (body: AsyncIterable<Uint8Array>) => Promise<string>;
  /** `POST /json`: gets `name` of the body that the framework's own parser has read, and answers with text. */
  readonly name: (name: unknown) => string | Promise<string>;
}

/** How a framework gets its server: it is given one of ours, or ours guards the one that it made. */
export interface Setup {
  readonly limits: ServerOptions;
  readonly work: Work;
  /** Whether the framework makes its own server, which is then guarded. */
  readonly guardsOwn: boolean;
  readonly protocol: Protocol;
  /** A guarded server with this handler: by `createServer`, or one of Node's and `guard`. */
  readonly make: (handler: Handler) => MadeServer;
}

/** A server and what guards it. */
export interface MadeServer {
  readonly server: GuardableServer;
  readonly guarded: Guarded;
}

/** A framework's application, which does not listen yet. */
export interface App extends MadeServer {
  /** Listens on a free port of 127.0.0.1, in the framework's own way if it has one. */
  listen?(): Promise<unknown>;
  /** The framework's own way to go away. */
  close(): Promise<unknown>;
}

/** What differs from one framework to another. */
export interface Framework {
  readonly name: string;
  /** Has `GET /items/:id` (which answers `item 7`), and the routes of {@link Work}. */
  readonly build: (setup: Setup) => Promise<App>;
  /** Serves HTTP/2 through Node's compatibility API. */
  readonly speaksHttp2?: boolean;
  /** What an exception in a handler becomes. */
  readonly failure: RegExp;
  /** Where the framework leaves the pattern of a route, if it is on the request. */
  readonly route?: ServerOptions["route"];
}

/** An application that listens. */
export interface Stage extends AsyncDisposable {
  readonly app: App;
  readonly port: number;
  readonly protocol: Protocol;
  readonly registry: Registry;
  readonly framework: Framework;
  /** A client with a connection of its own. */
  readonly call: () => Caller;
  readonly socket: () => ReturnType<typeof openSocket>;
}

/** Opens an application for one test. */
export type Open = (work?: Partial<Work>, limits?: ServerOptions) => Promise<Stage>;

/** One thing that must hold. */
export type Case = (open: Open) => Promise<void>;

const idle: Work = {
  answer: () => "done",
  source: () => Readable.from(["one ", "two"]),
  takeIn: async (body) => {
    let bytes = 0;
    for await (const chunk of body) bytes += chunk.length;
    return `${bytes} bytes`;
  },
  name: (name) => String(name),
};

interface Way {
  readonly name: string;
  readonly guardsOwn: boolean;
  readonly protocol: Protocol;
  /** Whether only a few cases are played: what else holds does not depend on who has made the server. */
  readonly isBrief?: boolean;
}

const ways: readonly Way[] = [
  { name: "createServer", guardsOwn: false, protocol: "http" },
  { name: "guard", guardsOwn: true, protocol: "http" },
  { name: "createServer, TLS", guardsOwn: false, protocol: "https" },
  { name: "guard, TLS", guardsOwn: true, protocol: "https", isBrief: true },
  { name: "createServer, HTTP/2", guardsOwn: false, protocol: "h2" },
  { name: "guard, HTTP/2", guardsOwn: true, protocol: "h2", isBrief: true },
];

const cases: readonly (readonly [name: string, run: Case])[] = Object.entries({
  ...streamCases,
  ...limitCases,
  ...contextCases,
  ...drainCases,
});

/** Declares the tests. Most of their time is waiting, so a few run at once. */
export function testFramework(framework: Framework): void {
  for (const way of ways) {
    if (way.protocol === "h2" && framework.speaksHttp2 !== true) continue;
    suite(`${framework.name} by ${way.name}`, { concurrency: 4 }, () => {
      for (const [name, run] of way.isBrief === true ? cases.filter((_, index) => index % 4 === 0) : cases) {
        test(name, { timeout: 20_000 }, () =>
          run((work, limits) => open(framework, way, { ...idle, ...work }, limits)),
        );
      }
    });
  }
}

async function open(framework: Framework, way: Way, work: Work, limits: ServerOptions = {}): Promise<Stage> {
  const registry = new Registry();
  const callers: Caller[] = [];
  const options = { name: "tested", registry, ...(framework.route && { route: framework.route }), ...limits };
  const app = await framework.build({ limits: options, work, ...way, make: (handler) => make(way, options, handler) });
  if (app.listen === undefined) app.server.listen(0, "127.0.0.1");
  await (app.listen?.() ?? once(app.server, "listening"));
  const address = app.server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    app,
    port,
    protocol: way.protocol,
    registry,
    framework,
    call: () => {
      const caller = openCaller(way.protocol, port);
      callers.push(caller);
      return caller;
    },
    socket: () => openSocket(way.protocol, port),
    [Symbol.asyncDispose]: async () => {
      for (const caller of callers) caller[Symbol.dispose]();
      await app.close();
      await until(() => app.guarded.stats().state === "drained");
    },
  };
}

/** A server of `protocol`, guarded one way or the other. */
function make({ guardsOwn, protocol }: Way, limits: ServerOptions, handler: Handler): MadeServer {
  if (guardsOwn) {
    const server = makeOwn(protocol, handler);
    return { server, guarded: guard(server, limits) };
  }
  const server = makeGuarded(protocol, limits, handler);
  return { server, guarded: server };
}

function makeGuarded(protocol: Protocol, limits: ServerOptions, handler: Handler): GuardableServer & Guarded {
  if (protocol === "http") return createServer(limits, handler);
  if (protocol === "https") return createServer({ ...limits, tls: serverCertificate }, handler);
  return createServer({ ...limits, tls: serverCertificate, http2: true }, handler);
}

function makeOwn(protocol: Protocol, handler: Handler): GuardableServer {
  if (protocol === "http") return http.createServer(handler);
  if (protocol === "https") return https.createServer(serverCertificate, handler);
  return http2.createSecureServer({ ...serverCertificate, allowHTTP1: true }).on("request", handler);
}

/**
 * What middlewares keep: the methods that they find on a response before they put theirs in their place (compression,
 * express-session, on-headers), and call whenever they come to it.
 */

import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { createGzip } from "node:zlib";
import express from "express";
import { Registry } from "../core/instruments.ts";
import { connectTo, type KeptConnection } from "../../test/support/kept-connection.ts";
import { lateCalls, lateCallsOf, type AnyResponse } from "../../test/support/late-calls.ts";
import { listen, until } from "../../test/support/loopback.ts";
import { createServer, type Handler } from "./server.ts";
import type { LateWrite } from "./late-writes.ts";
import type { ServerOptions } from "./server-options.ts";
import type { ServerStats } from "./server-stats.ts";

interface Opened extends AsyncDisposable {
  readonly client: KeptConnection;
  readonly reports: readonly LateWrite[];
  stats(): ServerStats;
}

async function open(handler: Handler, options: ServerOptions = {}): Promise<Opened> {
  const reports: LateWrite[] = [];
  const server = createServer({ registry: new Registry(), ...options }, handler);
  server.on("lateWrite", (late: LateWrite) => reports.push(late));
  const listening = await listen(server);
  const client = connectTo("HTTP/1", listening.port);
  return {
    client,
    reports,
    stats: () => server.stats(),
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await listening[Symbol.asyncDispose]();
    },
  };
}

type Callable = (this: unknown, ...args: unknown[]) => unknown;

/** The response by the methods that it has now, each bound, whatever is put in their places. */
function save(res: ServerResponse): AnyResponse {
  const saved = Object.create(res) as AnyResponse;
  for (const { method } of Object.values(lateCalls)) {
    const found: unknown = Reflect.get(res, method);
    if (typeof found === "function") Reflect.defineProperty(saved, method, { value: found.bind(res) });
  }
  return saved;
}

/** Puts wrappers in the place of all of them, which call what they have found. */
function wrapAll(res: ServerResponse): void {
  const target = res as unknown as Record<string, Callable>;
  for (const { method } of Object.values(lateCalls)) {
    const found = target[method];
    if (found === undefined) continue;
    target[method] = function wrapper(...args: unknown[]): unknown {
      return found.apply(this, args);
    };
  }
}

function answer(res: ServerResponse): void {
  res.sendDate = false;
  res.setHeader("content-length", 2);
  res.end("ok");
}

type Serve = (req: IncomingMessage, res: ServerResponse) => void;

/** Who comes before the handler, and changes what the response inherits from, or does not. */
const frameworks: Readonly<Record<string, (serve: Serve) => Handler>> = {
  "plain handlers": (serve) => serve,
  Express: (serve) => express().disable("x-powered-by").disable("etag").use(serve),
  "Express in Express": (serve) => {
    const inner = express().disable("x-powered-by").use(serve);
    return express().disable("x-powered-by").use(inner);
  },
};

for (const [framework, mount] of Object.entries(frameworks)) {
  for (const wraps of [false, true]) {
    const title = wraps ? "saved and wrapped" : "saved";
    test(`${framework}: each method that was ${title} before the answer is contained after it`, async () => {
      const names = lateCallsOf("HTTP/1");
      let acted = Promise.withResolvers<unknown>();
      let returned: unknown;
      const act = async (res: ServerResponse, saved: AnyResponse, name: string): Promise<void> => {
        answer(res);
        if (name.startsWith("later ")) await once(res, "close");
        const result = lateCalls[name.replace("later ", "")]?.call(saved);
        returned = result === res || result === saved ? "res" : result;
      };
      await using opened = await open(
        mount((req, res) => {
          const saved = save(res);
          if (wraps) wrapAll(res);
          const name = decodeURIComponent(req.url?.slice(1) ?? "");
          if (name === "") answer(res);
          else act(res, saved, name).then(acted.resolve, acted.reject);
        }),
      );
      const { client, reports } = opened;
      const next = await client.ask("/");

      let calls = 0;
      for (const name of names.flatMap((each) => [each, `later ${each}`])) {
        acted = Promise.withResolvers();
        assert.equal(await client.ask(`/${encodeURIComponent(name)}`), next, `${name} spoilt its own answer`);
        await acted.promise;
        await sleep(1);
        assert.equal(await client.ask("/"), next, `${name} spoilt the next answer`);
        assert.equal(returned, lateCalls[name.replace("later ", "")]?.returns, `${name} returned something else`);
        calls += 1;
        assert.equal(opened.stats().lateWrites, calls, `${name} was not counted once`);
      }

      assert.equal(reports.length, names.length, "not once for each place");
      for (const { place, stack } of reports) {
        assert.match(place, /test\/support\/late-calls\.ts:\d+:\d+$/);
        assert.ok(stack.includes(place));
      }
    });
  }
}

/** As compression does: what is written goes through a stream, and what comes of it to the methods that were there. */
const compress: express.RequestHandler = (_req, res, next) => {
  const target = res as unknown as Record<"write" | "end", Callable>;
  const { write, end } = target;
  const stream = createGzip();
  target.write = (chunk) => stream.write(chunk);
  target.end = (chunk) => void stream.end(chunk);
  stream.on("data", (chunk) => {
    if (write.call(res, chunk) === false) stream.pause();
  });
  stream.on("end", () => end.call(res));
  res.on("drain", () => stream.resume());
  next();
};

test("Express: a compressed answer that comes after the handler's time is contained", async () => {
  const ended = Promise.withResolvers<void>();
  const app = express().use(compress);
  app.get("/slow", (_req, res) => {
    setTimeout(() => {
      res.end("compressed ".repeat(100_000));
      setTimeout(ended.resolve, 50);
    }, 100);
  });
  app.get("/", (_req, res) => void res.end());
  await using opened = await open(app, { handlerTimeout: 50 });

  assert.match(await opened.client.ask("/slow"), /^HTTP\/1.1 503 /);
  await ended.promise;

  assert.ok(opened.stats().lateWrites > 0);
});

/** As express-session does: the answer's end waits until the session is saved. */
const keepSession: express.RequestHandler = (_req, res, next) => {
  const target = res as unknown as Record<"end", Callable>;
  const { end } = target;
  let ended = false;
  target.end = (...args) => {
    if (ended) return false;
    ended = true;
    setTimeout(() => end.apply(res, args), 20);
    return true;
  };
  next();
};

test("Express: a session that is saved after the handler's time ends its answer late, and is contained", async () => {
  const app = express().use(keepSession);
  app.get("/slow", (_req, res) => {
    setTimeout(() => res.end("late"), 100);
  });
  await using opened = await open(app, { handlerTimeout: 50 });

  assert.match(await opened.client.ask("/slow"), /^HTTP\/1.1 503 /);
  await until(() => opened.stats().lateWrites === 1);
});

/** As on-headers does. */
const timeAnswers: express.RequestHandler = (_req, res, next) => {
  const target = res as unknown as Record<"writeHead", Callable>;
  const { writeHead } = target;
  target.writeHead = (...args) => {
    res.setHeader("x-response-time", "1");
    return writeHead.apply(res, args);
  };
  next();
};

test("Express: a head that somebody writes late through a wrapper is contained, with what the wrapper does", async () => {
  const app = express().use(timeAnswers);
  app.use((_req, res) => {
    const late = res.writeHead.bind(res);
    res.end("ok");
    setTimeout(() => late(500), 1);
  });
  await using opened = await open(app);
  opened.client.send("/");

  await until(() => opened.stats().lateWrites === 2);
});

test("methods that a framework has put between a response and its class are called as on a bare server", async () => {
  const called: string[] = [];
  await using opened = await open((_req, res) => {
    const below = Object.getPrototypeOf(res) as ServerResponse;
    const between = Object.assign(Object.create(below), {
      setHeader(this: ServerResponse, name: string, value: string) {
        called.push("setHeader");
        return below.setHeader.call(this, name, value);
      },
      end(this: ServerResponse, chunk: string) {
        called.push("end");
        return below.end.call(this, chunk, "utf8");
      },
    }) as ServerResponse;
    Object.setPrototypeOf(res, between);
    res.setHeader("X-Between", "yes");
    res.end("whole");
  });

  const received = await opened.client.ask("/");

  assert.deepEqual(called, ["setHeader", "end"]);
  assert.match(received, /x-between.*yes/i);
});

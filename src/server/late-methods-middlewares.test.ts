import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import http, { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { promisify } from "node:util";
import express from "express";
import { connectTo, serveGuarded, type Handler, type KeptConnection } from "../../test/support/kept-connection.ts";
import { lateCalls, lateCallsOf, type AnyResponse } from "../../test/support/late-calls.ts";
import { listen, until } from "../../test/support/loopback.ts";
import { beneath, containLateWrites } from "./late-methods.ts";
import { LateWrites } from "./late-writes.ts";

interface Contained extends AsyncDisposable {
  readonly client: KeptConnection;
  readonly lateWrites: LateWrites;
}

async function contained(handler: Handler): Promise<Contained> {
  const lateWrites = new LateWrites(() => {});
  const server = await serveGuarded("HTTP/1", (response) => containLateWrites(response, { lateWrites }), handler);
  const client = connectTo("HTTP/1", server.port);
  return {
    client,
    lateWrites,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

type Callable = (this: unknown, ...args: unknown[]) => unknown;
type Methods = Record<"write" | "end" | "writeHead", Callable>;

/** Replaces a method as middlewares do: `wrapper` gets the one that it finds. */
function wrap(res: ServerResponse, name: keyof Methods, wrapper: (original: Callable) => Callable): void {
  const target = res as unknown as Methods;
  target[name] = wrapper(target[name]);
}

/** What a guard does that has waited long enough: whatever has been put on the response, it goes beneath. */
function refuse(res: ServerResponse): void {
  beneath(res).writeHead.call(res, 503, { "content-length": "4" });
  beneath(res).end.call(res, "busy");
}

test("what compression has kept of a response is contained when it comes to its output", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  await using server = await contained((_req, res) => {
    // As compression does: its own `write` and `end` feed a stream, and what that gives goes to those it has found.
    const found: Callable[] = [];
    const feed = (original: Callable): Callable => {
      found.push(original);
      return () => true;
    };
    wrap(res, "write", feed);
    wrap(res, "end", feed);
    res.write("packed");
    res.end();
    refuse(res);
    setImmediate(() => {
      for (const original of found) original.call(res, "compressed");
      resolve();
    });
  });

  assert.match(await server.client.ask("/"), /^HTTP\/1.1 503 [^]*busy$/);
  await promise;

  assert.equal(server.lateWrites.count, 2);
  assert.match(await server.client.ask("/"), /^HTTP\/1.1 503 [^]*busy$/);
});

test("a session that is saved before the answer ends late, and is contained", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  await using server = await contained((_req, res) => {
    // As express-session does.
    wrap(res, "end", (end) => (...args) => {
      setImmediate(() => {
        end.apply(res, args);
        resolve();
      });
      return res;
    });
    res.end("saved");
    refuse(res);
  });

  assert.match(await server.client.ask("/"), /busy$/);
  await promise;

  assert.equal(server.lateWrites.count, 1);
});

test("a middleware that has listened for the header may set some while the answer ends", async () => {
  await using server = await contained((_req, res) => {
    // As on-headers does.
    wrap(res, "writeHead", (writeHead) => (...args) => {
      res.setHeader("x-response-time", "1");
      return writeHead.apply(res, args);
    });
    res.end("ok");
  });

  assert.match(await server.client.ask("/"), /x-response-time: 1[^]*ok$/);

  assert.equal(server.lateWrites.count, 0);
});

test("a response that is passed on as Object.create(res) works, and is contained", async () => {
  const { promise, resolve } = Promise.withResolvers<AnyResponse>();
  await using server = await contained((_req, res) => {
    const derived = Object.create(Object.create(res)) as AnyResponse;
    derived.setHeader("x-derived", "1");
    derived.write("a");
    derived.end("b");
    resolve(derived);
  });
  server.client.send("/");
  const derived = await promise;

  for (const name of lateCallsOf("HTTP/1")) lateCalls[name]?.call(derived);

  assert.equal(server.lateWrites.count, lateCallsOf("HTTP/1").length);
});

test("a server's own class of responses is asked for what it does, until it is too late", async () => {
  const lateWrites = new LateWrites(() => {});
  const written: unknown[] = [];
  class LoudResponse extends ServerResponse {
    override write(chunk: unknown): boolean {
      written.push(chunk);
      return super.write(chunk);
    }
  }
  const server = http.createServer({ ServerResponse: LoudResponse });
  server.prependListener("request", (_req, res) => containLateWrites(res, { lateWrites }));
  server.on("request", (_req, res) => {
    res.write("early");
    res.end();
    res.write("late");
  });
  await using listening = await listen(server);

  const response = await fetch(`http://127.0.0.1:${listening.port}`);

  assert.equal(await response.text(), "early");
  assert.deepEqual(written, ["early"]);
  assert.equal(lateWrites.count, 1);
});

test("Express: what is answered twice, after a while or with an error, is contained", async () => {
  const app = express().disable("x-powered-by");
  app.get("/twice", (_req, res) => {
    res.json({ answer: 1 });
    res.status(500).json({ answer: 2 });
  });
  app.get("/later", (_req, res) => {
    res.send("ok");
    setTimeout(() => res.redirect("/elsewhere"), 1);
  });
  app.get("/async", async (_req, res) => {
    res.send("ok");
    await sleep(1);
    res.cookie("late", "1").type("html").end("late");
  });
  app.get("/fine", (_req, res) => void res.send("fine"));
  await using server = await contained(app);

  const fine = await server.client.ask("/fine");
  assert.match(await server.client.ask("/twice"), /\{"answer":1\}$/);
  assert.match(await server.client.ask("/later"), /ok$/);
  assert.match(await server.client.ask("/async"), /ok$/);
  await until(() => new Set(server.lateWrites.places().map(({ request }) => request)).size === 3);

  assert.equal(withoutDate(await server.client.ask("/fine")), withoutDate(fine));
  const requests = server.lateWrites.places().map(({ request }) => request);
  assert.deepEqual([...new Set(requests)], ["GET /twice", "GET /later", "GET /async"]);
});

test("Express: a router that comes to its end after a refusal is contained, although it changes the prototype", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const inner = express();
  inner.use((_req, _res, next) => {
    setTimeout(() => next(), 5);
  });
  const app = express();
  app.use("/inner", inner);
  app.use((_req, res) => {
    res.json({ answer: "late" });
    resolve();
  });
  await using server = await contained((req, res) => {
    app(req, res);
    refuse(res);
  });

  assert.match(await server.client.ask("/inner/path?secret=1"), /busy$/);
  await promise;

  const requests = server.lateWrites.places().map(({ request }) => request);
  assert.deepEqual([...new Set(requests)], ["GET /inner/path"]);
});

test("Express: an app that gets its response only when that is complete is contained", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const app = express();
  app.use((_req, res) => {
    res.send("late");
    resolve();
  });
  await using server = await contained((req, res) => {
    refuse(res);
    res.on("close", () => app(req, res));
  });

  assert.match(await server.client.ask("/"), /busy$/);
  await promise;

  assert.ok(server.lateWrites.count > 0);
});

function withoutDate(answer: string): string {
  return answer.replace(/^Date: .*$/m, "");
}

const program = `
  import http from "node:http";
    const { containLateWrites } = await import(process.argv[1]);
  const { LateWrites } = await import(process.argv[2]);
  const lateWrites = new LateWrites(() => {});
  const server = http.createServer((req, res) => {
    if (process.argv[3] === "contained") containLateWrites(res, { lateWrites });
    res.end("ok");
    setTimeout(() => (req.url === "/write" ? res.write("late") : res.setHeader("x-late", "1")), 1);
    res.write("late");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = "http://127.0.0.1:" + server.address().port;
  for (const path of ["/write", "/head"]) await (await fetch(url + path)).text();
  await new Promise((resolve) => setTimeout(resolve, 20));
  console.log("alive", lateWrites.count);
  process.exit();
`;

async function run(mode: "contained" | "bare"): Promise<string> {
  const urls = ["./late-methods.ts", "./late-writes.ts"].map((file) => new URL(file, import.meta.url).href);
  const args = ["--input-type=module", "--eval", program, ...urls, mode];
  const [outcome] = await Promise.allSettled([promisify(execFile)(process.execPath, args, { timeout: 30_000 })]);
  return outcome.status === "fulfilled" ? outcome.value.stdout.trim() : String(outcome.reason);
}

test("a process that writes late lives, and without containment it does not", async () => {
  assert.equal(await run("contained"), "alive 4");
  assert.match(await run("bare"), /ERR_STREAM_WRITE_AFTER_END/);
});

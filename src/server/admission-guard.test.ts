/** The concurrency limit as clients and handlers see it. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, request, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import { context } from "../core/context.ts";
import { Registry } from "../core/instruments.ts";
import { controller } from "./controller.ts";
import type { Guarded } from "./guard.ts";
import { createServer } from "./server.ts";
import type { ServerOptions } from "./server-options.ts";
import type { ServerStats } from "./server-stats.ts";

/** A request that the handler has got and not answered. */
interface Held {
  readonly path: string;
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
}

/** A server that answers only when it is told to. */
class Holding {
  readonly held: Held[] = [];
  readonly paths: string[] = [];
  readonly #server: Server & Guarded;
  readonly #agent = new Agent({ keepAlive: true });

  static async start(t: TestContext, options: ServerOptions): Promise<Holding> {
    const holding = new Holding(options);
    await once(holding.#server.listen(0, "127.0.0.1"), "listening");
    t.after(() => {
      holding.#agent.destroy();
      holding.#server.closeAllConnections();
      holding.#server.close();
    });
    return holding;
  }

  private constructor(options: ServerOptions) {
    this.#server = createServer({ registry: new Registry(), ...options }, (req, res) => {
      this.held.push({ path: req.url ?? "", req, res });
      this.paths.push(req.url ?? "");
      // What runs in a handler runs in the context of its own request.
      assert.equal(context(), controller(res).context);
    });
  }

  get server(): Server & Guarded {
    return this.#server;
  }

  get stats(): ServerStats {
    return this.#server.stats();
  }

  send(path: string, init: { method?: string; headers?: Record<string, string>; body?: string } = {}) {
    const { port } = this.#server.address() as AddressInfo;
    const { method = "GET", headers = {}, body } = init;
    const client = request({ port, host: "127.0.0.1", path, method, headers, agent: this.#agent });
    const answer = once(client, "response").then(async ([response]: IncomingMessage[]) => {
      assert.ok(response !== undefined);
      return { status: response.statusCode, headers: response.headers, body: await text(response) };
    });
    answer.catch(() => undefined);
    client.on("error", () => undefined);
    client.end(body);
    return { client, answer };
  }

  answer(path: string): void {
    const at = this.held.findIndex((held) => held.path === path);
    const [found] = this.held.splice(at, 1);
    assert.ok(at >= 0 && found !== undefined, `${path} is not with the handler`);
    found.res.end(`answer to ${path}`);
  }

  /** Waits until it is so; a test's own time limit ends a wait in vain. */
  async until(what: (holding: this) => boolean): Promise<void> {
    while (!what(this)) await new Promise(setImmediate);
  }
}

test("above the limit requests wait in line, and above the queue they are told to come again", async (t) => {
  const holding = await Holding.start(t, { concurrency: { limit: 1, queue: 1 }, retryAfter: "3s" });
  const first = holding.send("/first");
  await holding.until(({ held }) => held.length === 1);
  const second = holding.send("/second");
  await holding.until(({ stats }) => stats.queued === 1);
  const third = await holding.send("/third").answer;
  assert.equal(third.status, 503);
  assert.equal(third.headers["retry-after"], "3");
  assert.equal(third.headers.connection, "keep-alive");
  assert.ok(holding.stats.oldestQueued >= 0);
  holding.answer("/first");
  await holding.until(({ held }) => held.length === 1);
  holding.answer("/second");
  assert.equal((await first.answer).body, "answer to /first");
  assert.equal((await second.answer).body, "answer to /second");
  assert.deepEqual(holding.paths, ["/first", "/second"]);
  assert.equal(holding.stats.shed.concurrency, 1);
  assert.equal(holding.stats.concurrencyLimit, 1);
});

test("a client that leaves the queue gives its place in it to another one", async (t) => {
  const holding = await Holding.start(t, { concurrency: { limit: 1, queue: 1 } });
  holding.send("/holder");
  await holding.until(({ held }) => held.length === 1);
  const { client } = holding.send("/leaver");
  await holding.until(({ stats }) => stats.queued === 1);
  client.destroy();
  await holding.until(({ stats }) => stats.queued === 0);
  const next = holding.send("/next");
  await holding.until(({ stats }) => stats.queued === 1);
  holding.answer("/holder");
  await holding.until(({ held }) => held.length === 1);
  holding.answer("/next");
  assert.equal((await next.answer).status, 200);
  assert.deepEqual(holding.paths, ["/holder", "/next"]);
});

test("the place of a client that has left is free once its handler has ended the answer", async (t) => {
  const holding = await Holding.start(t, { concurrency: { limit: 1 } });
  const { client } = holding.send("/leaver");
  await holding.until(({ held }) => held.length === 1);
  const next = holding.send("/next");
  await holding.until(({ stats }) => stats.queued === 1);
  const { res } = holding.held[0]!;
  client.destroy();
  await once(res, "close");
  assert.equal(holding.server.stats().queued, 1);
  res.end();
  await holding.until(({ held }) => held.length === 2);
  holding.answer("/next");
  assert.equal((await next.answer).status, 200);
});

test("a wait in vain ends with 503 and without the handler", async (t) => {
  const holding = await Holding.start(t, { concurrency: { limit: 1, queueTimeout: 50 } });
  holding.send("/holder");
  await holding.until(({ held }) => held.length === 1);
  const { status } = await holding.send("/waiter").answer;
  assert.equal(status, 503);
  assert.deepEqual(holding.paths, ["/holder"]);
});

test("a request whose caller has no time left is not begun", async (t) => {
  const holding = await Holding.start(t, { concurrency: { limit: 1 } });
  const spent = await holding.send("/spent", { headers: { "x-request-timeout-ms": "0" } }).answer;
  assert.equal(spent.status, 503);
  holding.send("/holder");
  await holding.until(({ held }) => held.length === 1);
  const waiting = await holding.send("/waiting", { headers: { "x-request-timeout-ms": "40" } }).answer;
  assert.equal(waiting.status, 503);
  assert.equal(holding.stats.shed.deadline, 2);
  assert.deepEqual(holding.paths, ["/holder"]);
});

test("probes are let in when nothing else is", async (t) => {
  const holding = await Holding.start(t, { concurrency: { limit: 1, queue: 0 } });
  holding.send("/holder");
  await holding.until(({ held }) => held.length === 1);
  const probe = holding.send("/readyz?full");
  await holding.until(({ held }) => held.length === 2);
  assert.equal((await holding.send("/other").answer).status, 503);
  holding.answer("/readyz?full");
  assert.equal((await probe.answer).status, 200);
});

test("a stream gives its place back and goes on", async (t) => {
  const holding = await Holding.start(t, { concurrency: { limit: 1, queue: 0 } });
  const stream = holding.send("/events");
  await holding.until(({ held }) => held.length === 1);
  assert.equal((await holding.send("/other").answer).status, 503);
  controller(holding.held[0]!.res).stream();
  const other = holding.send("/other");
  await holding.until(({ held }) => held.length === 2);
  holding.answer("/other");
  assert.equal((await other.answer).status, 200);
  holding.answer("/events");
  assert.equal((await stream.answer).body, "answer to /events");
  assert.equal((holding.send("/last"), await holding.until(({ held }) => held.length === 1)), undefined);
});

test("a handler that is too slow gives its place back when its client has been answered", async (t) => {
  const holding = await Holding.start(t, { concurrency: { limit: 1 }, handlerTimeout: 80 });
  const slow = holding.send("/slow");
  await holding.until(({ held }) => held.length === 1);
  const next = holding.send("/next");
  assert.equal((await slow.answer).status, 503);
  await holding.until(({ held }) => held.length === 2);
  holding.answer("/next");
  assert.equal((await next.answer).status, 200);
});

test("a client that does not read its answer holds no place once the answer is written", async (t) => {
  const holding = await Holding.start(t, { concurrency: { limit: 1, queue: 0 } });
  const slow = connect((holding.server.address() as AddressInfo).port, "127.0.0.1");
  t.after(() => slow.destroy());
  slow.pause();
  slow.write("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
  await holding.until(({ held }) => held.length === 1);
  const { res } = holding.held.pop()!;
  res.end(Buffer.alloc(30_000_000));
  assert.equal(res.writableFinished, false);
  const other = holding.send("/other");
  await holding.until(({ held }) => held.length === 1);
  holding.answer("/other");
  assert.equal((await other.answer).status, 200);
  assert.equal(res.writableFinished, false);
});

test("the body of a request that waited is all there", async (t) => {
  const holding = await Holding.start(t, { concurrency: { limit: 1 } });
  holding.send("/holder");
  await holding.until(({ held }) => held.length === 1);
  const body = "x".repeat(300_000);
  const upload = holding.send("/upload", { method: "POST", body, headers: { "Content-Length": String(body.length) } });
  await holding.until(({ stats }) => stats.queued === 1);
  holding.answer("/holder");
  await holding.until(({ held }) => held.length === 1);
  assert.equal((await text(holding.held[0]!.req)).length, body.length);
  holding.answer("/upload");
  assert.equal((await upload.answer).status, 200);
});

test("an upload that is shed unread closes its connection, and its client reads why", async (t) => {
  const holding = await Holding.start(t, { concurrency: { limit: 1, queue: 0 } });
  holding.send("/holder");
  await holding.until(({ held }) => held.length === 1);
  const body = "x".repeat(3_000_000);
  const upload = holding.send("/upload", { method: "POST", body, headers: { "Content-Length": String(body.length) } });
  const { status, headers } = await upload.answer;
  assert.equal(status, 503);
  assert.equal(headers.connection, "close");
});

test("a drain still serves those who wait", async (t) => {
  const holding = await Holding.start(t, { concurrency: { limit: 1 } });
  const first = holding.send("/first");
  await holding.until(({ held }) => held.length === 1);
  const second = holding.send("/second");
  await holding.until(({ stats }) => stats.queued === 1);
  const drained = holding.server.drain();
  holding.answer("/first");
  await holding.until(({ held }) => held.length === 1);
  holding.answer("/second");
  assert.equal((await first.answer).status, 200);
  assert.equal((await second.answer).status, 200);
  assert.equal((await drained).cut, 0);
});

test("five hundred requests at once through a limit of ten: never more than ten at work, and all are answered", async (t) => {
  let atWork = 0;
  let most = 0;
  const server = createServer({ registry: new Registry(), concurrency: { limit: 10, queue: 500 } }, (_req, res) => {
    atWork += 1;
    most = Math.max(most, atWork);
    // Half of them answer at once: admission must not depend on a pause.
    const end = (): void => {
      atWork -= 1;
      res.end("done");
    };
    if (most % 2 === 0) end();
    else setTimeout(end, 1);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const agent = new Agent({ keepAlive: true });
  t.after(() => {
    agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const one = async (): Promise<number | undefined> => {
    const client = request({ port, host: "127.0.0.1", agent }).end();
    const [response]: IncomingMessage[] = await once(client, "response");
    response?.resume();
    return response?.statusCode;
  };
  const statuses = await Promise.all(Array.from({ length: 500 }, one));
  assert.ok(statuses.every((status) => status === 200));
  assert.ok(most <= 10, `${most} at once`);
});

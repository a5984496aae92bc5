// oxlint-disable no-await-in-loop -- the cases must run one after the other
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import type net from "node:net";
import { Readable } from "node:stream";
import { test, type TestContext } from "node:test";
import { Agent, Dispatcher, interceptors } from "undici";
import { background } from "../../core/context.ts";
import { resolveOptions } from "../../core/options.ts";
import { retryOptions, type RetryOptions } from "./options.ts";
import { RetryPolicy, type RetrySettings } from "./retry.ts";

/** A dispatcher of the public kind whose dispatch goes through the policy. */
class Wrapped extends Dispatcher {
  readonly #dispatch: Dispatcher.Dispatch;
  constructor(dispatch: Dispatcher.Dispatch) {
    super();
    this.#dispatch = dispatch;
  }
  override dispatch(opts: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    return this.#dispatch(opts, handler);
  }
}

function makeClient(
  t: TestContext,
  options: RetryOptions,
  settings?: RetrySettings,
): { client: Wrapped; policy: RetryPolicy } {
  const agent = new Agent();
  t.after(() => agent.destroy());
  const quick: RetryOptions = { attempts: 2, backoff: { from: 5, to: 20 }, ...options };
  const policy = new RetryPolicy(resolveOptions("retry", retryOptions, quick), settings);
  return { client: new Wrapped(policy.wrap(agent.dispatch.bind(agent))), policy };
}

async function listen(t: TestContext, server: net.Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    if (server instanceof http.Server) server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
}

/** Answers the n-th request as `answers[n]` says, and further ones as the last. */
async function serve(t: TestContext, ...answers: http.RequestListener[]): Promise<{ origin: string; seen: string[] }> {
  const seen: string[] = [];
  const server = http.createServer((req, res) => {
    const index = seen.length;
    seen.push("");
    req.setEncoding("utf8").on("data", (chunk: string) => (seen[index] += chunk));
    req.on("end", () => (answers[index] ?? answers.at(-1))?.(req, res));
  });
  return { origin: await listen(t, server), seen };
}

const status =
  (code: number, headers: http.OutgoingHttpHeaders = {}): http.RequestListener =>
  (_req, res) =>
    res.writeHead(code, headers).end(`answer ${code}`);
const reset: http.RequestListener = (req) => req.socket.resetAndDestroy();

const refuseDispatch: Dispatcher.Dispatch = () => false;

async function get(client: Dispatcher, origin: string, init: Partial<Dispatcher.RequestOptions> = {}): Promise<string> {
  const response = await client.request({ origin, path: "/", method: "GET", ...init });
  return `${response.statusCode} ${await response.body.text()}`;
}

test("an answer on the list is tried again, and the caller sees only the good one", async (t) => {
  const { origin, seen } = await serve(t, status(503), status(502), status(200));
  const { client, policy } = makeClient(t, {});
  assert.equal(await get(client, origin), "200 answer 200");
  assert.equal(seen.length, 3);
  assert.deepEqual(policy.counts, { "503": 1, "502": 1 });
});

test("a connection that is reset before the response header is tried again", async (t) => {
  const { origin } = await serve(t, reset, status(200));
  const { client, policy } = makeClient(t, {});
  assert.equal(await get(client, origin), "200 answer 200");
  assert.deepEqual(policy.counts, { ECONNRESET: 1 });
});

test("when the tries are spent the caller gets the last answer as it came", async (t) => {
  const { origin, seen } = await serve(t, reset, status(502), status(503, { "x-last": "yes" }));
  const { client, policy } = makeClient(t, {});
  const response = await client.request({ origin, path: "/", method: "GET" });
  assert.equal(response.statusCode, 503);
  assert.equal(response.headers["x-last"], "yes");
  assert.equal(await response.body.text(), "answer 503");
  assert.equal(seen.length, 3);
  assert.equal(policy.counts["attempts_spent"], 1);
});

test("when the tries are spent the caller gets the last error as it came", async (t) => {
  const { origin, seen } = await serve(t, status(503), reset);
  const { client } = makeClient(t, {});
  await assert.rejects(get(client, origin), { code: "ECONNRESET" });
  assert.equal(seen.length, 3);
});

test("with attempts 0 the dispatch is not even wrapped", () => {
  const policy = new RetryPolicy(resolveOptions("retry", retryOptions, {}));
  assert.equal(policy.wrap(refuseDispatch), refuseDispatch);
});

test("a POST is sent once, unless it carries an Idempotency-Key", async (t) => {
  const { origin, seen } = await serve(t, status(503));
  const { client } = makeClient(t, {});
  assert.equal(await get(client, origin, { method: "POST", body: "order" }), "503 answer 503");
  assert.equal(seen.length, 1);
  for (const headers of [
    { "Idempotency-Key": "1" },
    ["idempotency-key", "1"],
    new Map([["X-Idempotency-Key", "1"]]),
    { "idempotency-key": "" },
  ]) {
    seen.length = 0;
    await get(client, origin, { method: "POST", body: "order", headers });
    assert.deepEqual(seen, ["order", "order", "order"]);
  }
});

test("a string or bytes are sent again whole, a stream is never sent twice", async (t) => {
  const { origin, seen } = await serve(t, status(503));
  const { client } = makeClient(t, { attempts: 1 });
  for (const body of ["text", Buffer.from("text"), new TextEncoder().encode("text")]) {
    seen.length = 0;
    await get(client, origin, { method: "PUT", body });
    assert.deepEqual(seen, ["text", "text"]);
  }
  seen.length = 0;
  assert.equal(await get(client, origin, { method: "PUT", body: Readable.from(["text"]) }), "503 answer 503");
  assert.deepEqual(seen, ["text"]);
});

test("a body that breaks after its header has reached the caller is not tried again", async (t) => {
  const { origin, seen } = await serve(t, (_req, res) => {
    res.writeHead(200, { "content-length": "100" }).write("half");
    setTimeout(() => res.socket?.resetAndDestroy(), 20);
  });
  const { client } = makeClient(t, {});
  await assert.rejects(get(client, origin));
  assert.equal(seen.length, 1);
});

test("the budget bounds the retries of many requests to one origin", async (t) => {
  const { origin, seen } = await serve(t, status(503));
  const { client, policy } = makeClient(t, { attempts: 3, budget: { ratio: 0.2, minPerSecond: 0 } });
  await Promise.all(Array.from({ length: 100 }, () => get(client, origin)));
  assert.equal(seen.length, 120);
  assert.equal(policy.counts["503"], 20);
  assert.equal((policy.counts["budget_spent"] ?? 0) + (policy.counts["attempts_spent"] ?? 0), 100);
});

test("the budget of one failing origin is not that of another", async (t) => {
  const failing = await serve(t, status(503));
  const flaky = await serve(t, status(503), status(200));
  const { client } = makeClient(t, { budget: { ratio: 0, minPerSecond: 1, ttl: "1s" } });
  for (let i = 0; i < 5; i++) await get(client, failing.origin);
  assert.equal(await get(client, flaky.origin), "200 answer 200");
});

test("Retry-After makes the wait longer, never shorter", async (t) => {
  const { origin } = await serve(t, status(503, { "retry-after": "1" }), status(200));
  const { client } = makeClient(t, {});
  const startedAt = performance.now();
  assert.equal(await get(client, origin), "200 answer 200");
  assert.ok(performance.now() - startedAt >= 1_000);
});

test("an answer that asks for more time than allowed goes to the caller at once", async (t) => {
  const { origin, seen } = await serve(t, status(503, { "retry-after": "3600" }), status(200));
  const { client, policy } = makeClient(t, {});
  assert.equal(await get(client, origin), "503 answer 503");
  assert.equal(seen.length, 1);
  assert.deepEqual(policy.counts, { retry_after: 1 });
});

test("no retry is begun that could not end before the context's deadline", async (t) => {
  const { origin, seen } = await serve(t, status(503, { "retry-after": "5" }), status(200));
  const { client, policy } = makeClient(t, {});
  using limited = background.child({ timeout: "2s" });
  assert.equal(await limited.run(() => get(client, origin)), "503 answer 503");
  assert.equal(seen.length, 1);
  assert.deepEqual(policy.counts, { deadline: 1 });
});

test("an abort between two tries ends the call at once", async (t) => {
  const { origin, seen } = await serve(t, status(503));
  const { client } = makeClient(t, { backoff: { from: "20s", to: "20s", jitter: "none" } });
  const abort = new AbortController();
  const response = get(client, origin, { signal: abort.signal });
  while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await new Promise((resolve) => setTimeout(resolve, 50));
  const startedAt = performance.now();
  abort.abort(new Error("changed my mind"));
  await assert.rejects(response, /changed my mind/);
  assert.ok(performance.now() - startedAt < 1_000);
  assert.equal(seen.length, 1);
});

test("the context's end between two tries ends the call at once", async (t) => {
  const { origin, seen } = await serve(t, status(503));
  const { client } = makeClient(t, { backoff: { from: "20s", to: "20s", jitter: "none" } });
  using owned = background.child();
  const response = owned.run(() => get(client, origin));
  while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await new Promise((resolve) => setTimeout(resolve, 50));
  owned.cancel(new Error("client gone"));
  await assert.rejects(response, /client gone/);
});

test("an abort while a try is under way reaches that try, and the server sees it", async (t) => {
  const closed = Promise.withResolvers<void>();
  const { origin } = await serve(t, status(503), (req) => req.socket.once("close", () => closed.resolve()));
  const { client } = makeClient(t, {});
  const abort = new AbortController();
  const response = get(client, origin, { signal: abort.signal });
  setTimeout(() => abort.abort(new Error("late")), 150);
  await assert.rejects(response, /late/);
  await closed.promise;
});

test("a call that is aborted before it begins is never sent", async (t) => {
  const { origin, seen } = await serve(t, status(200));
  const { client } = makeClient(t, {});
  await assert.rejects(get(client, origin, { signal: AbortSignal.abort(new Error("too late")) }), /too late/);
  assert.equal(seen.length, 0);
});

test("a short unwanted body leaves its connection for the next try, an endless one is cut off", async (t) => {
  const sockets: net.Socket[] = [];
  const cut = Promise.withResolvers<void>();
  const { origin } = await serve(
    t,
    (req, res) => {
      sockets.push(req.socket);
      status(503)(req, res);
    },
    status(200),
    (_req, res) => {
      res.writeHead(503);
      const timer = setInterval(() => res.write(Buffer.alloc(16_384)), 1);
      res.once("close", () => {
        clearInterval(timer);
        cut.resolve();
      });
    },
    status(200),
  );
  const { client } = makeClient(t, { backoff: { from: 30, to: 30, jitter: "none" } });
  assert.equal(await get(client, origin), "200 answer 200");
  assert.equal(sockets[0]?.destroyed, false);
  assert.equal(await get(client, origin), "200 answer 200");
  await cut.promise;
});

test("a pause asked for during one try holds in the next", async (t) => {
  const { origin } = await serve(t, status(503), status(200));
  const agent = new Agent();
  t.after(() => agent.destroy());
  const policy = new RetryPolicy(resolveOptions("retry", retryOptions, { attempts: 1, backoff: { from: 5 } }));
  const events: string[] = [];
  const ended = Promise.withResolvers<void>();
  policy.wrap(agent.dispatch.bind(agent))(
    { origin, path: "/", method: "GET" },
    {
      onRequestStart: (controller) => {
        events.push("start");
        controller.pause();
        setTimeout(() => {
          events.push("resume");
          controller.resume();
        }, 200);
      },
      onResponseStart: (_controller, code) => events.push(`status ${code}`),
      onResponseData: () => events.push("data"),
      onResponseEnd: () => ended.resolve(),
      onResponseError: (_controller, error) => ended.reject(error),
    },
  );
  await ended.promise;
  assert.deepEqual(events, ["start", "status 200", "resume", "data"]);
});

test("it works beneath undici's own interceptors", async (t) => {
  const { origin } = await serve(t, status(302, { location: "/next" }), status(503), status(200));
  const { client } = makeClient(t, {});
  const composed = client.compose(interceptors.redirect({ maxRedirections: 2 }));
  assert.equal(await get(composed, origin), "200 answer 200");
});

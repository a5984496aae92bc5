// oxlint-disable no-await-in-loop -- the requests must be made one after the other
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import type net from "node:net";
import { test, type TestContext } from "node:test";
import { Agent, Dispatcher } from "undici";
import { resolveOptions } from "../../core/options.ts";
import { HedgePolicy } from "./hedge.ts";
import { hedgeOptions, type HedgeOptions } from "./options.ts";

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

const always = { ratio: 1, minPerSecond: 100 };
const delay = 60;

function makeClient(t: TestContext, options: HedgeOptions): { client: Wrapped; policy: HedgePolicy } {
  const agent = new Agent();
  t.after(() => agent.destroy());
  const policy = new HedgePolicy(resolveOptions("hedge", hedgeOptions, { delay, budget: always, ...options }));
  return { client: new Wrapped(policy.wrap(agent.dispatch.bind(agent))), policy };
}

interface Served {
  readonly origin: string;
  /** One for each request that arrived: what its connection has come to. */
  readonly seen: net.Socket[];
}

/** Answers the n-th request with `answers[n]`, and further ones with the last. */
async function serve(t: TestContext, ...answers: http.RequestListener[]): Promise<Served> {
  const seen: net.Socket[] = [];
  const server = http.createServer((req, res) => {
    seen.push(req.socket);
    (answers[seen.length - 1] ?? answers.at(-1))?.(req, res);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { origin: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`, seen };
}

const say =
  (text: string, afterMs = 0, status = 200): http.RequestListener =>
  (_req, res) => {
    if (afterMs === 0) res.writeHead(status).end(text);
    else setTimeout(() => res.writeHead(status).end(text), afterMs);
  };
const silent: http.RequestListener = () => {};
const reset: http.RequestListener = (req) => req.socket.resetAndDestroy();

async function get(client: Dispatcher, origin: string, init: Partial<Dispatcher.RequestOptions> = {}): Promise<string> {
  const response = await client.request({ origin, path: "/", method: "GET", ...init });
  return `${response.statusCode} ${await response.body.text()}`;
}

async function untilDestroyed(socket: net.Socket | undefined): Promise<void> {
  if (socket?.destroyed === false) await once(socket, "close", { signal: AbortSignal.timeout(5_000) });
}

test("a quick answer costs one request", async (t) => {
  const { origin, seen } = await serve(t, say("quick"));
  const { client, policy } = makeClient(t, {});
  assert.equal(await get(client, origin), "200 quick");
  await new Promise((resolve) => setTimeout(resolve, delay * 2));
  assert.equal(seen.length, 1);
  assert.deepEqual(policy.counts, { sent: 0, won: 0, budget_spent: 0 });
});

test("a request without an answer is sent once more, and the loser is aborted", async (t) => {
  const { origin, seen } = await serve(t, silent, say("second"));
  const { client, policy } = makeClient(t, {});
  const startedAt = performance.now();
  assert.equal(await get(client, origin), "200 second");
  assert.ok(performance.now() - startedAt >= delay - 1);
  await untilDestroyed(seen[0]);
  assert.equal(seen.length, 2);
  assert.deepEqual(policy.counts, { sent: 1, won: 1, budget_spent: 0 });
});

test("the first request wins if its answer comes first, and only that answer is heard", async (t) => {
  const { origin, seen } = await serve(t, say("first", delay * 2), say("second", delay * 6));
  const { client, policy } = makeClient(t, {});
  assert.equal(await get(client, origin), "200 first");
  await untilDestroyed(seen[1]);
  assert.deepEqual(policy.counts, { sent: 1, won: 0, budget_spent: 0 });
});

test("a request that fails while another is under way waits for that one", async (t) => {
  const { origin } = await serve(t, silent, reset);
  const { client } = makeClient(t, {});
  const slow = await serve(t, say("first", delay * 4), reset);
  assert.equal(await get(client, slow.origin), "200 first");
  const abort = new AbortController();
  const hanging = get(client, origin, { signal: abort.signal });
  setTimeout(() => abort.abort(new Error("enough")), delay * 4);
  await assert.rejects(hanging, /enough/);
});

test("when all requests of a call fail, the caller gets the last error", async (t) => {
  const { origin, seen } = await serve(
    t,
    (req) => setTimeout(() => req.socket.end("garbage\r\n\r\n"), delay * 3),
    reset,
  );
  const { client } = makeClient(t, {});
  await assert.rejects(get(client, origin), { name: "HTTPParserError" });
  assert.equal(seen.length, 2);
});

test("a request that fails before its hedge is due fails at once, without one", async (t) => {
  const { origin, seen } = await serve(t, reset);
  const { client, policy } = makeClient(t, {});
  await assert.rejects(get(client, origin), { code: "ECONNRESET" });
  await new Promise((resolve) => setTimeout(resolve, delay * 2));
  assert.equal(seen.length, 1);
  assert.equal(policy.counts.sent, 0);
});

test("an abort ends every request of the call", async (t) => {
  const { origin, seen } = await serve(t, silent);
  const { client } = makeClient(t, { maxHedges: 2 });
  const abort = new AbortController();
  const answer = get(client, origin, { signal: abort.signal });
  setTimeout(() => abort.abort(new Error("enough")), delay * 4);
  await assert.rejects(answer, /enough/);
  assert.equal(seen.length, 3);
  await Promise.all(seen.map(untilDestroyed));
});

test("a POST, and a GET with a body, are never hedged", async (t) => {
  const { origin, seen } = await serve(t, say("slow", delay * 3));
  const { client } = makeClient(t, {});
  await get(client, origin, { method: "POST", body: "order" });
  await get(client, origin, { body: "query" });
  await get(client, origin, { method: "PUT" });
  assert.equal(seen.length, 3);
});

test("the budget keeps hedges to their share when everything is slow", async (t) => {
  const { origin, seen } = await serve(t, say("slow", delay * 4));
  const { client, policy } = makeClient(t, { budget: { ratio: 0.1, minPerSecond: 0 } });
  await Promise.all(Array.from({ length: 50 }, () => get(client, origin)));
  assert.equal(policy.counts.sent, 5);
  assert.equal(policy.counts.budget_spent, 45);
  assert.ok(seen.length <= 55);
});

test("with p95 nothing is hedged until the origin's times are known, then the slow ones are", async (t) => {
  const { origin } = await serve(t, ...Array.from({ length: 150 }, () => say("ok")), silent, say("hedge"));
  const { client, policy } = makeClient(t, { delay: "p95" });
  for (let i = 0; i < 100; i++) await get(client, origin);
  assert.equal(policy.counts.sent, 0);
  // The usual times of this loop decide from here on; a few of the quick ones may be hedged as well.
  const before = policy.counts.won;
  const answers: string[] = [];
  for (let i = 0; i < 60; i++) answers.push(await get(client, origin));
  assert.ok(answers.every((answer) => answer === "200 ok" || answer === "200 hedge"));
  assert.ok(policy.counts.won > before);
});

test("with maxHedges 0 the dispatch is not even wrapped", () => {
  const policy = new HedgePolicy(resolveOptions("hedge", hedgeOptions, { maxHedges: 0 }));
  assert.equal(policy.wrap(refuseDispatch), refuseDispatch);
});

const refuseDispatch: Dispatcher.Dispatch = () => false;

test("a pause asked for before the race is decided holds for the winner", async (t) => {
  const { origin } = await serve(t, silent, say("second"));
  const agent = new Agent();
  t.after(() => agent.destroy());
  const policy = new HedgePolicy(resolveOptions("hedge", hedgeOptions, { delay, budget: always }));
  const events: string[] = [];
  const ended = Promise.withResolvers<void>();
  policy.wrap(agent.dispatch.bind(agent))(
    { origin, path: "/", method: "GET" },
    {
      onRequestStart: (controller) => {
        controller.pause();
        setTimeout(() => {
          events.push("resume");
          controller.resume();
        }, delay * 4);
      },
      onResponseStart: (_controller, status) => events.push(`status ${status}`),
      onResponseData: () => events.push("data"),
      onResponseEnd: () => ended.resolve(),
      onResponseError: (_controller, error) => ended.reject(error),
    },
  );
  await ended.promise;
  assert.deepEqual(events, ["status 200", "resume", "data"]);
});

test("a request that waits for a connection is not hedged, because its hedge would wait behind it", async (t) => {
  const { origin, seen } = await serve(t, say("ok", delay * 2));
  const agent = new Agent({ connections: 1 });
  t.after(() => agent.destroy());
  const policy = new HedgePolicy(resolveOptions("hedge", hedgeOptions, { delay: delay * 3, budget: always }));
  const client = new Wrapped(policy.wrap(agent.dispatch.bind(agent)));
  await Promise.all(Array.from({ length: 4 }, () => get(client, origin)));
  assert.equal(seen.length, 4);
  assert.equal(policy.counts.sent, 0);
});

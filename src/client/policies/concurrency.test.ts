import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import type net from "node:net";
import { test, type TestContext } from "node:test";
import { Agent, Dispatcher } from "undici";
import { background, context } from "../../core/context.ts";
import { resolveOptions } from "../../core/options.ts";
import { ConcurrencyPolicy } from "./concurrency.ts";
import { concurrencyOptions, type ConcurrencyOptions } from "./options.ts";
import { StableController } from "./stable-controller.ts";

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

function makePolicy(options: ConcurrencyOptions): ConcurrencyPolicy {
  return new ConcurrencyPolicy(resolveOptions("concurrency", concurrencyOptions, options));
}

function makeClient(t: TestContext, options: ConcurrencyOptions): { client: Wrapped; policy: ConcurrencyPolicy } {
  const agent = new Agent();
  t.after(() => agent.destroy());
  const policy = makePolicy(options);
  return { client: new Wrapped(policy.wrap(agent.dispatch.bind(agent))), policy };
}

interface Served {
  readonly origin: string;
  readonly paths: string[];
  /** Most requests that were open at once. */
  most: () => number;
  /** Answers the oldest open request. */
  answer: (status?: number) => void;
  untilOpen: (count: number) => Promise<void>;
}

/** Keeps every request open until it is told to answer. */
async function serve(t: TestContext): Promise<Served> {
  const open: http.ServerResponse[] = [];
  const paths: string[] = [];
  let most = 0;
  const server = http.createServer((req, res) => {
    paths.push(req.url ?? "");
    open.push(res);
    res.on("close", () => open.includes(res) && open.splice(open.indexOf(res), 1));
    most = Math.max(most, open.length);
    server.emit("opened");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return {
    origin: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    paths,
    most: () => most,
    answer: (status = 200) => open.shift()?.writeHead(status).end("ok"),
    untilOpen: async (count) => {
      // oxlint-disable-next-line no-await-in-loop -- one after the other arrives
      while (open.length < count) await once(server, "opened");
    },
  };
}

async function get(
  client: Dispatcher,
  origin: string,
  path = "/",
  init: Partial<Dispatcher.RequestOptions> = {},
): Promise<string> {
  const response = await client.request({ origin, path, method: "GET", ...init });
  return `${response.statusCode} ${await response.body.text()}`;
}

const heldController = new StableController(() => {});

test("no more requests than the limit are in flight, and the others follow in their order", async (t) => {
  const server = await serve(t);
  const agent = new Agent();
  t.after(() => agent.destroy());
  const policy = makePolicy({ limit: 2 });
  const sent: string[] = [];
  const client = new Wrapped(
    policy.wrap((opts, handler) => {
      sent.push(opts.path);
      return agent.dispatch(opts, handler);
    }),
  );
  const answers = ["/1", "/2", "/3", "/4", "/5"].map((path) => get(client, server.origin, path));
  await server.untilOpen(2);
  assert.deepEqual(policy.stats(server.origin), { limit: 2, inFlight: 2, waiting: 3 });
  const timer = setInterval(() => server.answer(), 10);
  await Promise.all(answers);
  clearInterval(timer);
  assert.equal(server.most(), 2);
  assert.deepEqual(sent, ["/1", "/2", "/3", "/4", "/5"]);
  assert.deepEqual(policy.stats(server.origin), { limit: 2, inFlight: 0, waiting: 0 });
  assert.deepEqual(policy.counts, { waited: 3, refused: 0, timed_out: 0 });
});

test("the request above the length of the queue fails at once", async (t) => {
  const server = await serve(t);
  const { client, policy } = makeClient(t, { limit: 1, maxWaiting: 1 });
  const first = get(client, server.origin);
  const second = get(client, server.origin);
  await assert.rejects(get(client, server.origin), {
    code: "ERR_CONCURRENCY_LIMIT",
    phase: "queue",
    sent: false,
    limit: 1,
    waiting: 1,
  });
  await server.untilOpen(1);
  server.answer();
  await server.untilOpen(1);
  server.answer();
  await Promise.all([first, second]);
  assert.equal(policy.counts.refused, 1);
});

test("a request waits no longer than waitTimeout, and its place in the queue is free again", async (t) => {
  const server = await serve(t);
  const { client, policy } = makeClient(t, { limit: 1, waitTimeout: "50ms" });
  const first = get(client, server.origin);
  await assert.rejects(get(client, server.origin), { code: "ERR_CONCURRENCY_LIMIT", message: /within 50 ms/ });
  assert.equal(policy.stats(server.origin).waiting, 0);
  assert.equal(policy.counts.timed_out, 1);
  await server.untilOpen(1);
  server.answer();
  await first;
  assert.equal(server.paths.length, 1);
});

test("an abort while waiting leaves the place to the next one at once", async (t) => {
  const server = await serve(t);
  const { client, policy } = makeClient(t, { limit: 1 });
  const first = get(client, server.origin, "/first");
  const abort = new AbortController();
  const second = get(client, server.origin, "/second", { signal: abort.signal });
  const third = get(client, server.origin, "/third");
  await server.untilOpen(1);
  abort.abort(new Error("changed my mind"));
  await assert.rejects(second, /changed my mind/);
  assert.equal(policy.stats(server.origin).waiting, 1);
  server.answer();
  await server.untilOpen(1);
  server.answer();
  await Promise.all([first, third]);
  assert.deepEqual(server.paths, ["/first", "/third"]);
});

test("an abort in flight and a broken connection each give their place back", async (t) => {
  const server = await serve(t);
  const { client, policy } = makeClient(t, { limit: 2 });
  const abort = new AbortController();
  const aborted = get(client, server.origin, "/", { signal: abort.signal });
  await assert.rejects(get(client, "http://127.0.0.1:1"), { code: "ECONNREFUSED" });
  await server.untilOpen(1);
  abort.abort(new Error("enough"));
  await assert.rejects(aborted, /enough/);
  assert.equal(policy.stats(server.origin).inFlight, 0);
  assert.equal(policy.stats("http://127.0.0.1:1").inFlight, 0);
});

test("the end of a waiting request's context ends its waiting", async (t) => {
  const server = await serve(t);
  const { client, policy } = makeClient(t, { limit: 1 });
  const first = get(client, server.origin);
  using owned = background.child();
  const second = owned.run(() => get(client, server.origin));
  await server.untilOpen(1);
  owned.cancel(new Error("client gone"));
  await assert.rejects(second, /client gone/);
  assert.equal(policy.stats(server.origin).waiting, 0);
  server.answer();
  await first;
});

test("a request that had to wait is sent in its own caller's context", async (t) => {
  const server = await serve(t);
  const agent = new Agent();
  t.after(() => agent.destroy());
  const seen: unknown[] = [];
  const client = new Wrapped(
    makePolicy({ limit: 1 }).wrap((opts, handler) => {
      seen.push(context());
      return agent.dispatch(opts, handler);
    }),
  );
  using one = background.child();
  using two = background.child();
  const first = one.run(() => get(client, server.origin));
  const second = two.run(() => get(client, server.origin));
  await server.untilOpen(1);
  server.answer();
  await server.untilOpen(1);
  server.answer();
  await Promise.all([first, second]);
  assert.deepEqual(
    seen.map((given) => [one, two].indexOf(given as typeof one)),
    [0, 1],
  );
});

test("a long queue whose requests all fail at once empties without a deep stack", () => {
  const policy = makePolicy({ limit: 1, maxWaiting: Infinity });
  const held: Dispatcher.DispatchHandler[] = [];
  const dispatch = policy.wrap((opts, handler) => {
    if (opts.path === "/held") held.push(handler);
    else throw new Error("no way out");
    return true;
  });
  const opts = { origin: "http://shop.test", method: "GET" } as const;
  let failed = 0;
  dispatch({ ...opts, path: "/held" }, {});
  for (let i = 0; i < 20_000; i++) dispatch({ ...opts, path: "/" }, { onResponseError: () => (failed += 1) });
  assert.deepEqual(policy.stats(opts.origin), { limit: 1, inFlight: 1, waiting: 20_000 });
  held[0]?.onResponseError?.(heldController, new Error("gone"));
  assert.equal(failed, 20_000);
  assert.deepEqual(policy.stats(opts.origin), { limit: 1, inFlight: 0, waiting: 0 });
});

test("an adaptive limit starts at min, and shrinks no further when the server refuses", async (t) => {
  const server = await serve(t);
  const { client, policy } = makeClient(t, { limit: "adaptive", min: 3, max: 10 });
  const timer = setInterval(() => server.answer(503), 1);
  t.after(() => clearInterval(timer));
  await Promise.all(Array.from({ length: 60 }, () => get(client, server.origin)));
  assert.equal(server.most(), 3);
  assert.equal(policy.stats(server.origin).limit, 3);
});

test("an adaptive limit grows on a real server while its answers stay quick", async (t) => {
  const server = http.createServer((_req, res) => setTimeout(() => res.end("ok"), 10)).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const origin = `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
  const { client, policy } = makeClient(t, { limit: "adaptive", min: 4, max: 100 });
  const endsAt = performance.now() + 2_500;
  const work = async (): Promise<void> => {
    // oxlint-disable-next-line no-await-in-loop -- a worker makes one request at a time
    while (performance.now() < endsAt) await get(client, origin);
  };
  await Promise.all(Array.from({ length: 12 }, work));
  t.diagnostic(`limit ${policy.stats(origin).limit} after 2.5 s`);
  assert.ok(policy.stats(origin).limit > 4);
  assert.equal(policy.stats(origin).inFlight, 0);
});

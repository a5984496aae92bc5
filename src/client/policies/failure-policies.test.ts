import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import type net from "node:net";
import { test } from "node:test";
import { Dispatcher } from "undici";
import { resolveOptions } from "../../core/options.ts";
import { Transport } from "../transport.ts";
import { FailurePolicies } from "./failure-policies.ts";
import { concurrencyOptions, hedgeOptions, retryOptions } from "./options.ts";

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

const refuseDispatch: Dispatcher.Dispatch = () => false;

test("without any policy the dispatch is the same function", () => {
  assert.equal(new FailurePolicies({}).wrap(refuseDispatch), refuseDispatch);
});

test("retries, hedges and the limit work together over a Transport, and leave nothing behind", async (t) => {
  // Arrange: of the answers in turn one is an error, one never comes, and the others are well.
  let open = 0;
  let most = 0;
  let requests = 0;
  const server = http.createServer((_req, res) => {
    open += 1;
    most = Math.max(most, open);
    res.once("close", () => (open -= 1));
    const turn = requests++ % 8;
    if (turn === 3) res.writeHead(503).end("busy");
    else if (turn !== 6) setTimeout(() => res.end("ok"), 5);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  await using transport = new Transport();
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const heard: Record<string, number> = {};
  const hear = (what: string): void => {
    heard[what] = (heard[what] ?? 0) + 1;
  };
  const budget = { ratio: 1, minPerSecond: 100 };
  const policies = new FailurePolicies(
    {
      retry: resolveOptions("retry", retryOptions, { attempts: 5, budget, backoff: { from: 5, to: 20 } }),
      hedge: resolveOptions("hedge", hedgeOptions, { delay: 80, maxHedges: 3, budget }),
      concurrency: resolveOptions("concurrency", concurrencyOptions, { limit: 8 }),
    },
    { onRetry: hear, onHedge: hear, onLimit: hear },
  );
  const client = new Wrapped(policies.wrap((opts, handler) => transport.dispatch(opts, handler)));
  const origin = `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`;

  // Act
  const answers = await Promise.all(
    Array.from({ length: 100 }, async () => {
      const response = await client.request({ origin, path: "/", method: "GET" });
      return `${response.statusCode} ${await response.body.text()}`;
    }),
  );

  // Assert
  assert.deepEqual([...new Set(answers)], ["200 ok"]);
  assert.deepEqual(policies.concurrency?.stats(origin), { limit: 8, inFlight: 0, waiting: 0 });
  const counted: Record<string, number> = {
    ...policies.retry?.counts,
    ...policies.hedge?.counts,
    ...policies.concurrency?.counts,
  };
  for (const [what, count] of Object.entries(counted)) assert.equal(heard[what] ?? 0, count, what);
  assert.ok((counted["503"] ?? 0) > 0 && (counted["won"] ?? 0) > 0 && (counted["waited"] ?? 0) > 0);
  // Eight calls with up to three hedges each; the server hears of an aborted one a little later.
  assert.ok(most <= 32, `${most} open at once`);
});

/**
 * What must hold for every HTTP client that is given a transport, whichever way: the same five tests for each.
 *
 * A client is reduced to one function here. What only it can do is tested beside it, in `test/peers`.
 */

import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { Transport } from "sluice/client";
import { assertNothingLeft, listen, until } from "./loopback.ts";
import { serve, type Served } from "./node-http.ts";
import { assertQuiet } from "./transport-checks.ts";

/** Fetches a URL with the client under test; resolves to the body, and rejects for whatever is no 2xx. */
export type PeerGet = (url: string, signal?: AbortSignal) => Promise<string>;

/** A client on a transport, and how to let go of what it holds besides. */
export interface Peer {
  readonly get: PeerGet;
  readonly dispose?: () => void;
}

const routes: RequestListener = (request, response) => {
  switch (request.url?.split("?", 1)[0]) {
    case "/slow":
      setTimeout(() => response.end("slow"), 10);
      return;
    case "/never":
      return;
    case "/endless":
      response.write("begun");
      return;
    default:
      response.end(`${request.method} ${request.url}`);
  }
};

/** A server that answers at once, late (`/slow`), not at all (`/never`) or without an end (`/endless`). */
export function servePeers(): Promise<Served> {
  return serve(routes, createServer());
}

/** Every code and name in an error, its causes and what it collects: clients wrap what went wrong in their own ways. */
export function namesOf(thrown: unknown): string[] {
  const names: string[] = [];
  let left: unknown[] = [thrown];
  for (let depth = 0; depth < 6 && left.length > 0; depth += 1) {
    const found = left.filter((each) => each instanceof Error);
    names.push(...found.flatMap((error) => ["code" in error ? String(error.code) : "", error.name]));
    left = found.flatMap((error) =>
      error instanceof AggregateError ? error.errors.concat(error.cause) : [error.cause],
    );
  }
  return names;
}

async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  const [result] = await Promise.allSettled([promise]);
  assert.equal(result.status, "rejected");
  return result.reason;
}

async function refusedUrl(): Promise<string> {
  const gone = await listen(createTcpServer());
  await gone[Symbol.asyncDispose]();
  return `http://127.0.0.1:${gone.port}/`;
}

type Connect = (transport: Transport) => Peer;

/** Declares the tests. `connect` gives the client a transport. */
export function testPeer(name: string, connect: Connect): void {
  testReuse(name, connect);
  testFailures(name, connect);
}

function testReuse(name: string, connect: Connect): void {
  test(`${name}: requests one after another use one connection`, async () => {
    await using served = await servePeers();
    await using transport = new Transport();
    const { get, dispose } = connect(transport);
    for (let index = 0; index < 20; index += 1) {
      // oxlint-disable-next-line no-await-in-loop -- one after another is the point
      assert.equal(await get(`${served.url}/echo?n=${index}`), `GET /echo?n=${index}`);
    }
    await assertQuiet(transport);
    const { opened, reused } = transport.stats();
    assert.deepEqual({ accepted: served.accepted(), opened, reused }, { accepted: 1, opened: 1, reused: 19 });
    dispose?.();
  });

  test(`${name}: requests at once use no more connections than maxConnsPerHost`, async () => {
    await using served = await servePeers();
    await using transport = new Transport({ maxConnsPerHost: 4 });
    const { get, dispose } = connect(transport);
    const bodies = await Promise.all(Array.from({ length: 40 }, () => get(`${served.url}/slow`)));
    assert.equal(
      bodies.every((body) => body === "slow"),
      true,
    );
    assert.equal(served.accepted(), 4);
    await assertQuiet(transport);
    dispose?.();
  });
}

function testFailures(name: string, connect: Connect): void {
  test(`${name}: a refused connection and a full pool are told by their codes`, async () => {
    await using served = await servePeers();
    await using transport = new Transport({ maxConnsPerHost: 1, maxWaitersPerHost: 1, poolTimeout: 50 });
    const { get, dispose } = connect(transport);
    assert.ok(namesOf(await rejectionOf(get(await refusedUrl()))).includes("ECONNREFUSED"));
    const controller = new AbortController();
    const running = rejectionOf(get(`${served.url}/never`, controller.signal));
    await until(() => transport.stats().inUse === 1);
    const names = namesOf(await rejectionOf(get(`${served.url}/echo`)));
    assert.ok(names.includes("ERR_POOL_TIMEOUT"), `got ${names.join()}`);
    controller.abort();
    await running;
    await assertQuiet(transport);
    dispose?.();
  });

  test(`${name}: an abort ends a request that waits, one that runs and one whose body comes`, async () => {
    await using served = await servePeers();
    await using transport = new Transport({ maxConnsPerHost: 2 });
    const { get, dispose } = connect(transport);
    const controllers = Array.from({ length: 4 }, () => new AbortController());
    const paths = ["/never", "/endless", "/echo?n=1", "/echo?n=2"];
    const ends = paths.map((path, index) => rejectionOf(get(served.url + path, controllers[index]?.signal)));
    await until(() => transport.stats().waiting === 2 && transport.stats().inUse === 2);
    await sleep(20);
    for (const controller of controllers.toReversed()) controller.abort();
    const startedAt = performance.now();
    for (const error of await Promise.all(ends)) assert.ok(error instanceof Error);
    assert.ok(performance.now() - startedAt < 500);
    await assertQuiet(transport);
    assert.equal(await get(`${served.url}/echo`), "GET /echo");
    dispose?.();
  });

  test(`${name}: after close nothing is left, and requests are refused`, async () => {
    const served = await servePeers();
    const transport = new Transport();
    const { get, dispose } = connect(transport);
    await Promise.all([1, 2, 3].map(() => get(`${served.url}/slow`)));
    await transport.close();
    const names = namesOf(await rejectionOf(get(`${served.url}/echo`)));
    assert.ok(names.includes("ERR_TRANSPORT_CLOSED"), `got ${names.join()}`);
    await assertQuiet(transport);
    assert.equal(transport.stats().idle, 0);
    dispose?.();
    await served[Symbol.asyncDispose]();
    await assertNothingLeft();
  });
}

/**
 * The reference shop as its user meets it: started as a program, looked at over HTTP, hurt, stopped by a signal.
 */

// oxlint-disable no-await-in-loop -- each step of a test follows the one before it

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { get, ShopProcess, until } from "./support/shop-process.ts";

/** A zombie is over: in a container nobody may ever collect it. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== "linux" || !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
  } catch {
    return false; // ESRCH or ENOENT: there is no such process
  }
}

test("a product page is whole HTML with its stock and reviews, and its JSON twin says the same", async (t) => {
  const shop = new ShopProcess(t, "--port", "0");
  const url = await shop.url();

  const [list, page, twin, style] = await Promise.all([
    get(`${url}/`),
    get(`${url}/products/stoneware-mug`),
    get(`${url}/api/products/stoneware-mug`),
    get(`${url}/shop.css`),
  ]);

  assert.equal(list.status, 200);
  assert.equal(list.body.match(/<li class="card">/g)?.length, 12);
  assert.equal(page.headers["content-type"], "text/html; charset=utf-8");
  assert.match(
    page.body,
    /^<!doctype html>[^]*<h1>Stoneware mug<\/h1>[^]*€24\.00[^]*In stock[^]*The one everybody takes/,
  );
  const product = JSON.parse(twin.body) as {
    priceCents: number;
    stock: number;
    reviews: unknown[];
    unavailable: unknown;
  };
  assert.equal(product.priceCents, 2400);
  assert.equal(product.stock, 140);
  assert.equal(product.reviews.length, 3);
  assert.deepEqual(product.unavailable, []);
  assert.equal(style.headers["content-type"], "text/css; charset=utf-8");
});

test("fifty pages, one after the other, are made over a handful of connections", async (t) => {
  const shop = new ShopProcess(t, "--port", "0");
  const url = await shop.url();

  for (let page = 0; page < 50; page += 1) {
    const { status } = await get(`${url}/products/day-pack`);
    assert.equal(status, 200);
  }

  const { body } = await get(`${url}/debug/pool`);
  const { opened, reused } = JSON.parse(body) as { opened: number; reused: number };
  assert.ok(opened <= 6, `150 requests opened ${opened} connections`);
  assert.ok(reused >= 144, `only ${reused} of 150 requests were sent on a used connection`);
});

test("what the shop does not have or do is refused with the right status", async (t) => {
  const shop = new ShopProcess(t, "--port", "0");
  const url = await shop.url();

  const missing = await get(`${url}/products/unicorn`);
  assert.equal(missing.status, 404);
  assert.match(missing.body, /nothing called “unicorn”/);
  for (const path of ["/nowhere", "/?category=weapons", "/products/%3Cscript%3E", "/products/../x", "//", "/api/x"]) {
    const { status, body } = await get(`${url}${path}`);
    assert.equal(status, 404, path);
    assert.doesNotMatch(body, /<script>/);
  }
  const post = await get(`${url}/`, { method: "POST" });
  assert.equal(post.status, 405);
  assert.equal(post.headers.allow, "GET, HEAD");
  const head = await get(`${url}/products/day-pack`, { method: "HEAD" });
  assert.deepEqual([head.status, head.body], [200, ""]);
  assert.ok(Number(head.headers["content-length"]) > 1000);
});

test("the debug pages refuse a Host that is not this machine", async (t) => {
  const shop = new ShopProcess(t, "--port", "0");
  const url = await shop.url();

  const [local, foreign, prefixed] = await Promise.all([
    get(`${url}/debug/pool`, { headers: { host: "localhost:1" } }),
    get(`${url}/debug/pool`, { headers: { host: "rebound.example" } }),
    get(`${url}/debug/upstreams`, { headers: { host: "localhost.example:80" } }),
  ]);

  assert.deepEqual([local.status, foreign.status, prefixed.status], [200, 403, 403]);
  assert.doesNotMatch(foreign.body + prefixed.body, /pid|idle/);
});

test("a page comes without the reviews when their service hangs, and not at all without the catalog", async (t) => {
  const shop = new ShopProcess(t, "--port", "0");
  const url = await shop.url();
  const { reviews, catalog } = await shop.upstreams();
  assert.ok(reviews && catalog);

  process.kill(reviews.pid, "SIGSTOP");
  const partial = await get(`${url}/products/day-pack`);
  assert.equal(partial.status, 200);
  assert.match(
    partial.body,
    /Day pack[^]*Reviews are not shown right now[^]*ERR_RESPONSE_HEADER_TIMEOUT[^]*response_header/,
  );

  process.kill(reviews.pid, "SIGCONT");
  process.kill(catalog.pid, "SIGSTOP");
  const failed = await get(`${url}/products/day-pack`);
  assert.equal(failed.status, 504);
  assert.match(failed.body, /The <strong>catalog<\/strong> service did not answer in time/);
  const twin = await get(`${url}/api/products/day-pack`);
  const { error } = JSON.parse(twin.body) as { error: Record<string, unknown> };
  assert.deepEqual(
    [error["role"], error["status"], error["code"], error["phase"]],
    ["catalog", 504, "ERR_RESPONSE_HEADER_TIMEOUT", "response_header"],
  );

  // The stopped catalog can't end by itself: the shop has to force it.
  await shop.stop();
  assert.equal(isAlive(catalog.pid), false);
});

test("a service that is killed is a 502 that names it, then comes back under its old address", async (t) => {
  const shop = new ShopProcess(t, "--port", "0");
  const url = await shop.url();
  const { catalog } = await shop.upstreams();
  assert.ok(catalog);

  process.kill(catalog.pid, "SIGKILL");
  const failed = await until(async () => {
    const answer = await get(`${url}/api/products`);
    return answer.status === 200 ? undefined : answer;
  });
  assert.equal(failed.status, 502);
  // Refused; or reset, for a page that was on its way when the service died.
  assert.match(failed.body, /"role": "catalog"[^]*"code": "(?:ECONNREFUSED"[^]*"phase": "connect"|ECONNRESET")/);

  const restarted = await until(async () => {
    const now = (await shop.upstreams())["catalog"];
    return now?.state === "up" && now.pid !== catalog.pid ? now : undefined;
  });
  assert.equal(restarted.restarts, 1);
  assert.equal((await get(`${url}/products/day-pack`)).status, 200);
  assert.match(shop.output, /catalog ended \(SIGKILL\), restart in 250 ms/);
});

test("a page that nobody waits for any more is given up, and its calls to the services with it", async (t) => {
  const shop = new ShopProcess(t, "--port", "0");
  const url = await shop.url();
  const { catalog } = await shop.upstreams();
  assert.ok(catalog);
  process.kill(catalog.pid, "SIGSTOP");

  const sent = request(`${url}/`, { agent: false });
  sent.on("error", () => undefined);
  sent.end();
  const pool = async (): Promise<Record<string, number>> =>
    JSON.parse((await get(`${url}/debug/pool`)).body) as Record<string, number>;
  await until(async () => ((await pool())["inUse"] === 0 ? undefined : true));
  sent.destroy();

  // Long before the Transport would give up by itself: one second.
  const leftAt = performance.now();
  await until(async () => ((await pool())["inUse"] === 0 ? true : undefined));
  assert.ok(performance.now() - leftAt < 700, `the calls went on for ${Math.round(performance.now() - leftAt)} ms`);
  process.kill(catalog.pid, "SIGCONT");
});

test("/debug/server tells of the pages that were served, by numbers that fit together", async (t) => {
  const shop = new ShopProcess(t, "--port", "0");
  const url = await shop.url();
  for (let page = 0; page < 3; page += 1) await get(`${url}/products/day-pack`);

  const { body } = await get(`${url}/debug/server`);

  const stats = JSON.parse(body) as Record<string, unknown> & {
    connections: Record<string, number>;
    limits: Record<string, unknown>;
  };
  assert.deepEqual([stats["name"], stats["state"], stats["requests"], stats["inFlight"]], ["shop", "serving", 3, 1]);
  assert.deepEqual([stats["concurrencyLimit"], stats["lateWrites"], stats["badRequests"]], [200, 0, 0]);
  assert.ok((stats.connections["active"] ?? 0) >= 1);
  assert.deepEqual(stats.limits, { maxConns: 10_000, maxConnsPerIp: "Infinity", maxUpgradedConns: 10_000 });
});

test("a shop that was told to stop is not ready, and serves those who still come, until it closes", async (t) => {
  const shop = new ShopProcess(t, "--port", "0");
  const url = await shop.url();
  const ready = await get(`${url}/readyz`);
  assert.deepEqual([ready.status, JSON.parse(ready.body)], [200, { status: "ready" }]);

  shop.child.kill("SIGTERM");
  const draining = await until(async () => {
    const answer = await get(`${url}/readyz`);
    return answer.status === 200 ? undefined : answer;
  });
  const page = await get(`${url}/products/day-pack`);

  assert.deepEqual([draining.status, JSON.parse(draining.body)], [503, { status: "draining" }]);
  assert.deepEqual([page.status, page.headers.connection], [200, "close"]);
  await shop.exited;
  assert.equal(shop.child.exitCode, 0, shop.errors);
});

test("SIGTERM stops the shop within two seconds, with customers in it, and leaves no process", async (t) => {
  const shop = new ShopProcess(t, "--port", "0", "--traffic", "100");
  await shop.url();
  const pids = Object.values(await shop.upstreams()).map(({ pid }) => pid);
  await sleep(500);

  const before = performance.now();
  await shop.stop();

  assert.equal(shop.child.exitCode, 0, shop.errors);
  assert.ok(performance.now() - before < 2000, `stopping took ${Math.round(performance.now() - before)} ms`);
  assert.deepEqual(pids.filter(isAlive), []);
  assert.equal(shop.errors, "");
});

test("the services end with a shop that was killed", async (t) => {
  const shop = new ShopProcess(t, "--port", "0");
  const pids = Object.values(await shop.upstreams()).map(({ pid }) => pid);
  assert.equal(pids.length, 3);

  shop.child.kill("SIGKILL");

  await until(() => (pids.some(isAlive) ? undefined : true));
  await shop.exited;
});

test("a wrong command line is told what to write instead", async (t) => {
  const taken = createServer();
  await once(taken.listen(0, "127.0.0.1"), "listening");
  const address = taken.address();
  assert.ok(typeof address === "object" && address !== null);
  const cases: readonly [string[], RegExp][] = [
    [["--trafic"], /There is no option --trafic\. Did you mean --traffic\?/],
    [["--port", "x"], /--port takes a whole number from 0 to 65535, not "x"/],
    [["--data", "--traffic"], /--data takes a folder: --data .\/millrace/],
    [["--data", "/dev/null/x"], /--data: the folder cannot be used\. ENOTDIR/],
    [["--traffic", "9999"], /--traffic takes a whole number from 1 to 2000, not "9999"/],
    [["--port", String(address.port)], /Port \d+ is taken by another program\. Any free one: npm start -- --port 0/],
  ];

  for (const [args, message] of cases) {
    const shop = new ShopProcess(t, ...args);
    await shop.exited;
    assert.equal(shop.child.exitCode, 2, args.join(" "));
    assert.match(shop.errors, message);
  }
  taken.close();
});

/**
 * Orders in the reference shop: taken over HTTP by a form and as JSON, watched by streams and in a real browser, and
 * carried through by a shop that is stopped and killed meanwhile.
 */

// oxlint-disable no-await-in-loop -- each step of a test follows the one before it

import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { get as httpGet, request as httpRequest, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { chromium } from "playwright-core";
import { WebSocket } from "ws";
import { requirement } from "./support/require.ts";
import { get, makeFolder, ShopProcess, until, type Answer } from "./support/shop-process.ts";

interface Order {
  readonly id: string;
  readonly state: string;
  readonly stream: string;
  readonly events: readonly { readonly number: number; readonly state: string; readonly note?: string }[];
}

interface Pool {
  readonly origins: readonly { readonly origin: string; readonly inUse: number }[];
}

function orderJson(url: string, wish: object, headers: Record<string, string> = {}): Promise<Answer> {
  const type = { "content-type": "application/json" };
  return get(`${url}/api/orders`, { method: "POST", headers: { ...type, ...headers }, body: JSON.stringify(wish) });
}

async function order(url: string, productId = "stoneware-mug"): Promise<Order> {
  const { status, body } = await orderJson(url, { product: productId, quantity: 1, email: "ada@example.com" });
  assert.equal(status, 201, body);
  return JSON.parse(body) as Order;
}

async function lookAt(url: string, id: string): Promise<Order> {
  return JSON.parse((await get(`${url}/api/orders/${id}`)).body) as Order;
}

async function stockOf(url: string, id: string): Promise<number> {
  return (JSON.parse((await get(`${url}/api/products/${id}`)).body) as { stock: number }).stock;
}

function linesOf(folder: string, name: string): readonly Record<string, unknown>[] {
  const lines = readFileSync(join(folder, name), "utf8").split("\n");
  return lines.flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Record<string, unknown>]));
}

function mailsIn(folder: string): readonly string[] {
  return readdirSync(join(folder, "outbox")).filter((name) => name.endsWith(".eml"));
}

/** The events of an order, as they come. */
class Watcher {
  readonly ids: string[] = [];
  readonly states: string[] = [];
  text = "";
  readonly ended: Promise<unknown>;
  status = 0;

  constructor(t: TestContext, url: string, lastEventId?: string) {
    const sent = httpGet(url, { agent: false, headers: lastEventId ? { "last-event-id": lastEventId } : {} });
    t.after(() => sent.destroy());
    sent.on("error", () => undefined); // the shop was killed: its "close" follows
    sent.on("response", (response: IncomingMessage) => {
      this.status = response.statusCode ?? 0;
      response.on("error", () => undefined);
      response.on("data", (chunk: Buffer) => this.#read(chunk.toString()));
    });
    this.ended = once(sent, "close");
  }

  #read(chunk: string): void {
    this.text += chunk;
    const blocks = this.text.split("\n\n").slice(0, -1);
    const events = blocks.filter((block) => block.startsWith("event: order"));
    this.ids.splice(0, Infinity, ...events.map((block) => /^id: (.*)$/m.exec(block)?.[1] ?? ""));
    this.states.splice(0, Infinity, ...events.map((block) => /"state":"([\w-]+)"/.exec(block)?.[1] ?? ""));
  }
}

test("a form that is sent twice is one order: stock, audit line, mail and page", async (t) => {
  const folder = makeFolder();
  const shop = new ShopProcess(t, "--port", "0", "--data", folder);
  const url = await shop.url();
  const before = await stockOf(url, "steel-bottle");
  const page = await get(`${url}/products/steel-bottle`);
  const token = /name="token" value="([\w-]+)"/.exec(page.body)?.[1] ?? "";
  const form = new URLSearchParams({ product: "steel-bottle", quantity: "2", email: "ada@example.com", token });
  const type = { "content-type": "application/x-www-form-urlencoded" };

  const send = (): Promise<Answer> => get(`${url}/orders`, { method: "POST", headers: type, body: form.toString() });
  const [first, second] = await Promise.all([send(), send()]);
  const third = await send();
  form.set("quantity", "3");
  const changed = await send();

  assert.deepEqual([first.status, second.status, third.status, changed.status], [303, 303, 303, 422]);
  const { location = "" } = first.headers;
  assert.match(location, /^\/orders\/[\w-]{16}$/);
  assert.deepEqual([second.headers.location, third.headers.location], [location, location]);
  assert.match(changed.body, /This form has been sent before/);
  assert.equal(await stockOf(url, "steel-bottle"), before - 2);
  const shown = await get(url + location);
  assert.match(shown.body, /2 × Steel bottle[^]*€\d+\.\d\d[^]*ada@example\.com/);
  assert.match(String(shown.headers["content-security-policy"]), /default-src 'none'.*script-src 'self'/);
  assert.doesNotMatch(shown.body, /<script(?! src=)| style=| on\w+=/);
  await until(() => (mailsIn(folder).length > 0 ? true : undefined));
  assert.match(readFileSync(join(folder, "outbox", mailsIn(folder)[0] ?? ""), "utf8"), /^To: <ada@example.com>\r$/m);
  await shop.kill();
  assert.deepEqual([mailsIn(folder).length, linesOf(folder, "audit.jsonl").length], [1, 1]);
  assert.equal(shop.errors, "");
});

test("an order with something wrong in it is refused in the right words, and takes no stock", async (t) => {
  const shop = new ShopProcess(t, "--port", "0");
  const url = await shop.url();
  const good = { product: "day-pack", quantity: 1, email: "ada@example.com" };
  const json = { "content-type": "application/json" };
  const cases: readonly [number, RegExp, object, Record<string, string>?][] = [
    [422, /Choose 1 to 9/, { ...good, quantity: 0 }],
    [422, /Choose 1 to 9/, { ...good, quantity: "1e1" }],
    [422, /ada@example\.com/, { ...good, email: "eve@example.com\r\nBcc: all@example.com" }],
    [422, /ada@example\.com/, { ...good, email: { at: "x" } }],
    [422, /damaged/, good, { "idempotency-key": "short" }],
    [409, /only 2 left/, { ...good, quantity: 3 }],
    [409, /Sold out/, { ...good, product: "quiet-clock" }],
    [404, /nothing of that name/, { ...good, product: "../stock" }],
    [404, /nothing of that name/, { product: "unicorn" }],
    [403, /own pages/, good, { "sec-fetch-site": "cross-site" }],
    [415, /sent here as application\/json/, good, { "content-type": "text/plain" }],
    [413, /too large/, { ...good, email: "a".repeat(5000) }],
  ];

  for (const [status, words, wish, headers] of cases) {
    const answer = await orderJson(url, wish, headers);
    assert.equal(answer.status, status, `${JSON.stringify(wish)}: ${answer.body}`);
    assert.match(answer.body, words);
  }
  const broken = await get(`${url}/api/orders`, { method: "POST", headers: json, body: "[1" });
  const read = await get(`${url}/orders`);
  const unknown = await Promise.all(
    ["AAAAAAAAAAAAAAAA", "x", "..%2f", "AAAAAAAAAAAAAAAA/events"].map((id) => get(`${url}/orders/${id}`)),
  );

  assert.deepEqual([broken.status, read.status, read.headers.allow], [400, 405, "POST"]);
  assert.deepEqual(
    unknown.map(({ status }) => status),
    [404, 404, 404, 404],
  );
  assert.equal(await stockOf(url, "day-pack"), 2);
  const form = new URLSearchParams({ product: "day-pack", quantity: "77", email: '"><b>', token: "12345678" });
  const type = { "content-type": "application/x-www-form-urlencoded" };
  const again = await get(`${url}/orders`, { method: "POST", headers: type, body: form.toString() });
  assert.equal(again.status, 422);
  await shop.kill();
  assert.match(again.body, /value="77"[^]*aria-invalid="true"[^]*Choose 1 to 9[^]*value="&quot;&gt;&lt;b&gt;"/);
});

test("an order whose customer leaves in the middle of it is finished all the same", async (t) => {
  const folder = makeFolder();
  const shop = new ShopProcess(t, "--port", "0", "--data", folder);
  const url = await shop.url();
  const { stock } = await shop.upstreams();
  assert.ok(stock);
  await until(async () => /"warm-cache"[^]*"ok": 1/.test((await get(`${url}/debug/tasks`)).body) || undefined);
  process.kill(stock.pid, "SIGSTOP");

  const sent = httpRequest(`${url}/api/orders`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    agent: false,
  });
  sent.on("error", () => undefined);
  sent.end(JSON.stringify({ product: "day-pack", quantity: 1, email: "ada@example.com" }));
  await until(async () => {
    const { origins } = JSON.parse((await get(`${url}/debug/pool`)).body) as Pool;
    return origins.some(({ origin, inUse }) => origin === stock.url && inUse === 1) || undefined;
  });
  sent.destroy();
  await until(async () => {
    const server = JSON.parse((await get(`${url}/debug/server`)).body) as { readonly inFlight: number };
    return server.inFlight === 1 || undefined; // this look itself
  });
  process.kill(stock.pid, "SIGCONT");

  await until(() => mailsIn(folder).length === 1 || undefined);
  await shop.kill();
});

test("a browser orders by the form, sees the stock go down elsewhere, and follows the order to its end", async (t) => {
  const executablePath = requirement(t, "chromium");
  if (executablePath === undefined) return;
  const shop = new ShopProcess(t, "--port", "0");
  const [url, browser] = await Promise.all([shop.url(), chromium.launch({ executablePath, args: ["--no-sandbox"] })]);
  t.after(() => browser.close());
  const [shelf, page] = await Promise.all([browser.newPage(), browser.newPage()]);
  const complaints: string[] = [];
  for (const each of [shelf, page]) {
    each.on("console", (message) => complaints.push(message.text()));
    each.on("pageerror", (error) => complaints.push(error.message));
  }
  await Promise.all([shelf.goto(`${url}/products/storm-lantern`), page.goto(`${url}/products/storm-lantern`)]);
  const label = shelf.locator("[data-stock=storm-lantern]");
  assert.equal(await label.textContent().then((text) => text?.trim()), "In stock, 22 left");

  await page.fill("#quantity", "3");
  await page.fill("#email", "ada@example.com");
  await page.click("button[type=submit]");
  await page.waitForURL(/\/orders\/[\w-]{16}$/);
  const id = page.url().split("/").at(-1) ?? "";
  const watcher = new Watcher(t, `${url}/orders/${id}/events`, "0");

  await shelf.getByText("In stock, 19 left").waitFor();
  for (const headline of ["Packed", "On its way", "Delivered"]) {
    await page.locator("#headline", { hasText: headline }).waitFor({ timeout: 10_000 });
  }
  assert.equal(await page.locator(".journey .done").count(), 5);
  assert.equal(await page.locator("[aria-current=step]").getAttribute("data-state"), "delivered");

  // The same by a client that is no browser: every event once, in order, and an end that stays one.
  await watcher.ended;
  assert.deepEqual(watcher.states, ["confirmed", "packed", "on-its-way", "delivered"]);
  assert.deepEqual(watcher.ids, ["2", "3", "4", "5"]);
  const resumed = new Watcher(t, `${url}/orders/${id}/events`, "3");
  const over = new Watcher(t, `${url}/orders/${id}/events`, "5");
  await Promise.all([resumed.ended, over.ended]);
  assert.deepEqual([resumed.ids, over.status, over.text], [["4", "5"], 204, ""]);
  assert.deepEqual(complaints, []);

  // Not from a page of somebody else.
  const foreign = new WebSocket(`${url.replace("http", "ws")}/stock`, { origin: "https://elsewhere.example" });
  const [refused] = (await once(foreign, "unexpected-response").then(([, response]) => [response])) as [
    IncomingMessage,
  ];
  assert.equal(refused.statusCode, 403);
  foreign.on("error", () => undefined);
  foreign.terminate();
  await shop.kill();
});

test("a shop that is killed between order and mail sends the mail at its next start, and once", async (t) => {
  const folder = makeFolder();
  // Broken, or a machine that is slow enough would have sent the mail before the kill.
  const killed = new ShopProcess(t, "--port", "0", "--data", folder, "--broken-mail");
  const { id } = await order(await killed.url());
  await killed.kill();
  assert.deepEqual(mailsIn(folder), []);

  const shop = new ShopProcess(t, "--port", "0", "--data", folder);
  const url = await shop.url();
  const watcher = new Watcher(t, `${url}/orders/${id}/events`, "1");

  await until(() => watcher.states.at(-1) === "packed" || undefined);
  await shop.kill();
  assert.deepEqual(mailsIn(folder), [`${id}.eml`]);
  const onceEach = ["confirmed", "packed"];
  assert.deepEqual(
    watcher.states.filter((state) => state !== "received"),
    onceEach,
  );
  const states = linesOf(folder, "orders.jsonl").flatMap(({ event }) => (event as { state: string } | undefined) ?? []);
  assert.deepEqual(
    states.flatMap(({ state }) => (state === "received" ? [] : state)),
    onceEach,
  );
});

test("Ctrl-C with orders under way finishes what runs, keeps the rest, and the next start goes on with it", async (t) => {
  const folder = makeFolder();
  const first = new ShopProcess(t, "--port", "0", "--data", folder, "--broken-mail");
  const url = await first.url();
  const placed = await order(url);
  const watcher = new Watcher(t, url + placed.stream);
  await until(() =>
    /The mail did not go out \(1 of 5\)\. It will be tried again/.test(watcher.text) ? true : undefined,
  );

  const stoppedAt = performance.now();
  first.child.kill("SIGINT");
  await Promise.all([watcher.ended, first.exited]);

  assert.ok(performance.now() - stoppedAt < 4000, `stopping took ${Math.round(performance.now() - stoppedAt)} ms`);
  assert.deepEqual([first.child.exitCode, first.errors], [0, ""]);
  assert.match(first.output, /finished; 1 job kept in the queue for the next start; nothing abandoned\./);
  assert.match(watcher.text, /retry: \d+\n\n$/);
  assert.deepEqual(mailsIn(folder), []);

  const second = new ShopProcess(t, "--port", "0", "--data", folder);
  const now = await second.url();
  const { state } = await until(async () => {
    const seen = await lookAt(now, placed.id);
    return seen.state === "received" ? undefined : seen;
  });
  await second.kill();
  assert.equal(state, "confirmed");
  assert.deepEqual(mailsIn(folder), [`${placed.id}.eml`]);
});

test("/debug/tasks and /debug/streams tell of orders, and of what was given up", async (t) => {
  const shop = new ShopProcess(t, "--port", "0");
  const url = await shop.url();
  const placed = await order(url);
  const watcher = new Watcher(t, url + placed.stream);
  await until(() => watcher.states.includes("confirmed") || undefined);

  const tasks = JSON.parse((await get(`${url}/debug/tasks`)).body) as {
    readonly tasks: readonly { readonly name: string; readonly outcomes: { readonly ok: number } }[];
    readonly inStore: readonly { readonly queue: string; readonly dead: readonly unknown[] }[];
  };
  const streams = JSON.parse((await get(`${url}/debug/streams`)).body) as {
    readonly orders: { readonly active: number; readonly channels: number };
    readonly stock: { readonly active: number; readonly limits: { readonly maxConns: number } };
  };

  await shop.kill();
  const done = new Map(tasks.tasks.map(({ name, outcomes }) => [name, outcomes.ok]));
  assert.deepEqual([done.get("warm-cache"), done.get("audit")], [1, 1]);
  assert.deepEqual(
    tasks.inStore.map(({ queue, dead }) => [queue, dead]),
    [
      ["confirmation", []],
      ["parcels", []],
    ],
  );
  assert.deepEqual([streams.orders.active, streams.orders.channels], [1, 1]);
  assert.deepEqual([streams.stock.active, streams.stock.limits.maxConns], [0, 2000]);
});

import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { finished } from "node:stream/promises";
import { Readable } from "node:stream";
import { test, type TestContext } from "node:test";
import { request as undiciRequest } from "undici";
import { context } from "../core/context.ts";
import { Transport } from "./transport.ts";

async function serve(t: TestContext, listener: RequestListener): Promise<{ origin: string; server: Server }> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  // A server that listens on TCP has an address with a port.
  const { port } = server.address() as AddressInfo;
  return { origin: `http://127.0.0.1:${port}`, server };
}

function open(t: TestContext, options?: ConstructorParameters<typeof Transport>[0]): Transport {
  const transport = new Transport(options);
  t.after(() => transport.abort());
  return transport;
}

test("a body is read as text without its byte order mark, as JSON, as bytes and as a blob", async (t) => {
  const { origin } = await serve(t, (_request, response) => response.end('\u{FEFF}{"a":"ä"}'));
  const transport = open(t);
  const get = async () => (await transport.request(origin)).body;
  assert.equal(await (await get()).text(), '{"a":"ä"}');
  assert.deepEqual(await (await get()).json(), { a: "ä" });
  assert.equal((await (await get()).bytes()).byteLength, 13);
  assert.equal((await (await get()).arrayBuffer()).byteLength, 13);
  assert.equal(await (await (await get()).blob()).text(), '{"a":"ä"}');
});

test("a body can be read once: the second reader is refused, and so is a reader of a stream in use", async (t) => {
  const { origin } = await serve(t, (_request, response) => response.end("once"));
  const transport = open(t);
  const { body } = await transport.request(origin);
  assert.equal(body.bodyUsed, false);
  const first = body.text();
  await assert.rejects(body.text(), TypeError);
  assert.equal(await first, "once");
  assert.equal(body.bodyUsed, true);

  const streamed = await transport.request(origin);
  streamed.body.on("data", () => {});
  await assert.rejects(streamed.body.text(), TypeError);
  await finished(streamed.body);
});

test("a large body streams through a small window: the connection is paused until its reader comes", async (t) => {
  const size = 8 * 1024 * 1024;
  const { origin } = await serve(t, (_request, response) => response.end(Buffer.alloc(size, 7)));
  const transport = open(t);
  const { body } = await transport.request(origin);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok(body.readableLength <= 65_536);
  let read = 0;
  for await (const chunk of body) read += (chunk as Buffer).length;
  assert.equal(read, size);
  assert.equal(transport.stats().inUse, 0);
});

test("an end that somebody waits for comes, although the body was read as text", async (t) => {
  const { origin } = await serve(t, (_request, response) => response.end("text"));
  const transport = open(t);
  const { body } = await transport.request(origin);
  const end = once(body, "end");
  assert.equal(await body.text(), "text");
  await end;
});

test("a body that is destroyed gives up its request and frees the connection", async (t) => {
  const { origin } = await serve(t, (_request, response) => response.write("never ends"));
  const transport = open(t);
  const { body } = await transport.request(origin);
  body.destroy();
  await once(body, "close");
  await assert.rejects(body.text());
  const until = performance.now() + 2_000;
  while (transport.stats().inUse > 0 && performance.now() < until) await new Promise((done) => setTimeout(done, 10));
  assert.equal(transport.stats().inUse, 0);
});

test("a dumped body leaves its connection for the next request", async (t) => {
  const { origin } = await serve(t, (_request, response) => response.end("x".repeat(100_000)));
  const transport = open(t);
  for (let n = 0; n < 3; n += 1) {
    const { body } = await transport.request(origin);
    await body.dump();
  }
  assert.equal(transport.stats().opened, 1);
});

test("an abort rejects the call with the signal's reason, before the header and in the body", async (t) => {
  const { origin } = await serve(t, (request, response) => {
    if (request.url === "/body") response.write("half");
  });
  const transport = open(t);
  const reason = new Error("the user left");
  await assert.rejects(transport.request(origin, { signal: AbortSignal.abort(reason) }), reason);

  const early = new AbortController();
  const waiting = transport.request(origin, { signal: early.signal });
  setTimeout(() => early.abort(reason), 30);
  await assert.rejects(waiting, reason);

  const late = new AbortController();
  const { body } = await transport.request(`${origin}/body`, { signal: late.signal });
  const text = body.text();
  late.abort(reason);
  await assert.rejects(text, reason);
});

test("requests that share a signal cost it one listener, which goes with the last of them", async (t) => {
  const { origin } = await serve(t, () => {});
  const transport = open(t);
  const controller = new AbortController();
  const { signal } = controller;
  const reason = new Error("the user left");
  const waiting = [1, 2, 3].map(() => transport.request(origin, { signal }));
  assert.equal(getEventListeners(signal, "abort").length, 1);

  controller.abort(reason);

  for (const one of waiting) await assert.rejects(one, reason);
  assert.equal(getEventListeners(signal, "abort").length, 0);
});

test("a source of a request that fails is closed", async (t) => {
  const transport = open(t);
  const source = new Readable({ read() {} });
  await assert.rejects(transport.request("http://127.0.0.1:1", { method: "POST", body: source }), {
    code: "ECONNREFUSED",
  });
  assert.equal(source.destroyed, true);
});

test("what is asked for rarely goes to undici and has its effect", async (t) => {
  const { origin } = await serve(t, (_request, response) => {
    response.writeEarlyHints({ link: "</a.css>; rel=preload" });
    response.end("ok");
  });
  const transport = open(t);
  const infos: number[] = [];
  const mark = {};
  const { opaque, body } = await transport.request({
    origin,
    path: "/",
    method: "GET",
    opaque: mark,
    onInfo: ({ statusCode }) => infos.push(statusCode),
  });
  assert.equal(opaque, mark);
  assert.equal(await body.text(), "ok");
  assert.deepEqual(infos, [103]);
});

test("a URL that is none is refused with a clear error", async (t) => {
  const transport = open(t);
  await assert.rejects(transport.request("no url"), { code: "UND_ERR_INVALID_ARG", message: /Invalid URL/ });
  await assert.rejects(transport.request("ftp://127.0.0.1/"), { code: "UND_ERR_INVALID_ARG", message: /ftp:/ });
});

test("undici's own request over a transport hears its signal's reason when the body is cut off", async (t) => {
  const { origin } = await serve(t, (_request, response) => response.write("half"));
  const transport = open(t);
  const reason = new Error("the user left");
  const controller = new AbortController();
  const { body } = await undiciRequest(origin, { dispatcher: transport, signal: controller.signal });
  const text = body.text();
  controller.abort(reason);
  await assert.rejects(text, reason);

  const other = await undiciRequest(origin, { dispatcher: transport });
  const closed = once(other.body, "close");
  other.body.destroy();
  await assert.rejects(closed, { code: "UND_ERR_ABORTED" });
});

test("close waits for a body that nobody reads no longer than its grace, or its signal", async (t) => {
  const { origin } = await serve(t, (_request, response) => response.end(Buffer.alloc(1_000_000)));
  for (const options of [{ grace: 50 }, { signal: AbortSignal.timeout(50) }]) {
    const transport = open(t);
    const { body } = await transport.request(origin);
    const startedAt = performance.now();
    await transport.close(options);
    assert.ok(performance.now() - startedAt < 2_000);
    assert.equal(transport.stats().inUse, 0);
    await assert.rejects(body.text(), { code: "ERR_TRANSPORT_CLOSED" });
  }
});

test("close lets a request under way end within its grace", async (t) => {
  const { origin } = await serve(t, (_request, response) => setTimeout(() => response.end("in time"), 50));
  const transport = open(t);
  const pending = transport.request(origin);
  const closed = transport.close({ grace: "5s" });
  assert.equal(await (await pending).body.text(), "in time");
  await closed;
  await assert.rejects(transport.request(origin), { code: "ERR_TRANSPORT_CLOSED" });
});

test("an option that is undefined counts as not given, for the compiler as well", (t) => {
  const transport = open(t, { localAddress: undefined, maxConnsPerHost: undefined });
  assert.equal(transport.options.maxConnsPerHost, 200);
  assert.equal(transport.options.localAddress, undefined);
});

test("a grace that is no duration is refused by name", async (t) => {
  const transport = open(t);
  assert.throws(() => transport.close({ grace: 0 }), { code: "ERR_OPTION", message: /close\.grace/ });
});

test("a deadline of the context that ends a request is counted as a timeout of the whole", async (t) => {
  const { origin } = await serve(t, () => {});
  const transport = open(t);
  using limited = context().child({ timeout: 30 });
  await assert.rejects(
    limited.run(() => transport.request(origin)),
    { code: "ERR_DEADLINE_EXCEEDED" },
  );
  assert.equal(transport.stats().timeouts.total, 1);
});

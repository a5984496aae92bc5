/** What the conformance table cannot show: flow control, forgotten responses, signals shared by many, the way back. */

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { getEventListeners } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { inspect } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { gzipSync } from "node:zlib";
import { Agent, Dispatcher1Wrapper } from "undici";
import { Transport } from "sluice/client";
import type { TransportOptions } from "sluice/client";

const megabyte = 1024 * 1024;

async function serve(handle: (request: IncomingMessage, response: ServerResponse) => void, options?: TransportOptions) {
  const server = createServer(handle);
  let sockets = 0;
  server.on("connection", (socket) => {
    sockets += 1;
    socket.on("close", () => (sockets -= 1)).on("error", () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const transport = new Transport(options);
  return {
    url: `http://127.0.0.1:${address.port}/`,
    transport,
    fetch: transport.fetch,
    get sockets() {
      return sockets;
    },
    async [Symbol.asyncDispose]() {
      await transport.abort();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let waitedMs = 0; !condition(); waitedMs += 10) {
    assert.ok(waitedMs < 5_000, `waited 5 s for this: ${what}`);
    await delay(10);
  }
}

function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const gc: unknown = runInNewContext("gc");
  assert.ok(typeof gc === "function");
  gc();
}

/** Writes `total` bytes as fast as they are taken, and counts them. */
function pour(response: ServerResponse, total: number, count: (byteCount: number) => void): void {
  let left = total;
  const chunk = Buffer.alloc(64 * 1024, "x");
  const more = (): void => {
    while (left > 0) {
      left -= chunk.length;
      count(chunk.length);
      if (!response.write(chunk)) {
        response.once("drain", more);
        return;
      }
    }
    response.end();
  };
  more();
}

test("a body that nobody reads stops the server after a bounded number of bytes", async () => {
  let written = 0;
  const total = 64 * megabyte;
  await using bench = await serve((_, response) => pour(response, total, (byteCount) => (written += byteCount)));

  const response = await bench.fetch(bench.url);
  await delay(300);
  const writtenUnread = written;
  const text = await response.text();

  // What is in flight is in the two kernels' socket buffers, which grow to several megabytes on loopback.
  assert.ok(writtenUnread < 16 * megabyte, `${writtenUnread} bytes`);
  assert.equal(text.length, total);
});

test("a slow reader of the stream holds the server back, and gets every byte", async () => {
  let written = 0;
  let read = 0;
  let furthest = 0;
  const total = 48 * megabyte;
  await using bench = await serve((_, response) => pour(response, total, (byteCount) => (written += byteCount)));

  const { body } = await bench.fetch(bench.url);
  assert.ok(body);
  for await (const chunk of body) {
    read += chunk.byteLength;
    furthest = Math.max(furthest, written - read);
    if (read < 8 * megabyte) await delay(1);
  }

  assert.equal(read, total);
  assert.ok(furthest < 16 * megabyte, `the server was ${furthest} bytes ahead`);
});

test("cancelling a body closes its connection", async () => {
  await using bench = await serve((_, response) => {
    response.writeHead(200, { "content-encoding": "gzip" });
    response.write(gzipSync("the first part"));
  });
  const response = await bench.fetch(bench.url);
  const reader = response.body?.getReader();
  await reader?.read();

  await reader?.cancel();

  await until(() => bench.sockets === 0, "the cancelled body's connection is closed");
});

test("a decoded body arrives whole, however slowly it is read", async () => {
  const plain = Buffer.alloc(3 * megabyte, "abcdefghij");
  await using bench = await serve((_, response) => {
    response.setHeader("content-encoding", "gzip, gzip");
    response.end(gzipSync(gzipSync(plain)));
  });
  const { body } = await bench.fetch(bench.url);
  assert.ok(body);
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) {
    chunks.push(chunk);
    if (chunks.length < 20) await delay(1);
  }
  assert.ok(Buffer.concat(chunks).equals(plain));
});

test("a forgotten response gives its connection back", async () => {
  await using bench = await serve((_, response) => void response.write("and so on"), { replay: { attempts: 0 } });
  const forget = async (): Promise<void> => {
    for (let count = 0; count < 5; count += 1) await bench.fetch(bench.url);
    const { body } = await bench.fetch(bench.url);
    assert.equal(body?.locked, false);
  };
  await forget();
  assert.equal(bench.sockets, 6);

  await until(() => {
    collectGarbage();
    return bench.sockets === 0;
  }, "all six connections are closed");
});

test("a body whose response is forgotten can still be read", async () => {
  await using bench = await serve((_, response) => {
    response.write("first ");
    setTimeout(() => response.end("second"), 100);
  });
  const { body } = await bench.fetch(bench.url);
  for (let count = 0; count < 5; count += 1) {
    collectGarbage();
    await delay(5);
  }
  assert.ok(body);
  let text = "";
  for await (const chunk of body) text += Buffer.from(chunk).toString();
  assert.equal(text, "first second");
});

test("10,000 requests under one signal leave no listener and cause no warning", async (t) => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on("warning", onWarning);
  t.after(() => process.off("warning", onWarning));
  await using bench = await serve((_, response) => void response.end("ok"), { maxConnsPerHost: 32 });
  const { signal } = new AbortController();

  for (let round = 0; round < 20; round += 1) {
    const batch = Array.from({ length: 500 }, () => bench.fetch(bench.url, { signal }).then((r) => r.text()));
    assert.ok(getEventListeners(signal, "abort").length <= 1);
    await Promise.all(batch);
  }

  assert.equal(getEventListeners(signal, "abort").length, 0);
  await delay(1);
  assert.deepEqual(warnings, []);
});

test("a signal is let go after an encoded, a redirected, a cancelled and a failed request", async () => {
  await using bench = await serve((request, response) => {
    if (request.url === "/") response.writeHead(302, { location: "/gzip" }).end("moved");
    else if (request.url === "/gzip") response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync("text"));
    else if (request.url === "/endless") response.write("...");
    else request.socket.destroy();
  });
  const { signal } = new AbortController();

  assert.equal(await (await bench.fetch(bench.url, { signal })).text(), "text");
  await (await bench.fetch(`${bench.url}endless`, { signal })).body?.cancel();
  await assert.rejects(bench.fetch(`${bench.url}fails`, { signal, method: "POST" }), TypeError);

  assert.equal(getEventListeners(signal, "abort").length, 0);
});

test("one signal ends all the requests that follow it, those in the queue as well", async () => {
  await using bench = await serve(() => undefined, { maxConnsPerHost: 2 });
  const controller = new AbortController();
  const pending = Array.from({ length: 100 }, () => bench.fetch(bench.url, { signal: controller.signal }));
  await delay(20);

  const startedAt = performance.now();
  controller.abort(new RangeError("enough"));
  const outcomes = await Promise.allSettled(pending);
  const tookMs = performance.now() - startedAt;

  assert.ok(outcomes.every((outcome) => outcome.status === "rejected" && outcome.reason instanceof RangeError));
  assert.ok(tookMs < 100, `${tookMs} ms`);
  await until(() => bench.sockets === 0, "the two that were sent are cut off");
});

test("fetch as the global fetch does not come back to itself for what it leaves to built-in fetch", async (t) => {
  await using bench = await serve((_, response) => void response.end("ok"));
  const original = globalThis.fetch;
  t.after(() => (globalThis.fetch = original));
  globalThis.fetch = bench.fetch;
  await using second = new Transport();
  globalThis.fetch = second.fetch;

  assert.equal(await (await fetch("data:,hello")).text(), "hello");
  assert.equal(await (await fetch(bench.url, { keepalive: true })).text(), "ok");
});

test("what is left to built-in fetch goes over the same transport", async () => {
  await using bench = await serve((request, response) => void request.pipe(response), { maxConnsPerHost: 1 });
  const body = new FormData();
  body.append("name", "value");

  const answer = await bench.fetch(bench.url, { method: "POST", body });

  assert.match(await answer.text(), /name="name"\r\n\r\nvalue/);
  assert.equal(bench.transport.stats().origins.length, 1);
});

test("a dispatcher given in init is used instead of the transport", async () => {
  await using bench = await serve((_, response) => void response.end("ok"));
  // The wrapper, because built-in fetch of Node 24 speaks the older way to its dispatchers.
  const dispatcher = new Dispatcher1Wrapper(new Agent());
  const init: RequestInit = {};
  Object.assign(init, { dispatcher });

  assert.equal(await (await bench.fetch(bench.url, init)).text(), "ok");
  assert.equal(bench.transport.stats().origins.length, 0);
  await dispatcher.close();
});

test("a body that does not fit its announced length is refused at once", async () => {
  // Built-in fetch waits for ever here (undici 8.12), so it is not a row of the table.
  await using bench = await serve((_, response) => void response.end("ok"));
  for (const length of ["2", "8"]) {
    const init = { method: "POST", body: "body", headers: { "content-length": length } };
    const error = await bench.fetch(bench.url, init).catch((reason: unknown) => reason);
    assert.ok(error instanceof TypeError);
    assert.equal((error.cause as { code: string }).code, "UND_ERR_REQ_CONTENT_LENGTH_MISMATCH");
  }
});

test("the caller's async context holds after the await", async () => {
  await using bench = await serve((_, response) => void response.end("ok"));
  const storage = new AsyncLocalStorage<number>();
  const seen = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      storage.run(index, async () => {
        const response = await bench.fetch(bench.url);
        const between = storage.getStore();
        await response.text();
        return [between, storage.getStore()];
      }),
    ),
  );
  assert.deepEqual(
    seen,
    seen.map((_, index) => [index, index]),
  );
});

test("bytes in memory are sent as they were at the call, even from a queue", async () => {
  await using bench = await serve((request, response) => void request.pipe(response), { maxConnsPerHost: 1 });
  const body = Buffer.from("before");
  const first = bench.fetch(bench.url, { method: "POST", body });
  const second = bench.fetch(bench.url, { method: "POST", body });
  body.write("after!");
  assert.equal(await (await first).text(), "before");
  assert.equal(await (await second).text(), "before");
});

test("a response prints as a Response, and other people's methods refuse it", async () => {
  await using bench = await serve((_, response) => void response.end("ok"));
  const response = await bench.fetch(bench.url);
  assert.match(inspect(response), /^Response \{\s+status: 200/);
  // A private field makes a genuine one; docs/decisions says why we live with this.
  await assert.rejects(async () => Response.prototype.text.call(response), TypeError);
  assert.equal(await response.text(), "ok");
});

test("one connection serves fetches one after the other, also over redirects", async () => {
  await using bench = await serve((request, response) => {
    if (request.url === "/") response.writeHead(302, { location: "/there" }).end("moved");
    else response.end("ok");
  });
  for (let count = 0; count < 20; count += 1) {
    const response = await bench.fetch(bench.url);
    assert.equal(await response.text(), "ok");
  }
  assert.equal(bench.transport.stats().opened, 1);
});

test("the stack of a failed fetch names the function that waited for it", async () => {
  await using transport = new Transport();
  async function loadTheProduct(): Promise<Response> {
    return await transport.fetch("http://127.0.0.1:2/");
  }

  await assert.rejects(loadTheProduct(), (error: Error) => {
    assert.match(error.stack ?? "", /^TypeError: fetch failed\n[^]*at async loadTheProduct/);
    return true;
  });
});

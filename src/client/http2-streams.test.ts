import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { Transport } from "./transport.ts";
import type { TransportOptions } from "./transport-options.ts";

const pem = (name: string): Buffer => readFileSync(new URL(`../../test/fixtures/tls/${name}`, import.meta.url));
const ca = pem("ca.pem");

interface SecureServer {
  readonly origin: string;
  readonly sessions: () => number;
}

async function serve(
  t: TestContext,
  settings: { maxConcurrentStreams?: number },
  answer: (request: Http2ServerRequest, response: Http2ServerResponse) => void,
): Promise<SecureServer> {
  const server = createSecureServer(
    { key: pem("server.key"), cert: pem("server.pem"), allowHTTP1: true, settings },
    answer,
  );
  let sessions = 0;
  server.on("session", () => (sessions += 1));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  // A server that listens on TCP has an address with a port.
  const { port } = server.address() as AddressInfo;
  return { origin: `https://localhost:${port}`, sessions: () => sessions };
}

function open(t: TestContext, options: TransportOptions = {}): Transport {
  const transport = new Transport({
    tls: { ca },
    lookup: (_host, _options, callback) => callback(null, [{ address: "127.0.0.1", family: 4 }]),
    ...options,
  });
  t.after(() => transport.abort());
  return transport;
}

test("fifty requests at once share one HTTP/2 connection", async (t) => {
  const { origin, sessions } = await serve(t, {}, (_request, response) => setTimeout(() => response.end("ok"), 20));
  const transport = open(t);
  const answers = await Promise.all(
    Array.from({ length: 50 }, async () => (await transport.request(origin)).body.text()),
  );
  assert.deepEqual(new Set(answers), new Set(["ok"]));
  assert.equal(sessions(), 1);
  assert.equal(transport.stats().opened, 1);
});

test("above the server's limit of streams another connection is opened, and the limit is kept", async (t) => {
  let running = 0;
  let most = 0;
  const { origin, sessions } = await serve(t, { maxConcurrentStreams: 5 }, (_request, response) => {
    running += 1;
    most = Math.max(most, running);
    setTimeout(() => {
      running -= 1;
      response.end("ok");
    }, 30);
  });
  const transport = open(t, { maxConnsPerHost: 4 });
  for (let round = 0; round < 3; round += 1) {
    await Promise.all(Array.from({ length: 40 }, async () => (await transport.request(origin)).body.text()));
  }
  assert.equal(sessions(), 4);
  assert.ok(most <= 20, `${most} at once on four connections of five`);
  assert.equal(transport.stats().waiting, 0);
});

test("bodies that are iterated are sent, one request after the other, on one connection", async (t) => {
  const { origin, sessions } = await serve(t, {}, (request, response) => {
    let length = 0;
    request.on("data", (chunk: Buffer) => (length += chunk.length));
    request.on("end", () => response.end(String(length)));
  });
  const transport = open(t);
  for (let n = 0; n < 6; n += 1) {
    const response = await transport.fetch(origin, {
      method: "POST",
      duplex: "half",
      body: new Blob(["x".repeat(1_000)]).stream(),
    });
    assert.equal(await response.text(), "1000");
  }
  assert.equal(sessions(), 1);
});

test("a request given up ends its stream and not the others' connection", async (t) => {
  const { origin, sessions } = await serve(t, {}, (request, response) => {
    if (request.url === "/slow") return;
    setTimeout(() => response.end("ok"), 50);
  });
  const transport = open(t);
  const controller = new AbortController();
  const slow = transport.request(`${origin}/slow`, { signal: controller.signal });
  const quick = transport.request(origin);
  setTimeout(() => controller.abort(), 20);
  await assert.rejects(slow, { name: "AbortError" });
  assert.equal(await (await quick).body.text(), "ok");
  assert.equal(await (await transport.request(origin)).body.text(), "ok");
  assert.equal(sessions(), 1);
  assert.equal(transport.stats().inFlight, 0);
});

test("a server without HTTP/2 gets HTTP/1.1, and so does everybody with http2: never", async (t) => {
  const { origin, sessions } = await serve(t, {}, (request, response) => response.end(request.httpVersion));
  const transport = open(t, { http2: "never" });
  assert.equal(await (await transport.request(origin)).body.text(), "1.1");
  assert.equal(sessions(), 0);
});

test("a request that expects 100-continue says so over HTTP/2 as well", async (t) => {
  const { origin } = await serve(t, {}, (request, response) => response.end(String(request.headers.expect)));
  const transport = open(t);
  const { body } = await transport.request(origin, {
    method: "POST",
    headers: { expect: "100-continue" },
    body: "abc",
  });
  assert.equal(await body.text(), "100-continue");
});

/** undici's own calls over a transport as the global dispatcher, its interceptors composed over it, MockAgent below. */

import assert from "node:assert/strict";
import { PassThrough, Readable, Writable } from "node:stream";
import { pipeline as pipe } from "node:stream/promises";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import { getGlobalDispatcher, interceptors, MockAgent, pipeline, request, setGlobalDispatcher, stream } from "undici";
import { Transport, type TransportOptions } from "sluice/client";
import { serve } from "../support/node-http.ts";
import { assertQuiet } from "../support/transport-checks.ts";
import { testPeer } from "../support/peer-contract.ts";

testPeer("undici.request, dispatcher option", (transport) => ({
  get: async (url, signal) => (await request(url, { dispatcher: transport, ...(signal && { signal }) })).body.text(),
}));

testPeer("undici.request, global dispatcher", (transport) => {
  const before = getGlobalDispatcher();
  setGlobalDispatcher(transport);
  return {
    get: async (url, signal) => (await request(url, { ...(signal && { signal }) })).body.text(),
    dispose: () => setGlobalDispatcher(before),
  };
});

testPeer("undici.stream", (transport) => ({
  get: async (url, signal) => {
    const sink = new PassThrough();
    const body = text(sink);
    const options = { method: "GET", dispatcher: transport, ...(signal && { signal }) } as const;
    const [read] = await Promise.all([body, stream(url, options, () => sink)]);
    return read;
  },
}));

testPeer("undici.pipeline", (transport) => ({
  get: async (url, signal) => {
    const options = { method: "GET", dispatcher: transport, ...(signal && { signal }) } as const;
    const duplex = pipeline(url, options, ({ body }) => body);
    duplex.end();
    return text(duplex);
  },
}));

/** A transport as the global dispatcher, until the test ends. */
function globalTransport(t: TestContext, options: TransportOptions = {}): Transport {
  const before = getGlobalDispatcher();
  const transport = new Transport(options);
  setGlobalDispatcher(transport);
  t.after(async () => {
    setGlobalDispatcher(before);
    await transport.close();
  });
  return transport;
}

test("undici's pipeline and stream carry bodies both ways", async (t) => {
  await using served = await serve((asked, response) => asked.pipe(response));
  const transport = globalTransport(t);
  const duplex = pipeline(served.url, { method: "POST" }, ({ body }) => body);
  const pieces: Buffer[] = [];
  const collect = new Writable({
    write(chunk, _encoding, callback) {
      pieces.push(chunk);
      callback();
    },
  });
  await pipe(Readable.from([Buffer.alloc(500_000), Buffer.alloc(500_000)]), duplex, collect);
  assert.equal(Buffer.concat(pieces).length, 1_000_000);
  await assertQuiet(transport);
});

test("the retry interceptor repeats over the transport, and its connections are kept", async () => {
  let failures = 2;
  await using served = await serve((_asked, response) => {
    response.statusCode = failures-- > 0 ? 503 : 200;
    response.end("done");
  });
  await using transport = new Transport();
  const dispatcher = transport.compose(interceptors.retry({ minTimeout: 5, maxRetries: 3 }));
  const answer = await request(served.url, { dispatcher });
  assert.equal(answer.statusCode, 200);
  assert.equal(await answer.body.text(), "done");
  await assertQuiet(transport);
});

test("the redirect interceptor follows over the transport", async () => {
  await using served = await serve((asked, response) => {
    if (asked.url === "/from") response.writeHead(302, { location: "/to" }).end("look there");
    else response.end("arrived");
  });
  await using transport = new Transport();
  const dispatcher = transport.compose(interceptors.redirect({ maxRedirections: 2 }));
  const answer = await request(`${served.url}/from`, { dispatcher });
  assert.equal(await answer.body.text(), "arrived");
  assert.equal(served.accepted(), 1);
});

test("the cache interceptor answers the second request without the transport", async () => {
  let asked = 0;
  await using served = await serve((_asked, response) => {
    asked += 1;
    response.setHeader("cache-control", "max-age=60").end("cached");
  });
  await using transport = new Transport();
  const dispatcher = transport.compose(interceptors.cache());
  for (let round = 0; round < 3; round += 1) {
    // oxlint-disable-next-line no-await-in-loop -- one after another is the point
    assert.equal(await (await request(served.url, { dispatcher })).body.text(), "cached");
  }
  assert.equal(asked, 1);
  await assertQuiet(transport);
});

test("the dump interceptor reads bodies away and the transport keeps their connection", async () => {
  await using served = await serve((_asked, response) => response.end(Buffer.alloc(100_000)));
  await using transport = new Transport();
  const dispatcher = transport.compose(interceptors.dump({ maxSize: 200_000 }));
  for (let round = 0; round < 5; round += 1) {
    // oxlint-disable-next-line no-await-in-loop -- one after another is the point
    const { body } = await request(served.url, { dispatcher });
    // oxlint-disable-next-line no-await-in-loop -- one after another is the point
    assert.equal(await body.text(), "");
  }
  assert.equal(served.accepted(), 1);
  await assertQuiet(transport);
});

test("the dns interceptor sends each request to an address that it looked up", async () => {
  await using served = await serve((asked, response) => response.end(asked.headers.host));
  await using transport = new Transport();
  const dispatcher = transport.compose(
    interceptors.dns({
      lookup: (_origin, _options, callback) => callback(null, [{ address: "127.0.0.1", family: 4, ttl: 1_000 }]),
    }),
  );
  const host = `sluice.test:${served.server.port}`;
  const answer = await request(`http://${host}`, { dispatcher });
  assert.equal(await answer.body.text(), host);
  assert.deepEqual(
    transport.stats().origins.map(({ origin }) => origin),
    [served.url],
  );
});

test("a MockAgent as upstream answers instead of the network", async (t) => {
  const mock = new MockAgent();
  mock.disableNetConnect();
  mock.get("http://orders.internal").intercept({ path: "/1" }).reply(200, { id: 1 }).persist();
  const transport = globalTransport(t, { upstream: mock });
  assert.deepEqual(await (await request("http://orders.internal/1")).body.json(), { id: 1 });
  assert.deepEqual(
    await (await transport.request({ origin: "http://orders.internal", path: "/1", method: "GET" })).body.json(),
    { id: 1 },
  );
  await assert.rejects(request("http://orders.internal/2"), { code: "UND_MOCK_ERR_MOCK_NOT_MATCHED" });
  assert.equal(transport.stats().opened, 0);
  await mock.close();
});

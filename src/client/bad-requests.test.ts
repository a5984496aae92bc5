/** Requests that cannot be sent, or whose body goes wrong: refused with a clear error, and nothing left behind. */

import assert from "node:assert/strict";
import { once } from "node:events";
import http, { type IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { afterEach, test } from "node:test";
import { assertNothingLeft, until } from "../../test/support/loopback.ts";
import { answer, rawServer } from "../../test/support/raw-server.ts";
import { ask, failure, type SendOptions } from "../../test/support/send.ts";
import { assertQuiet, openTransport } from "../../test/support/transport-checks.ts";
import type { Registry } from "../core/instruments.ts";
import { Transport } from "./transport.ts";

afterEach(assertNothingLeft);

const wrong: readonly [name: string, options: Partial<SendOptions>][] = [
  ["a line break in a header's value", { headers: { x: "a\r\nevil: 1" } }],
  ["a line feed in a header's value", { headers: ["x", "a\nevil: 1"] }],
  ["a zero byte in a header's value", { headers: { x: "a\0b" } }],
  ["a line break in one of a header's values", { headers: { x: ["a", "b\r\nevil: 1"] } }],
  ["a line break in a header's name", { headers: { "x\r\nevil": "1" } }],
  ["a space in a header's name", { headers: { "x y": "1" } }],
  ["an empty header name", { headers: { "": "1" } }],
  ["headers of odd length", { headers: ["x"] }],
  ["a line break in the path", { path: "/a\r\nevil: 1" }],
  ["a space in the path", { path: "/a HTTP/1.1" }],
  ["a path that is none", { path: "a" }],
  ["a line break in the method", { method: "GET / HTTP/1.1\r\nevil: 1" }],
  ["an empty method", { method: "" }],
  ["a line break in the host", { headers: { host: "a\r\nevil: 1" } }],
  ["a line break in the protocol to upgrade to", { upgrade: "x\r\nevil: 1" }],
  ["a content-length that is none", { method: "POST", body: "some", headers: { "content-length": "4, 5" } }],
  ["a content-length that is not the body's", { method: "POST", body: "some", headers: { "content-length": "5" } }],
  [
    "a content-length that is not the large body's",
    { method: "POST", body: Buffer.alloc(200_000), headers: { "content-length": "5" } },
  ],
  ["a transfer-encoding", { method: "POST", body: "some", headers: { "transfer-encoding": "gzip" } }],
  ["a keep-alive header", { headers: { "keep-alive": "timeout=5" } }],
  ["an upgrade header", { headers: { upgrade: "x" } }],
  ["a body that is a number", { method: "POST", body: 5 }],
  ["a headersTimeout below 0", { headersTimeout: -1 }],
  ["a headersTimeout that is no number", { headersTimeout: Number.NaN }],
  ["a bodyTimeout below 0", { bodyTimeout: -1 }],
];

for (const [name, options] of wrong) {
  test(`${name} is refused before anything is sent`, async () => {
    await using server = await rawServer((socket) => answer(socket));
    await using transport = openTransport();

    const error = await failure(ask(transport, { origin: server.origin, ...options }));

    assert.match(
      error.code ?? "",
      /^UND_ERR_(?:INVALID_ARG|NOT_SUPPORTED|REQ_CONTENT_LENGTH_MISMATCH)$/,
      error.message,
    );
    await assertQuiet(transport);
    assert.deepEqual(server.requests, []);
    assert.equal((await ask(transport, { origin: server.origin })).body, "ok");
    assert.equal(server.accepted, 1, "its connection was not kept for the next");
  });
}

test("a proxy's answer to a header injected into CONNECT is never asked for", async () => {
  await using server = await rawServer((socket) => answer(socket));
  await using transport = openTransport();

  const error = await failure(ask(transport, { origin: server.origin, method: "CONNECT", path: "a\r\nevil: 1" }));

  assert.equal(error.code, "UND_ERR_INVALID_ARG");
  await assertQuiet(transport);
  assert.deepEqual(server.requests, []);
});

for (const path of [
  "http://inside.test/",
  "http://api.test.evil.test/",
  "http://api.test\\@evil.test/",
  "https://api.test/",
]) {
  test(`a path of ${path} does not lead a forward proxy to another origin`, async () => {
    await using proxy = await rawServer((socket) => answer(socket));
    await using transport = openTransport({ proxy: proxy.origin });

    const error = await failure(ask(transport, { origin: "http://api.test", path, headers: { authorization: "x" } }));
    const request = http.get({ agent: transport.agent(), host: "api.test", path });
    const [agentError] = await once(request, "error");

    assert.equal(error.code, "UND_ERR_INVALID_ARG");
    assert.equal(agentError.code, "UND_ERR_INVALID_ARG");
    await assertQuiet(transport);
    assert.deepEqual(proxy.requests, []);
  });
}

test("a forward proxy gets a path of the request's own origin as it is, and none for the asterisk", async () => {
  await using proxy = await rawServer((socket) => answer(socket));
  await using transport = openTransport({ proxy: proxy.origin });

  await ask(transport, { origin: "http://api.test", path: "http://api.test/a?b" });
  const asterisk = http.request({ agent: transport.agent(), host: "api.test", method: "OPTIONS", path: "*" }).end();
  const [response]: IncomingMessage[] = await once(asterisk, "response");
  await once(response?.resume() ?? asterisk, "end");

  assert.deepEqual(
    proxy.requests.map(({ path }) => path),
    ["http://api.test/a?b", "http://api.test"],
  );
});

test("an agent's host with escapes is refused, and not sent to what they stand for", async () => {
  await using server = await rawServer((socket) => answer(socket));
  await using transport = openTransport();

  const [error] = await once(http.get({ agent: transport.agent(), host: "127%2e0.0.1", port: server.port }), "error");

  assert.equal(error.code, "ERR_OPTION");
  assert.deepEqual(server.requests, []);
});

for (const origin of ["", "nonsense", "ftp://127.0.0.1", "http://", "http://127.0.0.1:99999", "//127.0.0.1"]) {
  test(`the origin ${JSON.stringify(origin)} is refused`, async () => {
    await using transport = openTransport();

    const error = await failure(ask(transport, { origin }));

    assert.equal(error.code, "UND_ERR_INVALID_ARG");
    assert.equal(transport.stats().origins.length, 0);
  });
}

const badOptions: readonly [options: object, message: RegExp][] = [
  [{ maxConnections: 3 }, /maxConnections/],
  [{ maxConnPerHost: 3 }, /maxConnsPerHost/],
  [{ maxConnsPerHost: 0 }, /maxConnsPerHost/],
  [{ maxConnsPerHost: "5" }, /maxConnsPerHost/],
  [{ maxIdleConns: -1 }, /maxIdleConns/],
  [{ poolTimeout: 0 }, /poolTimeout/],
  [{ idleConnTimeout: "5 minutes" }, /idleConnTimeout/],
  [{ idleConnTimeout: Number.NaN }, /idleConnTimeout/],
  [{ replay: { attempts: 11 } }, /attempts/],
  [{ replay: { tries: 1 } }, /tries/],
  [{ keepAlive: 1 }, /keepAlive/],
  [{ lookup: "8.8.8.8" }, /lookup/],
  [{ http2: true }, /http2/],
  [{ propagate: { deadlineTo: ["orders"] } }, /deadlineTo/],
];

for (const [options, message] of badOptions) {
  test(`the option ${JSON.stringify(options)} is an OptionError that names it`, () => {
    assert.throws(() => new Transport(options), { code: "ERR_OPTION", message });
  });
}

const bodies: readonly [name: string, make: () => unknown, headers: Record<string, string>, code: string][] = [
  [
    "a generator that throws half-way",
    async function* () {
      yield "some";
      throw Object.assign(new Error("no more"), { code: "ERR_SOURCE" });
    },
    {},
    "ERR_SOURCE",
  ],
  [
    "a stream that fails half-way",
    () =>
      Readable.from(
        (function* () {
          yield "some";
          throw Object.assign(new Error("no more"), { code: "ERR_SOURCE" });
        })(),
      ),
    {},
    "ERR_SOURCE",
  ],
  [
    "a stream that is longer than it says",
    () => Readable.from(["some", "more"]),
    { "content-length": "5" },
    "UND_ERR_REQ_CONTENT_LENGTH_MISMATCH",
  ],
  [
    "a stream that is shorter than it says",
    () => Readable.from(["some"]),
    { "content-length": "9" },
    "UND_ERR_REQ_CONTENT_LENGTH_MISMATCH",
  ],
  ["a generator that yields what is no bytes", () => [{}].values(), {}, "ERR_INVALID_ARG_TYPE"],
  [
    "a stream that was destroyed before",
    () => {
      const stream = Readable.from(["some"]);
      return stream.destroy();
    },
    {},
    "UND_ERR_ABORTED",
  ],
];

for (const [name, make, headers, code] of bodies) {
  test(`${name} fails its request with ${code} and closes the connection`, async () => {
    await using server = await rawServer((socket) => answer(socket));
    await using transport = openTransport();
    for (const warm of [false, true]) {
      if (warm) await ask(transport, { origin: server.origin });
      const error = await failure(ask(transport, { origin: server.origin, method: "PUT", body: make(), headers }));

      assert.equal(error.code, code, error.message);
      await assertQuiet(transport);
      assert.equal(transport.stats().idle, 0);
    }
    await until(() => server.connections.size === 0);
    assert.deepEqual({ open: server.connections.size, replays: transport.stats().replays }, { open: 0, replays: 0 });
    assert.ok(
      server.requests.every(({ method }) => method === "GET"),
      "the half of a body was taken for the whole",
    );
  });
}

for (const count of [-1, 1.5, Number.NaN, "2"]) {
  test(`prewarm refuses to open ${JSON.stringify(count)} connections`, async () => {
    await using transport = openTransport();
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what JavaScript may pass
    await assert.rejects(transport.prewarm("http://127.0.0.1:1", count as number), { code: "ERR_OPTION" });
  });
}

test("a registry that is none is refused by name", () => {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what JavaScript may pass
  const registry = {} as Registry;
  assert.throws(() => new Transport({ registry }), { code: "ERR_OPTION", message: /Transport\.registry/ });
});

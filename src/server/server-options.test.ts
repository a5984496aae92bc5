/** What is refused before a server serves, and in which words. What the options do is tested where they do it. */

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { createServer as createTcpServer } from "node:net";
import { test } from "node:test";
import express from "express";
import { OptionError } from "../core/errors.ts";
import { Registry } from "../core/instruments.ts";
import { listen } from "../../test/support/loopback.ts";
import { wireClient } from "../../test/support/wire-client.ts";
import { DrainedError } from "./errors.ts";
import { guard } from "./guard.ts";
import { createServer } from "./server.ts";
import { serverOptions, type ServerOptions } from "./server-options.ts";

/** What is said against options, whatever their type. */
function refusalOf(options: object): string {
  const errors = [() => createServer(options), () => guard(http.createServer(), options)].map((make) => {
    try {
      make();
    } catch (error) {
      assert.ok(error instanceof OptionError, String(error));
      return error.message;
    }
    return assert.fail(`taken: ${JSON.stringify(options)}`);
  });
  assert.equal(errors[0], errors[1]);
  return errors[0] ?? "";
}

const nodeNames: Readonly<Record<string, string>> = {
  keepAliveTimeout: "idleTimeout",
  headersTimeout: "readHeaderTimeout",
  requestTimeout: "readTimeout",
  timeout: "minResponseRate",
  maxHeaderSize: "maxHeaderBytes",
  maxHeadersCount: "maxHeaders",
  maxConnections: "maxConns",
  maxRequestsPerSocket: "maxRequestsPerConn",
  handshakeTimeout: "tlsHandshakeTimeout",
  allowHTTP1: "http2",
  keepAliveTimeoutBuffer: "idleTimeout",
};

for (const [name, ours] of Object.entries(nodeNames)) {
  test(`Node's ${name} is refused, and told to be ${ours} here`, () => {
    assert.match(
      refusalOf({ [name]: 1_000 }),
      new RegExp(`^Server\\.${name} is Node's own: here it is .*\\b${ours}\\b`),
    );
    assert.ok(ours === "http2" || Object.hasOwn(serverOptions, ours), "it names none of ours");
  });
}

test("an option of Node's that has no counterpart is told where it belongs", () => {
  assert.match(refusalOf({ connectionsCheckingInterval: 1 }), /not needed here/);
  assert.match(refusalOf({ noDelay: true }), /pass it to guard\(\)/);
  assert.match(refusalOf({ port: 80 }), /listen\(\)/);
  assert.match(refusalOf({ cert: "" }), /tls: \{/);
});

test("no option of ours has the name of one that is refused as Node's", () => {
  for (const name of Object.keys(serverOptions)) createServer({ [name]: undefined });
});

test("limits on concurrency that contradict one another are refused, with both of them", () => {
  assert.match(refusalOf({ concurrency: { min: 20, max: 10 } }), /^Server\.concurrency\.min .*20.*max.*10/);
  assert.match(refusalOf({ concurrency: { limit: "adaptive", min: 2_000 } }), /min .*2000.*max.*1000/);
  assert.match(refusalOf({ concurrency: { limit: 50, max: 10 } }), /^Server\.concurrency\.limit .*50.*max.*10/);
  assert.match(refusalOf({ concurrency: { limit: 5, min: 10 } }), /^Server\.concurrency\.limit .*5.*min.*10/);

  const fine: readonly NonNullable<ServerOptions["concurrency"]>[] = [
    { limit: 5 },
    { limit: 5_000 },
    { limit: 5, min: 5, max: 5 },
    { limit: "adaptive", min: 10, max: 10 },
  ];
  for (const concurrency of fine) createServer({ concurrency });
});

test("a settle time below 0 is told that 0 is one, and Infinity none", () => {
  for (const settle of [-1, "-1s", "soon", Infinity, "2h"]) {
    const message = refusalOf({ drain: { settle } });
    assert.match(message, /^Server\.drain\.settle must be from 0 to 1h/, String(settle));
    assert.doesNotMatch(message, /Infinity for never/);
  }
  for (const settle of [0, "0s", "0ms", "0m", "1h", 3_600_000, "5s"]) createServer({ drain: { settle } as object });
});

const noServers: Readonly<Record<string, unknown>> = {
  null: null,
  undefined,
  "an empty object": {},
  "a number": 8_080,
  "an Express app": express(),
  "a server of TCP": createTcpServer(),
  "options instead of the server": { idleTimeout: "5s" },
};

for (const [name, value] of Object.entries(noServers)) {
  test(`guard() of ${name} says what it takes`, () => {
    assert.throws(
      () => guard(value as never),
      (error) =>
        error instanceof OptionError && /^guard must be given a server .*http\.createServer/.test(error.message),
    );
  });
}

function isRefused(error: unknown): boolean {
  return error instanceof DrainedError && error.code === "ERR_SERVER_DRAINED" && /new server/.test(error.message);
}

for (const end of ["drain", "close"] as const) {
  test(`listen() after ${end}() is refused with what to do instead, and so is one while it drains`, async () => {
    const server = createServer({ registry: new Registry() });
    await using listening = await listen(server);
    const ended = end === "drain" ? server.drain() : once(server.close(), "close");

    assert.throws(() => server.listen(0), isRefused);
    await ended;
    assert.throws(() => server.listen(listening.port), isRefused);

    assert.equal(server.listening, false);
  });
}

test("a server that was closed before it ever listened may listen", async () => {
  const server = createServer({ registry: new Registry() }, (_req, res) => res.end("ok"));
  const [error] = await new Promise<unknown[]>((resolve) => server.close((...args) => resolve(args)));
  assert.equal((error as NodeJS.ErrnoException).code, "ERR_SERVER_NOT_RUNNING");

  await using listening = await listen(server);

  assert.equal(await (await fetch(`http://127.0.0.1:${listening.port}`)).text(), "ok");
});

for (const size of [2_048, "2kb", 65_536] as const) {
  test(`a header up to a maxHeaderBytes of ${size} is taken, and a longer one gets 431`, async () => {
    const server = createServer({ registry: new Registry(), maxHeaderBytes: size }, (_req, res) => res.end("ok"));
    await using listening = await listen(server);
    const limit = size === "2kb" ? 2_048 : size;
    const ask = async (bytes: number): Promise<number | undefined> => {
      await using client = await wireClient(listening.port);
      client.write(`GET / HTTP/1.1\r\nHost: a\r\nX-Long: ${"x".repeat(bytes)}\r\n\r\n`);
      return (await client.answer())?.status;
    };

    assert.equal(await ask(limit - 200), 200);
    assert.equal(await ask(limit + 200), 431);
    assert.equal(await ask(10 * limit), 431);
  });
}

for (const [ipv6Prefix, status] of [
  [48, 503],
  [64, 200],
  [undefined, 200],
] as const) {
  test(`two networks of a /48 are ${status === 503 ? "one client" : "two clients"} by an ipv6Prefix of ${ipv6Prefix}`, async () => {
    const held = Promise.withResolvers<() => void>();
    const server = createServer(
      { registry: new Registry(), trustedProxies: ["127.0.0.1"], maxConnsPerIp: 1, ipv6Prefix: ipv6Prefix as number },
      (req, res) => {
        if (req.url === "/held") held.resolve(() => void res.end("held"));
        else res.end("ok");
      },
    );
    await using listening = await listen(server);
    const ask = (path: string, from: string): Promise<Response> =>
      fetch(`http://127.0.0.1:${listening.port}${path}`, { headers: { "x-forwarded-for": from } });

    const first = ask("/held", "2001:db8:1:1::1");
    const release = await held.promise;
    assert.equal((await ask("/", "2001:db8:1:2::1")).status, status);
    assert.equal((await ask("/", "2001:db8:1:1:ffff::9")).status, 503, "one of the same /64");
    assert.equal((await ask("/", "2001:db8:2:1::1")).status, 200, "one of another /48");
    release();

    assert.equal((await first).status, 200);
  });
}

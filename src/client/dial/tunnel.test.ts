import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer, type IncomingHttpHeaders, type Server as HttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { connect, createServer, type Server } from "node:net";
import { afterEach, test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { ca, serverCertificate } from "../../../test/support/certificates.ts";
import { assertNothingLeft, listen, until } from "../../../test/support/loopback.ts";
import type { DialTarget } from "./dial-target.ts";
import { Dialer } from "./dialer.ts";
import { ignoreError } from "./happy-eyeballs.ts";
import { parseProxy, type ProxyRule } from "./proxy-rule.ts";
import { openTunnel } from "./tunnel.ts";
import { ProxyConnectError } from "../errors.ts";

interface Connect {
  readonly authority: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

/** Makes `server` a proxy that connects every CONNECT to `port`, whatever host it names, and notes what was asked. */
function tunnelTo<Kind extends HttpServer>(server: Kind, port: number, asked: Connect[]): Kind {
  server.on("connect", ({ url, headers }, client) => {
    asked.push({ authority: url, headers });
    const upstream = connect(port, "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      client.pipe(upstream).pipe(client);
    });
    client.on("error", () => upstream.destroy()).on("close", () => upstream.destroy());
    upstream.on("error", () => client.destroy()).on("close", () => client.destroy());
  });
  return server;
}

/** A proxy that answers the first bytes it gets with `answer`. */
function answering(answer: string): Server {
  return createServer((peer) => peer.once("data", () => peer.write(answer)));
}

function through(proxy: ProxyRule): Dialer {
  return new Dialer({ dialTimeoutMs: 2_000, tlsHandshakeTimeoutMs: 2_000, tls: { ca }, proxy });
}

const shop: DialTarget = { protocol: "https:", hostname: "shop.sluice.test", port: 443, allowH2: true };

afterEach(assertNothingLeft);

for (const scheme of ["http", "https"] as const) {
  test(`an https target is reached by a tunnel through an ${scheme} proxy, with TLS inside`, async () => {
    const options = { ...serverCertificate, ALPNProtocols: ["h2", "http/1.1"] };
    await using origin = await listen(createTlsServer(options, (peer) => peer.end(`hello ${String(peer.servername)}`)));
    const asked: Connect[] = [];
    const server = scheme === "http" ? createHttpServer() : createHttpsServer(serverCertificate);
    await using proxy = await listen(tunnelTo(server, origin.port, asked));
    const dialer = through(`${scheme}://user:secret@127.0.0.1:${proxy.port}`);

    const { socket, protocol, remoteAddress, timings } = await dialer.dial(shop);

    const [data]: Buffer[] = await once(socket, "data");
    assert.equal(String(data), "hello shop.sluice.test");
    assert.deepEqual([protocol, remoteAddress], ["h2", "127.0.0.1"]);
    assert.ok(timings.proxyMs > 0 && timings.tlsMs > 0);
    assert.equal(asked.length, 1);
    assert.equal(asked[0]?.authority, "shop.sluice.test:443");
    const authorization = `Basic ${Buffer.from("user:secret").toString("base64")}`;
    assert.deepEqual({ ...asked[0]?.headers }, { host: "shop.sluice.test:443", "proxy-authorization": authorization });
    assert.deepEqual(dialer.proxyFor(shop), {
      url: `${scheme}://127.0.0.1:${proxy.port}`,
      kind: "tunnel",
      authorization: undefined,
    });
    socket.destroy();
  });

  test(`an http target is left to an ${scheme} proxy, whose credentials go to the requests`, async () => {
    const server = scheme === "http" ? createServer() : createTlsServer(serverCertificate);
    await using proxy = await listen(server);
    const dialer = through({ http: `${scheme}://user:secret@localhost:${proxy.port}` });
    const target: DialTarget = { protocol: "http:", hostname: "shop.sluice.test", port: 80, allowH2: true };

    const { socket, protocol, timings } = await dialer.dial(target);

    assert.deepEqual(dialer.proxyFor(target), {
      url: `${scheme}://localhost:${proxy.port}`,
      kind: "forward",
      authorization: `Basic ${Buffer.from("user:secret").toString("base64")}`,
    });
    assert.equal(protocol, "http/1.1");
    assert.deepEqual(
      { proxied: timings.proxyMs, secured: timings.tlsMs > 0 },
      { proxied: 0, secured: scheme === "https" },
    );
    socket.destroy();
  });
}

test("the proxy is asked for an IPv6 target with its brackets", async () => {
  await using origin = await listen(createTlsServer(serverCertificate, () => {}));
  const asked: Connect[] = [];
  await using proxy = await listen(tunnelTo(createHttpServer(), origin.port, asked));
  const dialer = through(`127.0.0.1:${proxy.port}`);
  const { socket } = await dialer.dial({ ...shop, hostname: "[::1]", port: 8443 });
  assert.equal(asked[0]?.authority, "[::1]:8443");
  socket.destroy();
});

test("a tunnel leaves no listener of node:http on the socket", async () => {
  await using origin = await listen(createServer((peer) => peer.on("data", (data) => peer.write(data))));
  await using proxy = await listen(tunnelTo(createHttpServer(), origin.port, []));
  const socket = connect(proxy.port, "127.0.0.1").on("error", ignoreError);
  await once(socket, "connect");
  const count = (): Record<string, number> =>
    Object.fromEntries(socket.eventNames().map((name) => [String(name), socket.listenerCount(name)]));
  const before = count();

  const signal = new AbortController().signal;
  await openTunnel(socket, parseProxy("proxy", `127.0.0.1:${proxy.port}`), "shop.test:443", signal);

  assert.deepEqual(count(), before);
  assert.notEqual(socket.readableFlowing, true);
  socket.write("ping");
  const [data]: Buffer[] = await once(socket, "data");
  assert.equal(String(data), "ping");
  socket.destroy();
});

test("bytes that come in one packet with the proxy's answer are not lost", async () => {
  await using proxy = await listen(answering("HTTP/1.1 200 OK\r\n\r\nfirst bytes"));
  const socket = connect(proxy.port, "127.0.0.1").on("error", ignoreError);
  await once(socket, "connect");

  const signal = new AbortController().signal;
  await openTunnel(socket, parseProxy("proxy", `127.0.0.1:${proxy.port}`), "shop.test:443", signal);

  const [data]: Buffer[] = await once(socket, "data");
  assert.equal(String(data), "first bytes");
  socket.destroy();
});

const refusals: readonly (readonly [what: string, answer: string, status: number, message: RegExp])[] = [
  ["407", "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno", 407, /user and password/],
  ["502", "HTTP/1.1 502 Bad Gateway\r\n\r\n", 502, /answered 502/],
  ["nonsense", "SSH-2.0-OpenSSH\r\n\r\n", 0, /proxy/],
  ["an endless head", `HTTP/1.1 200 OK\r\n${`X-Filler: ${"x".repeat(1_000)}\r\n`.repeat(20)}`, 0, /proxy/],
];
for (const [what, answer, status, message] of refusals) {
  test(`a proxy that answers ${what} is an error with its status, and its connection is closed`, async () => {
    await using proxy = await listen(answering(answer));
    const dialing = through(`http://user:secret@127.0.0.1:${proxy.port}`).dial(shop);
    await assert.rejects(dialing, (error) => {
      assert.ok(error instanceof Error && "status" in error && "code" in error);
      assert.deepEqual({ code: error.code, status: error.status }, { code: "ERR_PROXY_CONNECT", status });
      assert.match(error.message, message);
      assert.match(error.message, /shop\.sluice\.test:443/);
      assert.doesNotMatch(error.message, /secret/);
      assert.equal(error.cause instanceof Error, status === 0);
      return true;
    });
    await until(() => proxy.connections.size === 0);
    assert.equal(proxy.connections.size, 0);
  });
}

test("a proxy that hangs up without an answer is an error with status 0 and the reset as its cause", async () => {
  await using proxy = await listen(createServer((peer) => peer.once("data", () => peer.end())));
  await assert.rejects(through(`http://127.0.0.1:${proxy.port}`).dial(shop), (error) => {
    assert.ok(error instanceof Error && error.cause instanceof Error && "code" in error.cause);
    assert.equal(error.cause.code, "ECONNRESET");
    return true;
  });
});

test("a proxy that cannot be reached is named, with the target and the reason", async () => {
  await assert.rejects(through("http://127.0.0.1:1").dial(shop), (error) => {
    assert.ok(error instanceof ProxyConnectError);
    assert.match(error.message, /proxy http:\/\/127\.0\.0\.1:1 failed: connect ECONNREFUSED.*shop\.sluice\.test:443/);
    assert.ok(error.cause instanceof Error && "code" in error.cause);
    assert.equal(error.cause.code, "ECONNREFUSED");
    return true;
  });
});

test("an http target whose origin is excluded by noProxy is dialed directly", async () => {
  await using origin = await listen(createServer());
  const dialer = through({ http: "http://127.0.0.1:1", noProxy: "127.0.0.0/8" });
  const target: DialTarget = { protocol: "http:", hostname: "127.0.0.1", port: origin.port, allowH2: false };
  const { socket } = await dialer.dial(target);
  assert.equal(dialer.proxyFor(target), undefined);
  socket.destroy();
});

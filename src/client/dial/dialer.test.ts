import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { randomInt } from "node:crypto";
import { getEventListeners, once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type LookupFunction } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { createSecureContext, createServer as createTlsServer } from "node:tls";
import { ca, clientCertificate, serverCertificate } from "../../../test/support/certificates.ts";
import { assertNothingLeft, blackhole, listen, until } from "../../../test/support/loopback.ts";
import type { DialOptions } from "./dial-options.ts";
import type { DialTarget } from "./dial-target.ts";
import { Dialer } from "./dialer.ts";
import { ignoreError } from "./happy-eyeballs.ts";
import { secure as shakeHands } from "./tls-handshake.ts";
import { TlsSessions } from "./tls-sessions.ts";

function dialerWith(options: Partial<DialOptions> = {}): Dialer {
  return new Dialer({ dialTimeoutMs: 2_000, tlsHandshakeTimeoutMs: 2_000, tls: { ca }, ...options });
}

function plain(port: number, hostname: string = "127.0.0.1"): DialTarget {
  return { protocol: "http:", hostname, port, allowH2: false };
}

function secure(port: number, hostname: string = "127.0.0.1", allowH2: boolean = false): DialTarget {
  return { protocol: "https:", hostname, port, allowH2 };
}

/** A lookup that gives every name the same addresses. */
function addresses(...list: readonly string[]): LookupFunction {
  return (_hostname, _options, answer) =>
    answer(
      null,
      list.map((address) => ({ address, family: 4 })),
    );
}

function notFound(...[, , answer]: Parameters<LookupFunction>): void {
  answer(Object.assign(new Error("getaddrinfo ENOTFOUND"), { code: "ENOTFOUND" }), "");
}

afterEach(assertNothingLeft);

test("a dial hands over an unread socket with its address, its timings and one listener of ours", async () => {
  await using server = await listen(createServer((peer) => peer.write("hello")));
  const dialer = dialerWith({ lookup: addresses("127.0.0.1") });

  const { socket, protocol, remoteAddress, timings } = await dialer.dial(plain(server.port, "shop.test"));

  assert.deepEqual(
    { protocol, remoteAddress, dialing: dialer.dialing },
    {
      protocol: "http/1.1",
      remoteAddress: "127.0.0.1",
      dialing: 0,
    },
  );
  assert.ok(timings.connectMs > 0 && timings.tlsMs === 0 && timings.proxyMs === 0 && !timings.tlsResumed);
  assert.deepEqual(socket.listeners("error"), [ignoreError]);
  const fresh = connect(server.port, "127.0.0.1").on("error", ignoreError);
  await once(fresh, "connect");
  for (const event of ["connect", "close", "data", "end", "timeout", "lookup", "drain", "readable"]) {
    assert.equal(socket.listenerCount(event), fresh.listenerCount(event), event);
  }
  const [data]: Buffer[] = await once(socket, "data");
  assert.equal(String(data), "hello");
  fresh.destroy();
  socket.destroy();
});

test("an IPv6 address is dialed with its brackets or without them", async () => {
  await using server = await listen(createServer(), "::1");
  const dialer = dialerWith();
  const [bracketed, bare] = await Promise.all(["[::1]", "::1"].map((host) => dialer.dial(plain(server.port, host))));
  assert.deepEqual([bracketed?.remoteAddress, bare?.remoteAddress], ["::1", "::1"]);
  bracketed?.socket.destroy();
  bare?.socket.destroy();
});

test("an address that outlier ejection avoids is tried last, not never", async () => {
  await using server = await listen(createServer(), "0.0.0.0");
  const lookup = addresses("127.0.0.1", "127.0.0.2");
  const dialer = dialerWith({ lookup });
  const target = plain(server.port, "shop.test");

  const first = await dialer.dial({ ...target, avoid: (address) => address === "127.0.0.1" });
  const second = await dialer.dial({ ...target, avoid: () => true });

  assert.deepEqual([first.remoteAddress, second.remoteAddress], ["127.0.0.2", "127.0.0.1"]);
  first.socket.destroy();
  second.socket.destroy();
});

test("a Unix socket is reached by its path, and the local address is the one asked for", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-dial-"));
  const socketPath = join(folder, "shop.sock");
  const unix = createServer((peer) => peer.end()).listen(socketPath);
  await once(unix, "listening");
  await using server = await listen(createServer());

  const overPath = await dialerWith({ socketPath }).dial(plain(80, "shop.test"));
  const fromSecond = await dialerWith({ localAddress: "127.0.0.2" }).dial(plain(server.port));

  assert.equal(overPath.remoteAddress, socketPath);
  assert.equal(fromSecond.socket.localAddress, "127.0.0.2");
  overPath.socket.destroy();
  fromSecond.socket.destroy();
  unix.close();
  rmSync(folder, { recursive: true });
});

test("a host without an address of localAddress's family fails as the system would", async () => {
  const dialing = dialerWith({ localAddress: "127.0.0.2" }).dial(plain(80, "::1"));
  await assert.rejects(dialing, { code: "EADDRNOTAVAIL" });
});

test("a system error reaches the caller unwrapped", async () => {
  let port = 0;
  {
    await using server = await listen(createServer());
    port = server.port;
  }
  await assert.rejects(dialerWith().dial(plain(port)), { code: "ECONNREFUSED", name: "Error" });
  await assert.rejects(dialerWith({ lookup: notFound }).dial(plain(port, "shop.test")), { code: "ENOTFOUND" });
});

test("each phase has its own time limit and says so", async () => {
  await using silent = await blackhole();
  await using mute = await listen(createServer((peer) => peer.resume()));
  const limits = { dialTimeoutMs: 100, tlsHandshakeTimeoutMs: 100 };
  const dns = dialerWith({ ...limits, lookup: () => {} }).dial(plain(80, "shop.test"));
  const tcp = dialerWith(limits).dial(plain(silent.port));
  const tls = dialerWith(limits).dial(secure(mute.port));
  const proxy = dialerWith({ ...limits, proxy: `http://127.0.0.1:${mute.port}` }).dial(secure(443, "shop.test"));
  const startedAt = performance.now();

  await Promise.all([
    assert.rejects(dns, { code: "ERR_DIAL_TIMEOUT", phase: "dns", message: /shop\.test:80/ }),
    assert.rejects(tcp, {
      code: "ERR_DIAL_TIMEOUT",
      phase: "connect",
      message: /Tried without an answer: 127\.0\.0\.1/,
    }),
    assert.rejects(tls, { code: "ERR_TLS_HANDSHAKE_TIMEOUT", phase: "tls" }),
    assert.rejects(proxy, { code: "ERR_DIAL_TIMEOUT", phase: "proxy", message: /shop\.test:443/ }),
  ]);

  assert.ok(performance.now() - startedAt < 1_000);
  await until(() => mute.connections.size === 0);
  assert.equal(mute.connections.size, 0);
});

test("a dial whose connection came while the event loop was blocked does not time out", async () => {
  await using server = await listen(createServer());
  const dialer = dialerWith({ dialTimeoutMs: 60 });
  // The numeric host is one step behind; the name is two, the second of which can only begin after the blocked time.
  for (const hostname of ["127.0.0.1", "localhost"]) {
    const dialing = dialer.dial(plain(server.port, hostname));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    // oxlint-disable-next-line no-await-in-loop -- the second would be blocked by the first
    const { socket } = await dialing;
    socket.destroy();
  }
});

test("an abort in any phase rejects at once with its reason and leaves no socket and no listener", async () => {
  await using silent = await blackhole();
  await using mute = await listen(createServer((peer) => peer.resume()));
  const proxy = `http://127.0.0.1:${mute.port}`;
  const busy = dialerWith({ maxDials: 1 });
  const busyAborter = new AbortController();
  const holder = busy.dial(plain(silent.port), busyAborter.signal);
  const phases: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
    queue: (signal) => busy.dial(plain(mute.port), signal),
    dns: (signal) => dialerWith({ lookup: () => {} }).dial(plain(80, "shop.test"), signal),
    connect: (signal) => dialerWith().dial(plain(silent.port), signal),
    proxy: (signal) => dialerWith({ proxy }).dial(secure(443), signal),
    tls: (signal) => dialerWith().dial(secure(mute.port), signal),
  };
  for (const [phase, dial] of Object.entries(phases)) {
    const aborter = new AbortController();
    const reason = new Error(`gone in ${phase}`);
    const dialing = dial(aborter.signal);
    // oxlint-disable-next-line no-await-in-loop -- one phase after the other, for the time that each takes
    await sleep(40);
    aborter.abort(reason);
    // oxlint-disable-next-line no-await-in-loop -- see above
    assert.equal(await Promise.race([dialing.catch((error: unknown) => error), nextTurn("later")]), reason, phase);
    assert.deepEqual(getEventListeners(aborter.signal, "abort"), [], phase);
  }
  busyAborter.abort(new Error("done"));
  await assert.rejects(holder, /done/);
  await until(() => mute.connections.size === 0);
  assert.equal(mute.connections.size, 0);
});

test("a signal that is aborted already opens nothing", async () => {
  await using server = await listen(createServer());
  await assert.rejects(dialerWith().dial(plain(server.port), AbortSignal.abort(new Error("too late"))), /too late/);
  assert.equal(server.connections.size, 0);
});

test("a dial whose turn does not come fails after one dialTimeout and says what it waited for", async () => {
  await using silent = await blackhole();
  const dialer = dialerWith({ maxDials: 1, dialTimeoutMs: 80 });
  const aborter = new AbortController();
  const results = await Promise.allSettled([1, 2, 3].map(() => dialer.dial(plain(silent.port), aborter.signal)));
  const messages = results.map((result) => (result.status === "rejected" ? String(result.reason) : ""));
  assert.match(messages[0] ?? "", /Tried without an answer/);
  assert.match(messages.at(-1) ?? "", /waited for its turn.*maxDials is 1/);
  assert.equal(dialer.dialing, 0);
});

test("close ends the dials under way and refuses new ones", async () => {
  await using silent = await blackhole();
  const dialer = dialerWith();
  const dialing = dialer.dial(plain(silent.port));
  await sleep(20);
  assert.equal(dialer.dialing, 1);

  dialer.close();

  await assert.rejects(dialing, { code: "ERR_TRANSPORT_CLOSED" });
  await assert.rejects(dialer.dial(plain(silent.port)), { code: "ERR_TRANSPORT_CLOSED" });
  assert.equal(dialer.dialing, 0);
});

test("a socket dialed inside a request does not remember the request", async () => {
  await using server = await listen(createServer((peer) => peer.write("hello")));
  const request = new AsyncLocalStorage<string>();
  const { socket } = await request.run("request 1", () => dialerWith().dial(plain(server.port)));
  const seen = Promise.withResolvers<string | undefined>();
  // The listener is called in the scope in which the socket was made.
  socket.on("data", () => seen.resolve(request.getStore()));
  assert.equal(await seen.promise, undefined);
  socket.destroy();
});

test("HTTP/2 is agreed on only when it was offered", async () => {
  const options = { ...serverCertificate, ALPNProtocols: ["h2", "http/1.1"] };
  await using server = await listen(createTlsServer(options, () => {}));
  const dialer = dialerWith();
  const two = await dialer.dial(secure(server.port, "127.0.0.1", true));
  const one = await dialer.dial(secure(server.port));
  assert.deepEqual([two.protocol, one.protocol], ["h2", "http/1.1"]);
  two.socket.destroy();
  one.socket.destroy();
});

test("the name is sent to the server, an address is not, and the certificate is checked against either", async () => {
  const names: unknown[] = [];
  const server = createTlsServer(serverCertificate, (peer) => {
    names.push(peer.servername);
    peer.end("x");
  });
  await using listening = await listen(server);
  const dialer = dialerWith({ lookup: addresses("127.0.0.1") });
  const dial = async (target: DialTarget): Promise<void> => {
    const { socket } = await dialer.dial(target);
    await once(socket.resume(), "end");
    socket.destroy();
  };

  await dial(secure(listening.port, "api.sluice.test"));
  await dial(secure(listening.port, "sluice.test."));
  await dial(secure(listening.port, "127.0.0.1"));
  await dial({ ...secure(listening.port, "other.test"), servername: "sluice.test" });

  assert.deepEqual(names, ["api.sluice.test", "sluice.test", false, "sluice.test"]);
  const wrong = { code: "ERR_TLS_CERT_ALTNAME_INVALID" };
  await assert.rejects(dial(secure(listening.port, "other.test")), wrong);
  const untrusting = dialerWith({ tls: {} });
  await assert.rejects(untrusting.dial(secure(listening.port)), { code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" });
});

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`a second ${version} connection resumes the session of the first, for the same name only`, async () => {
    const resumed: boolean[] = [];
    const server = createTlsServer({ ...serverCertificate, maxVersion: version }, (peer) => {
      resumed.push(peer.isSessionReused());
      peer.end("x");
    });
    await using listening = await listen(server);
    const dialer = dialerWith({ lookup: addresses("127.0.0.1") });
    const dial = async (hostname: string): Promise<boolean> => {
      const { socket, timings } = await dialer.dial(secure(listening.port, hostname));
      // A TLS 1.3 server sends the ticket after the handshake.
      await once(socket.resume(), "end");
      socket.destroy();
      return timings.tlsResumed;
    };

    const seen = [await dial("a.sluice.test"), await dial("a.sluice.test"), await dial("b.sluice.test")];

    assert.deepEqual(seen, [false, true, false]);
    assert.deepEqual(resumed, seen);
  });
}

test("a session that the server chokes on is not offered a second time", async () => {
  const { port, ...first } = await listen(createTlsServer(serverCertificate, (peer) => peer.end("x")));
  const dialer = dialerWith();
  const { socket } = await dialer.dial(secure(port));
  await once(socket.resume(), "end");
  socket.destroy();
  await first[Symbol.asyncDispose]();
  {
    await using _broken = await listen(
      createServer((peer) => peer.end("nonsense")),
      "127.0.0.1",
      port,
    );
    await assert.rejects(dialer.dial(secure(port)));
  }
  await using _again = await listen(
    createTlsServer(serverCertificate, () => {}),
    "127.0.0.1",
    port,
  );
  const last = await dialer.dial(secure(port));
  assert.equal(last.timings.tlsResumed, false);
  last.socket.destroy();
});

test("a client certificate reaches the server, and without one the server's refusal is an error", async () => {
  const subjects: string[] = [];
  const options = {
    ...serverCertificate,
    ca,
    requestCert: true,
    rejectUnauthorized: true,
    maxVersion: "TLSv1.2",
  } as const;
  const server = createTlsServer(options, (peer) => subjects.push(String(peer.getPeerCertificate().subject.CN)));
  await using listening = await listen(server);
  const { socket } = await dialerWith({ tls: { ca, ...clientCertificate } }).dial(secure(listening.port));
  await until(() => subjects.length > 0);
  assert.deepEqual(subjects, ["sluice test client"]);
  await assert.rejects(dialerWith().dial(secure(listening.port)), (error) => error instanceof Error && "code" in error);
  socket.destroy();
});

test("a server that hangs up during the handshake is a reset, not a timeout", async () => {
  await using server = await listen(createServer((peer) => peer.end()));
  await assert.rejects(dialerWith().dial(secure(server.port)), { code: "ECONNRESET" });
});

test("a socket that is destroyed under the handshake fails it", async () => {
  await using mute = await listen(createServer((peer) => peer.resume()));
  const socket = connect(mute.port, "127.0.0.1").on("error", ignoreError);
  await once(socket, "connect");
  const settings = { options: {}, context: () => createSecureContext(), sessions: new TlsSessions(1) };
  const peer = { hostname: "127.0.0.1", port: mute.port, servername: undefined, allowH2: false };
  const handshake = shakeHands(socket, peer, settings, new AbortController().signal);

  socket.destroy();

  await assert.rejects(handshake, { code: "ECONNRESET" });
});

test("whenever an abort comes, each dial gives a connection or the reason, and nothing stays open", async (t) => {
  const seed = Number(process.env["SEED"] ?? randomInt(2 ** 31));
  t.diagnostic(`SEED=${seed}`);
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  await using server = await listen(createTlsServer(serverCertificate, (peer) => peer.resume()));
  const dialer = dialerWith({ maxDials: 8 });
  const aborters = Array.from({ length: 200 }, () => new AbortController());
  const reason = new Error("client gone");

  const results = await Promise.allSettled(
    aborters.map((aborter) => {
      const dialing = dialer.dial(secure(server.port, "localhost"), aborter.signal);
      setTimeout(() => aborter.abort(reason), random(150));
      return dialing;
    }),
  );

  for (const result of results) {
    if (result.status === "fulfilled") result.value.socket.destroy();
    else assert.equal(result.reason, reason);
  }
  const connected = results.filter(({ status }) => status === "fulfilled").length;
  t.diagnostic(`${connected} of ${results.length} connected`);
  await until(() => server.connections.size === 0);
  assert.deepEqual({ open: server.connections.size, dialing: dialer.dialing }, { open: 0, dialing: 0 });
});

test("options that can never work are refused when they are given", () => {
  assert.throws(() => dialerWith({ localAddress: "eth0" }), { code: "ERR_OPTION", message: /localAddress.*eth0/ });
  assert.throws(() => dialerWith({ maxDials: 0 }), { code: "ERR_OPTION" });
  assert.throws(() => dialerWith({ tls: { key: "nonsense" } }), { code: "ERR_OPTION", message: /Transport\.tls/ });
  assert.throws(() => dialerWith({ socketPath: "/x", proxy: "http://proxy.test" }), { code: "ERR_OPTION" });
});

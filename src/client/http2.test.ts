/** HTTP/2: many requests on one connection, within the server's limits, and what happens when it goes away. */

import assert from "node:assert/strict";
import { constants, type ServerHttp2Stream } from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import { afterEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createServer as createTlsServer } from "node:tls";
import { ca, serverCertificate } from "../../test/support/certificates.ts";
import { http2Server } from "../../test/support/http2-server.ts";
import { assertNothingLeft, listen, until } from "../../test/support/loopback.ts";
import { ask, failure, send } from "../../test/support/send.ts";
import { assertQuiet, openTransport } from "../../test/support/transport-checks.ts";
import type { TransportOptions } from "./transport-options.ts";
import type { Transport } from "./transport.ts";

afterEach(assertNothingLeft);

function openSecure(options: TransportOptions = {}): Transport {
  return openTransport({ tls: { ca }, ...options });
}

function respond(stream: ServerHttp2Stream, body: string = "ok"): void {
  if (stream.destroyed || stream.closed) return;
  stream.respond({ ":status": 200 });
  stream.end(body);
}

test("many requests at once share one connection", async () => {
  await using server = await http2Server((stream, path) => void setTimeout(() => respond(stream, path), 5));
  await using transport = openSecure();

  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, n) => ask(transport, { origin: server.origin, path: `/${n}` })),
  );

  assert.deepEqual(
    answers.map(({ body }) => body),
    answers.map((_, n) => `/${n}`),
  );
  await assertQuiet(transport);
  const { opened, idle } = transport.stats();
  assert.deepEqual({ opened, idle, sessions: server.sessionCount }, { opened: 1, idle: 1, sessions: 1 });
});

test("above the server's limit of streams another connection is opened, and no stream is refused", async () => {
  await using server = await http2Server((stream, path) => void setTimeout(() => respond(stream, path), 10), {
    settings: { maxConcurrentStreams: 10 },
  });
  await using transport = openSecure();

  for (let round = 0; round < 2; round += 1) {
    const answers = await Promise.all(
      Array.from({ length: 45 }, (_, n) => ask(transport, { origin: server.origin, path: `/${n}` })),
    );
    assert.ok(answers.every(({ body, status }, n) => status === 200 && body === `/${n}`));
    await assertQuiet(transport);
  }

  assert.ok(server.mostStreams <= 10, `${server.mostStreams} streams at once`);
  assert.ok(server.sessionCount >= 4 && server.sessionCount <= 6, `${server.sessionCount} connections`);
});

test("a server that stops taking streams does not hold up the event loop, and others get another connection", async () => {
  await using server = await http2Server((stream) => respond(stream));
  await using transport = openSecure({ responseHeaderTimeout: "250ms" });
  await ask(transport, { origin: server.origin });
  const [session] = server.sessions;
  session?.settings({ maxConcurrentStreams: 0 });
  await sleep(50);

  const both = await Promise.allSettled([1, 2].map(() => ask(transport, { origin: server.origin })));

  assert.deepEqual(both.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
  await assertQuiet(transport);
  assert.equal(transport.stats().idle, 1, "the connection that takes nothing was kept");
});

test("a request that is given up before it had room on a connection is never sent", async () => {
  const held: ServerHttp2Stream[] = [];
  const paths: string[] = [];
  await using server = await http2Server(
    (stream, path) => {
      paths.push(path);
      if (path === "/held") held.push(stream);
      else respond(stream);
    },
    { settings: { maxConcurrentStreams: 1 } },
  );
  await using transport = openSecure();
  await ask(transport, { origin: server.origin, path: "/first" });
  const first = send(transport, { origin: server.origin, path: "/held" });
  await until(() => held.length === 1);

  const sent = send(transport, { origin: server.origin, path: "/given-up", method: "POST" });
  const reason = sent.abort();
  await assert.rejects(sent.answer, reason);
  for (const stream of held) respond(stream);
  await first.answer;
  await ask(transport, { origin: server.origin, path: "/last" });

  assert.deepEqual(paths, ["/first", "/held", "/last"]);
  await assertQuiet(transport);
});

test("maxStreamsPerConn and maxConnsPerHost together bound what is in flight", async () => {
  let open = 0;
  let most = 0;
  await using server = await http2Server((stream) => {
    most = Math.max(most, ++open);
    setTimeout(() => {
      open -= 1;
      respond(stream);
    }, 5);
  });
  await using transport = openSecure({ maxStreamsPerConn: 3, maxConnsPerHost: 2 });

  await Promise.all(Array.from({ length: 30 }, () => ask(transport, { origin: server.origin })));

  assert.equal(most, 6);
  assert.equal(server.sessionCount, 2);
  await assertQuiet(transport);
});

test("a stream that is given up does not end its connection or the other streams", async () => {
  await using server = await http2Server((stream, path) => {
    if (path === "/never") return;
    if (path === "/half") {
      stream.respond({ ":status": 200 });
      stream.write("some");
      return;
    }
    setTimeout(() => respond(stream), 30);
  });
  await using transport = openSecure();
  const { origin } = server;
  const other = ask(transport, { origin });
  const never = send(transport, { origin, path: "/never" });
  const half = send(transport, { origin, path: "/half" });
  await half.header;

  for (const given of [never, half]) {
    const reason = given.abort();
    assert.equal(given.error, reason);
  }

  assert.equal((await other).body, "ok");
  assert.equal((await ask(transport, { origin })).body, "ok");
  await assertQuiet(transport);
  assert.equal(server.sessionCount, 1);
});

test("streams in every stage of giving up leave the counts at zero", async () => {
  // The limit is ours: Node's server counts a stream that was given up for longer than the protocol does.
  await using server = await http2Server((stream) => void setTimeout(() => respond(stream), 20));
  await using transport = openSecure({ maxConnsPerHost: 2, maxStreamsPerConn: 5 });
  const { origin } = server;
  for (const waitMs of [0, 1, 5, 15, 25]) {
    const sent = Array.from({ length: 20 }, () => send(transport, { origin }));
    await sleep(waitMs);
    for (const one of sent) if (one.ended === 0) one.abort();
    assert.ok(sent.every(({ ended }) => ended === 1));
    await assertQuiet(transport);
  }
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(transport, { origin })));
  assert.ok(answers.every(({ status }) => status === 200));
});

test("a stream that the server resets fails alone", async () => {
  await using server = await http2Server((stream, path) => {
    if (path === "/reset") stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    else setTimeout(() => respond(stream), 10);
  });
  await using transport = openSecure();
  const { origin } = server;
  const other = ask(transport, { origin });

  const error = await failure(ask(transport, { origin, path: "/reset" }));

  assert.ok(error.code !== undefined && error.code !== "", error.message);
  assert.equal((await other).body, "ok");
  await assertQuiet(transport);
  assert.equal(server.sessionCount, 1);
});

test("after GOAWAY the streams under way end, and the next request has a new connection", async () => {
  await using server = await http2Server((stream, path) => {
    if (path === "/last") stream.session?.goaway();
    setTimeout(() => respond(stream), 10);
  });
  await using transport = openSecure();
  const { origin } = server;
  await ask(transport, { origin });

  const last = await ask(transport, { origin, path: "/last" });
  assert.equal(last.body, "ok");
  for (let n = 0; n < 3; n += 1) assert.equal((await ask(transport, { origin })).body, "ok");

  await assertQuiet(transport);
  assert.equal(server.sessionCount, 2);
});

test("when the server breaks the protocol, the next request does not meet the session that has ended by it", async () => {
  const settings = Buffer.from("000000040000000000", "hex");
  // DATA on stream 0, and a HEADERS frame of `:status: 200` that ends stream 1.
  const [garbage, ok] = [Buffer.from("000000000000000000", "hex"), Buffer.from("00000101050000000188", "hex")];
  let accepted = 0;
  const server = createTlsServer({ ...serverCertificate, ALPNProtocols: ["h2"] }, (socket) => {
    accepted += 1;
    const reply = accepted === 1 ? garbage : ok;
    socket.on("error", () => {});
    socket.once("data", () => {
      socket.write(settings);
      setTimeout(() => socket.write(reply), 20);
    });
  });
  await using listening = await listen(server);
  await using transport = openSecure();
  const origin = `https://localhost:${listening.port}`;

  const error = await failure(ask(transport, { origin, method: "POST" }));
  const { status } = await ask(transport, { origin, method: "POST" });

  assert.equal(error.code, "ERR_HTTP2_ERROR");
  assert.deepEqual({ status, accepted }, { status: 200, accepted: 2 });
});

test("a server that closes its sessions when they are idle costs no request", async () => {
  await using server = await http2Server((stream) => respond(stream));
  await using transport = openSecure();
  const { origin } = server;
  for (let n = 0; n < 4; n += 1) {
    assert.equal((await ask(transport, { origin })).body, "ok");
    for (const session of server.sessions) session.close();
  }
  await assertQuiet(transport);
});

test("a server that goes away in the middle fails what was on its connection, and the next request dials", async () => {
  await using server = await http2Server((stream, path) => {
    if (path === "/die") for (const socket of server.connections) socket.destroy();
    else if (path === "/half") {
      stream.respond({ ":status": 200 });
      stream.write("some");
    } else respond(stream);
  });
  await using transport = openSecure({ replay: { attempts: 0 } });
  const { origin } = server;
  await ask(transport, { origin });
  const half = send(transport, { origin, path: "/half" });
  await half.header;

  const died = await failure(ask(transport, { origin, path: "/die", method: "POST", body: "some" }));
  const halved = await failure(half.answer);

  for (const error of [died, halved]) assert.ok(error.code !== undefined && error.code !== "", error.message);
  assert.equal((await ask(transport, { origin })).body, "ok");
  await assertQuiet(transport);
  assert.equal(server.sessionCount, 2);
});

test("the timeouts hold on streams, and end the stream alone", async () => {
  await using server = await http2Server((stream, path) => {
    if (path === "/half") {
      stream.respond({ ":status": 200 });
      stream.write("some");
    } else if (path === "/ok") setTimeout(() => respond(stream), 5);
  });
  await using transport = openSecure({ responseHeaderTimeout: 60, bodyTimeout: 60 });
  const { origin } = server;
  const from = performance.now();

  const errors = await Promise.all(["/never", "/half"].map((path) => failure(ask(transport, { origin, path }))));

  assert.ok(performance.now() - from >= 60);
  assert.deepEqual(
    errors.map(({ code }) => code),
    ["ERR_RESPONSE_HEADER_TIMEOUT", "ERR_BODY_TIMEOUT"],
  );
  assert.equal((await ask(transport, { origin, path: "/ok" })).body, "ok");
  await assertQuiet(transport);
  assert.equal(server.sessionCount, 1);
});

test("a large upload in one piece goes over a stream", async () => {
  let received = 0;
  await using server = await http2Server((stream) => {
    stream.on("data", (chunk: Buffer) => (received += chunk.length));
    stream.on("end", () => respond(stream, String(received)));
  });
  await using transport = openSecure();

  const { body } = await ask(transport, { origin: server.origin, method: "POST", body: Buffer.alloc(3_000_000) });

  assert.equal(body, "3000000");
  await assertQuiet(transport);
});

test("an idle HTTP/2 connection ends after idleConnTimeout, and its lifetime holds under load", async () => {
  await using server = await http2Server((stream) => void setTimeout(() => respond(stream), 2));
  const { origin } = server;
  await using shortIdle = openSecure({ idleConnTimeout: 40 });
  await ask(shortIdle, { origin });
  await until(() => shortIdle.stats().idle === 0);
  await assertQuiet(shortIdle);
  assert.equal(shortIdle.stats().closed.idle_timeout, 1);

  await using transport = openSecure({ maxConnLifetime: 60 });
  const load = { goesOn: true };
  const loops = Array.from({ length: 4 }, async () => {
    while (load.goesOn) await ask(transport, { origin });
  });
  await until(() => transport.stats().closed.max_lifetime >= 2);
  load.goesOn = false;
  await Promise.all(loops);

  await assertQuiet(transport);
  assert.ok(transport.stats().closed.max_lifetime >= 2 && server.sessionCount >= 3);
});

test("close waits for the streams, abort ends them with its reason", async () => {
  await using server = await http2Server((stream, path) => {
    if (path !== "/never") setTimeout(() => respond(stream), 20);
  });
  const { origin } = server;
  const closed = openSecure();
  const all = [1, 2, 3].map(() => ask(closed, { origin }));
  await until(() => closed.stats().inFlight === 3);
  await closed.close();
  assert.ok((await Promise.all(all)).every(({ body }) => body === "ok"));

  const aborted = openSecure();
  const sent = [1, 2, 3].map(() => send(aborted, { origin, path: "/never" }));
  await until(() => aborted.stats().inFlight === 3);
  const reason = new Error("enough");
  await aborted.abort(reason);
  assert.deepEqual(
    sent.map(({ error }) => error),
    [reason, reason, reason],
  );
});

test("a server without HTTP/2 gets HTTP/1.1, and http2: never offers nothing else", async () => {
  const https = createHttpsServer(serverCertificate, (request, response) => response.end(request.httpVersion));
  await using server = await listen(https);
  await using both = await http2Server(() => {}, { allowHTTP1: true });
  await using transport = openSecure();
  await using never = openSecure({ http2: "never" });

  const answers = await Promise.all([1, 2].map(() => ask(transport, { origin: `https://localhost:${server.port}` })));
  assert.deepEqual(
    answers.map(({ body }) => body),
    ["1.1", "1.1"],
  );
  const old = send(never, { origin: both.origin });
  await until(() => both.connections.size === 1);
  await sleep(20);
  assert.equal(both.sessionCount, 0);
  old.abort();
});

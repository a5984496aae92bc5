import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import http, { type ClientRequest } from "node:http";
import https from "node:https";
import { createServer as createTcpServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { Transport, type TransportOptions } from "sluice/client";
import { ca, serverCertificate } from "../../test/support/certificates.ts";
import { assertNothingLeft, listen, until } from "../../test/support/loopback.ts";
import { echo, failure, send, serve } from "../../test/support/node-http.ts";
import { assertQuiet } from "../../test/support/transport-checks.ts";

/** Every name is this machine. */
const lookup: TransportOptions["lookup"] = (_name, _options, callback) =>
  callback(null, [{ address: "127.0.0.1", family: 4 }]);

test("requests one after another share one connection, also when the next is made in the end handler", async () => {
  await using served = await serve(echo);
  await using transport = new Transport();
  const agent = transport.agent();
  for (let index = 0; index < 20; index += 1) {
    // oxlint-disable-next-line no-await-in-loop -- one after another is the point
    assert.deepEqual(await send(http.request(`${served.url}/${index}`, { agent })), {
      status: 200,
      body: `GET /${index}`,
    });
  }
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const next = (left: number): void => {
    http
      .get(served.url, { agent }, (response) => {
        response.resume().on("end", () => (left === 0 ? resolve() : next(left - 1)));
      })
      .on("error", reject);
  };
  next(20);
  await promise;
  assert.equal(served.accepted(), 1);
  assert.equal(transport.stats().opened, 1);
  await assertQuiet(transport);
  await transport.close();
  await served[Symbol.asyncDispose]();
  await assertNothingLeft();
});

test("no more connections are opened than maxConnsPerHost, however many requests there are", async () => {
  let most = 0;
  let now = 0;
  await using served = await serve((_request, response) => {
    now += 1;
    most = Math.max(most, now);
    setTimeout(() => {
      now -= 1;
      response.end("ok");
    }, 5);
  });
  await using transport = new Transport({ maxConnsPerHost: 3 });
  const agent = transport.agent();
  const answers = await Promise.all(Array.from({ length: 30 }, () => send(http.request(served.url, { agent }))));
  assert.equal(
    answers.every(({ body }) => body === "ok"),
    true,
  );
  assert.equal(most, 3);
  assert.equal(served.accepted(), 3);
  assert.equal(transport.stats().waitCount >= 27, true);
  await assertQuiet(transport);
});

test("node:http and undici use the same connections, node:http those that undici has not used", async () => {
  await using served = await serve(echo);
  await using transport = new Transport();
  const agent = transport.agent();
  await send(http.request(served.url, { agent }));
  await send(http.request(served.url, { agent }));
  const answer = await transport.request({ origin: served.url, path: "/undici", method: "GET" });
  assert.equal(await answer.body.text(), "GET /undici");
  assert.equal(served.accepted(), 1);
  await send(http.request(served.url, { agent }));
  assert.equal(served.accepted(), 2);
  assert.equal(transport.stats().idle, 2);
});

test("HTTPS goes over the transport's TLS settings, and names its host", async () => {
  let servername: unknown;
  const server = https.createServer(serverCertificate);
  server.on("secureConnection", (socket) => (servername = socket.servername));
  await using served = await serve(echo, server);
  await using transport = new Transport({ tls: { ca } });
  const agent = transport.agent();
  const url = `https://localhost:${served.server.port}/`;
  assert.equal((await send(https.request(url, { agent }))).status, 200);
  assert.equal((await send(https.request(url, { agent, rejectUnauthorized: true, ca }))).status, 200);
  assert.equal(servername, "localhost");
  const renamed = https.request(url, { agent, headers: { host: "a.sluice.test" } });
  assert.equal((await send(renamed)).status, 200);
  assert.equal(servername, "a.sluice.test");
  // To see one's write finished over TLS takes a turn longer than to see an answer from the same process, and until
  // then the first connection is not free. Requests of another name share none with the first.
  assert.deepEqual(
    transport.stats().origins.map(({ opened }) => opened >= 1 && opened <= 2),
    [true, true],
  );
});

test("no Host header of another request decides for which name the agent's certificate is checked", async () => {
  await using served = await serve(echo, https.createServer(serverCertificate));
  await using transport = new Transport({ tls: { ca } });
  const origin = `https://localhost:${served.server.port}`;

  // Refused: the certificate is for no such name.
  await assert.rejects(transport.request(origin, { headers: { host: "|h1" } }), {
    code: "ERR_TLS_CERT_ALTNAME_INVALID",
  });
  const { status } = await send(https.request(origin, { agent: transport.agent() }));

  assert.equal(status, 200);
});

test("a request that asks for another connection than the shared ones is refused by name", async () => {
  await using served = await serve(echo);
  await using transport = new Transport();
  const agent = transport.agent();
  const cases: [() => ClientRequest, string][] = [
    [
      () => https.request(served.url.replace("http", "https"), { agent, rejectUnauthorized: false }),
      "rejectUnauthorized",
    ],
    [() => https.request(served.url.replace("http", "https"), { agent, ca }), "request.ca"],
    [() => http.request(served.url, { agent, localAddress: "127.0.0.2" }), "request.localAddress"],
    [() => http.request({ socketPath: "/nowhere", agent }), "request.socketPath"],
    [() => http.request({ host: "127.0.0.1/x", agent }), "request.host"],
  ];
  for (const [make, name] of cases) {
    // oxlint-disable-next-line no-await-in-loop -- each request has its own error
    const error = await failure(make());
    assert.equal(error.code, "ERR_OPTION");
    assert.match(error.message, new RegExp(name));
  }
  assert.equal(transport.stats().opened, 0);
});

test("without a port the protocol decides, and the Host header says none", async () => {
  await using transport = new Transport({ lookup });
  const agent = transport.agent();
  for (const [protocol, port] of [
    ["http:", 80],
    ["https:", 443],
  ] as const) {
    const { request } = protocol === "http:" ? http : https;
    for (const given of [undefined, port]) {
      const sent = request({ host: "sluice.test", agent, port: given });
      assert.equal(sent.getHeader("host"), "sluice.test");
      sent.destroy();
      // oxlint-disable-next-line no-await-in-loop -- each request has its own error
      await failure(sent);
    }
    assert.equal(transport.stats().origins.at(-1)?.origin, `${protocol}//sluice.test`);
  }
});

test("a connection on which the server said something unasked is not lent again", async () => {
  const sockets: Socket[] = [];
  const server = createTcpServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
  });
  await using listening = await listen(server);
  await using transport = new Transport();
  const agent = transport.agent();
  const url = `http://127.0.0.1:${listening.port}`;
  await send(http.request(url, { agent }));
  await new Promise((resolve) => sockets[0]?.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", resolve));
  assert.equal((await send(http.request(url, { agent }))).body, "ok");
  await until(() => transport.stats().closed.server_close === 1);
  assert.equal(sockets.length, 2);
  assert.equal(transport.stats().closed.server_close, 1);
});

test("a connection that the server has closed is replaced before anything is written", async () => {
  await using served = await serve(echo);
  await using transport = new Transport();
  const agent = transport.agent();
  for (let round = 0; round < 10; round += 1) {
    const request = http.request(served.url, { agent, method: "POST" });
    // oxlint-disable-next-line no-await-in-loop -- one after another is the point
    assert.equal((await send(request, "x")).body, "POST /");
    for (const socket of served.server.connections) socket.end();
    // The next request is made in the very turn in which the end may arrive.
    // oxlint-disable-next-line no-await-in-loop -- one after another is the point
    if (round % 2 === 0) await sleep(1 + round);
    else {
      // oxlint-disable-next-line no-await-in-loop -- one after another is the point
      await new Promise(setImmediate);
    }
  }
  await assertQuiet(transport);
});

test("a server's Keep-Alive hint ends the idle time before the server does", async () => {
  const server = http.createServer();
  await using served = await serve((request, response) => {
    response.setHeader("keep-alive", "timeout=1");
    echo(request, response);
  }, server);
  await using transport = new Transport();
  await send(http.request(served.url, { agent: transport.agent() }));
  assert.equal(transport.stats().idle, 1);
  await sleep(900);
  await until(() => transport.stats().idle === 0);
  assert.equal(transport.stats().closed.idle_timeout, 1);
});

test("a transport on a Unix socket reaches every host through it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-agent-"));
  const path = join(folder, "socket");
  const server = http.createServer((request, response) => response.end(`${request.headers.host} ${request.url}`));
  server.listen(path);
  await once(server, "listening");
  try {
    await using transport = new Transport({ socketPath: path });
    const agent = transport.agent();
    assert.equal((await send(http.request("http://a.test/1", { agent }))).body, "a.test /1");
    assert.equal((await send(http.request({ socketPath: path, path: "/2", agent }))).body, "localhost /2");
  } finally {
    server.close();
    rmSync(folder, { recursive: true });
  }
});

test("an upload that asks first is sent when the server says so", async () => {
  await using served = await serve((request, response) => request.pipe(response));
  await using transport = new Transport();
  const agent = transport.agent();
  const request = http.request(served.url, { agent, method: "PUT", headers: { expect: "100-continue" } });
  request.flushHeaders();
  await once(request, "continue");
  assert.equal((await send(request, "now")).body, "now");
  assert.equal(transport.stats().idle, 1);
});

test("an HTTP proxy gets the absolute form", async () => {
  const targets: unknown[] = [];
  await using proxy = await serve((request, response) => {
    targets.push([request.url, request.headers.host, request.headers["proxy-authorization"]]);
    response.end("by proxy");
  });
  await using transport = new Transport({ proxy: proxy.url.replace("//", "//me:secret@") });
  const agent = transport.agent();
  const answer = await send(http.request("http://sluice.test/a?b", { agent }));
  assert.equal(answer.body, "by proxy");
  const secret = `Basic ${Buffer.from("me:secret").toString("base64")}`;
  assert.deepEqual(targets, [["http://sluice.test/a?b", "sluice.test", secret]]);
  const error = await failure(http.get("http://sluice.test/", { agent, headers: ["host", "sluice.test"] }));
  assert.equal(error.code, "ERR_OPTION");
});

test("a closed transport refuses, and close waits for what node:http has", async () => {
  await using served = await serve((_request, response) => setTimeout(() => response.end("ok"), 30));
  const transport = new Transport();
  const agent = transport.agent();
  const running = send(http.request(served.url, { agent }));
  await until(() => transport.stats().inUse === 1);
  const closed = transport.close();
  assert.equal((await failure(http.get(served.url, { agent }))).code, "ERR_TRANSPORT_CLOSED");
  assert.equal((await running).body, "ok");
  await closed;
  await assertQuiet(transport);
  await until(() => served.server.connections.size === 0);
  assert.equal(served.server.connections.size, 0);
});

test("destroying the agent closes what is idle and nothing else", async () => {
  await using served = await serve((_request, response) => setTimeout(() => response.end("ok"), 20));
  await using transport = new Transport();
  const agent = transport.agent();
  await Promise.all([1, 2].map(() => send(http.request(served.url, { agent }))));
  const running = send(http.request(served.url, { agent }));
  await until(() => transport.stats().inUse === 1);
  agent.destroy();
  assert.equal(transport.stats().idle, 0);
  assert.equal((await running).body, "ok");
});

test("an agent of a transport with an upstream is refused where it is asked for", async () => {
  await using transport = new Transport({ upstream: { dispatch: () => true } });
  assert.throws(() => transport.agent(), { code: "ERR_OPTION" });
});

test("requests over the agent are counted and timed like all others", async () => {
  await using served = await serve(echo);
  await using transport = new Transport({ name: "agent-test" });
  await send(http.request(served.url, { agent: transport.agent() }));
  const families = [...transport.options.registry.collect()];
  const requests = families.find(({ name }) => name === "http_client_requests_total");
  const ours = JSON.stringify(requests?.samples.filter(({ labels }) => JSON.stringify(labels).includes("agent-test")));
  assert.match(ours, /"200"/);
  assert.equal(transport.stats().opened, 1);
});

test("without keepAlive a connection is closed for being used once, not by the server", async () => {
  await using served = await serve(echo);
  await using transport = new Transport({ keepAlive: false });
  await send(http.request(served.url, { agent: transport.agent() }));
  await assertQuiet(transport);
  const { single_use: singleUse, server_close: serverClose } = transport.stats().closed;
  assert.deepEqual({ singleUse, serverClose }, { singleUse: 1, serverClose: 0 });
});

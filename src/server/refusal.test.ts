/** What a client reads when its connection is refused, while it sends, pauses, or speaks the wrong protocol. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { connect, type Socket } from "node:net";
import { afterEach, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { ca, serverCertificate } from "../../test/support/certificates.ts";
import { assertNothingLeft, listen, until } from "../../test/support/loopback.ts";
import { wireClient, WireClient } from "../../test/support/wire-client.ts";
import { abortRequest, discardInput, endAfterAnswer, refuse, startLinger } from "./refusal.ts";

afterEach(assertNothingLeft);

const refusal = { status: 400, message: "No." } as const;
const megabyte = 1_048_576;

function linger(this: Socket): void {
  startLinger(this);
}

/** Puts `startLinger` in the place of `destroySoon` on each connection, as a guard does. */
function lingering(server: Server, event: "connection" | "secureConnection"): void {
  server.prependListener(event, (socket: Socket) => {
    socket.destroySoon = linger;
  });
}

type Handler = (req: IncomingMessage, res: ServerResponse) => void;

const protocols = [
  {
    name: "http",
    serve: (handler: Handler): Server => createServer(handler),
    event: "connection",
    dial: async (port: number): Promise<WireClient> => wireClient(port),
  },
  {
    name: "https",
    serve: (handler: Handler): Server => createTlsServer(serverCertificate, handler),
    event: "secureConnection",
    dial: async (port: number): Promise<WireClient> => {
      const socket = connectTls({ port, host: "127.0.0.1", servername: "localhost", ca });
      await once(socket, "secureConnect");
      return new WireClient(socket);
    },
  },
] as const;

for (const { name, serve, event, dial } of protocols) {
  test(`over ${name}, an upload that is answered early with Connection: close reads the answer, not a reset`, async () => {
    const http = serve((_, res) => res.writeHead(413, { connection: "close", "content-length": 3 }).end("big"));
    lingering(http, event);
    await using server = await listen(http);
    const body = Buffer.alloc(20 * megabyte);

    for (let turn = 0; turn < 5; turn += 1) {
      await using client = await dial(server.port);
      client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`);
      client.socket.write(body);
      const answer = await client.answer();
      await client.end();

      assert.deepEqual({ status: answer?.status, body: answer?.body }, { status: 413, body: "big" });
      assert.equal(client.error, undefined);
      assert.equal(client.rest, "");
    }
    await until(() => server.connections.size === 0);
    assert.equal(server.connections.size, 0, "a connection that both sides have closed is still there");
  });

  test(`over ${name}, a client that goes on sending after a malformed header reads the refusal, not a reset`, async () => {
    const http = serve(() => assert.fail("no handler may see it"));
    http.on("clientError", (_, socket) => refuse(socket as Socket, refusal));
    await using server = await listen(http);
    await using client = await dial(server.port);

    client.write("GET / HTTP/1.1\r\nHost : a\r\n\r\n");
    client.socket.write(Buffer.alloc(5 * megabyte));
    const answer = await client.answer();
    await client.end();

    assert.deepEqual({ status: answer?.status, body: answer?.body }, { status: 400, body: "No.\n" });
    assert.equal(answer?.headers.get("connection"), "close");
    assert.ok(!Number.isNaN(Date.parse(answer?.headers.get("date") ?? "")));
    assert.equal(client.error, undefined);
  });

  test(`over ${name}, an upload that stood still for its handler is read on, and thrown away`, async () => {
    // Nobody reads the body, so its socket is paused once the buffers are full.
    const http = serve(() => {});
    const paused = Promise.withResolvers<Socket>();
    http.prependListener(event, (socket: Socket) => {
      socket.prependListener("pause", () => paused.resolve(socket));
    });
    await using server = await listen(http);
    await using client = await dial(server.port);
    client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${5 * megabyte}\r\n\r\n`);
    client.socket.write(Buffer.alloc(5 * megabyte));
    const socket = await paused.promise;

    refuse(socket, refusal);
    const answer = await client.answer();
    await client.end();
    await client.close();

    assert.equal(answer?.status, 400);
    assert.equal(client.error, undefined);
    await until(() => socket.bytesRead > 5 * megabyte);
    assert.ok(socket.bytesRead > 5 * megabyte, `only ${socket.bytesRead} bytes were read`);
  });
}

test("input that is thrown away starts no further request", async () => {
  let requests = 0;
  const http = createServer((_, res) => {
    requests += 1;
    res.writeHead(200, { connection: "close" }).end();
  });
  lingering(http, "connection");
  await using server = await listen(http);
  await using client = await wireClient(server.port);

  client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
  assert.equal((await client.answer())?.status, 200);
  client.write("xGET /2 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1_000));
  await client.end();
  await client.close();

  assert.equal(requests, 1);
  assert.equal(client.rest, "");
});

test("a handler whose response is refused behind its back hears that its client left, and its answer goes nowhere", async () => {
  const taken = Promise.withResolvers<ServerResponse>();
  const http = createServer((_, res) => taken.resolve(res.setHeader("x-late", "1")));
  await using server = await listen(http);
  await using client = await wireClient(server.port);
  client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
  const res = await taken.promise;
  const closed = once(res, "close");
  assert.ok(res.socket);

  assert.equal(refuse(res.socket, refusal), true);
  await closed;
  assert.equal(res.destroyed, true);
  res.write("late");
  res.end("later");
  const answer = await client.answer();
  await client.end();

  assert.deepEqual({ status: answer?.status, late: answer?.headers.get("x-late") }, { status: 400, late: undefined });
  assert.equal(client.rest, "");
});

test("an answer that has begun is cut, so that nobody takes the half for the whole", async () => {
  const taken = Promise.withResolvers<ServerResponse>();
  const http = createServer((_, res) => {
    res.write("half", () => taken.resolve(res));
  });
  await using server = await listen(http);
  await using client = await wireClient(server.port);
  client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
  const res = await taken.promise;
  assert.ok(res.socket);

  assert.equal(refuse(res.socket, refusal), false);
  await client.end();

  assert.equal(await client.answer(), undefined);
  assert.match(client.rest, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n4\r\nhalf\r\n$/);
});

for (const isBegun of [false, true]) {
  test(`bytes that make no sense after a whole request do not cost it its answer, ${isBegun ? "half sent" : "not begun"}`, async () => {
    const taken = Promise.withResolvers<ServerResponse>();
    const refused = Promise.withResolvers<void>();
    const http = createServer((_, res) => {
      if (isBegun) res.write("half ");
      taken.resolve(res);
    });
    http.on("clientError", (_, socket) => {
      assert.equal(endAfterAnswer(socket as Socket), true);
      refused.resolve();
    });
    lingering(http, "connection");
    await using server = await listen(http);
    await using client = await wireClient(server.port);

    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n\x01\x02\x03");
    const res = await taken.promise;
    await refused.promise;
    client.write("\x04\x05\x06");
    res.end("whole");
    const answer = await client.answer();
    await client.end();

    assert.deepEqual(
      { status: answer?.status, body: answer?.body, connection: answer?.headers.get("connection") },
      isBegun
        ? { status: 200, body: "half whole", connection: "keep-alive" }
        : { status: 200, body: "whole", connection: "close" },
    );
    assert.equal(client.rest, "");
    assert.equal(client.error, undefined);
  });
}

test("an answer that was given early goes out whole when the rest of its request makes no sense", async () => {
  const outcome = Promise.withResolvers<boolean>();
  const http = createServer((_, res) => res.end("early"));
  http.on("clientError", (_, socket) => outcome.resolve(endAfterAnswer(socket as Socket)));
  lingering(http, "connection");
  await using server = await listen(http);
  await using client = await wireClient(server.port);

  client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
  const answer = await client.answer();
  await client.end();

  assert.equal(await outcome.promise, true);
  assert.equal(answer?.body, "early");
  assert.equal(client.error, undefined);
});

test("bytes that make no sense within a request owe nothing to an earlier one", async () => {
  const outcome = Promise.withResolvers<boolean>();
  const http = createServer(() => {});
  http.on("clientError", (_, socket) => {
    outcome.resolve(endAfterAnswer(socket as Socket));
    refuse(socket as Socket, refusal);
  });
  await using server = await listen(http);
  await using client = await wireClient(server.port);

  client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");

  assert.equal(await outcome.promise, false);
  assert.equal((await client.answer())?.status, 400);
});

for (const isAnswered of [false, true]) {
  test(`a handler that awaits a body hears at once that there will be no more of it, its answer ${isAnswered ? "complete" : "pending"}`, async () => {
    const heard = Promise.withResolvers<unknown>();
    const taken = Promise.withResolvers<[IncomingMessage, ServerResponse]>();
    const http = createServer((req, res) => {
      req.toArray().catch(heard.resolve);
      taken.resolve([req, res]);
    });
    lingering(http, "connection");
    await using server = await listen(http);
    await using client = await wireClient(server.port);
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\nx");
    const [req, res] = await taken.promise;
    let aborted = 0;
    req.on("aborted", () => {
      aborted += 1;
    });
    if (isAnswered) res.writeHead(413, { connection: "close" }).end("big");

    abortRequest(req);
    abortRequest(req);
    const error = await heard.promise;
    assert.equal(req.socket.destroyed, false);
    if (!isAnswered) res.writeHead(413, { connection: "close" }).end("big");
    client.socket.write(Buffer.alloc(2_999_999));
    const answer = await client.answer();
    await client.end();

    assert.equal(error instanceof Error && "code" in error && error.code, "ECONNRESET");
    assert.deepEqual(
      { aborted, isAborted: req.aborted, body: answer?.body },
      { aborted: 1, isAborted: true, body: "big" },
    );
    assert.equal(client.error, undefined);
  });
}

test("a request that nobody reads is aborted without an error", async () => {
  const taken = Promise.withResolvers<IncomingMessage>();
  const http = createServer((req, res) => {
    res.end();
    taken.resolve(req);
  });
  await using server = await listen(http);
  await using client = await wireClient(server.port);
  client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx");
  const req = await taken.promise;

  const closed = Promise.withResolvers<void>();
  req.on("close", closed.resolve);

  abortRequest(req);
  await closed.promise;

  // An error event would have ended the process.
  assert.equal(req.destroyed, true);
});

test("a 503 says when to come back, in whole seconds; another status does not", async () => {
  for (const [status, seconds] of [
    [503, "2"],
    [408, undefined],
  ] as const) {
    const http = createServer();
    http.prependListener("connection", (socket: Socket) => {
      refuse(socket, { status, message: "Come back.", retryAfterMs: 1_200 });
    });
    await using server = await listen(http);
    await using client = await wireClient(server.port);
    const answer = await client.answer();

    assert.equal(answer?.status, status);
    assert.equal(answer?.headers.get("retry-after"), seconds);
  }
});

test("plain HTTP on a TLS port is answered in plain HTTP, on the socket below", async () => {
  const tls = createTlsServer(serverCertificate);
  const accepted = once(tls, "connection");
  const codes: unknown[] = [];
  await using server = await listen(tls);
  await using client = await wireClient(server.port);
  const [raw] = (await accepted) as [Socket];
  tls.on("clientError", (error) => {
    codes.push("code" in error && error.code);
    refuse(raw, refusal);
  });

  client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const answer = await client.answer();
  await client.end();

  assert.deepEqual(codes, ["ERR_SSL_HTTP_REQUEST"]);
  assert.deepEqual({ status: answer?.status, body: answer?.body }, { status: 400, body: "No.\n" });
});

test("input is thrown away on a socket that HTTP has never seen", async () => {
  const http = createServer();
  const taken = Promise.withResolvers<Socket>();
  http.removeAllListeners("connection");
  http.on("connection", (socket: Socket) => taken.resolve(socket));
  await using server = await listen(http);
  const client = connect({ port: server.port, host: "127.0.0.1" });
  client.end(Buffer.alloc(megabyte));
  const socket = await taken.promise;

  discardInput(socket);
  await once(socket, "end");

  assert.equal(socket.bytesRead, megabyte);
  client.destroy();
});

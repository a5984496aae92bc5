/** What is told of a refused request, and what never is. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { afterEach, test } from "node:test";
import { assertNothingLeft, listen } from "../../test/support/loopback.ts";
import { requestRows } from "../../test/support/bad-requests.ts";
import { wireClient } from "../../test/support/wire-client.ts";
import {
  type BadRequestEvent,
  badRequests,
  describeClientError,
  eventOfClientError,
  eventOfRequest,
} from "./bad-request.ts";

afterEach(assertNothingLeft);

/** The event of the first `'clientError'` that these pieces cause, each in a packet of its own. */
async function clientErrorOf(...pieces: readonly string[]): Promise<BadRequestEvent> {
  const http = createServer((_, res) => res.end("ok"));
  await using server = await listen(http);
  await using client = await wireClient(server.port);
  const event = Promise.withResolvers<BadRequestEvent>();
  http.on("clientError", (error, socket) => {
    const bad = describeClientError(error);
    assert.ok(bad);
    event.resolve(eventOfClientError(bad, error, socket as Socket));
    socket.destroy();
  });
  for (const [index, piece] of pieces.entries()) {
    client.write(piece);
    if (index < pieces.length - 1) await client.answer();
  }
  // Awaited here: what is in use goes away with the function.
  return await event.promise;
}

/** The event that a request would cause if it were refused. */
async function requestEventOf(bytes: string): Promise<BadRequestEvent> {
  const http = createServer();
  await using server = await listen(http);
  await using client = await wireClient(server.port);
  client.write(bytes);
  const [req, res] = (await once(http, "request")) as [IncomingMessage, ServerResponse];
  const event = eventOfRequest(badRequests.target, req);
  res.end();
  return event;
}

test("each reason stands under its own name, with a status and a whole sentence", () => {
  for (const [name, { reason, status, message }] of Object.entries(badRequests)) {
    assert.equal(reason, name);
    assert.ok(status >= 400 && status < 600);
    assert.match(message, /^[A-Z].*\.$/);
  }
});

test("the rows of bad requests meet every reason but those that need time, TLS or an unknown parser", () => {
  const met = new Set(requestRows.map((row) => row.reason));
  const unmet = Object.keys(badRequests).filter((reason) => !met.has(reason));
  assert.deepEqual(unmet, ["timeout", "http_on_tls", "other"]);
});

for (const [code, reason] of [
  ["ERR_HTTP_REQUEST_TIMEOUT", "timeout"],
  ["ERR_SSL_HTTP_REQUEST", "http_on_tls"],
  ["HPE_INTERNAL", "other"],
  ["HPE_SOMETHING_NEW", "other"],
  ["ECONNRESET", undefined],
  ["EPIPE", undefined],
  ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", undefined],
  ["ERR_TLS_HANDSHAKE_TIMEOUT", undefined],
  [undefined, undefined],
] as const) {
  test(`an error with the code ${code} means ${reason ?? "that there is nobody to answer"}`, () => {
    const error = Object.assign(new Error("x"), code === undefined ? {} : { code });
    assert.equal(describeClientError(error)?.reason, reason);
  });
}

test("the event of a malformed request line has its beginning, the parser's code and the address", async () => {
  assert.deepEqual(await clientErrorOf("FOO /a HTTP/1.1\r\nHost: a\r\n\r\n"), {
    reason: "method",
    status: 501,
    message: badRequests.method.message,
    remoteAddress: "127.0.0.1",
    code: "HPE_INVALID_METHOD",
    excerpt: "FOO /a HTTP/1.1",
  });
});

for (const { name, pieces, excerpt } of [
  { name: "a query", pieces: ["FOO /a?token=secret HTTP/1.1\r\n\r\n"], excerpt: "FOO /a" },
  { name: "a header", pieces: ["GET / HTTP/1.1\r\nCookie : secret\r\n\r\n"], excerpt: undefined },
  {
    name: "a header after a wrong version",
    pieces: ["GET / HTTP/3.0\r\nCookie: secret\r\n\r\n"],
    excerpt: "GET / HTTP/3.0",
  },
  {
    name: "a chunk",
    pieces: ["POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nsecret\r\n"],
    excerpt: undefined,
  },
  {
    name: "what follows a body with a wrong length",
    pieces: ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx", "xsecret"],
    excerpt: undefined,
  },
  {
    name: "a later request",
    pieces: ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "secret /b HTTP/1.1\r\n\r\n"],
    excerpt: undefined,
  },
]) {
  test(`the event of a parser's error shows nothing of ${name}`, async () => {
    // The body comes in two pieces without an answer between them.
    const event = await clientErrorOf(...(name.includes("body") ? [pieces.join("")] : pieces));
    assert.equal(event.excerpt, excerpt);
    assert.doesNotMatch(JSON.stringify(event), /secret/);
  });
}

test("what would act on a terminal is escaped, and no excerpt is longer than 64 characters", async () => {
  const { excerpt: escaped } = await clientErrorOf("\x16\x03\x01\x1b[31m\\\x85\xff");
  assert.equal(escaped, "\\x16\\x03\\x01\\x1b[31m\\x5c\\x85\\xff");

  const { excerpt: controls = "" } = await clientErrorOf("\x01".repeat(200));
  const { excerpt: letters = "" } = await clientErrorOf("x".repeat(200));
  const { excerpt: path = "" } = await requestEventOf(`GET /${"y".repeat(200)} HTTP/1.1\r\nHost: a\r\n\r\n`);
  assert.deepEqual([controls.length, letters.length, path.length], [64, 64, 64]);
});

test("the event of a request that a handler would have seen has its request line without the query", async () => {
  const event = await requestEventOf("GET /a?token=secret HTTP/1.1\r\nHost: a\r\n\r\n");
  assert.deepEqual(
    { excerpt: event.excerpt, code: event.code, reason: event.reason, remoteAddress: event.remoteAddress },
    { excerpt: "GET /a", code: undefined, reason: "target", remoteAddress: "127.0.0.1" },
  );
});

/** What a guarded server does with bad input: the rows one by one, then bytes that nobody has thought of. */

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { Registry } from "sluice/core";
import { createServer } from "sluice/server";
import { serverCertificate } from "./support/certificates.ts";
import { requestRows, type RequestRow } from "./support/bad-requests.ts";
import { cutSoup, makeSoup, normalHost, readLeniently, readStrictly, type ReadRequest } from "./support/http-soup.ts";
import { assertNothingLeft, listen, type LoopbackServer } from "./support/loopback.ts";
import { type Random, randomFrom } from "./support/random.ts";
import { wireClient } from "./support/wire-client.ts";

const reasons: string[] = [];
const http = createServer({ registry: new Registry(), maxHeaders: 100 }, (req, res) => {
  req.resume();
  req.on("end", () => res.end("served"));
});
http.on("badRequest", ({ reason }: { readonly reason: string }) => reasons.push(reason));
http.on("upgrade", (_, socket) => void socket.destroy());
http.on("connect", (_, socket) => void socket.destroy());
let server: LoopbackServer;

async function run(row: RequestRow, isInPieces: boolean): Promise<void> {
  reasons.length = 0;
  await using client = await wireClient(server.port);
  for (const bytes of isInPieces ? row.bytes : [row.bytes]) {
    client.write(bytes);
    if (isInPieces) await nextTurn();
  }
  if (row.ends === true) client.socket.end();
  const answer = await client.answer();

  assert.equal(answer?.status ?? 0, row.status);
  assert.deepEqual(reasons, row.reason === undefined ? [] : [row.reason]);
  if (row.fate === "kept") {
    assert.notEqual(answer?.headers.get("connection"), "close");
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal((await client.answer())?.body, "served");
  } else {
    if (row.fate === "closed") assert.equal(answer?.headers.get("connection"), "close");
    await client.end();
    assert.equal(client.error, undefined);
    assert.equal(client.rest, "");
  }
}

describe("each of the rows", () => {
  before(async () => {
    server = await listen(http);
  });

  after(async () => {
    await server[Symbol.asyncDispose]();
    await assertNothingLeft();
  });

  for (const row of requestRows) {
    const outcome = row.reason ?? (row.status === 0 ? "no answer" : "served");
    test(`${row.name}: ${outcome}, ${row.fate}`, () => run(row, false));
    if (row.onePiece === true || row.bytes.length > 500) continue;
    test(`${row.name}, byte by byte: ${outcome}, ${row.fate}`, () => run(row, true));
  }
});

describe("a guarded server", () => {
  afterEach(assertNothingLeft);

  test("tells of each refused request once, and counts it by its reason", async () => {
    const registry = new Registry();
    const guarded = createServer({ registry, name: "shop" }, (_, res) => res.end());
    const events: unknown[] = [];
    guarded.on("badRequest", (event) => events.push(event));
    await using listening = await listen(guarded);
    for (const bytes of ["GET /a?b HTTP/1.1\r\n\r\n", "FOO / HTTP/1.1\r\n\r\n"]) {
      await using client = await wireClient(listening.port);
      client.write(bytes);
      await client.answer();
    }

    const shared = { remoteAddress: "127.0.0.1" };
    assert.deepEqual(events, [
      {
        ...shared,
        reason: "host_missing",
        status: 400,
        message: "The Host header is missing.",
        code: undefined,
        excerpt: "GET /a",
      },
      {
        ...shared,
        reason: "method",
        status: 501,
        message: "This method is not known here.",
        code: "HPE_INVALID_METHOD",
        excerpt: "FOO / HTTP/1.1",
      },
    ]);
    assert.equal(guarded.stats().badRequests, 2);
    const family = [...registry.collect()].find(({ name }) => name === "http_server_bad_requests_total");
    const counted = family?.samples.filter((sample) => "value" in sample && sample.value > 0);
    assert.deepEqual(
      counted?.map(({ labels }) => labels),
      [
        ["shop", "host_missing"],
        ["shop", "method"],
      ],
    );
  });

  test("answers plain HTTP on its TLS port in plain HTTP", async () => {
    const guarded = createServer({ registry: new Registry(), tls: serverCertificate });
    const told: unknown[] = [];
    guarded.on("badRequest", ({ reason }: { readonly reason: string }) => told.push(reason));
    await using listening = await listen(guarded);
    await using client = await wireClient(listening.port);

    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const answer = await client.answer();
    await client.end();

    assert.deepEqual([answer?.status, answer?.body], [400, "This port speaks HTTPS, not HTTP.\n"]);
    assert.deepEqual(told, ["http_on_tls"]);
  });

  test("runs nothing that was sent behind the last request of a connection", async () => {
    const seen: unknown[] = [];
    const guarded = createServer({ registry: new Registry() }, (req, res) => {
      seen.push(req.url);
      setImmediate(() => res.writeHead(200, req.url === "/last" ? { connection: "close" } : {}).end());
    });
    await using listening = await listen(guarded);
    for (const last of ["GET /last HTTP/1.1\r\nHost: a\r\n\r\n", "GET * HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"]) {
      await using client = await wireClient(listening.port);
      client.write(`GET /1 HTTP/1.1\r\nHost: a\r\n\r\n${last}POST /never HTTP/1.1\r\nHost: a\r\n\r\n`);
      await client.end();
      assert.equal(client.answers.length, 2);
    }
    assert.deepEqual(seen, ["/1", "/last", "/1"]);
  });

  test("lets a handler know at once that the rest of its request was refused", async () => {
    const heard = Promise.withResolvers<unknown>();
    const guarded = createServer({ registry: new Registry() }, (req) => {
      req.toArray().catch(heard.resolve);
    });
    await using listening = await listen(guarded);
    await using client = await wireClient(listening.port);

    client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    const error = await heard.promise;

    assert.equal(error instanceof Error && "code" in error && error.code, "ERR_REQUEST_REFUSED");
    assert.equal((await client.answer())?.status, 400);
  });
});

/** Fails unless both parsers have found what handlers saw, each request at the same place. */
function assertRead(seen: readonly ReadRequest[], soup: string): void {
  const strictly = readStrictly(soup);
  const leniently = readLeniently(soup);
  let place = -1;
  for (const request of seen) {
    place = strictly.findIndex((read, at) => at > place && isDeepStrictEqual(read, request));
    const shown = JSON.stringify({ soup, request, strictly, leniently });
    assert.ok(place >= 0, `not what the strict parser reads: ${shown}`);
    assert.deepEqual(leniently[place], request, `not what the lenient parser reads: ${shown}`);
  }
}

/** Boils one soup: sends it, and returns what handlers saw of it. */
async function boil(random: Random, soup: string): Promise<readonly ReadRequest[]> {
  const seen: ReadRequest[] = [];
  await using client = await wireClient(kitchen.port);
  cooks.set(client.socket.localPort ?? 0, seen);
  for (const piece of cutSoup(random, soup)) {
    client.write(piece);
    if (random.chance(0.5)) await nextTurn();
  }
  // Time to answer what is whole, in half of the runs; what is not whole is answered after the end.
  if (random.chance(0.5)) await Promise.race([client.end(), sleep(20, undefined, { ref: false })]);
  await client.close();
  assert.equal(client.error, undefined, "the connection was reset");
  assert.equal(client.rest, "", "an answer was cut");
  cooks.delete(client.socket.localPort ?? 0);
  return seen;
}

/** What the handlers of each connection saw, by the client's port. */
const cooks = new Map<number, ReadRequest[]>();
let kitchen: LoopbackServer;

describe("any bytes", () => {
  before(async () => {
    const guarded = createServer({ registry: new Registry() }, (req, res) => {
      const seen = cooks.get(req.socket.remotePort ?? 0);
      let bodyLength = 0;
      req.on("data", (chunk: Buffer) => {
        bodyLength += chunk.length;
      });
      req.on("error", () => {});
      req.on("end", () => {
        const { method = "", url = "", headers } = req;
        seen?.push({ method, target: url, host: normalHost(headers.host ?? ""), bodyLength });
        res.end("served");
      });
    });
    kitchen = await listen(guarded);
  });

  after(async () => {
    await kitchen[Symbol.asyncDispose]();
    await assertNothingLeft();
  });

  test("get whole answers or a clean close, and what reaches a handler two parsers read in the same way", async (t) => {
    const random = randomFrom();
    t.diagnostic(`SEED=${random.seed}`);
    const runs = Number(process.env["SOUPS"] ?? 3_000);
    let served = 0;
    for (let done = 0; done < runs; done += 20) {
      const soups = Array.from({ length: 20 }, () => makeSoup(random));
      const all = await Promise.all(
        soups.map((soup) =>
          boil(random, soup).catch((error: unknown) => assert.fail(`${String(error)}: ${JSON.stringify(soup)}`)),
        ),
      );
      for (const [at, seen] of all.entries()) {
        const soup = soups[at] ?? "";
        served += seen.length;
        assertRead(seen, soup);
      }
    }
    assert.ok(served > runs / 5, `only ${served} requests of ${runs} soups were served: the soups have become too bad`);
  });
});

/** What a guarded server does with bad input: the rows one by one, then bytes that nobody has thought of. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Registry } from "sluice/core";
import { createServer } from "sluice/server";
import { requestRows, type RequestRow } from "./support/bad-requests.ts";
import { assertNothingLeft, listen, type LoopbackServer } from "./support/loopback.ts";
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

before(async () => {
  server = await listen(http);
});

after(async () => {
  await server[Symbol.asyncDispose]();
  await assertNothingLeft();
});

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

for (const row of requestRows) {
  const outcome = row.reason ?? (row.status === 0 ? "no answer" : "served");
  test(`${row.name}: ${outcome}, ${row.fate}`, () => run(row, false));
  if (row.onePiece === true || row.bytes.length > 500) continue;
  test(`${row.name}, byte by byte: ${outcome}, ${row.fate}`, () => run(row, true));
}
